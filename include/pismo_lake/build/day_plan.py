"""Plan the close of a day: its inputs, its counts, and groups of event types that are written apart.

The content of a file depends on the rows of one partition alone. So any number of groups gives the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pismo_lake.build.fingerprint import exact_fingerprint
from pismo_lake.build.hour_rows import find_same
from pismo_lake.build.read import PartRows, TypeCounts
from pismo_lake.build.summary import PartCounts
from pismo_lake.decode.fields import TYPE_KEYS
from pismo_lake.errors import LakeError
from pismo_lake.index.files import read_index
from pismo_lake.index.groups import number_groups
from pismo_lake.paths import event_name, event_path
from pismo_lake.rows.schema import event_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

REJECTS = "rejects"
"""The piece of a day with the bytes that are no event."""
IDS = "ids"
"""The piece of a day with the sorted ids of its events."""
_IDS_SHARE = 4
_COUNTED = ("reason", *TYPE_KEYS)


@dataclass(frozen=True, slots=True)
class DayPlan:
    """Everything that the groups of a closing day must agree on.

    `files` are the day's files in rank order, with the verdicts on them. `counts` are complete but for the written
    rows. `same` are the parts of hours whose rows are taken. `groups` are names of pieces: event types as in counts,
    `REJECTS` and `IDS`. `erasures` is the number of erased events before the verdicts. `winners` are other units with
    winning copies, and `moves` says that rows move within the day.
    """

    files: Sequence[FileRecord]
    verdicts: dict[str, Verdict]
    counts: dict[str, Any]
    same: dict[tuple[str, int], str]
    groups: tuple[tuple[str, ...], ...]
    rules: tuple[str, ...]
    fingerprint: str
    part_bytes: int
    erasures: int
    winners: tuple[str, ...] = ()
    moves: bool = False

    @property
    def bytes(self) -> int:
        """The raw bytes of the day."""
        return sum(record.plain_size for record in self.files)

    def types(self, group: int) -> frozenset[str]:
        """Return the event types of a group."""
        return frozenset(self.groups[group]) - {REJECTS, IDS}

    def chunks(self) -> Iterator[list[FileRecord]]:
        """Yield the files in order, in lists of at most `part_bytes` together."""
        part: list[FileRecord] = []
        size = 0
        for record in self.files:
            if part and size + record.plain_size > self.part_bytes:
                yield part
                part, size = [], 0
            part.append(record)
            size += record.plain_size
        if part:
            yield part


def plan_day(
    settings: LakeSettings, ledger: Ledger, contracts: ContractStore, files: Sequence[FileRecord],
    verdicts: dict[str, Verdict], most: int, least: int, **more: Any,
) -> DayPlan:  # fmt: skip
    """Plan a day in at most `most` groups of `least` raw bytes or more; `more` are the other fields of the plan."""
    same = find_same(settings, ledger, contracts, files, verdicts)
    part = PartCounts()
    for of_part in same.values():
        part.add_recorded(of_part.counts)
    for record in files:
        if (record.publish_hour, record.part) not in same or record.closed or not record.built:
            part.add([record], _count(record, verdicts[record.name]))
    counts = part.total(files, verdicts)
    # rows of many columns take longer; the bytes of a type are in no ledger
    weights = {
        name: of_type["rows"] * len(event_schema(contracts, *name.split("/", 1)))
        for name, of_type in counts["by_type"].items()
    }
    most = max(1, min(most, sum(record.plain_size for record in files) // max(least, 1)))
    groups = share_out(weights, most)
    rules = tuple(rules_of(settings, contracts, group) for group in groups)
    exact = {part: of_part.counts["exact"] for part, of_part in same.items()}
    return DayPlan(files, verdicts, counts, exact, groups, rules, part_bytes=settings.part_bytes, **more)


def share_out(weights: dict[str, int], most: int) -> tuple[tuple[str, ...], ...]:
    """Pack event types, rejects and ids into at most `most` groups of about equal weight.

    The longest type decides how many groups are of use.
    """
    pieces = weights | {IDS: sum(weights.values()) // _IDS_SHARE, REJECTS: 0}
    number = min(most, len(pieces))
    groups: list[list[str]] = [[] for _ in range(number)]
    sizes = [0] * number
    for name in sorted(pieces, key=lambda name: (-pieces[name], name)):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(name)
        sizes[smallest] += pieces[name]
    return tuple(tuple(sorted(group)) for group in groups if group)


def rules_of(settings: LakeSettings, contracts: ContractStore, group: Sequence[str]) -> str:
    """Return a digest of the contracts and the settings that the files of a group depend on."""
    types = [name for name in group if name not in {REJECTS, IDS}]
    exact = exact_fingerprint(settings, contracts, (), {}, {"by_type": types})
    return hashlib.sha256(f"{exact}|{settings.target_bytes}".encode()).hexdigest()


def _count(record: FileRecord, verdict: Verdict) -> PartRows:
    """Return the counts of a file, without its rows."""
    part = PartRows()
    if record.status == "unreadable":
        part.rejects.append({})
        return part
    index = read_index(record, list(_COUNTED))
    usable = index.column("reason").is_null().to_numpy()
    events = index.filter(pa.array(usable))
    if len(events) != len(verdict.kept):
        msg = f"the index of {record.name} and the verdict on it differ: {len(events)} and {len(verdict.kept)} events"
        raise LakeError(msg)
    types, numbers = number_groups(events, TYPE_KEYS, _name_of)
    every, kept, conflicts, rows = (
        np.bincount(numbers[mask], minlength=len(types)).tolist()
        for mask in (slice(None), verdict.kept, verdict.conflict, verdict.rows)
    )
    for number, name in enumerate(types):
        counts = TypeCounts(
            every[number], rows[number], every[number] - kept[number], conflicts[number], kept[number] - rows[number]
        )
        part.by_type[name].add(counts)
        part.duplicates += counts.duplicates
        part.conflicts += counts.conflicts
        part.erased += counts.erased
    part.events = len(events)
    part.rejects = [{}] * (len(index) - len(events) + part.conflicts)
    return part


def _name_of(domain: str, event_type: str, schema_version: str | None) -> str:
    return event_path(domain, event_name(event_type, schema_version))
