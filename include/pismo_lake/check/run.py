"""Check a whole lake and its landing zones, and repair the differences if asked to."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from pismo_lake import storage
from pismo_lake.build.spool import claim_of
from pismo_lake.check.adopted import check_adopted
from pismo_lake.check.content import check_part
from pismo_lake.check.documents import check_contracts
from pismo_lake.check.landing import check_record, check_waiting, landing_folders
from pismo_lake.check.model import CheckResult, Finding, Kind, Reindex, Remove
from pismo_lake.check.outputs import compare_outputs, lost_builds, overdue_outputs
from pismo_lake.check.repair import repair_all
from pismo_lake.check.tables import check_tables
from pismo_lake.ledger import LakeFiles
from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.paths import BUILD_ROOTS, SPOOL
from pismo_lake.privacy.mark import refuse_unprotected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

Item = TypeVar("Item")

_LOG = logging.getLogger(__name__)
SECOND_LOOK_SECONDS = 2.0
"""The time after which a file that seems left over is looked at again: a writer may be at work on it."""

_PASSING = (Kind.TEMPORARY, Kind.UNFINISHED, Kind.UNKNOWN_RAW, Kind.UNKNOWN_INDEX)
_OUTPUTS = tuple(f"{root}/" for root in BUILD_ROOTS)
_AT_ONCE = 8


def check_lake(
    settings: LakeSettings, ledger: Ledger, *, repair: bool = False, log: logging.Logger = _LOG
) -> CheckResult:
    """Compare lake and landing with the ledger, for all deliveries of the lake.

    Files outside the folders for outputs count as known, whatever they are. With `repair` the findings are repaired as
    far as that is possible without Pismo; units and raw files of other deliveries are left to them.
    """
    refuse_unprotected(settings)
    builds = LakeBuilds(ledger, settings.lake)
    files = LakeFiles(ledger, settings.lake)
    findings = _strays(settings, ledger)
    if any(finding.kind in _PASSING for finding in findings):
        time.sleep(SECOND_LOOK_SECONDS)
        findings = _keep_unchanged(findings, _strays(settings, ledger))
    parts, records, waiting = builds.every(), files.every(), files.list_waiting()
    log.info("checking %d part(s) and %d landed file(s)", len(parts), len(records) + len(waiting))
    of_records = _each(records, check_record)
    damaged = {finding.repair.name for finding in of_records if isinstance(finding.repair, Reindex)}
    findings += lost_builds(settings, ledger)
    findings += _each(parts, lambda part: check_part(settings, ledger, part, damaged))
    findings += check_adopted(settings, ledger, parts)
    findings += of_records
    findings += check_contracts(settings, ledger)
    findings += check_tables(settings, ledger)
    findings += _each(waiting, lambda item: check_waiting(item[1]))
    if repair:
        findings = repair_all(settings, ledger, findings, log)
    outputs = sum(len(part.record.outputs) for part in parts)
    return CheckResult(tuple(findings), outputs, len(records) + len(waiting))


def _strays(settings: LakeSettings, ledger: Ledger) -> list[Finding]:
    """Return the findings on files that should not be there, and on outputs that should."""
    builds, root = LakeBuilds(ledger, settings.lake), storage.join(settings.lake, "")
    before = builds.every()
    listed = [uri.removeprefix(root) for uri in storage.list_every_file(settings.lake)]
    outputs = {path for path in listed if path.startswith(_OUTPUTS) and not path.rsplit("/", 1)[-1].startswith(".")}
    found = compare_outputs(settings.lake, before, outputs, builds.every())
    claims = {part.record.claim for part in before}
    found += overdue_outputs(settings, ledger)
    for path in listed:
        if path.startswith(f"{SPOOL}/") or storage.is_temporary(path):
            uri = storage.join(settings.lake, path)
            # tasks of a close leave files for the next task, and hold none of them meanwhile
            if storage.is_in_use(uri) or (claim_of(path) or "") in claims:
                continue
            found.append(Finding(Kind.TEMPORARY, uri, "a writer has not finished it", _mark(uri), Remove(uri)))
    for folder in landing_folders(settings, ledger):
        found += folder.strays(settings, ledger)
    return found


def _mark(uri: str) -> str:
    """Return the size of a file, which grows while a writer is at work on it."""
    try:
        return f"{storage.size(uri)} bytes"
    except FileNotFoundError:
        return "it is not there"


def _keep_unchanged(first: Iterable[Finding], second: Iterable[Finding]) -> list[Finding]:
    """Return the findings of a second check that the first one had in the same state."""
    before = {(finding.kind, finding.path, finding.ledger, finding.disk) for finding in first}
    return [
        finding
        for finding in second
        if finding.kind not in _PASSING or (finding.kind, finding.path, finding.ledger, finding.disk) in before
    ]


def _each(items: Iterable[Item], check: Callable[[Item], list[Finding]]) -> list[Finding]:
    """Check items in parallel, because stores answer slowly; yield findings in their order."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as pool:
        return [finding for found in pool.map(check, items) for finding in found]
