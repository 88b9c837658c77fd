"""The quick way to index a file: its events by type, each type in one parse that shows whether they fit.

What does not fit plainly, or is rare, is looked at event by event, as the careful way does with every event. Both
ways give the same index and teach contracts the same; this one declines any file that is not whole and valid.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode import MAX_DEPTH, split
from pismo_lake.envelope import parse
from pismo_lake.layout import event_name
from pismo_lake.quick_split import Pieces, pieces, spanned, tokens
from pismo_lake.shape import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pismo_lake.contract import Contract

    ContractOf = Callable[[str, str], Contract]

_STEP = 16
_FEW = 24
# below this as many parses as there are event types gain nothing
_SMALL_FILE = 1 << 20
_INTEGER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class QuickIndex:
    """A file's pieces; the `places` of those that fit, with their envelopes, a row each; and the `others` in order."""

    pieces: Pieces
    places: NDArray[np.int64]
    envelopes: pa.Table
    others: list[int]


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
            return _Sorter(data, found, contract_of).sort()
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

    def __init__(self, data: bytes, found: Pieces, contract_of: ContractOf) -> None:
        self._pieces, self._contract_of = found, contract_of
        self._raw = [data[start:end] for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
        self._places: list[NDArray[np.int64]] = []
        self._tables: list[pa.Table] = []
        self._others: list[NDArray[np.int64]] = []

    def sort(self) -> QuickIndex:
        for guess, places in self._groups():
            hollow = self._pieces.hollow[places]
            self._others.append(places[hollow])
            solid = places[~hollow]
            if guess is None or len(solid) < _FEW:
                self._others.append(solid)
            else:
                self._fit(solid, guess)
        places, envelopes = self._verified()
        others = np.sort(np.concatenate(self._others)).tolist()
        for place in others:
            self._look_at(self._raw[place])
        return QuickIndex(self._pieces, places, envelopes, others)

    def _groups(self) -> list[tuple[_Guess | None, NDArray[np.int64]]]:
        """Places by what seems to be their type."""
        keys = [tokens(self._pieces, key) for key in ("domain", "event_type", "schema_version")]
        columns = [key.values.dictionary_encode() for key in keys]
        # of several versions in an event none is believed; names are compared with the parsed ones
        code = keys[2].several.astype(np.int64)
        for column in columns:
            code = code * len(column.dictionary) + column.indices.to_numpy()
        order = np.argsort(code, kind="stable")
        guesses: dict[_Guess | None, list[NDArray[np.int64]]] = defaultdict(list)
        for places in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
            first = int(places[0])
            words = [column[first].as_py().rstrip(b"\0") for column in columns]
            guesses[None if keys[2].several[first] else _guessed(*words)].append(places)
        # a version comes as a number and as text
        return [(guess, np.sort(np.concatenate(places))) for guess, places in guesses.items()]

    def _fit(self, places: NDArray[np.int64], guess: _Guess) -> None:
        contract = self._contract_of(guess.domain, event_name(guess.event_type, guess.version))
        joined = b"\n".join([self._raw[place] for place in places.tolist()])
        table = fitting(contract, guess.version_type, joined, len(places))
        if table is not None:
            self._places.append(places)
            self._tables.append(guess.beside(table))
        elif len(places) > _STEP * _FEW and contract.data.fields:
            step = -(-len(places) // _STEP)
            for start in range(0, len(places), step):
                self._fit(places[start : start + step], guess)
        else:
            self._others.append(places)

    def _verified(self) -> tuple[NDArray[np.int64], pa.Table]:
        """What fits and is what it was taken for, in file order; the rest joins the others."""
        if not self._tables:
            return np.zeros(0, dtype=np.int64), pa.table({})
        table, places = pa.concat_tables(self._tables).combine_chunks(), np.concatenate(self._places)
        right = pc.and_(pc.equal(table["domain"], table["guessed_domain"]), pc.not_equal(table["event_id"], ""))
        right = pc.and_(right, pc.equal(table["event_type"], table["guessed_event_type"]))
        right = pc.and_(right, table["same_version"])
        mask = pc.fill_null(right, fill_value=False).to_numpy()
        self._others.append(places[~mask])
        order = np.flatnonzero(mask)
        order = order[np.argsort(places[order])]
        return places[order], table.take(pa.array(order))

    @staticmethod
    def _look_at(raw: bytes) -> None:
        """That the piece is one JSON value of bearable depth; otherwise nothing is believed of the split.

        Where parsing ends before the piece does (NaN), the careful way decides what the piece is.
        """
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            raise _NotWholeError
        try:
            parse(raw)
        except ValueError:
            raise _NotWholeError from None


@dataclass(frozen=True, slots=True)
class _Guess:
    """An event type by the bytes that follow its keys; `version` is its text, None where it is missing or null."""

    domain: str
    event_type: str
    version: str | None

    @property
    def version_type(self) -> pa.DataType:
        """The type that takes the version as a number and as text."""
        if self.version is None:
            return pa.null()
        return pa.decimal128(38, 18) if _INTEGER.fullmatch(self.version) else pa.string()

    def beside(self, table: pa.Table) -> pa.Table:
        """The parsed envelopes with what they were taken for."""
        count = len(table)
        parsed, version = table["schema_version"], pa.scalar(self.version, pa.string())
        same = pc.is_null(parsed) if self.version is None else pc.equal(parsed, version.cast(parsed.type))
        table = table.drop_columns(["schema_version"]).append_column("schema_version", pa.repeat(version, count))
        table = table.append_column("guessed_domain", pa.repeat(self.domain, count))
        table = table.append_column("guessed_event_type", pa.repeat(self.event_type, count))
        return table.append_column("same_version", same)


def _guessed(domain: bytes, event_type: bytes, version: bytes) -> _Guess | None:
    """The type that three tokens name; None where they name none."""
    try:
        names = [orjson.loads(token) for token in (domain, event_type, version or b"null")]
    except ValueError:
        return None
    if not all(isinstance(name, str) and name for name in names[:2]):
        return None
    if names[2] is None or isinstance(names[2], str):
        return _Guess(*names)
    # a number is believed only as an integer spelled as one
    spelled = version.decode()
    return _Guess(names[0], names[1], spelled) if _INTEGER.fullmatch(spelled) else None
