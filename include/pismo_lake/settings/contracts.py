"""How contracts come about and change, by configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pismo_lake.errors import ConfigError
from pismo_lake.settings.patterns import covers, covers_event


class Mode(StrEnum):
    """What becomes of a field that a contract does not know: a column, an entry in `_rescued`, or nothing."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class ContractRules:
    """`folder` holds JSON Schema files; with `shipped` those that come with the project stand in where it has none.

    `mode` is for every event type but those that a pattern of `modes` covers, the first one that does. `json_paths` are
    patterns of paths that stay JSON text, if they have no column yet, `child_tables` patterns of lists that get a table
    of their own.
    """

    folder: str | None = None
    shipped: bool = True
    mode: Mode = Mode.EVOLVE
    modes: tuple[tuple[str, Mode], ...] = ()
    json_paths: tuple[str, ...] = ()
    child_tables: tuple[str, ...] = ()

    def mode_of(self, event: str) -> Mode:
        """The mode of an event type ``<domain>/<name with version>``."""
        return next((mode for pattern, mode in self.modes if covers_event(pattern, event)), self.mode)

    def is_json(self, keys: tuple[str, ...]) -> bool:
        """Whether a path of a payload is to stay JSON text."""
        return any(covers(pattern, keys) for pattern in self.json_paths)

    def is_child_table(self, keys: tuple[str, ...]) -> bool:
        """Whether a list of a payload is to have a table of its own."""
        return any(covers(pattern, keys) for pattern in self.child_tables)

    def fingerprint(self) -> str:
        """Of what outputs depend on beside the contract itself; empty where everything evolves."""
        modes = [*self.modes, ("**", self.mode)]
        said = json.dumps(modes) if any(mode is Mode.DISCARD for _, mode in modes) else ""
        return f"{said}{json.dumps(self.child_tables)}" if self.child_tables else said


EVOLVING = ContractRules()
"""What holds where nothing is configured."""


def parse_rules(values: Mapping[str, Any]) -> ContractRules:
    """From a mapping of a delivery; `ConfigError` for anything that is not one of these settings."""
    values = {key: value for key, value in values.items() if value is not None}
    allowed = {"folder": str, "shipped": bool, "mode": str, "modes": Mapping, "json_paths": list, "child_tables": list}
    for key, value in values.items():
        if key not in allowed or not isinstance(value, allowed[key]):
            msg = f"contracts.{key} is {value!r}: {', '.join(allowed)} are expected (shipped: true or false)"
            raise ConfigError(msg)
    modes = tuple((str(pattern), _mode(mode)) for pattern, mode in values.get("modes", {}).items())
    paths, children = (tuple(map(str, values.get(key, ()))) for key in ("json_paths", "child_tables"))
    mode = _mode(values.get("mode", Mode.EVOLVE))
    return ContractRules(values.get("folder"), values.get("shipped", True), mode, modes, paths, children)


def _mode(text: Any) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        msg = f"contracts: mode {text!r}, allowed: {', '.join(Mode)}"
        raise ConfigError(msg) from None
