"""Repair the findings of a check: remove, record, index and build."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.build.day import build_unit
from pismo_lake.build.kept_files import remove_kept
from pismo_lake.catalog.lake import commit_lake
from pismo_lake.check.landing import raw_uri_of
from pismo_lake.check.model import (
    Advice,
    CommitTable,
    Kind,
    Rebuild,
    Record,
    Reindex,
    Remove,
    RemoveKept,
    WriteContract,
)
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import PismoError
from pismo_lake.index.files import index_bytes, read_raw
from pismo_lake.index.indexer import Indexer
from pismo_lake.index.make import make_index
from pismo_lake.index.rebuild import find_raw_file
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.known_files import FileKnownError, lock_index, lock_output
from pismo_lake.ledger.raw_files import RawFile, RawLedger
from pismo_lake.paths import SPOOL

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from pismo_lake.check.model import Finding
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.storage.store import Gate


class _LeftError(Exception):
    """A finding cannot be repaired here; the text says why."""


def repair_all(
    settings: LakeSettings, ledger: Ledger, findings: Sequence[Finding], log: logging.Logger
) -> list[Finding]:
    """Repair findings; return each with its repair, or with the reason that there is none.

    Indexes and raw files come before the builds that read them. A unit is built once, however many findings it has.
    """
    if not findings:
        return []
    LakeBinding(ledger, settings.lake, settings.delivery, settings.landing).bind()
    repairer = _Repairer(settings, ledger, findings, log)
    done: dict[int, Finding] = {}
    for kind in (Remove, WriteContract, Record, Reindex, Rebuild, CommitTable, RemoveKept, Advice):
        for number, finding in enumerate(findings):
            if isinstance(finding.repair, kind):
                done[number] = repairer.repair(finding)
    repairer.build_recorded()
    return [done[number] for number in range(len(findings))]


class _Repairer:
    """Repairs findings one by one."""

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, findings: Sequence[Finding], log: logging.Logger
    ) -> None:
        self._settings, self._ledger, self._log = settings, ledger, log
        self._files = FileLedger(ledger, settings.lake, settings.delivery)
        rebuilds = [finding.repair for finding in findings if isinstance(finding.repair, Rebuild)]
        self._forced = {repair.unit for repair in rebuilds if repair.force}
        self._built: dict[str, str] = {}
        """Why a unit could not be built, by unit; empty if it was."""
        self._waiting = set(self._files.unbuilt_units())

    def repair(self, finding: Finding) -> Finding:
        """Repair one finding; return it with the repair, or with the reason that there is none."""
        try:
            done = self._carry_out(finding)
        except (_LeftError, PismoError, OSError) as error:
            self._log.warning("not repaired: %s: %s", finding.path, error)
            return replace(finding, done=f"left: {error}")
        self._log.info("repaired: %s: %s", finding.path, done)
        return replace(finding, done=done, repaired=True)

    def build_recorded(self) -> None:
        """Build the units that wait for it since raw files were recorded."""
        for unit in set(self._files.unbuilt_units()) - self._waiting:
            with suppress(PismoError, OSError):
                # a unit that cannot be built goes on waiting, and the next run names it
                build_unit(self._settings, self._ledger, unit, log=self._log)

    def _carry_out(self, finding: Finding) -> str:
        match finding.repair:
            case Remove(uri):
                return self._remove(uri, self._gate(finding))
            case Rebuild(delivery, unit):
                self._refuse_other(delivery)
                return self._rebuild(unit)
            case Reindex(delivery, name):
                self._refuse_other(delivery)
                return self._reindex(name, finding.path)
            case Record(delivery, uri):
                self._refuse_other(delivery)
                return self._record(uri)
            case WriteContract(domain, event_type):
                return self._write_contract((domain, event_type))
            case CommitTable(folder):
                if commit_lake(self._settings, self._ledger, folders=[folder]):
                    msg = "a column has another type in some of its files: it waits until all are built again"
                    raise _LeftError(msg)
                return "committed"
            case RemoveKept():
                remove_kept(self._settings, self._ledger)
                return "removed"
            case Advice(text):
                raise _LeftError(text)

    def _refuse_other(self, delivery: str) -> None:
        if delivery != self._settings.delivery:
            msg = f"check it with the settings of its own delivery, --delivery {delivery}"
            raise _LeftError(msg)

    def _gate(self, finding: Finding) -> Gate:
        """Return a gate that asks the ledger once more: a run may have recorded the file since it was listed."""
        if finding.kind is Kind.UNKNOWN:
            path = finding.path.removeprefix(storage.join(self._settings.lake, ""))
            return partial(lock_output, self._ledger, self._settings.lake, path)
        if finding.kind is Kind.UNKNOWN_INDEX:
            return partial(lock_index, self._ledger, finding.path, raw_uri_of(finding.path))
        return nullcontext

    def _remove(self, uri: str, gate: Gate) -> str:
        try:
            storage.remove(uri, gate=gate)
        except FileKnownError:
            return "not removed: the ledger knows it by now"
        if storage.is_local(uri) and f"/{SPOOL}/" in uri:
            with suppress(OSError):
                # the folder of the killed close, once it is empty
                storage.local_path(uri).parent.rmdir()
        return "removed"

    def _rebuild(self, unit: str) -> str:
        if unit not in self._built:
            self._built[unit] = ""
            try:
                build_unit(self._settings, self._ledger, unit, force=unit in self._forced, log=self._log)
            except (PismoError, OSError) as error:
                self._built[unit] = str(error)
        if self._built[unit]:
            raise _LeftError(self._built[unit])
        return f"{unit} is built again"

    def _reindex(self, name: str, uri: str) -> str:
        """Make an index again; keep the file's record, as the same bytes give the same index."""
        record = next(iter(self._files.find_named([name])), None)
        if record is None:
            return "the file was forgotten meanwhile"
        file = RawFile(
            record.name, record.key, record.size, record.etag, record.sha256, record.raw_uri, record.published_at
        )
        raw = read_raw(file)
        contracts = ContractStore(self._ledger, self._settings)
        made = make_index(raw.data, file.name, contracts, self._settings.max_plain_bytes)
        storage.write_atomic(uri, index_bytes(made.found.table, file, record.publish_hour, raw.sha256))
        return "made again from its raw file"

    def _write_contract(self, key: tuple[str, str]) -> str:
        store = ContractStore(self._ledger, self._settings)
        store.write_document(key, *store.read_saved()[key])
        return "written from the ledger"

    def _record(self, uri: str) -> str:
        found = find_raw_file(self._settings, uri)
        if found is None:
            msg = "nothing gives it a publish hour: give it to flatten with --publish-hour, or remove it"
            raise _LeftError(msg)
        file, hour = found
        RawLedger(self._ledger, self._settings.lake, self._settings.delivery).note([file])
        Indexer(self._settings, self._ledger, lambda *_: hour).take(file, None)
        return f"recorded, indexed and built with {hour}"
