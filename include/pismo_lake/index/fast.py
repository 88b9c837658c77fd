"""The quick way to index a file: its envelopes in one parse, then the payloads of each type in one that shows whether
they fit.

What does not fit plainly, or is rare, is looked at event by event, as the careful way does with every event. Both
ways give the same index and teach contracts the same; this one declines any file that is not whole and valid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.contracts.fit import fitting
from pismo_lake.decode.envelope import parse
from pismo_lake.decode.fast_split import Pieces, pieces, spanned
from pismo_lake.decode.fields import TYPE_KEYS, VERSION_KEY
from pismo_lake.decode.heads import CLOSED, TEXT, ends_of_heads, read_heads, tails
from pismo_lake.decode.salvage import too_large
from pismo_lake.decode.split import MAX_DEPTH, split
from pismo_lake.decode.timestamps import timestamps_us
from pismo_lake.index.groups import numbered
from pismo_lake.index.parsed import ParsedRows
from pismo_lake.paths import event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from pismo_lake.contracts.contract import Contract

    ContractOf = Callable[[str, str], Contract]

_STEP = 16
_FEW = 12
# with smaller objects the arrays of places are larger than the file
_BYTES_AN_OBJECT = 8
# below this as many parses as there are event types gain nothing
_SMALL_FILE = 1 << 18
_NONE = np.zeros(0, dtype=np.int64)
_NAMED_BY = (*TYPE_KEYS, "form")


@dataclass(frozen=True, slots=True)
class QuickIndex:
    """Some pieces of a file: the `places` of those that fit, a row of `envelopes` each, and the `others` in order.

    `cuts` says of those that fit where the payload's key stands if the head is a closed envelope, else 0. `parsed` are
    payloads that need no other parse.
    """

    pieces: Pieces
    others: list[int]
    places: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    envelopes: pa.Table = field(default_factory=lambda: pa.table({}))
    cuts: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    parsed: Sequence[ParsedRows] = ()


class _NotWholeError(Exception):
    """A piece is no JSON: the split was wrong or the file is damaged."""


def quick_index(data: bytes, contract_of: ContractOf) -> Iterator[QuickIndex]:
    """Sort a file's events into those that fit and those to look at; nothing where the file asks for care.

    Nothing is learned here. Where many events are of new types those at the file's beginning come first, by
    themselves: what contracts learn from them tells of the rest whether they fit.
    """
    if len(data) < _SMALL_FILE or data.count(b"{") > len(data) // _BYTES_AN_OBJECT or not _is_text(data):
        return
    for found in _splits(data):
        longest = int((found.ends - found.starts).argmax())
        if too_large(data, int(found.starts[longest]), int(found.ends[longest])):
            return
        try:
            # all is known to be whole before anything is given out
            sorter = _Sorter(found, contract_of)
            ahead = sorter.ahead()
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
    found = pieces(data)
    if found is not None:
        yield found
    spans = []
    for span in split(data):
        if span.damage is not None:
            return
        spans.append((span.start, span.end))
    if spans:
        starts, ends = np.array(spans, dtype=np.int64).T
        yield spanned(data, starts, ends)


class _Sorter:
    """One file with one idea of where its events are."""

    def __init__(self, found: Pieces, contract_of: ContractOf) -> None:
        self._pieces, self._contract_of = found, contract_of
        self._ends = ends_of_heads(found.raw)
        self._others = [np.flatnonzero(found.hollow)]
        self._fit: list[NDArray[np.int64]] = []
        self._parsed: list[ParsedRows] = []
        heads = list(self._read(np.flatnonzero(~found.hollow)))
        self._places = np.concatenate([_NONE, *(places for places, _ in heads)])
        self._envelopes = pa.concat_tables([table for _, table in heads]).combine_chunks() if heads else pa.table({})
        self._groups = list(_groups(self._envelopes)) if heads else []

    def ahead(self) -> int:
        """How many events are to be looked at before the rest is sorted; none where most types are known."""
        count = len(self._pieces.raw)
        new = sum(len(rows) for event, rows in self._groups if event and not self._contract(event).data.fields)
        if new <= max(count // _STEP, _STEP * _FEW):
            return 0
        self._look_at(range(count))
        return count // _STEP

    def sort(self, first: int = 0) -> QuickIndex:
        """The events from the `first` on."""
        places = self._places
        if not len(places):
            return QuickIndex(self._pieces, self._looked_at(first))
        cuts = np.where(self._envelopes["form"].to_numpy() == CLOSED, self._ends[places] + 1, 0)
        for event, every in self._groups:
            rows = every[places[every] >= first]
            if len(rows) < _FEW or event is None:
                self._others.append(places[rows])
            else:
                self._sort_group(event, places, cuts, rows)
        stamps = timestamps_us(self._envelopes["timestamp"].combine_chunks())
        has_id = pc.fill_null(pc.not_equal(self._envelopes["event_id"], ""), fill_value=False)
        # a text that is no time goes to _rescued too
        timed = pc.equal(self._envelopes["timestamp"].is_valid(), stamps.is_valid())
        sound = pc.and_(has_id, timed).to_numpy()
        fit = np.concatenate([_NONE, *self._fit])
        self._others.append(places[fit[~sound[fit]]])
        fit = fit[sound[fit]]
        fit = fit[np.argsort(places[fit])]
        taken = self._envelopes.append_column("event_timestamp", stamps).take(pa.array(fit))
        return QuickIndex(self._pieces, self._looked_at(first), places[fit], taken, cuts[fit], self._parsed)

    def _contract(self, event: _Event) -> Contract:
        return self._contract_of(event.domain, event.name)

    def _read(self, places: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Places and their envelopes; the few among which one is not readable with the others join those."""
        raw = self._pieces.raw
        table = None
        if len(places) >= _FEW:
            table = read_heads([raw[place] for place in places.tolist()], self._ends[places].tolist())
        if table is not None:
            # keys of the envelope may stand behind the payload, or others before it: such events are read whole
            again = (table["form"].to_numpy() != CLOSED) & (self._ends[places] > 0)
            self._ends[places[again]] = -1
            if not again.all():
                yield places[~again], table.filter(~again)
            if again.any():
                yield from self._read(places[again])
        elif len(places) > _STEP * _FEW:
            for some in _divided(places):
                yield from self._read(some)
        else:
            self._others.append(places)

    def _sort_group(
        self, event: _Event, places: NDArray[np.int64], cuts: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> None:
        """Rows that fit their contract join those that do, others the others."""
        contract = self._contract(event)
        raw = [self._pieces.raw[place] for place in places[rows].tolist()]
        text = tails(raw, cuts[rows].tolist()) if event.form == CLOSED else b"\n".join(raw)
        found = fitting(contract, text, len(raw), event.version_type)
        if found is not None:
            same = event.same_version(found.envelopes)
            if found.payload is not None:
                offsets = self._pieces.starts[places[rows]]
                self._parsed.append(ParsedRows(event.domain, event.name, offsets, found.payload))
            self._fit.append(rows[same])
            self._others.append(places[rows[~same]])
        elif len(rows) > _STEP * _FEW and contract.data.fields:
            for some in _divided(rows):
                self._sort_group(event, places, cuts, some)
        else:
            self._others.append(places[rows])

    def _looked_at(self, first: int) -> list[int]:
        """The others from the `first` on, in order."""
        others: list[int] = np.sort(np.concatenate(self._others)).tolist()
        others = [place for place in others if place >= first]
        self._look_at(others)
        return others

    def _look_at(self, places: Iterable[int]) -> None:
        """Each of the pieces is one JSON value of bearable depth; otherwise nothing is believed of the split.

        Where parsing ends before the piece does (NaN), the careful way decides what the piece is.
        """
        for place in places:
            raw = self._pieces.raw[place]
            if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
                raise _NotWholeError
            try:
                parse(raw)
            except ValueError:
                raise _NotWholeError from None


def _divided(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    step = -(-len(places) // _STEP)
    return [places[start : start + step] for start in range(0, len(places), step)]


def _groups(envelopes: pa.Table) -> Iterator[tuple[_Event | None, NDArray[np.int64]]]:
    """Rows by what they are and how they are to be read; None where that is nothing."""
    events, group = numbered(envelopes, _NAMED_BY, _Event.named)
    order = np.argsort(group, kind="stable")
    yield from zip(events, np.split(order, np.flatnonzero(np.diff(group[order])) + 1), strict=True)


@dataclass(frozen=True, slots=True)
class _Event:
    """What a contract is of, as envelopes name it, and the form of their heads; the version where it is yet to read."""

    domain: str
    name: str
    version: str | None
    form: int

    @classmethod
    def named(cls, domain: str | None, event_type: str | None, schema_version: str | None, form: int) -> Self | None:
        """Of these values of an envelope."""
        if not domain or not event_type:
            return None
        return cls(domain, event_name(event_type, schema_version), None if form == CLOSED else schema_version, form)

    @property
    def version_type(self) -> pa.DataType | None:
        """The type that takes the version as it is spelled and nothing else; None where the head is read already."""
        if self.form == CLOSED:
            return None
        if self.version is None:
            return pa.null()
        return pa.string() if self.form == TEXT else pa.int64()

    def same_version(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which parsed events have the version that their heads were taken to have."""
        if self.form == CLOSED or self.version is None:
            return np.ones(len(table), dtype=bool)
        same: NDArray[np.bool_] = pc.equal(table[VERSION_KEY].cast(pa.string()), self.version).to_numpy()
        return same
