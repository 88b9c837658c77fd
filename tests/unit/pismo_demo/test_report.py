"""The demo's queries run as Python without changes."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pismo_demo.errors import DemoError
from pismo_demo.feed import Published, window
from pismo_demo.report import Query, queries, run_query, summary, where_to_look
from pismo_sandbox.check.verify import Verification

LAKE = Path("/demo/lake")
HOUR = datetime(2026, 3, 1, 12, 7, 33, tzinfo=UTC)


@pytest.mark.parametrize("query", queries(LAKE), ids=lambda query: query.title)
def test_each_query_is_python_and_names_the_lake(query: Query) -> None:
    ast.parse(query.code)
    assert "/demo/lake/events/" in query.code


def test_a_query_that_fails_fails_the_demo() -> None:
    with pytest.raises(DemoError, match="no such thing"):
        run_query(Query("bad", "raise SystemExit('no such thing')"))


def test_a_query_shows_what_it_prints() -> None:
    assert run_query(Query("good", "print('seen')")) == "seen"


@pytest.mark.parametrize(("problems", "verdict"), [(0, "exactly once"), (1, "DIFFERENCES")])
def test_the_summary_says_how_it_came_out(tmp_path: Path, problems: int, verdict: str) -> None:
    published = Published(HOUR, HOUR, files=3, bytes=1_500_000, copies=12, events=10, rejects=1)
    text = summary(published, Verification(rows=10, problem_count=problems), tmp_path, "scheduled__1", 7.0)
    assert verdict in text
    assert "3 (1.5 MB)" in text


def test_the_login_is_shown_only_while_airflow_runs() -> None:
    assert "secret" in where_to_look(LAKE, "http://127.0.0.1:8080", "secret")
    assert "secret" not in where_to_look(LAKE, None, "secret")


def test_the_published_window_ends_at_the_latest_five_minutes() -> None:
    start, end = window(HOUR, 3)
    assert (start.isoformat(), end.isoformat()) == ("2026-03-01T09:05:00+00:00", "2026-03-01T12:05:00+00:00")
