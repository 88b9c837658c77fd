"""Cut the work of a run into chunks of bounded bytes, one for each landing task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from pismo_lake.hours import DAY_LENGTH, NO_HOUR, PublishHour

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pismo_lake.landing.remote_file import RemoteFile

MOST_FILES = 500
"""The most files, messages or units of a chunk: small files take time too, and a chunk is an XCom."""
MOST_UNITS = 48
MOST_CHUNKS = 1000
"""More chunks than this in one run would pass Airflow's limit on mapped tasks (1024)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The share of a run that one landing task takes to the lake: a range, never a list of keys.

    Without any value it is the whole run. `first` and `last` are publish hours. `after` and `upto` are keys of one
    hour, which several chunks share: `upto` belongs to the range, `after` does not, and an empty one is no limit.
    `messages` is the most notices to take. `units` need a build, and have no new files. `is_last` marks one of the
    chunks that share hours.
    """

    first: str = ""
    last: str = ""
    after: str = ""
    upto: str = ""
    messages: int = 0
    units: tuple[str, ...] = ()
    is_last: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the chunk of an XCom."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**known | {"units": tuple(known.get("units", ()))})

    def to_json(self) -> dict[str, Any]:
        """Return the values that are not empty."""
        return {name: value for name, value in asdict(self).items() if value} | (
            {"units": list(self.units)} if self.units else {}
        )

    @property
    def is_whole(self) -> bool:
        """Return whether this is the only chunk of its run."""
        return self == type(self)()

    @property
    def is_slice(self) -> bool:
        """Return whether other chunks may have files of the same hours."""
        return bool(self.after or self.upto or self.messages)

    @property
    def hours(self) -> tuple[PublishHour, ...]:
        """Return the publish hours of the range."""
        if not self.first:
            return ()
        hours = [PublishHour.parse(self.first)]
        while str(hours[-1]) < self.last:
            hours.append(hours[-1].plus(1))
        return tuple(hours)

    def has_key(self, key: str) -> bool:
        """Return whether a key is in the chunk's range."""
        if self.is_whole:
            return True
        is_of_hour = bool(self.first) and self.first <= _hour_of(key) <= self.last
        return is_of_hour and self.after < key and (not self.upto or key <= self.upto)

    def has_unit(self, unit: str) -> bool:
        """Return whether the chunk builds a unit, if it needs a build."""
        if self.is_whole or unit in self.units:
            return True
        return not self.is_slice and len(unit) > DAY_LENGTH and self.first <= unit <= self.last

    def __str__(self) -> str:
        if self.is_whole:
            return "all"
        if self.messages:
            return f"{self.messages} notices"
        if self.units:
            return ", ".join(self.units[:3]) + (f" and {len(self.units) - 3} more" if len(self.units) > 3 else "")
        hours = self.first if self.first == self.last else f"{self.first} to {self.last}"
        return f"{hours}, part {self.upto[-12:] or 'last'}" if self.is_slice else hours


WHOLE = Chunk()
"""The chunk of a run that is not cut."""


def cut(
    files: Sequence[RemoteFile], units: Mapping[str, int], messages: int, *, chunk_bytes: int, is_ranged: bool = True
) -> list[Chunk]:
    """Cut a run's work into chunks; if it fits into one, return the chunk of the whole run.

    Chunks end at the borders of hours. Only an hour that is too large for a chunk is cut by keys. If there are too many
    chunks, the newest hours are kept, so that a backlog does not delay fresh events; the next run takes the others.

    Args:
        files: the new files that were listed.
        units: the units that need a build, with their bytes.
        messages: the notices to take.
        chunk_bytes: the most raw bytes of a chunk.
        is_ranged: whether a range finds the files again; a file that a run names is in no range.
    """
    size = sum(file.size or 0 for file in files) + sum(units.values())
    is_small = size <= chunk_bytes and len(files) + messages <= MOST_FILES and len(units) <= MOST_UNITS
    if is_small or not is_ranged:
        return [WHOLE]
    ranges = list(_ranges(files, chunk_bytes))
    whole_hours = [chunk for chunk in ranges if not chunk.is_slice]
    left = {unit: size for unit, size in units.items() if not any(chunk.has_unit(unit) for chunk in whole_hours)}
    notices = list(_notices(messages, len(files)))
    newest = sorted([*ranges, *_groups(left, chunk_bytes)], key=_newest, reverse=True)[: MOST_CHUNKS - len(notices)]
    # the notices come last: most of their files were listed, and are landed then
    return [*sorted(newest, key=_newest), *notices]


def _hour_of(key: str) -> str:
    # a file in a sub-folder of an hour folder belongs to that hour, although it cannot be landed
    return str(PublishHour.above_key(key) or NO_HOUR)


def _newest(chunk: Chunk) -> tuple[str, str]:
    return chunk.last or chunk.units[-1], chunk.upto or "\uffff"


def _ranges(files: Sequence[RemoteFile], chunk_bytes: int) -> Iterator[Chunk]:
    """Yield ranges of hours, and slices of the hours that are too large."""
    ordered = sorted(files, key=lambda file: (_hour_of(file.key), file.key))
    first = last = ""
    size = count = 0
    for hour, grouped in groupby(ordered, key=lambda file: _hour_of(file.key)):
        of_hour = list(grouped)
        its = sum(file.size or 0 for file in of_hour)
        if first and (size + its > chunk_bytes or count + len(of_hour) > MOST_FILES):
            yield Chunk(first=first, last=last)
            first, size, count = "", 0, 0
        if its > chunk_bytes or len(of_hour) > MOST_FILES:
            yield from _slices(hour, of_hour, chunk_bytes)
            continue
        first, last, size, count = first or hour, hour, size + its, count + len(of_hour)
    if first:
        yield Chunk(first=first, last=last)


def _notices(messages: int, listed: int) -> Iterator[Chunk]:
    """Yield chunks of notices; `listed` files are not counted, because their notices cost nothing."""
    count = -(-max(messages - listed, 1) // MOST_FILES) if messages else 0
    for _ in range(count):
        yield Chunk(messages=-(-messages // count))


def _slices(hour: str, files: Sequence[RemoteFile], chunk_bytes: int) -> Iterator[Chunk]:
    """Yield ranges of keys of one hour."""
    ends, before = list[str](), ""
    size = count = 0
    for file in files:
        if count and (size + (file.size or 0) > chunk_bytes or count >= MOST_FILES):
            ends.append(before)
            size = count = 0
        size, count, before = size + (file.size or 0), count + 1, file.key
    for after, upto in zip(["", *ends], [*ends, ""], strict=True):
        yield Chunk(first=hour, last=hour, after=after, upto=upto, is_last=not upto)


def _groups(units: Mapping[str, int], chunk_bytes: int) -> Iterator[Chunk]:
    """Yield groups of units that need a build, in order."""
    for group in pack([[unit] for unit in sorted(units)], units, chunk_bytes):
        yield Chunk(units=tuple(group))


def pack(lists: Iterable[Sequence[str]], sizes: Mapping[str, int], chunk_bytes: int) -> list[list[str]]:
    """Join lists of units that follow each other, up to a number of bytes and of units."""
    joined: list[list[str]] = []
    size = 0
    for units in lists:
        its = sum(sizes.get(unit, 0) for unit in units)
        if joined and size + its <= chunk_bytes and len(joined[-1]) + len(units) <= MOST_UNITS:
            joined[-1] += units
            size += its
        else:
            joined.append(list(units))
            size = its
    return joined
