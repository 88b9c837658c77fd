"""Read the deliveries file: one YAML file without secrets that lists all feeds.

A wrong delivery becomes an `InvalidDelivery`, so that it breaks its own DAG and no other.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pismo_lake.errors import ConfigError
from pismo_lake.paths import root_of
from pismo_lake.settings.alerts import Alerts, NotifierAlerts
from pismo_lake.settings.channels import SOURCES, Channel, Environment, Notices
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.delivery import Delivery
from pismo_lake.settings.privacy import STRICT
from pismo_lake.settings.replay import FILES, Replay
from pismo_lake.settings.schema_pull import SchemaPull
from pismo_lake.settings.stamps import Stamp, stamp_of
from pismo_lake.settings.tables import Catalog
from pismo_lake.settings.validate import LINES, Model, SettingError, list_required, validate
from pismo_lake.settings.yaml_lines import load_entries
from pismo_lake.spelling import list_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from enum import StrEnum

    from pismo_lake.settings.yaml_lines import Entry

__all__ = ["Delivery", "InvalidDelivery", "find_delivery", "load_deliveries"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class InvalidDelivery:
    """A delivery with wrong settings; `problem` has the error and its line."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class _Read:
    """The contents of a file; it is read again if it, or a variable that it names, has changed."""

    stamp: Stamp
    variables: Mapping[str, str | None]
    deliveries: tuple[Delivery | InvalidDelivery, ...]

    def is_current(self, stamp: Stamp) -> bool:
        return self.stamp == stamp and all(os.environ.get(name) == value for name, value in self.variables.items())


_FILES: dict[Path, _Read] = {}


def load_deliveries(path: str | Path) -> tuple[Delivery | InvalidDelivery, ...]:
    """Read the deliveries file; ``${NAME}`` and ``${NAME:-default}`` come from the environment.

    A process reads the file once, and again only after it has changed.

    Raises:
        ConfigError: the file as a whole is not YAML with a mapping `deliveries`.
    """
    file = Path(path).absolute()
    try:
        stamp = stamp_of(file)
        read = _FILES.get(file)
        if read is None or not read.is_current(stamp):
            text = file.read_text(encoding="utf-8")
            variables = {found[1]: os.environ.get(found[1]) for found in _VARIABLE.finditer(text)}
            read = _FILES[file] = _Read(stamp, variables, _parse(text, path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"deliveries file {path}: {error}"
        raise ConfigError(msg) from error
    return read.deliveries


def find_delivery(path: str | Path, name: str) -> Delivery:
    """Return one delivery by name.

    Raises:
        ConfigError: it is missing or invalid.
    """
    deliveries = load_deliveries(path)
    for delivery in deliveries:
        if delivery.name == name:
            if isinstance(delivery, InvalidDelivery):
                raise ConfigError(delivery.problem)
            return delivery
    has = list_in_words(name, [delivery.name for delivery in deliveries]) or "none"
    msg = f"no delivery {name!r} in {path}: it has {has}"
    raise ConfigError(msg)


def _parse(text: str, path: str | Path) -> tuple[Delivery | InvalidDelivery, ...]:
    entries = load_entries(text, "deliveries")
    if entries is None:
        msg = f"deliveries file {path}: a mapping `deliveries:` of name to settings is expected"
        raise ConfigError(msg)
    folder = Path(path).absolute().parent
    read = (_read_entry(entry, folder) for entry in entries)
    return tuple(_same_tables(read, {entry.name: entry.line for entry in entries}))


def _read_entry(entry: Entry, folder: Path) -> Delivery | InvalidDelivery:
    if entry.problem is not None:
        return InvalidDelivery(entry.name, f"delivery {entry.name} (line {entry.line}): {entry.problem}")
    return _delivery(entry.name, entry.value, entry.line, folder)


def _delivery(name: str, body: Any, line: int | None, folder: Path) -> Delivery | InvalidDelivery:
    try:
        if not isinstance(body, dict):
            msg = "a mapping of settings is expected"
            raise ConfigError(msg)
        lines = body[LINES]
        values = _expand(body)
        values["environment"] = _choose(Environment, "environment", values.get("environment"), lines)
        channel = values["channel"] = _choose(Channel, "channel", values.get("channel"), lines)
        values["source"] = _validate_nested(SOURCES[Channel(channel)], "source", values.get("source"), lines)
        if values.get("notices") is not None:
            values["notices"] = _validate_nested(Notices, "notices", values["notices"], lines)
        if values.get("alerts") is not None:
            values["alerts"] = _alerts(values["alerts"], lines)
        if values.get("contracts") is not None:
            values["contracts"] = _contracts(values["contracts"], folder, lines)
        if values.get("catalog") is not None:
            values["catalog"] = _catalog(values["catalog"], lines)
        if values.get("replay") is not None:
            values["replay"] = _replay(values["replay"], lines)
        if isinstance(values.get("privacy"), str) and values["privacy"] != STRICT:
            # relative to the deliveries file, not to the folder in which a worker was started
            values["privacy"] = str(folder / values["privacy"])
        delivery = validate(Delivery, values | {"name": name}, line=line)
        # the ledger knows a lake by its path, which must not depend on the folder in which a worker was started
        return replace(delivery, landing=root_of(delivery.landing), lake=root_of(delivery.lake))
    except ConfigError as error:
        line = getattr(error, "line", None) or line
        return InvalidDelivery(name, f"delivery {name} (line {line}): {error}")


def _alerts(values: Any, lines: Mapping[str, int]) -> Alerts | tuple[Alerts | NotifierAlerts, ...]:
    """Return the topic, or each entry of the list."""
    if not isinstance(values, list):
        return _validate_nested(Alerts, "alerts", values, lines)
    found: list[Alerts | NotifierAlerts] = []
    for number, entry in enumerate(values):
        field = f"alerts[{number}]"
        if not isinstance(entry, dict) or not {"notifier", "topic_arn"} & entry.keys():
            msg = f"{field} has neither notifier nor topic_arn"
            raise SettingError(msg, lines.get("alerts"))
        kind: type[Alerts | NotifierAlerts] = NotifierAlerts if "notifier" in entry else Alerts
        own = entry | {"arguments": _drop_lines(entry["arguments"])} if entry.get("arguments") else entry
        found.append(validate(kind, own, f"{field}.", _first_line(entry) or lines.get("alerts")))
    return tuple(found)


def _catalog(values: Any, lines: Mapping[str, int]) -> Catalog:
    if isinstance(values, dict) and values.get("properties"):
        values = values | {"properties": _drop_lines(values["properties"])}
    return _validate_nested(Catalog, "catalog", values, lines)


def _replay(values: Any, lines: Mapping[str, int]) -> Replay:
    replay = _validate_nested(Replay, "replay", values, lines)
    # a replay may continue in a worker that was started in another folder
    return replace(replay, address=root_of(replay.address)) if replay.target in FILES else replay


def _same_tables(
    deliveries: Iterable[Delivery | InvalidDelivery], lines: Mapping[str, int]
) -> Iterator[Delivery | InvalidDelivery]:
    """Refuse a delivery whose lake has other tables in the entry of an earlier one.

    A delivery without tables would remove files that the tables of the other one still name.
    """
    first: dict[str, Delivery] = {}
    for delivery in deliveries:
        if isinstance(delivery, Delivery):
            other = first.setdefault(delivery.lake, delivery)
            if _tables_of(other) != _tables_of(delivery):
                named = "table_format, catalog, snapshots_kept_hours and remove_files"
                problem = f"{named} differ from those of {other.name}, which has the same lake"
                where = f"delivery {delivery.name} (line {lines.get(delivery.name)})"
                yield InvalidDelivery(delivery.name, f"{where}: {problem}")
                continue
        yield delivery


def _tables_of(delivery: Delivery) -> tuple[object, ...]:
    return delivery.table_format, delivery.catalog, delivery.snapshots_kept_hours, delivery.remove_files


def _drop_lines(value: Any) -> Any:
    """Return a value without the lines of its mappings."""
    if isinstance(value, dict):
        return {key: _drop_lines(item) for key, item in value.items() if key != LINES}
    return [_drop_lines(item) for item in value] if isinstance(value, list) else value


def _first_line(entry: Mapping[str, Any]) -> int | None:
    return min(entry.get(LINES, {}).values(), default=None)


def _contracts(values: Any, folder: Path, lines: Mapping[str, int]) -> ContractRules:
    if isinstance(values, dict):
        values = dict(values)
        if isinstance(values.get("modes"), dict):
            values["modes"] = {key: value for key, value in values["modes"].items() if key != LINES}
        if values.get("pull") is not None:
            values["pull"] = _pull(values["pull"], folder, values[LINES].get("pull"))
        if values.get("folder") is not None:
            values["folder"] = _beside(folder, values["folder"])
            # a pull makes the folder
            is_store = "://" in values["folder"]
            if not values.get("pull") and not is_store and not Path(values["folder"]).is_dir():
                msg = f"contracts.folder {values['folder']} does not exist"
                raise SettingError(msg, values[LINES].get("folder"))
    return _validate_nested(ContractRules, "contracts", values, lines)


def _pull(values: Any, folder: Path, line: int | None) -> SchemaPull:
    if not isinstance(values, dict):
        msg = "`contracts.pull:` with source is missing"
        raise SettingError(msg, line)
    if values.get("source") is not None:
        values = values | {"source": _beside(folder, values["source"])}
    return validate(SchemaPull, values, "contracts.pull.", line)


def _beside(folder: Path, place: Any) -> str:
    """Return a place of the file; a path is relative to the file, not to the folder in which a worker was started."""
    return str(place) if "://" in str(place) else str(folder / str(place))


def _validate_nested(kind: type[Model], field: str, values: Any, lines: Mapping[str, int]) -> Model:
    """Return the model of a nested mapping."""
    if not isinstance(values, dict):
        needed = ", ".join(list_required(kind))
        msg = f"`{field}:`{f' with at least {needed}' if needed else ''} is missing"
        raise SettingError(msg, lines.get(field))
    return validate(kind, values, f"{field}.", lines.get(field))


def _choose(kind: type[StrEnum], field: str, value: Any, lines: Mapping[str, int]) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        shown = "missing" if value is None else repr(value)
        msg = f"{field} is {shown}, allowed: {', '.join(kind)}"
        raise SettingError(msg, lines.get(field)) from None


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key == LINES else _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    if isinstance(value, str):
        expanded = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[2] or ""), value)
        # an empty expansion means "not set", so that the default applies
        return expanded or None
    return value
