"""Deliveries: which feeds there are, from one YAML file without secrets.

A delivery is one organisation in one environment over one channel. A wrong one becomes an `InvalidDelivery`, so that
it breaks its own DAG and no other.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from croniter import croniter

from pismo_lake.errors import ConfigError
from pismo_lake.paths import root_of
from pismo_lake.settings.channels import (
    SOURCES,
    Alerts,
    Channel,
    Environment,
    Expected,
    NoticeChannel,
    Notices,
    Source,
    bucket_name,
)
from pismo_lake.settings.contracts import EVOLVING, ContractRules, parse_rules
from pismo_lake.settings.lake import LakeSettings
from pismo_lake.settings.privacy import STRICT, load_privacy

if TYPE_CHECKING:
    from enum import StrEnum

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LINES = "__lines__"
_MERGE = "tag:yaml.org,2002:merge"
_STORES = frozenset({"s3", "file"})
_CUT_SCHEME = re.compile(r"[a-z0-9]+:/(?!/)")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One feed. `landing` and `lake` are local paths or s3:// URIs; `ledger_url` holds no password.

    `listing` False never lists (where s3:ListBucket is not granted), `pool` is the Airflow pool of the tasks that
    connect to Pismo. A publish day is closed `close_after_hours` after its end, and `close_deadline_hours` later it is
    late. `accounting_reports` compares it with Pismo's own daily report, where the organisation has it. `contracts`
    says how columns come about. `privacy` is a policy (`strict` or a file), `privacy_key_conn_id` the connection of the
    key it hashes with: its login is the key's id, its password the secret. `lake_kms_key` (id, ARN or alias), used
    as `storage_conn_id`, encrypts the lake's files.
    """

    name: str
    organisation: str
    environment: Environment
    channel: Channel
    conn_id: str
    landing: str
    lake: str
    source: Source
    notices: Notices | None = None
    alerts: Alerts | None = None
    listing: bool = True
    pool: str = "default_pool"
    ledger_conn_id: str | None = None
    ledger_url: str | None = None
    storage_conn_id: str | None = None
    schedule: str = "*/15 * * * *"
    lookback_hours: int = 3
    parallel_downloads: int = 8
    wait_minutes: float = 5.0
    horizon_days: int = 7
    part_bytes: int = 64 << 20
    target_bytes: int = 256 << 20
    event_date_zone: str = "UTC"
    close_after_hours: float = 4.0
    close_deadline_hours: float = 4.0
    accounting_reports: bool = False
    contracts: ContractRules = EVOLVING
    privacy: str | None = None
    privacy_key_conn_id: str | None = None
    lake_kms_key: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"delivery name {self.name!r}: lower-case letters, digits and _, starting with a letter"
            raise ConfigError(msg)
        if not self.organisation.lower().startswith("tn-"):
            msg = f"{self.name}: organisation {self.organisation!r} should be an Org ID such as TN-376a4170-…"
            raise ConfigError(msg)
        if not (self.ledger_conn_id or self.ledger_url):
            msg = f"{self.name}: give ledger_conn_id (an Airflow connection) or ledger_url"
            raise ConfigError(msg)
        for field, least, most in (
            ("lookback_hours", 0, 900),
            ("parallel_downloads", 1, 256),
            ("wait_minutes", 0, 24 * 60),
            ("close_after_hours", 0, 31 * 24),
            ("close_deadline_hours", 0, 31 * 24),
        ):
            if not least <= getattr(self, field) <= most:
                msg = f"{self.name}: {field} must be from {least} to {most}"
                raise ConfigError(msg)
        if not croniter.is_valid(self.schedule):
            msg = f"{self.name}: schedule {self.schedule!r} is no cron expression, such as */15 * * * *"
            raise ConfigError(msg)
        self._check_places()
        if not isinstance(self.source, SOURCES[self.channel]):
            msg = f"{self.name}: channel {self.channel} with a {type(self.source).__name__}"
            raise ConfigError(msg)
        if not self.listing and self.notices is None:
            msg = f"{self.name}: listing is false and there are no notices: nothing would tell of new files"
            raise ConfigError(msg)
        policy = self.settings.privacy
        if policy is not None and policy.hashes and self.privacy_key_conn_id is None:
            msg = f"{self.name}: privacy {self.privacy} hashes: privacy_key_conn_id (an Airflow connection) is missing"
            raise ConfigError(msg)

    def _check_places(self) -> None:
        for field in ("landing", "lake"):
            place = getattr(self, field)
            scheme, found, rest = place.partition("://")
            if (found and (scheme not in _STORES or not rest.strip("/"))) or _CUT_SCHEME.match(place):
                msg = f"{self.name}: {field} {place!r} is neither a path nor s3://<bucket>/<folder>"
                raise ConfigError(msg)
        landing, lake = f"{root_of(self.landing)}/", f"{root_of(self.lake)}/"
        if landing.startswith(lake) or lake.startswith(landing):
            msg = f"{self.name}: landing and lake stand one in the other: {self.landing}, {self.lake}"
            raise ConfigError(msg)

    @property
    def expected(self) -> Expected:
        """What its notices may name: the organisation's bucket at Pismo, also where files come by another way."""
        own = getattr(self.source, "bucket", None) if self.channel is Channel.S3 else None
        told = self.notices.bucket if self.notices else None
        return Expected(self.organisation, told or own or bucket_name(self.organisation))

    @property
    def settings(self) -> LakeSettings:
        """What landing and building need of it; keys are added where the connections are."""
        return LakeSettings(
            delivery=self.name,
            landing=self.landing,
            lake=self.lake,
            horizon_days=self.horizon_days,
            part_bytes=self.part_bytes,
            target_bytes=self.target_bytes,
            event_date_zone=self.event_date_zone,
            contracts=self.contracts,
            privacy=load_privacy(self.privacy) if self.privacy else None,
        )


@dataclass(frozen=True, slots=True)
class InvalidDelivery:
    """A delivery that cannot be used, with what is wrong and where."""

    name: str
    problem: str


class _LineLoader(yaml.SafeLoader):
    """Notes the line of each key of a mapping, for errors; a key given twice is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001
        lines: dict[Any, int] = {}
        # before what is merged in (<<: *defaults) joins them: these may come again
        for key, _ in node.value:
            if key.tag != _MERGE and key.value in lines:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        mapping = super().construct_mapping(node, deep=deep)
        merged = {key.value: key.start_mark.line + 1 for key, _ in node.value}
        mapping[_LINES] = {key: line for key, line in (merged | lines).items() if key in mapping}
        return mapping


class _SettingError(ConfigError):
    """A setting is wrong, at this line where it is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def load_deliveries(path: str | Path) -> tuple[Delivery | InvalidDelivery, ...]:
    """Read the deliveries file; ``${NAME}`` and ``${NAME:-default}`` come from the environment.

    Raises `ConfigError` where the file as a whole is not YAML with a `deliveries` mapping.
    """
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_LineLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"deliveries file {path}: {error}"
        raise ConfigError(msg) from error
    listed = document.get("deliveries") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        msg = f"deliveries file {path}: a mapping `deliveries:` of name to settings is expected"
        raise ConfigError(msg)
    lines = listed.pop(_LINES)
    return tuple(_delivery(str(name), body, lines.get(str(name)), Path(path).parent) for name, body in listed.items())


def find_delivery(path: str | Path, name: str) -> Delivery:
    """One delivery by name; `ConfigError` where it is missing or invalid."""
    for delivery in load_deliveries(path):
        if delivery.name == name:
            if isinstance(delivery, InvalidDelivery):
                raise ConfigError(delivery.problem)
            return delivery
    msg = f"no delivery {name!r} in {path}"
    raise ConfigError(msg)


def _delivery(name: str, body: Any, line: int | None, folder: Path) -> Delivery | InvalidDelivery:
    try:
        if not isinstance(body, dict):
            msg = "a mapping of settings is expected"
            raise ConfigError(msg)
        lines = body[_LINES]
        values = _expand(body)
        values["environment"] = _choice(Environment, "environment", values.get("environment"), lines)
        channel = values["channel"] = _choice(Channel, "channel", values.get("channel"), lines)
        values["source"] = _made(SOURCES[Channel(channel)], "source", values.get("source"), lines)
        if values.get("notices") is not None:
            told = values["notices"]
            if isinstance(told, dict):
                told["channel"] = _choice(NoticeChannel, "channel", told.get("channel"), told[_LINES], "notices.")
            values["notices"] = _made(Notices, "notices", told, lines)
        if values.get("alerts") is not None:
            values["alerts"] = _made(Alerts, "alerts", values["alerts"], lines)
        if values.get("contracts") is not None:
            values["contracts"] = _contracts(values["contracts"], folder, lines)
        if values.get("privacy") not in {None, STRICT}:
            # beside the deliveries file, wherever a worker was started
            values["privacy"] = str(folder.absolute() / str(values["privacy"]))
        delivery = Delivery(**_checked(Delivery, values | {"name": name}, ""))
        # the ledger knows a lake by its name, which must not hang on where a worker was started
        return replace(delivery, landing=root_of(delivery.landing), lake=root_of(delivery.lake))
    except (ConfigError, TypeError) as error:
        line = getattr(error, "line", None) or line
        return InvalidDelivery(name, f"delivery {name} (line {line}): {error}")


def _contracts(values: Any, folder: Path, lines: dict[str, int]) -> ContractRules:
    if not isinstance(values, dict):
        msg = "`contracts:` is a mapping"
        raise _SettingError(msg, lines.get("contracts"))
    plain = {key: value for key, value in values.items() if key != _LINES}
    if isinstance(plain.get("modes"), dict):
        plain["modes"] = {key: value for key, value in plain["modes"].items() if key != _LINES}
    if plain.get("folder") is not None:
        plain["folder"] = str(folder.absolute() / str(plain["folder"]))
        if not Path(plain["folder"]).is_dir():
            msg = f"contracts.folder {plain['folder']} is not there"
            raise _SettingError(msg, values[_LINES].get("folder"))
    try:
        return parse_rules(plain)
    except ConfigError as error:
        raise _SettingError(str(error), lines.get("contracts")) from error


def _made(kind: type[Any], field: str, values: Any, lines: dict[str, int]) -> Any:
    """The dataclass of a nested mapping, errors with the mapping's line where they have none of their own."""
    if not isinstance(values, dict):
        needed = [item.name for item in fields(kind) if item.default is MISSING]
        told = f" with at least {', '.join(needed)}" if needed else ""
        msg = f"`{field}:`{told} is missing"
        raise _SettingError(msg, lines.get(field))
    try:
        return kind(**_checked(kind, values, f"{field}."))
    except ConfigError as error:
        raise _SettingError(str(error), getattr(error, "line", None) or lines.get(field)) from error


def _choice(kind: type[StrEnum], field: str, value: Any, lines: dict[str, int], prefix: str = "") -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        told = "missing" if value is None else repr(value)
        msg = f"{prefix}{field} is {told}, allowed: {', '.join(kind)}"
        raise _SettingError(msg, lines.get(field)) from None


def _checked(kind: type, values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Values for a dataclass, their names and simple types checked."""
    declared = {field.name: str(field.type) for field in fields(kind)}
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    lines = values.get(_LINES, {})
    values = {key: value for key, value in values.items() if key != _LINES}
    for key, value in values.items():
        if key not in declared:
            msg = f"unknown setting {prefix}{key}, allowed: {', '.join(sorted(declared.keys() - {'name'}))}"
            raise _SettingError(msg, lines.get(key))
        try:
            values[key] = _typed(declared[key], value)
        except (TypeError, ValueError):
            wanted = {"bool": "true or false", "str": "text"}.get(declared[key].split(" ")[0], "a number")
            msg = f"{prefix}{key} is {value!r}, {wanted} is expected"
            raise _SettingError(msg, lines.get(key)) from None
    missing = [name for name in needed if values.get(name) is None]
    if missing:
        msg = f"{prefix}{missing[0]} is missing"
        raise _SettingError(msg)
    # what expands to nothing is not set: its default stands
    return {key: value for key, value in values.items() if value is not None}


def _typed(wanted: str, value: Any) -> Any:
    if value is None:
        return None
    kind = wanted.split(" ")[0]
    if kind == "bool":
        # ValueError where it is neither
        return bool(("false", "true").index(str(value).lower()))
    if kind in {"int", "float"}:
        number = int(str(value)) if kind == "int" else float(str(value))
        if not math.isfinite(number):
            raise ValueError
        return number
    if kind == "str":
        if isinstance(value, dict | list):
            raise TypeError
        return str(value)
    return value


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key == _LINES else _expand(item) for key, item in value.items()}
    if isinstance(value, str):
        expanded = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[2] or ""), value)
        # an empty expansion means "not set", so that the derived value applies
        return expanded or None
    return value
