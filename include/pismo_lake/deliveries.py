"""Deliveries: which feeds there are, from one YAML file without secrets.

A delivery is one organisation in one environment over one channel. A wrong one becomes an `InvalidDelivery`, so that
it breaks its own DAG and no other.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from pismo_lake.errors import ConfigError
from pismo_lake.settings import LakeSettings

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LINE = "__line__"


class Environment(StrEnum):
    """Pismo's environments; credentials of one do not work in the other."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class Channel(StrEnum):
    """How files are fetched."""

    S3 = "s3"


@dataclass(frozen=True, slots=True)
class S3Source:
    """Pismo's bucket and role; what is None is derived from the organisation and `pismo_account_id`."""

    pismo_account_id: str
    bucket: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    region: str | None = None
    session_seconds: int = 3600
    endpoint_url: str | None = None
    prefix: str = "main_stream"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One feed. `landing` and `lake` are local paths or s3:// URIs; `ledger_url` holds no password."""

    name: str
    organisation: str
    environment: Environment
    channel: Channel
    conn_id: str
    landing: str
    lake: str
    source: S3Source
    ledger_conn_id: str | None = None
    ledger_url: str | None = None
    storage_conn_id: str | None = None
    schedule: str = "*/15 * * * *"
    lookback_hours: int = 3
    parallel_downloads: int = 8
    wait_minutes: float = 5.0
    horizon_days: int = 7
    part_bytes: int = 64 << 20
    event_date_zone: str = "UTC"

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
        for field, least in (("lookback_hours", 0), ("parallel_downloads", 1), ("wait_minutes", 0)):
            if getattr(self, field) < least:
                msg = f"{self.name}: {field} must be {least} or more"
                raise ConfigError(msg)
        _ = self.settings

    @property
    def settings(self) -> LakeSettings:
        """What landing and building need of it."""
        return LakeSettings(
            delivery=self.name,
            landing=self.landing,
            lake=self.lake,
            horizon_days=self.horizon_days,
            part_bytes=self.part_bytes,
            event_date_zone=self.event_date_zone,
        )


@dataclass(frozen=True, slots=True)
class InvalidDelivery:
    """A delivery that cannot be used, with what is wrong and where."""

    name: str
    problem: str


class _LineLoader(yaml.SafeLoader):
    """Notes the line at which each mapping starts, for errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001
        mapping = super().construct_mapping(node, deep=deep)
        mapping[_LINE] = node.start_mark.line + 1
        return mapping


def load_deliveries(path: str | Path) -> tuple[Delivery | InvalidDelivery, ...]:
    """Read the deliveries file; ``${NAME}`` and ``${NAME:-default}`` come from the environment.

    Raises `ConfigError` where the file as a whole is not YAML with a `deliveries` mapping.
    """
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_LineLoader)  # noqa: S506 - a SafeLoader
    except (OSError, yaml.YAMLError) as error:
        msg = f"deliveries file {path}: {error}"
        raise ConfigError(msg) from error
    listed = document.get("deliveries") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        msg = f"deliveries file {path}: a mapping `deliveries:` of name to settings is expected"
        raise ConfigError(msg)
    return tuple(_delivery(str(name), body) for name, body in listed.items() if name != _LINE)


def find_delivery(path: str | Path, name: str) -> Delivery:
    """One delivery by name; `ConfigError` where it is missing or invalid."""
    for delivery in load_deliveries(path):
        if delivery.name == name:
            if isinstance(delivery, InvalidDelivery):
                raise ConfigError(delivery.problem)
            return delivery
    msg = f"no delivery {name!r} in {path}"
    raise ConfigError(msg)


def _delivery(name: str, body: Any) -> Delivery | InvalidDelivery:
    line = body.get(_LINE) if isinstance(body, dict) else None
    try:
        if not isinstance(body, dict):
            msg = "a mapping of settings is expected"
            raise ConfigError(msg)
        values = _expand(body)
        source = values.pop("source", None)
        if not isinstance(source, dict):
            msg = "`source:` with at least pismo_account_id is missing"
            raise ConfigError(msg)
        values["environment"] = _choice(Environment, "environment", values.get("environment"))
        values["channel"] = _choice(Channel, "channel", values.get("channel"))
        source_values = _checked(S3Source, source, "source.")
        return Delivery(**_checked(Delivery, values | {"name": name, "source": S3Source(**source_values)}, ""))
    except (ConfigError, TypeError) as error:
        return InvalidDelivery(name, f"delivery {name} (line {line}): {error}")


def _choice(kind: type[StrEnum], field: str, value: Any) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        msg = f"{field} is {value!r}, allowed: {', '.join(kind)}"
        raise ConfigError(msg) from None


def _checked(kind: type, values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Values for a dataclass, their names and simple types checked."""
    declared = {field.name: str(field.type) for field in fields(kind)}
    values = {key: value for key, value in values.items() if key != _LINE}
    unknown = sorted(values.keys() - declared.keys())
    if unknown:
        msg = f"unknown setting {prefix}{unknown[0]}, allowed: {', '.join(sorted(declared))}"
        raise ConfigError(msg)
    for key, value in values.items():
        wanted = declared[key]
        if wanted.startswith(("int", "float")):
            try:
                values[key] = int(value) if wanted == "int" else float(value)
            except (TypeError, ValueError):
                msg = f"{prefix}{key} is {value!r}, a number is expected"
                raise ConfigError(msg) from None
        elif wanted.startswith("str") and value is not None:
            values[key] = str(value)
    return values


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, str):
        expanded = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[2] or ""), value)
        # an empty expansion means "not set", so that the derived value applies
        return expanded or None
    return value
