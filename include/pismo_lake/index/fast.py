"""Index a file on the fast path: one parse for all envelopes, then one for each type.

Events that do not fit plainly, or are rare, are read one by one, as the slow path reads every event. Both paths give
the same index and teach contracts the same. The fast path declines any file that is not whole and valid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.contracts.fit import parse_fitting
from pismo_lake.decode.envelope import parse
from pismo_lake.decode.fast_split import Pieces, count_opens, cut_pieces, find_pieces
from pismo_lake.decode.fields import TYPE_KEYS, VERSION_KEY
from pismo_lake.decode.heads import CLOSED, TEXT, Tails, read_closed, read_heads
from pismo_lake.decode.salvage import is_too_large
from pismo_lake.decode.split import MAX_DEPTH, split
from pismo_lake.decode.timestamps import timestamps_us
from pismo_lake.index.groups import number_groups
from pismo_lake.index.parsed import ParsedRows
from pismo_lake.paths import event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from pismo_lake.contracts.contract import Contract

    ContractOf = Callable[[str, str], Contract]

_STEP = 16
_FEW = 12
# with smaller objects, the arrays of places need more memory than the file
_BYTES_AN_OBJECT = 8
# in a smaller file, one parse for each event type gains nothing
_SMALL_FILE = 1 << 18
# pyarrow's places in texts have 32 bits
_LARGE_FILE = 1 << 31
_NONE = np.zeros(0, dtype=np.int64)
_NAMED_BY = (*TYPE_KEYS, "form")


@dataclass(frozen=True, slots=True)
class QuickIndex:
    """Some pieces of a file: `places` of those that fit, their `envelopes`, and the `others`.

    `others` are in order. For each piece that fits, `cuts` is the place of the payload's key if its head is closed,
    else 0. `parsed` are payloads that need no other parse.
    """

    pieces: Pieces
    others: list[int]
    places: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    envelopes: pa.Table = field(default_factory=lambda: pa.table({}))
    cuts: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    parsed: Sequence[ParsedRows] = ()


class _NotWholeError(Exception):
    """A piece is not JSON: the split was wrong, or the file is damaged."""


def quick_index(data: bytes, contract_of: ContractOf) -> Iterator[QuickIndex]:
    """Sort a file's events into those that fit and those to read one by one.

    Yield nothing if the file needs the slow path. Contracts learn nothing here. If many events are of new types, the
    events at the file's beginning are yielded first: the contracts learn from them, and can then say which other
    events fit.
    """
    if not _SMALL_FILE <= len(data) < _LARGE_FILE:
        return
    if count_opens(data) > len(data) // _BYTES_AN_OBJECT or not _is_text(data):
        return
    for found in _splits(data):
        longest = int((found.ends - found.starts).argmax())
        if is_too_large(data, int(found.starts[longest]), int(found.ends[longest])):
            return
        try:
            # check the whole file before yielding anything
            sorter = _Sorter(found, contract_of)
            ahead = sorter.count_ahead()
            whole = None if ahead else sorter.sort()
        except _NotWholeError:
            continue
        if ahead:
            yield QuickIndex(found, list(range(ahead)))
        yield whole or sorter.sort(ahead)
        return


def _is_text(data: bytes) -> bool:
    text = pa.LargeStringArray.from_buffers(1, pa.py_buffer(np.array([0, len(data)])), pa.py_buffer(data))
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _splits(data: bytes) -> Iterator[Pieces]:
    found = find_pieces(data)
    if found is not None:
        yield found
    spans = []
    for span in split(data):
        if span.damage is not None:
            return
        spans.append((span.start, span.end))
    if spans:
        starts, ends = np.array(spans, dtype=np.int64).T
        yield cut_pieces(data, starts, ends)


class _Sorter:
    """Sorts the events of one file, for one guess of their places."""

    def __init__(self, found: Pieces, contract_of: ContractOf) -> None:
        self._pieces, self._contract_of = found, contract_of
        # the ends of heads that may be closed
        self._ends = np.where(found.heads < 0, -1, found.heads - found.starts)
        self._others = [np.flatnonzero(found.hollow)]
        self._fit: list[NDArray[np.int64]] = []
        self._parsed: list[ParsedRows] = []
        heads = list(self._read_heads(np.flatnonzero(~found.hollow)))
        self._places = np.concatenate([_NONE, *(places for places, _ in heads)])
        self._envelopes = pa.concat_tables([table for _, table in heads]).combine_chunks() if heads else pa.table({})
        self._groups = list(_groups(self._envelopes, self._places)) if heads else []

    def count_ahead(self) -> int:
        """Return how many events to read before the rest is sorted; 0 if most types are known."""
        count = len(self._pieces.starts)
        new = sum(len(rows) for event, rows in self._groups if event and not self._contract(event).data.fields)
        if new <= max(count // _STEP, _STEP * _FEW):
            return 0
        self._look_at(range(count))
        return count // _STEP

    def sort(self, first: int = 0) -> QuickIndex:
        """Sort the events from the `first` on."""
        places = self._places
        if not len(places):
            return QuickIndex(self._pieces, self._look_at_others(first))
        cuts = np.where(self._envelopes["form"].to_numpy() == CLOSED, self._ends[places] + 1, 0)
        groups = [(event, every[places[every] >= first]) for event, every in self._groups]
        closed = [rows for event, rows in groups if event is not None and event.form == CLOSED]
        tails, at = Tails(self._pieces, places[np.concatenate([_NONE, *closed])]), 0
        for event, rows in groups:
            if len(rows) < _FEW or event is None:
                self._others.append(places[rows])
            else:
                self._sort_group(event, places, rows, tails, at)
            at += len(rows) if event is not None and event.form == CLOSED else 0
        stamps = timestamps_us(self._envelopes["timestamp"].combine_chunks())
        has_id = pc.fill_null(pc.not_equal(self._envelopes["event_id"], ""), fill_value=False)
        # a text that is no time is kept in _rescued, which the slow path does
        timed = pc.equal(self._envelopes["timestamp"].is_valid(), stamps.is_valid())
        sound = pc.and_(has_id, timed).to_numpy()
        fit = np.concatenate([_NONE, *self._fit])
        self._others.append(places[fit[~sound[fit]]])
        fit = fit[sound[fit]]
        fit = fit[np.argsort(places[fit])]
        taken = self._envelopes.append_column("event_timestamp", stamps).take(pa.array(fit))
        return QuickIndex(self._pieces, self._look_at_others(first), places[fit], taken, cuts[fit], self._parsed)

    def _contract(self, event: _Event) -> Contract:
        return self._contract_of(event.domain, event.name)

    def _read_heads(self, places: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield places and their envelopes, first those that need no parse."""
        left = np.ones(len(places), dtype=bool)
        headed = np.flatnonzero(self._ends[places] > 0)
        if len(headed) >= _FEW:
            closed, table = read_closed(self._pieces, places[headed])
            left[headed[closed]] = False
            if table is not None:
                yield places[headed[closed]], table
        if left.any():
            yield from self._read(places[left])

    def _read(self, places: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield places and their envelopes; small groups with an unreadable one join the others."""
        table = None
        if len(places) >= _FEW:
            table = read_heads(self._pieces.bytes_of(places), self._ends[places].tolist())
        if table is not None:
            # the payload may come before some keys of the envelope, or after unknown keys: read such events whole
            again = (table["form"].to_numpy() != CLOSED) & (self._ends[places] > 0)
            self._ends[places[again]] = -1
            if not again.all():
                yield places[~again], table.filter(~again)
            if again.any():
                yield from self._read(places[again])
        elif len(places) > _STEP * _FEW:
            for some in _divide(places):
                yield from self._read(some)
        else:
            self._others.append(places)

    def _sort_group(
        self, event: _Event, places: NDArray[np.int64], rows: NDArray[np.int64], tails: Tails, at: int
    ) -> None:
        """Add the rows that fit their contract to those that fit, and the rest to the others.

        The tails of closed heads begin with that of the first row `at` a place.
        """
        contract = self._contract(event)
        some = places[rows]
        text = tails.of(at, len(rows)) if event.form == CLOSED else b"\n".join(self._pieces.bytes_of(some))
        found = parse_fitting(contract, text, len(some), event.version_type)
        if found is not None:
            same = event.same_version(found.envelopes)
            if found.payload is not None:
                offsets = self._pieces.starts[places[rows]]
                self._parsed.append(ParsedRows(event.domain, event.name, offsets, found.payload))
            self._fit.append(rows[same])
            self._others.append(places[rows[~same]])
        elif len(rows) > _STEP * _FEW and contract.data.fields:
            for some in _divide(rows):
                self._sort_group(event, places, some, tails, at)
                at += len(some)
        else:
            self._others.append(places[rows])

    def _look_at_others(self, first: int) -> list[int]:
        """Return the others from the `first` on, in order."""
        others: list[int] = np.sort(np.concatenate(self._others)).tolist()
        others = [place for place in others if place >= first]
        self._look_at(others)
        return others

    def _look_at(self, places: Sequence[int]) -> None:
        """Check that each piece is one JSON value whose nesting is not too deep.

        If parsing ends before the piece does (NaN), the slow path decides about the piece.

        Raises:
            _NotWholeError: a piece is not; then the whole split is wrong.
        """
        for raw in self._pieces.bytes_of(np.array(places, dtype=np.int64)):
            if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
                raise _NotWholeError
            try:
                parse(raw)
            except ValueError:
                raise _NotWholeError from None


def _divide(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    step = -(-len(places) // _STEP)
    return [places[start : start + step] for start in range(0, len(places), step)]


def _groups(envelopes: pa.Table, places: NDArray[np.int64]) -> Iterator[tuple[_Event | None, NDArray[np.int64]]]:
    """Yield the rows of each type and form, in the order of their places; no type if the envelope does not name one."""
    events, group = number_groups(envelopes, _NAMED_BY, _Event.from_envelope)
    # heads that were parsed come after those that were cut out
    order = np.argsort(places, kind="stable")
    order = order[np.argsort(group[order], kind="stable")]
    yield from zip(events, np.split(order, np.flatnonzero(np.diff(group[order])) + 1), strict=True)


@dataclass(frozen=True, slots=True)
class _Event:
    """The type of a contract, as envelopes name it, and the form of their heads.

    `version` is None if the head is read already.
    """

    domain: str
    name: str
    version: str | None
    form: int

    @classmethod
    def from_envelope(
        cls, domain: str | None, event_type: str | None, schema_version: str | None, form: int
    ) -> Self | None:
        """Return the event of these values of an envelope."""
        if not domain or not event_type:
            return None
        return cls(domain, event_name(event_type, schema_version), None if form == CLOSED else schema_version, form)

    @property
    def version_type(self) -> pa.DataType | None:
        """The one type that fits the version as it is written; None if the head is read already."""
        if self.form == CLOSED:
            return None
        if self.version is None:
            return pa.null()
        return pa.string() if self.form == TEXT else pa.int64()

    def same_version(self, table: pa.Table) -> NDArray[np.bool_]:
        """Return which parsed events have the version that their heads seemed to have."""
        if self.form == CLOSED or self.version is None:
            return np.ones(len(table), dtype=bool)
        same: NDArray[np.bool_] = pc.equal(table[VERSION_KEY].cast(pa.string()), self.version).to_numpy()
        return same
