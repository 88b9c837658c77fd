"""Check the settings that people write; do no work."""

from pismo_lake.settings.channels import Channel, Environment
from pismo_lake.settings.contracts import ContractRules, Mode
from pismo_lake.settings.deliveries import InvalidDelivery, find_delivery, load_deliveries
from pismo_lake.settings.delivery import Delivery
from pismo_lake.settings.lake import LakeSettings
from pismo_lake.settings.privacy import Privacy, PrivacyKey, load_privacy

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
