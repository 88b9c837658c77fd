"""Decide which schemas of a source replace those of the folder, before a file is written.

A schema may refer to other files. So the decision looks at the folder as it would be afterwards: if an event type would
change the type of a column, or would have no usable schema any more, the files that do this are left out, and the rest
is looked at again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.contracts.json_schema import SHIPPED, SchemaFolder, find_schema, fold_event, is_schema, schema_folder
from pismo_lake.contracts.validator import validator_of
from pismo_lake.errors import ConfigError
from pismo_lake.schemas.columns import column_changes, is_retyping
from pismo_lake.schemas.model import ColumnChange, Fate, PulledSchema, State
from pismo_lake.schemas.record import Entry
from pismo_lake.spelling import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pismo_lake.contracts.tree import Node
    from pismo_lake.schemas.record import Entries
    from pismo_lake.schemas.source import Read

_LONGEST = 300

Trees = dict[tuple[str, str], list["Mapping[str, Any]"]]
"""The saved contracts of the lakes that use a folder, by folded event type."""


@dataclass(slots=True)
class Folder:
    """The folder of schemas as it is: its files, its record, and the contracts of the lakes that use it."""

    place: str
    contents: dict[str, bytes]
    entries: Entries
    trees: Trees
    shipped: bool = True

    def has_own(self, name: str) -> bool:
        """Return whether a file was put there by a person, or changed by one."""
        entry = self.entries.get(name, Entry())
        return name in self.contents and digest_of(self.contents[name]) not in entry.digests


@dataclass(frozen=True, slots=True)
class Consent:
    """The event types ``<domain>/<event>-<version>`` whose schemas may do more than add columns."""

    replaces: Callable[[str], bool]
    """May replace a schema of yours."""
    retypes: Callable[[str], bool]
    """May change the type of a column of the lake."""


@dataclass(slots=True)
class Plan:
    """The files to write, in this order, and a line for each schema that is not unchanged."""

    writes: dict[str, bytes] = field(default_factory=dict)
    lines: list[PulledSchema] = field(default_factory=list)
    unchanged: int = 0


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a content in hex."""
    return hashlib.sha256(content).hexdigest()


def make_plan(folder: Folder, read: Read, gone: Iterable[str], consent: Consent) -> Plan:
    """Return the plan of a pull.

    Args:
        folder: the folder as it is.
        read: the files of the source.
        gone: the files that the source had once, and has no more.
        consent: the event types whose schemas may do more than add columns.
    """
    plan = Plan()
    plan.lines += [PulledSchema(name, State.BAD, reason=reason) for name, reason in sorted(read.bad.items())]
    plan.lines += [PulledSchema(name, State.GONE, Fate.KEPT) for name in sorted(gone)]
    pending: dict[str, bytes] = {}
    spelled = {event_of(name): name for name in folder.contents if is_schema(name)}
    for name, content in read.contents.items():
        own = spelled.get(event_of(name), name) if is_schema(name) else name
        if folder.contents.get(name) == content:
            plan.unchanged += 1
        elif own != name:
            plan.lines.append(_left(folder, name, Fate.YOURS, f"the folder has it as {own}"))
        elif folder.has_own(name) and not consent.replaces(name.removesuffix(".json")):
            plan.lines.append(_left(folder, name, Fate.YOURS, "no pull wrote the file of the folder"))
        else:
            pending[name] = content
    _Trial(folder, consent.retypes).settle(pending, plan)
    return plan


class _Trial:
    """Look at the folder as it would be with the pending files, and leave out files until nothing is wrong."""

    def __init__(self, folder: Folder, may_retype: Callable[[str], bool]) -> None:
        self._folder, self._may_retype = folder, may_retype
        self._present = _folder_with(folder, {})
        self._shipped = [schema_folder(SHIPPED)] if folder.shipped else []
        self._held: set[str] = set()

    def settle(self, pending: dict[str, bytes], plan: Plan) -> None:
        """Move each pending file to the files to write, or to the lines about those that are left."""
        while True:
            schemas = _folder_with(self._folder, pending)
            left, changes = self._look(schemas, pending)
            if not left:
                break
            for line in left:
                del pending[line.name]
            self._held |= {line.name for line in left if line.fate is Fate.HELD}
            plan.lines += left
        for name in sorted(pending):
            state = State.CHANGED if name in self._folder.contents else State.NEW
            plan.lines.append(PulledSchema(name, state, Fate.WRITTEN, changes.pop(name, ())))
        for name, columns in sorted(changes.items()):
            through = ", ".join(sorted(schemas.references[name] & pending.keys()))
            plan.lines.append(PulledSchema(name, State.CHANGED, columns=columns, reason=f"by {through}"))
        plan.writes = {name: pending[name] for name in _referred_first(pending, schemas.references)}

    def _look(
        self, schemas: SchemaFolder, pending: Mapping[str, bytes]
    ) -> tuple[list[PulledSchema], dict[str, tuple[ColumnChange, ...]]]:
        """Return the files to leave out, and the meaning of the others for columns by schema."""
        left: dict[str, PulledSchema] = {}
        changes: dict[str, tuple[ColumnChange, ...]] = {}
        for name in schemas.names.values():
            problem = _problem_of(schemas, name)
            causes = sorted(({name} | schemas.references.get(name, set())) & pending.keys())
            if not causes:
                continue
            if problem:
                left |= self._without(schemas, name, causes, problem)
                continue
            changes[name] = self._columns(schemas.payload(name), event_of(name))
            if is_retyping(changes[name]) and not self._may_retype(name.removesuffix(".json")):
                for cause in causes:
                    about = changes[name] if cause == name else ()
                    reason = "it would change the type of a column" + ("" if cause == name else f" of {name}")
                    left.setdefault(cause, _left(self._folder, cause, Fate.HELD, reason, about))
        return list(left.values()), {name: columns for name, columns in changes.items() if columns or name in pending}

    def _without(self, schemas: SchemaFolder, name: str, causes: list[str], problem: str) -> dict[str, PulledSchema]:
        """Return the files to leave out because a schema cannot be used with them."""
        if name not in causes:
            if not _is_usable(self._present, name):
                return {}
            reason = f"{name} could not be used with it: {problem}"
            return {cause: _left(self._folder, cause, Fate.HELD, reason) for cause in causes}
        held = sorted(schemas.references.get(name, set()) & self._held)
        if held:
            return {name: _left(self._folder, name, Fate.HELD, f"it needs {held[0]}, which is held back")}
        return {name: PulledSchema(name, State.BAD, reason=problem)}

    def _columns(self, other: Node, event: tuple[str, str]) -> tuple[ColumnChange, ...]:
        found = find_schema([self._present, *self._shipped], *event)
        present = None
        if found is not None and _is_usable(*found):
            present = found[0].payload(found[1])
        trees = self._folder.trees.get(event, [])
        return column_changes(trees, present, other)


def _folder_with(folder: Folder, pending: Mapping[str, bytes]) -> SchemaFolder:
    """Return the schemas of a folder as they would be with more files."""
    contents = {**folder.contents, **pending}

    def read(name: str) -> bytes:
        # a schema of yours may refer to files that are no schemas
        return contents[name] if name in contents else storage.read_bytes(storage.join(folder.place, name))

    return SchemaFolder(folder.place, contents, read)


def _left(folder: Folder, name: str, fate: Fate, reason: str, columns: tuple[ColumnChange, ...] = ()) -> PulledSchema:
    state = State.CHANGED if name in folder.contents else State.NEW
    return PulledSchema(name, state, fate, columns, reason)


def event_of(name: str) -> tuple[str, str]:
    """Return the event type that a schema's file is for, folded as `fold_event` does."""
    domain, _, event = name.removesuffix(".json").partition("/")
    return fold_event(domain, event)


def _problem_of(schemas: SchemaFolder, name: str) -> str:
    """Return why a schema cannot be used; empty if it can."""
    try:
        schemas.payload(name)
        validator_of(schemas, name)
    except ConfigError as error:
        # the text may repeat a part of the schema
        return printable(str(error))[:_LONGEST]
    return ""


def _is_usable(schemas: SchemaFolder, name: str) -> bool:
    return not _problem_of(schemas, name)


def _referred_first(names: Iterable[str], references: Mapping[str, set[str]]) -> list[str]:
    """Return the names in an order in which a file comes after those that it refers to.

    References are those of the referred files too, so a file has more of them than each of those.
    """
    return sorted(names, key=lambda name: (len(references.get(name, ())), name))
