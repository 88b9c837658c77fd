"""What an output is a function of, as one digest: equal fingerprints mean that nothing has to be built."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord
    from pismo_lake.settings.lake import LakeSettings

FORMAT_VERSION = "4"
"""Raised when the same input would give other rows or columns: every part is then built anew when next asked."""


def fingerprint(
    settings: LakeSettings,
    contracts: ContractStore,
    files: Sequence[FileRecord],
    verdicts: dict[str, Verdict],
    counts: dict[str, Any],
    *more: object,
) -> str:
    """Of raw files, the verdict on their events, settings, privacy policy, key, widened columns, format version.

    `counts` name the event types of the part. Columns that were only added to a contract do not count: what is
    written stays readable and holds nothing for them.
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
        # added columns leave files readable as they are, retyped ones do not
        for path in contracts.widened(name):
            digest.update(f"|{name}{path}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
