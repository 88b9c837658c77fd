"""Configure how contracts begin and change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Strict, WithJsonSchema
from pydantic.dataclasses import dataclass

from pismo_lake.paths import root_of
from pismo_lake.settings.fields import STRICT_MODEL
from pismo_lake.settings.patterns import covers, covers_event
from pismo_lake.settings.schema_pull import SchemaPull  # noqa: TC001 - pydantic reads the types when it runs
from pismo_lake.settings.validate import validate


class Mode(StrEnum):
    """The fate of a field that a contract lacks: a column, an entry in `_rescued`, or nothing."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD = "discard"


def _pairs(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _to_tuple(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        msg = "a list is expected"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes a ValueError
    return tuple(map(str, value))


_MODES_SCHEMA = WithJsonSchema({"type": "object", "additionalProperties": {"enum": [*Mode]}})


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class ContractRules:
    """The rules by which event types get their columns."""

    folder: str | None = None
    """A folder of JSON Schema files: a path relative to the deliveries file, or s3://<bucket>/<folder>."""
    pull: SchemaPull | None = None
    """The source from which the close DAG pulls schemas into `folder`, if there is one."""
    shipped: Annotated[bool, Strict()] = True
    """If true, the schemas that come with the project are used for event types that `folder` lacks."""
    mode: Mode = Mode.EVOLVE
    """The treatment of a field that a contract does not know: evolve, freeze or discard."""
    modes: Annotated[tuple[tuple[str, Mode], ...], BeforeValidator(_pairs), _MODES_SCHEMA] = ()
    """Other modes by patterns of event types; the first pattern that covers an event type decides."""
    json_paths: Annotated[tuple[str, ...], BeforeValidator(_to_tuple)] = ()
    """Patterns of paths that stay JSON text, if they have no column yet."""
    child_tables: Annotated[tuple[str, ...], BeforeValidator(_to_tuple)] = ()
    """Patterns of lists that get a table of their own."""

    def __post_init__(self) -> None:
        if self.pull is None:
            return
        if self.folder is None:
            msg = "contracts.pull needs contracts.folder, the folder to pull into"
            raise ValueError(msg)
        if self.pull.source is not None and _overlap(self.pull.source, self.folder):
            msg = (
                f"contracts.folder {self.folder} and contracts.pull.source {self.pull.source} are one inside the other"
            )
            raise ValueError(msg)

    def mode_of(self, event: str) -> Mode:
        """Return the mode of an event type ``<domain>/<name with version>``."""
        return next((mode for pattern, mode in self.modes if covers_event(pattern, event)), self.mode)

    def is_json(self, keys: tuple[str, ...]) -> bool:
        """Return whether a path of a payload stays JSON text."""
        return any(covers(pattern, keys) for pattern in self.json_paths)

    def is_child_table(self, keys: tuple[str, ...]) -> bool:
        """Return whether a list of a payload gets a table of its own."""
        return any(covers(pattern, keys) for pattern in self.child_tables)

    def fingerprint(self) -> str:
        """Return the rules that outputs depend on besides the contract; empty if all types evolve."""
        modes = [*self.modes, ("**", self.mode)]
        said = json.dumps(modes) if any(mode is Mode.DISCARD for _, mode in modes) else ""
        return f"{said}{json.dumps(self.child_tables)}" if self.child_tables else said


def _overlap(one: str, other: str) -> bool:
    one, other = f"{root_of(one)}/", f"{root_of(other)}/"
    return one.startswith(other) or other.startswith(one)


EVOLVING = ContractRules()
"""The rules if none are configured."""


def parse_rules(values: Mapping[str, Any]) -> ContractRules:
    """Return the rules of a mapping.

    Raises:
        ConfigError: a setting is unknown or wrong.
    """
    return validate(ContractRules, values, "contracts.")
