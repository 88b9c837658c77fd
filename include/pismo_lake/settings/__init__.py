"""Check the settings that people write; do no work."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pismo_lake.settings.channels import Channel, Environment
    from pismo_lake.settings.contracts import ContractRules, Mode
    from pismo_lake.settings.deliveries import InvalidDelivery, find_delivery, load_deliveries
    from pismo_lake.settings.delivery import Delivery
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import Privacy, PrivacyKey, load_privacy

_PLACES = {
    "Channel": "channels",
    "ContractRules": "contracts",
    "Delivery": "delivery",
    "Environment": "channels",
    "InvalidDelivery": "deliveries",
    "LakeSettings": "lake",
    "Mode": "contracts",
    "Privacy": "privacy",
    "PrivacyKey": "privacy",
    "find_delivery": "deliveries",
    "load_deliveries": "deliveries",
    "load_privacy": "privacy",
}

__all__ = [
    "Channel",
    "ContractRules",
    "Delivery",
    "Environment",
    "InvalidDelivery",
    "LakeSettings",
    "Mode",
    "Privacy",
    "PrivacyKey",
    "find_delivery",
    "load_deliveries",
    "load_privacy",
]


def __getattr__(name: str) -> Any:
    # a command without a deliveries file does not need the models of one, which take long to make
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
