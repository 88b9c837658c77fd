"""Print results: one JSON document, or a table whose columns never run together."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake.progress import size_text
from pismo_lake.spelling import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_GAP = "  "
_AT_ONCE = 500
_LEAST_WIDTH = 20


class Size(int):
    """A number of bytes that a table shows in kB or MB."""

    def __str__(self) -> str:
        return size_text(self)


def print_json(document: Any) -> None:
    """Print a document; text that is no UTF-8 is escaped."""
    try:
        raw = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    except TypeError:
        # a key may hold half a character
        raw = json.dumps(document, indent=2).encode()
    write_bytes(raw + b"\n")


def write_bytes(raw: bytes) -> None:
    """Write all bytes on stdout, because an unbuffered stdout may take only a part."""
    sys.stdout.flush()
    rest = memoryview(raw)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows below their headings: numbers to the right, the last column folded if needed."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    bold = terminal and not os.environ.get("NO_COLOR")
    for number, line in enumerate(table_lines(columns, rows, width)):
        print(f"\x1b[1m{line}\x1b[0m" if bold and not number else line)


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table; columns are as wide as their longest value.

    A long table is laid out in pieces, so that the first lines come at once. From piece to piece, columns only become
    wider.

    Args:
        columns: The headings.
        rows: A value for each column; None is printed as nothing.
        width: Fold the last column to fit in so many characters, if its values are text.
    """
    sizes = [len(name) for name in columns]
    right = [False] * len(columns)
    following, first = iter(rows), True
    while (some := list(islice(following, _AT_ONCE))) or first:
        texts = [["" if value is None else printable(str(value)) for value in row] for row in some]
        if first:
            right = [any(_is_number(row[at]) for row in some) for at in range(len(columns))]
        for row in texts:
            sizes = [max(size, len(text)) for size, text in zip(sizes, row, strict=True)]
        if first:
            yield from _fold(columns, sizes, right, width)
            first = False
        for row in texts:
            yield from _fold(row, sizes, right, width)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fold(row: Sequence[str], sizes: Sequence[int], right: Sequence[bool], width: int | None) -> Iterator[str]:
    *others, last = (
        text.rjust(size) if at_right else text.ljust(size)
        for text, size, at_right in zip(row, sizes, right, strict=True)
    )
    before = "".join(text + _GAP for text in others)
    room = 0 if width is None else width - len(before)
    if right[-1] or len(last.rstrip()) <= room or room < _LEAST_WIDTH:
        yield (before + last).rstrip()
        return
    for part in textwrap.wrap(last, room, break_on_hyphens=False, drop_whitespace=False, replace_whitespace=False):
        yield (before + part).rstrip()
        before = " " * len(before)
