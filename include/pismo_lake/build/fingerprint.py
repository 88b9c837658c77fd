"""Compute one digest of a part's inputs; if it is unchanged, no build is needed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord
    from pismo_lake.settings.lake import LakeSettings

FORMAT_VERSION = "4"
"""Raised if the same input would give other rows or columns: then the next build of each part writes it again."""


def fingerprint(
    settings: LakeSettings,
    contracts: ContractStore,
    files: Sequence[FileRecord],
    verdicts: dict[str, Verdict],
    counts: dict[str, Any],
    *more: object,
) -> str:
    """Return the digest of all that a part's outputs depend on.

    These are raw files, the verdict on their events, settings, privacy policy, key, widened columns and format
    version. `counts` name the event types of the part. New columns of a contract do not count: written files stay
    readable, and they have no values for new columns.
    """
    optional = (
        settings.privacy.fingerprint() if settings.privacy else "",
        settings.contracts.fingerprint(),
        f"key {settings.key.key_id}" if settings.key else "",
    )
    head = "|".join(map(str, (FORMAT_VERSION, settings.event_date_zone, *more, *filter(None, optional))))
    digest = hashlib.sha256(head.encode())
    for record in files:
        verdict = verdicts[record.name]
        digest.update(f"|{record.name}|{record.sha256}|".encode())
        digest.update(verdict.kept.tobytes() + b"|" + verdict.conflict.tobytes())
        if verdict.erased.any():
            digest.update(b"|" + verdict.erased.tobytes())
    for name in sorted(counts.get("by_type", ())):
        # files stay readable if columns are added, but not if a column's type changes
        for path in contracts.find_widened(name):
            digest.update(f"|{name}{path}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def exact_fingerprint(
    settings: LakeSettings,
    contracts: ContractStore,
    files: Sequence[FileRecord],
    verdicts: dict[str, Verdict],
    counts: dict[str, Any],
) -> str:
    """Return a digest that also depends on the whole contract of each event type.

    If it is the same, a parse gives the same rows in the same columns.
    """
    types = [contracts.of(*name.split("/", 1)) for name in sorted(counts["by_type"])]
    trees = json.dumps([(contract.data.to_json(), contract.envelope.to_json()) for contract in types])
    return fingerprint(settings, contracts, files, verdicts, counts, trees)
