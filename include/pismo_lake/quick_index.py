"""The quick way to index a file: its envelopes in one parse, then the payloads of each type in one that shows whether
they fit.

What does not fit plainly, or is rare, is looked at event by event, as the careful way does with every event. Both
ways give the same index and teach contracts the same; this one declines any file that is not whole and valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode import MAX_DEPTH, split
from pismo_lake.envelope import parse
from pismo_lake.heads import CLOSED, TEXT, ends_of_heads, read_heads, tails
from pismo_lake.kept_columns import ParsedRows
from pismo_lake.layout import event_name
from pismo_lake.quick_split import Pieces, pieces, spanned
from pismo_lake.shape import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from numpy.typing import NDArray

    from pismo_lake.contract import Contract

    ContractOf = Callable[[str, str], Contract]

_STEP = 16
_FEW = 12
# below this as many parses as there are event types gain nothing
_SMALL_FILE = 1 << 18
_NONE = np.zeros(0, dtype=np.int64)
_NAMED_BY = ("domain", "event_type", "schema_version", "form")


@dataclass(frozen=True, slots=True)
class QuickIndex:
    """A file's pieces; the `places` of those that fit, with a row of `envelopes` each; and the `others` in order.

    `cuts` says of those that fit where the payload's key stands if the head is a closed envelope, else 0. `parsed` are
    payloads that need no other parse.
    """

    pieces: Pieces
    places: NDArray[np.int64]
    envelopes: pa.Table
    cuts: NDArray[np.int64]
    others: list[int]
    parsed: list[ParsedRows]


class _NotWholeError(Exception):
    """A piece is no JSON: the split was wrong or the file is damaged."""


def quick_index(data: bytes, contract_of: ContractOf) -> QuickIndex | None:
    """Sort a file's events into those that fit and those to look at; None where the file asks for care.

    Nothing is learned here: contracts are as they were.
    """
    if len(data) < _SMALL_FILE or not _is_text(data):
        return None
    for found in _splits(data):
        try:
            return _Sorter(found, contract_of).sort()
        except _NotWholeError:
            continue
    return None


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

    def sort(self) -> QuickIndex:
        heads = list(self._read(np.flatnonzero(~self._pieces.hollow)))
        if not heads:
            return QuickIndex(self._pieces, _NONE, pa.table({}), _NONE, self._looked_at(), [])
        places = np.concatenate([places for places, _ in heads])
        envelopes = pa.concat_tables([table for _, table in heads]).combine_chunks()
        cuts = np.where(envelopes["form"].to_numpy() == CLOSED, self._ends[places] + 1, 0)
        for event, rows in _groups(envelopes):
            if len(rows) < _FEW or event is None:
                self._others.append(places[rows])
            else:
                self._sort_group(event, places, cuts, rows)
        has_id = pc.fill_null(pc.not_equal(envelopes["event_id"], ""), fill_value=False).to_numpy()
        fit = np.concatenate([_NONE, *self._fit])
        self._others.append(places[fit[~has_id[fit]]])
        fit = fit[has_id[fit]]
        fit = fit[np.argsort(places[fit])]
        taken = envelopes.take(pa.array(fit))
        return QuickIndex(self._pieces, places[fit], taken, cuts[fit], self._looked_at(), self._parsed)

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
        contract = self._contract_of(event.domain, event.name)
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

    def _looked_at(self) -> list[int]:
        """The others, each of which is one JSON value of bearable depth; otherwise nothing is believed of the split.

        Where parsing ends before the piece does (NaN), the careful way decides what the piece is.
        """
        others: list[int] = np.sort(np.concatenate(self._others)).tolist()
        for place in others:
            raw = self._pieces.raw[place]
            if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
                raise _NotWholeError
            try:
                parse(raw)
            except ValueError:
                raise _NotWholeError from None
        return others


def _divided(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    step = -(-len(places) // _STEP)
    return [places[start : start + step] for start in range(0, len(places), step)]


def _groups(envelopes: pa.Table) -> Iterator[tuple[_Event | None, NDArray[np.int64]]]:
    """Rows by what they are and how they are to be read; None where that is nothing."""
    code = np.zeros(len(envelopes), dtype=np.int64)
    for name in _NAMED_BY:
        column = envelopes[name].combine_chunks().dictionary_encode(null_encoding="encode")
        code = code * len(column.dictionary) + column.indices.to_numpy()
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    named = envelopes.select(_NAMED_BY).take(pa.array(first)).to_pylist()
    events = [_Event.named(**row) for row in named]
    numbers = {event: number for number, event in enumerate(dict.fromkeys(events))}
    group = np.array([numbers[event] for event in events])[inverse]
    order = np.argsort(group, kind="stable")
    yield from zip(numbers, np.split(order, np.flatnonzero(np.diff(group[order])) + 1), strict=True)


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
        same: NDArray[np.bool_] = pc.equal(table["schema_version"].cast(pa.string()), self.version).to_numpy()
        return same
