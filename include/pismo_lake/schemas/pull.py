"""Pull the schemas of a source into the folder of contracts.

Each file is written whole or not at all. The record of the folder names a content before it is written, so a pull that
follows a killed one knows its files. A second pull of the same source changes nothing.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.contracts.json_schema import SchemaFolder, fold_event, forget_schemas
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import ConfigError, LakeError, StorageError
from pismo_lake.paths import root_of
from pismo_lake.schemas.model import Fate, Pull, PulledSchema, State
from pismo_lake.schemas.plan import Consent, Folder, digest_of, event_of, make_plan
from pismo_lake.schemas.record import Entry, load_record, update_record
from pismo_lake.schemas.source import SHARED, Read, is_plain_name, problem_of
from pismo_lake.settings.contracts import EVOLVING
from pismo_lake.settings.patterns import covers_event
from pismo_lake.spelling import printable
from pismo_lake.storage.leftovers import remove_unlocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pismo_lake.ledger import Ledger
    from pismo_lake.schemas.announced import AnnouncedSchema
    from pismo_lake.schemas.plan import Plan, Trees
    from pismo_lake.schemas.record import Entries
    from pismo_lake.schemas.source import SchemaSource
    from pismo_lake.settings.lake import LakeSettings

_READERS = 8
# see LocalStore.write
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


@dataclass(frozen=True, slots=True)
class _Found:
    """The files that a pull has read, with those that announcements have removed, and the announcements' times."""

    read: Read
    removed: frozenset[str]
    times: dict[str, str]


def pull_schemas(
    settings: LakeSettings,
    ledger: Ledger,
    source: SchemaSource | None,
    *,
    announced: Iterable[AnnouncedSchema] = (),
    accepted: Sequence[str] = (),
    apply_types: bool = False,
    lakes: Sequence[str] = (),
    dry_run: bool = False,
) -> Pull:
    """Pull schemas into the folder that the settings name, and tell the effect on columns.

    A schema that would change the type of a column of a lake is held back, unless it is accepted.

    Args:
        settings: the lake's settings; `contracts.folder` is the folder to pull into.
        ledger: the ledger of the lake, whose saved contracts decide which columns there are.
        source: the source; None if there are only announcements.
        announced: the schemas that Pismo's events announce; those of the source have priority.
        accepted: patterns of event types that may change the types of columns, and replace schemas of yours.
        apply_types: every event type may change the types of columns.
        lakes: other lakes of the ledger that use the same folder.
        dry_run: write nothing.

    Raises:
        ConfigError: there is no folder to pull into, or the source has no schema.
        StorageError: the source or the folder cannot be read or written.
    """
    if not settings.contracts.folder:
        msg = "there is no folder to pull schemas into: give --contracts FOLDER, or contracts.folder of the delivery"
        raise ConfigError(msg)
    place = root_of(settings.contracts.folder)
    found = source.read() if source else Read()
    # files before the record: a pull that runs at the same time records a content before it writes it
    contents, entries = _read_folder(place), load_record(place)
    taken = _take_announced(found, announced, entries)
    trees = _saved_contracts(settings, ledger, lakes)
    folder = Folder(place, contents, entries, trees, settings.contracts.shipped)
    gone = _find_gone(folder, taken, has_source=source is not None)

    def is_accepted(event: str) -> bool:
        return any(covers_event(pattern, event) for pattern in accepted)

    plan = make_plan(folder, taken.read, gone, Consent(is_accepted, lambda e: apply_types or is_accepted(e)))
    lines = [_with_news(line, entries, found.contents) for line in plan.lines]
    if not dry_run:
        _save_declared(settings, ledger, lakes, folder, plan)
        lines = _write(folder, plan, lines, taken)
    named = source.place if source else "announcements"
    return Pull(named, place, dry_run, tuple(lines), plan.unchanged, found.ignored)


def _take_announced(read: Read, announced: Iterable[AnnouncedSchema], entries: Entries) -> _Found:
    """Add announced schemas that the source does not have, the newest of each, to the files that were read."""
    newest: dict[str, AnnouncedSchema] = {}
    for one in sorted(announced, key=lambda one: one.at):
        if one.name not in read.names and one.at > entries.get(one.name, Entry()).announced:
            newest[one.name] = one
    for name, one in newest.items():
        if one.text is None:
            continue
        checked = problem_of(one.text.encode("utf-8", "surrogatepass"))
        if not is_plain_name(name):
            read.bad[printable(name)] = "the announced name is not <domain>/<event>-<version> of plain letters"
        elif isinstance(checked, bytes):
            read.contents[name] = checked
        else:
            read.bad[name] = f"announced: {checked}"
    removed = frozenset(name for name, one in newest.items() if one.text is None)
    return _Found(read, removed, {name: one.at for name, one in newest.items() if is_plain_name(name)})


def _read_folder(place: str) -> dict[str, bytes]:
    """Return the schemas of the folder by name; none if it does not exist yet."""
    try:
        names = [*SchemaFolder.open(place).names.values()]
    except ConfigError:
        return {}

    def read(name: str) -> bytes | None:
        try:
            return storage.read_bytes(storage.join(place, name))
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_READERS) as readers:
        contents = zip([*names, SHARED], readers.map(read, [*names, SHARED]), strict=True)
        return {name: content for name, content in contents if content is not None}


def _saved_contracts(settings: LakeSettings, ledger: Ledger, lakes: Sequence[str]) -> Trees:
    """Return the saved contracts of the lakes, by folded event type."""
    trees: Trees = {}
    for lake in dict.fromkeys([settings.lake, *lakes]):
        saved = ContractStore(ledger, replace(settings, lake=lake, contracts=EVOLVING)).read_saved()
        for (domain, event), (_, tree) in saved.items():
            trees.setdefault(fold_event(domain, event), []).append(tree)
    return trees


def _save_declared(settings: LakeSettings, ledger: Ledger, lakes: Sequence[str], folder: Folder, plan: Plan) -> None:
    """Save the columns that present schemas declare, before other schemas replace them.

    A build may have written such a column already, and the contract may not be saved since. So no later schema can give
    it another type.
    """
    replaced = {
        event_of(line.name) for line in plan.lines if line.fate is Fate.WRITTEN or (line.columns and not line.fate)
    }
    rules = settings.contracts if folder.contents else replace(settings.contracts, folder=None, pull=None)
    forget_schemas()
    for lake in dict.fromkeys([settings.lake, *lakes]):
        store = ContractStore(ledger, replace(settings, lake=lake, contracts=rules))
        for domain, event in store.names():
            if fold_event(domain, event) in replaced:
                _save_one(store, domain, event)


def _save_one(store: ContractStore, domain: str, event: str) -> None:
    """Save a contract with its present schema; if another run was first, that of this run."""
    with suppress(ConfigError):  # a schema that cannot be used has declared nothing
        store.of(domain, event)
        while not store.save(f"schema {domain}/{event}.json"):
            store.of(domain, event)


def _find_gone(folder: Folder, found: _Found, *, has_source: bool) -> set[str]:
    """Return the files that pulls have written, and that the source has no more; each is said once."""
    known = {name for name in folder.entries if name in folder.contents and not folder.has_own(name)}
    listed = {name for name in known if not folder.entries[name].announced} - found.read.names if has_source else set()
    gone = listed | (known & found.removed)
    return {
        name for name in gone if folder.entries[name].noted != _note(PulledSchema(name, State.GONE, Fate.KEPT), b"")
    }


def _with_news(line: PulledSchema, entries: Entries, contents: dict[str, bytes]) -> PulledSchema:
    noted = entries.get(line.name, Entry()).noted
    return replace(line, is_news=_is_said_each_time(line) or noted != _note(line, contents.get(line.name, b"")))


def _is_said_each_time(line: PulledSchema) -> bool:
    return line.fate in {Fate.WRITTEN, Fate.LEFT} and line.state is not State.BAD


def _note(line: PulledSchema, content: bytes) -> str:
    """Return a short mark of a line and the content that it is about."""
    return f"{line.state} {line.fate} {digest_of(content + line.reason.encode('utf-8', 'replace'))[:16]}"


def _write(folder: Folder, plan: Plan, lines: list[PulledSchema], found: _Found) -> list[PulledSchema]:
    """Write the files of a plan and the record; return the lines, with those that could not be written."""
    if storage.is_local(folder.place):
        _remove_leftovers(storage.local_path(folder.place))
    contents = found.read.contents
    same = {name for name, content in contents.items() if folder.contents.get(name) == content}
    ours = {name: digest_of(contents[name]) for name in (*plan.writes, *same)}
    update_record(folder.place, lambda entries: _with_digests(entries, ours))
    failed: dict[str, str] = {}
    for name, content in plan.writes.items():
        try:
            storage.write_atomic(storage.join(folder.place, name), content)
        except StorageError:
            raise
        except LakeError as error:
            failed[name] = printable(str(error))
    lines = [
        PulledSchema(line.name, State.BAD, reason=failed[line.name]) if line.name in failed else line for line in lines
    ]
    notes = {line.name: _note(line, contents.get(line.name, b"")) for line in lines if not _is_said_each_time(line)}
    # an announced schema that was left out is offered again, for example to be accepted
    left = {line.name for line in lines if line.state is not State.GONE and line.fate is not Fate.WRITTEN}
    times = {name: at for name, at in found.times.items() if name not in left}
    update_record(folder.place, lambda entries: _with_notes(entries, notes, times, found.read.names))
    forget_schemas()
    return lines


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of killed pulls, and no other hidden file: the folder may be one of yours."""
    found = [*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")]
    remove_unlocked(path for path in found if _LEFTOVER.fullmatch(path.name))


def _with_digests(entries: Entries, digests: dict[str, str]) -> Entries:
    return entries | {name: entries.get(name, Entry()).wrote(digest) for name, digest in digests.items()}


def _with_notes(entries: Entries, notes: dict[str, str], times: dict[str, str], present: set[str]) -> Entries:
    """Return the entries with new notes, and without those that are over."""
    changed: Entries = {}
    for name in sorted(entries.keys() | notes.keys() | times.keys()):
        entry = entries.get(name, Entry())
        is_still_gone = entry.noted.startswith(f"{State.GONE} ") and name not in present
        noted = notes.get(name, entry.noted if is_still_gone else "")
        changed[name] = replace(entry, noted=noted, announced=max(entry.announced, times.get(name, "")))
    return {name: entry for name, entry in changed.items() if entry != Entry()}
