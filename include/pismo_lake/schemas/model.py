"""Define the result of a pull: each schema, its fate, and its meaning for columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pismo_lake.spelling import printable


class State(StrEnum):
    """A schema of the source, compared with the folder."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    GONE = "gone"
    BAD = "bad"


class Fate(StrEnum):
    """The thing that a pull does with a schema; a dry run only names it."""

    WRITTEN = "written"
    HELD = "held back"
    YOURS = "yours is kept"
    KEPT = "kept"
    LEFT = ""


class ChangeKind(StrEnum):
    """The meaning of a schema for a column."""

    ADDED = "added"
    EXTENDED = "extended"
    RETYPED = "retyped"
    REDECLARED = "redeclared"
    CONFLICT = "conflict"
    UNDECLARED = "undeclared"


_MEANINGS = {
    ChangeKind.ADDED: "a new column, {after}",
    ChangeKind.EXTENDED: "the list gets more fields: {after}",
    ChangeKind.RETYPED: "{before} becomes {after}: files with the event type are built again",
    ChangeKind.REDECLARED: "{before} becomes {after}; no file has the column yet",
    ChangeKind.CONFLICT: "the schema says {after}, the lake keeps {before}",
    ChangeKind.UNDECLARED: "the schema has it no more; files that have it keep it",
}
_SHARE_A_LINE = {
    ChangeKind.ADDED: "new column(s)",
    ChangeKind.UNDECLARED: "column(s) that the schema has no more; files keep them",
}
_SHOWN = 6
_LONGEST = 200


@dataclass(frozen=True, slots=True, order=True)
class ColumnChange:
    """The meaning of a schema for one column; `before` and `after` are types, or kinds of a conflict."""

    column: str
    kind: ChangeKind
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.column}: {_MEANINGS[self.kind].format(before=self.before, after=self.after)}"


def _plain(text: object) -> str:
    """Return a text with keys of a schema, which may be long and hold anything, as one that can be logged."""
    return printable(str(text))[:_LONGEST]


@dataclass(frozen=True, slots=True)
class PulledSchema:
    """A schema file: its name below the folder, its state and fate, and why.

    `is_news` is false if an earlier pull has said the same of this same content.
    """

    name: str
    state: State
    fate: Fate = Fate.LEFT
    columns: tuple[ColumnChange, ...] = ()
    reason: str = ""
    is_news: bool = True

    @property
    def event(self) -> str:
        """The event type ``<domain>/<event>-<version>`` that the file is for."""
        return self.name.removesuffix(".json")

    def meanings(self) -> list[str]:
        """Return the reason and the meaning for columns in a few lines; new columns share one."""
        lines = [self.reason] if self.reason else []
        lines += [_plain(column) for column in self.columns if column.kind not in _SHARE_A_LINE]
        for kind, about in _SHARE_A_LINE.items():
            names = [_plain(f"{c.column} {c.after}".rstrip()) for c in self.columns if c.kind is kind]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines += [f"{len(names)} {about}: {', '.join(names[:_SHOWN])}{more}"] if names else []
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the form for ``--json``."""
        columns = [
            {"column": c.column, "change": str(c.kind), "before": c.before, "after": c.after} for c in self.columns
        ]
        return {
            "schema": self.name, "state": str(self.state), "fate": str(self.fate), "reason": self.reason,
            "news": self.is_news, "columns": columns,
        }  # fmt: skip

    def __str__(self) -> str:
        fate = f", {self.fate}" if self.fate else ""
        return f"{self.event}: {self.state}{fate}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Pull:
    """The result of a pull: the schemas that are not unchanged, and the number of all."""

    source: str
    folder: str
    dry_run: bool
    schemas: tuple[PulledSchema, ...]
    unchanged: int
    ignored: int = 0

    @property
    def news(self) -> tuple[PulledSchema, ...]:
        """The schemas of which no earlier pull has said the same."""
        return tuple(schema for schema in self.schemas if schema.is_news)

    @property
    def bad(self) -> tuple[PulledSchema, ...]:
        """The schemas that cannot be used."""
        return tuple(schema for schema in self.schemas if schema.state is State.BAD)

    def counts(self) -> dict[str, int]:
        """Count schemas by state, and those that were written or held back."""
        states = Counter(schema.state for schema in self.schemas)
        fates = Counter(schema.fate for schema in self.schemas)
        named = {str(state): states[state] for state in State} | {"unchanged": self.unchanged}
        return named | {"written": fates[Fate.WRITTEN], "held back": fates[Fate.HELD], "yours": fates[Fate.YOURS]}

    def to_json(self) -> dict[str, Any]:
        """Return the form for ``--json``."""
        return {
            "source": self.source, "folder": self.folder, "dry_run": self.dry_run, "ignored_files": self.ignored,
            "counts": {name.replace(" ", "_"): count for name, count in self.counts().items()},
            "schemas": [schema.to_json() for schema in self.schemas],
        }  # fmt: skip

    def __str__(self) -> str:
        named = {"to write" if self.dry_run and name == "written" else name: n for name, n in self.counts().items()}
        counts = ", ".join(f"{count} {name}" for name, count in named.items() if count)
        return f"{'would pull' if self.dry_run else 'pulled'} {self.source} into {self.folder}: {counts or 'nothing'}"
