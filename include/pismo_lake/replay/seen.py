"""Read the ids of events from a file that a consumer has written: Parquet, CSV, or one id a line.

A wrong reading of such a file would send events twice, or leave them out. So a file that is damaged, or that holds
something else, is refused by name. An empty file is sound: the consumer has nothing.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.errors import SeenFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_NAMES = ("event_id", "eventid", "id")
"""The names of a column of ids without case and signs other than ``_``, the best one first."""
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LONGEST = 100_000
"""The most characters of a line; a longer one is no line of ids."""


def read_ids(uri: str) -> Iterator[str]:
    """Yield the ids in a file, in its order; ids may come several times.

    Parquet and CSV need a column ``event_id`` (or ``id``), or only one column. A CSV file is known by its name, or by
    a first line that names the column; without a header, its first column has the ids. In any other text file, each
    line is an id.

    Raises:
        SeenFileError: the file is missing or damaged, or no column of it can have the ids.
    """
    with _naming(uri), storage.open_for_reading(uri) as source:
        head = source.read(len(_PARQUET))
        source.seek(0)
        if head == _PARQUET:
            yield from _of_parquet(uri, source)
        elif head.startswith(_GZIP):
            with gzip.open(source) as plain:
                yield from _of_text(uri, uri.removesuffix(".gz"), plain)
        else:
            yield from _of_text(uri, uri, source)


@contextmanager
def _naming(uri: str) -> Iterator[None]:
    """Raise `SeenFileError` with the file's name for the errors of its readers."""
    try:
        yield
    except FileNotFoundError:
        msg = f"{uri}: there is no such file of ids"
        raise SeenFileError(msg) from None
    except (pa.ArrowException, EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{uri}: the file of ids is damaged: {type(error).__name__}"
        raise SeenFileError(msg) from error
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{uri}: the file of ids is neither Parquet nor text in UTF-8"
        raise SeenFileError(msg) from error
    except IsADirectoryError:
        msg = f"{uri} is a folder: give a file of ids"
        raise SeenFileError(msg) from None


def _of_parquet(uri: str, source: Any) -> Iterator[str]:
    try:
        file = pq.ParquetFile(source)
    except OSError as error:
        msg = f"{uri}: the file of ids is damaged: {type(error).__name__}"
        raise SeenFileError(msg) from error
    names = file.schema_arrow.names
    column = _find_column(names)
    if column is None and len(names) > 1:
        msg = f"{uri}: no column is named event_id, and there are several: {', '.join(names[:10])}"
        raise SeenFileError(msg)
    name = names[column or 0]
    kind = file.schema_arrow.field(name).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)):
        msg = f"{uri}: column {name} holds {kind}, and ids are text"
        raise SeenFileError(msg)
    for group in range(file.num_row_groups):
        try:
            values = file.read_row_group(group, [name], use_threads=False).column(0)
        except OSError as error:
            msg = f"{uri}: the file of ids is damaged: {type(error).__name__}"
            raise SeenFileError(msg) from error
        yield from (event_id for event_id in values.to_pylist() if event_id)


def _of_text(uri: str, name: str, source: Any) -> Iterator[str]:
    lines = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
    try:
        first = lines.readline(_LONGEST)
        delimiter, column = _look_for_columns(name, first)
        following = _check_lines(uri, first, lines)
        if delimiter is None:
            yield from _of_lines(following, skip=column is not None)
        else:
            yield from _of_rows(csv.reader(following, delimiter=delimiter), column)
    finally:
        # the caller closes the file
        lines.detach()


def _look_for_columns(name: str, first: str) -> tuple[str | None, int | None]:
    """Return the delimiter of a text file (None: each line is an id), and the column that its header names."""
    own = next((sign for suffix, sign in _DELIMITERS.items() if name.lower().endswith(suffix)), None)
    for sign in dict.fromkeys([*([own] if own else []), ",", ";", "\t"]):
        cells = next(csv.reader([first], delimiter=sign), [])
        column = _find_column(cells)
        if column is not None:
            return (sign if own or len(cells) > 1 else None), column
    if own == "," and "," not in first and ";" in first:
        # a spreadsheet in a country that writes 1,5
        return ";", None
    return own, None


def _find_column(names: list[str]) -> int | None:
    """Return the place of the column of ids; None if no name says so."""
    plain = [name.strip().casefold().replace("-", "_") for name in names]
    return next((plain.index(name) for name in _NAMES if name in plain), None)


def _check_lines(uri: str, first: str, lines: io.TextIOWrapper) -> Iterator[str]:
    """Yield the first line and the others; refuse a line that is no text of ids."""
    line, number = first, 1
    while line:
        if "\0" in line:
            msg = f"{uri}: line {number} has bytes that are no text: the file of ids is damaged, or is no text"
            raise SeenFileError(msg)
        if len(line) >= _LONGEST:
            msg = f"{uri}: line {number} is longer than any line of ids"
            raise SeenFileError(msg)
        yield line
        line, number = lines.readline(_LONGEST), number + 1


def _of_lines(lines: Iterator[str], *, skip: bool) -> Iterator[str]:
    for number, line in enumerate(lines):
        event_id = line.rstrip("\r\n")
        if not event_id or (skip and number == 0):
            continue
        yield event_id
        if event_id != (plain := event_id.strip()) and plain:
            # an editor may have added spaces
            yield plain


def _of_rows(rows: Iterator[list[str]], column: int | None) -> Iterator[str]:
    at = column or 0
    for number, row in enumerate(rows):
        if number == 0 and column is not None:
            continue
        if len(row) > at and row[at]:
            yield row[at]
