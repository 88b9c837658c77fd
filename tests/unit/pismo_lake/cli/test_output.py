"""Tables: columns never run together, and sizes have a unit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pismo_lake.cli.output import Size, table_lines
from pismo_lake.spelling import printable

CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf", "Cn", "Co")))


@given(st.lists(st.tuples(CELLS, st.integers(0, 10**15), CELLS.filter(bool)), max_size=20))
def test_every_value_has_two_spaces_before_the_next(rows: list[tuple[str, int, str]]) -> None:
    head, *lines = table_lines(("name", "count", "last"), rows)
    at = head.index("count") + len("count")
    for line, (name, count, last) in zip(lines, rows, strict=True):
        assert line[:at].startswith(f"{name}  ")
        assert line[:at].endswith(f" {count}")
        assert line[at:] == f"  {last}"


def test_a_long_table_is_laid_out_in_pieces_and_stays_apart() -> None:
    rows = [("a" * (n // 400 + 1) * 5, n) for n in range(1200)]
    lines = list(table_lines(("name", "n"), rows))[1:]
    assert [line.split() for line in lines] == [[name, str(n)] for name, n in rows]
    assert all("  " in line for line in lines)


def test_the_last_column_is_folded_on_a_narrow_terminal() -> None:
    words = "one two three four five six seven eight nine ten eleven"
    head, *lines = table_lines(("day", "reasons"), [("2026-03-01", words)], width=40)
    assert head == "day         reasons"
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert " ".join(line[12:] for line in lines) == words
    assert [line[:12].strip() for line in lines] == ["2026-03-01", *[""] * (len(lines) - 1)]
    # without a width, as in a pipe, a row is a line
    assert len(list(table_lines(("day", "reasons"), [("2026-03-01", words)]))) == 2


def test_an_empty_table_is_its_head() -> None:
    assert list(table_lines(("a", "b"), [])) == ["a  b"]


def test_no_value_ends_a_line_or_speaks_to_the_terminal() -> None:
    assert printable("a\nb\x1b[1m\ud800ã") == "a\\nb\\x1b[1m\\ud800ã"
    assert len(list(table_lines(("a",), [("one\ntwo",)]))) == 2


def test_sizes_are_in_kilobytes_below_a_megabyte() -> None:
    shown = list(table_lines(("size", "x"), [(Size(0), "a"), (Size(125_019), "b"), (Size(2_500_000), "c")]))
    assert shown == ["    size  x", "  0.0 kB  a", "125.0 kB  b", "  2.5 MB  c"]
