"""The demo's queries run as Python without changes."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pismo_demo.errors import DemoError
from pismo_demo.feed import Published, window
from pismo_demo.report import Query, Run, catalog_query, queries, run_query, summary, where_to_look
from pismo_demo.servers import Places
from pismo_sandbox.check.verify import Verification

LAKE = Path("/demo/lake")
PLACES = Places(Path("/demo"))
HOUR = datetime(2026, 3, 1, 12, 7, 33, tzinfo=UTC)


@pytest.mark.parametrize("query", queries(LAKE), ids=lambda query: query.title)
def test_each_query_is_python_and_names_the_lake(query: Query) -> None:
    ast.parse(query.code)
    assert "/demo/lake/events/" in query.code


def test_the_query_through_the_catalog_is_python() -> None:
    query = catalog_query(PLACES.catalog)
    ast.parse(query.code)
    assert "sqlite:////demo/ledger-catalog.db" in query.code


def test_a_query_that_fails_fails_the_demo() -> None:
    with pytest.raises(DemoError, match="no such thing"):
        run_query(Query("bad", "raise SystemExit('no such thing')"))


def test_a_query_shows_what_it_prints() -> None:
    assert run_query(Query("good", "print('seen')")) == "seen"


@pytest.mark.parametrize(("problems", "verdict"), [(0, "exactly once"), (1, "DIFFERENCES")])
def test_the_summary_says_how_it_came_out(tmp_path: Path, problems: int, verdict: str) -> None:
    published = Published(HOUR, HOUR, files=3, bytes=1_500_000, copies=12, events=10, rejects=1)
    runs = [Run("scheduled__1", 7.0), Run("manual__1", 8.0)]
    text = summary(published, Verification(rows=10, problem_count=problems), tmp_path, runs)
    assert verdict in text
    assert re.search(r"Ingested +scheduled__1, 7 s\nClosed +manual__1, 8 s", text)
    assert "3 (1.5 MB)" in text


def test_the_page_and_the_login_are_shown_only_while_airflow_runs() -> None:
    running = where_to_look(PLACES, "sandbox_s3", "http://127.0.0.1:8080", "secret")
    assert "http://127.0.0.1:8080/plugin/pismo-lake  user admin, password secret" in running
    assert "open the page" in running
    stopped = where_to_look(PLACES, "sandbox_s3", None, "secret")
    assert "secret" not in stopped
    assert "make demo KEEP=1" in stopped


def test_the_command_to_try_next_takes_the_demos_settings() -> None:
    text = where_to_look(PLACES, "sandbox_s3", None, "")
    assert ". /demo/env; .venv/bin/python -m pismo_lake --delivery sandbox_s3 status" in text
    assert set(PLACES.name_lake()) == {"PISMO_LAKE", "PISMO_LANDING", "PISMO_LEDGER_URL"}


def test_the_published_window_ends_at_the_latest_five_minutes() -> None:
    start, end = window(HOUR, 3)
    assert (start.isoformat(), end.isoformat()) == ("2026-03-01T09:05:00+00:00", "2026-03-01T12:05:00+00:00")
