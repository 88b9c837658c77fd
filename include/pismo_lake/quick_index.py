"""The quick way to index a file: its events by type, each type in one parse that shows whether they fit.

What does not fit plainly, or is rare, is looked at event by event, as the careful way does with every event. Both
ways give the same index and teach contracts the same; this one declines any file that is not whole and valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode import MAX_DEPTH, split
from pismo_lake.envelope import UnusableEventError, parse
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
# less than this is read event by event in no time
_SMALL_FILE = 1 << 18
_VERSIONS = {str: pa.string(), int: pa.int64(), type(None): pa.null()}


@dataclass(frozen=True, slots=True)
class Fitting:
    """Events of one type that fit: their places among the file's pieces, and their envelopes, a row each."""

    places: NDArray[np.int64]
    domain: str
    event_type: str
    schema_version: str | None
    envelopes: pa.Table


@dataclass(frozen=True, slots=True)
class QuickIndex:
    """A file's pieces, those that fit by type, and the places of the others in file order."""

    pieces: Pieces
    fitting: list[Fitting]
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
        self._data, self._pieces, self._contract_of = data, found, contract_of
        self._raw = [data[start:end] for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
        self._fitting: list[Fitting] = []
        self._others: list[int] = []

    def sort(self) -> QuickIndex:
        for token, places in self._groups():
            hollow = self._pieces.hollow[places]
            self._others += places[hollow].tolist()
            solid = places[~hollow]
            guess = _guess(*token)
            if guess is None or len(solid) < _FEW:
                self._others += solid.tolist()
            else:
                self._fit(solid, *guess)
        self._others.sort()
        for place in self._others:
            self._look_at(self._raw[place])
        return QuickIndex(self._pieces, self._fitting, self._others)

    def _groups(self) -> Iterator[tuple[tuple[bytes, ...], NDArray[np.int64]]]:
        """Places by what seems to be their type."""
        columns = [
            tokens(self._data, key, self._pieces).dictionary_encode()
            for key in ("domain", "event_type", "schema_version")
        ]
        code = np.zeros(len(self._raw), dtype=np.int64)
        for column in columns:
            code = code * (len(column.dictionary) + 1) + column.indices.to_numpy()
        order = np.argsort(code, kind="stable")
        cuts = np.flatnonzero(np.diff(code[order])) + 1
        for places in np.split(order, cuts):
            yield tuple(column[int(places[0])].as_py().rstrip(b"\0") for column in columns), places

    def _fit(self, places: NDArray[np.int64], domain: str, event_type: str, version: str | int | None) -> None:
        text = None if version is None else str(version)
        contract = self._contract_of(domain, event_name(event_type, text))
        joined = b"\n".join([self._raw[place] for place in places.tolist()])
        table = fitting(contract, _VERSIONS[type(version)], joined, len(places))
        if table is None:
            if len(places) > _STEP * _FEW and contract.data.fields:
                step = -(-len(places) // _STEP)
                for start in range(0, len(places), step):
                    self._fit(places[start : start + step], domain, event_type, version)
            else:
                self._others += places.tolist()
            return
        right = _as_guessed(table, domain, event_type, version)
        if right is not None:
            self._others += places[~right].tolist()
            places, table = places[right], table.filter(pa.array(right))
        self._fitting.append(Fitting(places, domain, event_type, text, table))

    @staticmethod
    def _look_at(raw: bytes) -> None:
        """That the piece is one JSON value of bearable depth; otherwise nothing is believed of the split."""
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            raise _NotWholeError
        try:
            parse(raw)
        except UnusableEventError:
            # it will be in rejects if it stands where it seems to; the careful way decides that
            raise _NotWholeError from None
        except ValueError:
            raise _NotWholeError from None


def _guess(domain: bytes, event_type: bytes, version: bytes) -> tuple[str, str, str | int | None] | None:
    """The type that three tokens name; None where they name none."""
    try:
        names = orjson.loads(domain), orjson.loads(event_type), orjson.loads(version or b"null")
    except ValueError:
        return None
    known = all(isinstance(name, str) and name for name in names[:2])
    return names if known and type(names[2]) in _VERSIONS else None


def _as_guessed(table: pa.Table, domain: str, event_type: str, version: str | int | None) -> NDArray[np.bool_] | None:
    """Which events are of the type that was guessed and have an id; None where all are."""
    right = pc.and_(pc.equal(table["domain"], domain), pc.equal(table["event_type"], event_type))
    right = pc.and_(right, pc.not_equal(table["event_id"], ""))
    if version is None:
        right = pc.and_(right, pc.is_null(table["schema_version"]))
    else:
        right = pc.and_(right, pc.equal(table["schema_version"], version))
    right = pc.fill_null(right, fill_value=False)
    return None if pc.all(right).as_py() else right.to_numpy()
