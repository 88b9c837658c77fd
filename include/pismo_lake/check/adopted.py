"""Find the units of a rebuilt ledger that no build replaces, because it would remove the only copy of events.

A rebuilt ledger takes over the outputs in the lake, and each unit is built again. If a raw file of their rows has no
index, the build refuses. Then the rows stay, and nothing else is wrong with the files: so only this check names them.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.build.only_copies import describe_only_copies, find_only_copies
from pismo_lake.check.model import Finding, Kind, Rebuild
from pismo_lake.errors import LakeError
from pismo_lake.ledger.lake_builds import LakeBuilds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.lake_builds import LakePart
    from pismo_lake.settings.lake import LakeSettings


def check_adopted(settings: LakeSettings, ledger: Ledger, parts: Iterable[LakePart]) -> Iterator[Finding]:
    """Yield a finding for each unit that a build refuses to replace."""
    units: dict[tuple[str, str], list[LakePart]] = defaultdict(list)
    for part in parts:
        if not part.record.counts and part.record.outputs and part.record.claim is None:
            units[part.delivery, part.unit].append(part)
    for (delivery, unit), adopted in sorted(units.items()):
        why = _describe_refusal(replace(settings, delivery=delivery), ledger, unit, adopted, settings.delivery)
        if not why:
            continue
        # it may have been built meanwhile
        now = {part.place: part for part in LakeBuilds(ledger, settings.lake).of_units([unit])}
        if any(now.get(part.place) == part for part in adopted):
            # an index that is missing may come before it in the same repair: so this is no advice, but a try
            repair = Rebuild(delivery, unit, force=False)
            place = posixpath.commonpath(path for part in adopted for path in part.record.outputs)
            uri = storage.join(settings.lake, place) if place else settings.lake
            yield Finding(Kind.REFUSED, uri, f"{delivery} {unit} is to be built", why, repair)


def _describe_refusal(
    settings: LakeSettings, ledger: Ledger, unit: str, adopted: Sequence[LakePart], checked: str
) -> str:
    """Return why a build of a unit would refuse, with its raw files; empty if it would not."""
    try:
        lost = find_only_copies(settings, ledger, unit, [part.record for part in adopted])
    except LakeError as error:
        # a build cannot read the rows either
        return str(error)
    if not lost:
        return ""
    # the landing zone of another delivery may be another one
    landing = settings.landing if settings.delivery == checked else ""
    return describe_only_copies(landing, lost)
