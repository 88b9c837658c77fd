"""Texts from outside stay texts in SQL, YAML, Markdown and HTML, and nothing in them is run or lost."""

from __future__ import annotations

from html.parser import HTMLParser

import duckdb
import jinja2
import markdown  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
import sqlglot
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sqlglot import exp
from tests.described import HOSTILE

from pismo_lake.contracts.names import column_segment
from pismo_lake.ddl.columns import DescribedColumn
from pismo_lake.ddl.dbt import dbt_sources, dbt_yaml
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.dictionary import make_sections, to_html, to_markdown
from pismo_lake.ddl.statements import statements
from pismo_lake.ddl.tables import DescribedTable
from pismo_lake.ddl.texts import json_pointer, one_line

PARTS = ["'", '"', "\\", "\n", "--", "/*", ";", "`", "|", "</script>", "<b>", "&amp;", "{{ 1 }}", "{% x %}", "${x}",
         "{#", "*a*", "_a_", "[a](b)", "![a](b)", "~~a~~", "$$", "# ", ": ", "- ", "\x00", "\x85", "\u2028", "\ud800",
         "\u202e", "é", "😀", "%s", "a"]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
BASE = duckdb.connect()


def table_of(about: str, key: str) -> DescribedTable:
    """Return the table of an event type with one column that has this key and description."""
    name = f"data__{column_segment(key)}"
    column = DescribedColumn(name, pa.string(), json_pointer(("data", key)), "declared", "", one_line(about))
    return DescribedTable(
        "pix", "pix_in-1", "pix__pix_in_1", "events/x", (DescribedColumn("event_date", pa.date32()), column),
        shorts={"event_date": "event_date", name: "short"}, view="pix_in_1", family="f", event="pix_in", version="1",
        about=one_line(about), together="pix_in", together_shorts={"event_date": "event_date", name: "short"},
    )  # fmt: skip


@given(TEXTS, TEXTS)
@example(HOSTILE, "it's")
def test_a_comment_is_one_text_of_sql(about: str, key: str) -> None:
    table = table_of(about, key)
    wanted = table.columns[1].comment(10_000)
    assert wanted.isprintable()
    for name, speech in DIALECTS.items():
        # Athena reads the statement of a table as Hive does
        reader = "hive" if name == "athena" else name
        (literal,) = sqlglot.parse(f"SELECT {speech.quote_text(wanted)}", dialect=reader)
        assert literal is not None
        assert [text.this for text in literal.find_all(exp.Literal)] == [wanted]
        # what follows a comment is still SQL
        for statement in statements("lake", [table], name):
            assert "\n--" not in statement
            assert "${" not in statement.replace("${event_date}", "")
    assert BASE.execute(f"SELECT {DIALECTS['duckdb'].quote_text(wanted)}").fetchall() == [(wanted,)]


@given(TEXTS, TEXTS)
@example(HOSTILE, "{{ x }}")
def test_dbt_reads_a_description_as_it_is(about: str, key: str) -> None:
    table = table_of(about, key)
    read = yaml.safe_load(dbt_yaml(dbt_sources([table], "duckdb"), "duckdb"))
    tables = read["sources"][0]["tables"]
    assert [one["name"] for one in tables] == ["pix__pix_in_1", "pix_in_1", "pix_in"]
    for one in tables:
        described = one["columns"][1]["description"]
        assert described == table.columns[1].comment(1000)
        for text in (described, one["description"]):
            assert jinja2.Environment(autoescape=False).from_string(text).render() == text


class _Reader(HTMLParser):
    """Collects the cells of tables, and the names of all tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.cells: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs or tag in {"html", "meta", "section", "a", "p", "span", "div", "br", "td", "th"}
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


MARKDOWN = {"a", "code", "em", "strong", "img", "script", "b", "del", "h3", "blockquote", "ol", "pre"}


def cells_of(page: str) -> list[str]:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.tags & (MARKDOWN - {"a"})
    return [cell.strip() for cell in reader.cells]


@given(TEXTS, TEXTS)
@example(HOSTILE, "</script>|x")
@example("a\\", "b\\|")
def test_a_dictionary_shows_texts_as_they_are(about: str, key: str) -> None:
    table = table_of(about, key)
    sections = make_sections([table])
    column = table.columns[1]
    row = [column.name, "short", "string", column.path, "declared", "", column.about]
    pages = {
        "html": to_html(sections, "lake", ""),
        "python": markdown.markdown(to_markdown(sections, "lake", ""), extensions=["tables"]),
        "commonmark": MarkdownIt("commonmark").enable("table").enable("strikethrough").render(
            to_markdown(sections, "lake", "")
        ),
    }  # fmt: skip
    for name, page in pages.items():
        found = cells_of(page)[-len(row) :]
        assert found == [cell.strip() for cell in row], name


@pytest.mark.parametrize("most", [20, 60, 255])
@given(text=TEXTS)
def test_a_cut_comment_fits_and_keeps_its_facts(most: int, text: str) -> None:
    column = DescribedColumn("x", pa.string(), "/data/x", "", "", one_line(text * 20))
    comment = column.comment(most)
    assert len(comment.encode()) <= most
    assert "Path: /data/x." in comment
