"""Load the class of a notifier, and fill in its arguments."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pismo_lake.settings.deliveries import Delivery

_FILLED = {
    "subject": ("subject", "summary", "title"),
    "text": ("body", "content", "description", "message", "message_body", "text"),
    "html": ("html_content",),
}
"""The arguments of notifiers that get a part of the alert if the deliveries file does not set them."""


def load_notifier(path: str) -> type[BaseNotifier]:
    """Return the class of a notifier.

    Raises:
        ConfigError: The class cannot be imported, or is not a notifier of Airflow.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:
        msg = f"alerts.notifier {path} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError(msg) from error
    if found is None:
        msg = f"alerts.notifier {path}: {module} has no {name}"
        raise ConfigError(msg)
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)) or found is BaseNotifier:
        msg = f"alerts.notifier {path} is not a subclass of airflow.sdk.BaseNotifier"
        raise ConfigError(msg)
    return found


def check_notifiers(delivery: Delivery) -> None:
    """Raise `ConfigError` if a notifier of the delivery cannot be loaded, or does not take its arguments."""
    for wanted in delivery.alerted:
        path = getattr(wanted, "notifier", None)
        if path is None:
            continue
        kind = load_notifier(path)
        arguments = fill_arguments(kind, wanted.arguments, dict.fromkeys(_FILLED, ""))  # type: ignore[union-attr]
        try:
            inspect.signature(kind).bind(**arguments)
        except TypeError as error:
            msg = f"alerts.arguments of {path}: {error}"
            raise ConfigError(msg) from None


def fill_arguments(kind: type[BaseNotifier], arguments: Mapping[str, Any], alert: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments, with the alert in those for a subject or a text that are not set.

    Airflow renders the fields that are templates. There the alert is named, so that no text of it is a template.
    """
    known = inspect.signature(kind).parameters
    filled = {
        name: f"{{{{ alert.{part} }}}}" if name in kind.template_fields else alert[part]
        for part, names in _FILLED.items()
        for name in names
        if name in known
    }
    return filled | dict(arguments)
