"""Show the result of the demo: the sums, the paths, and some queries with their output."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from textwrap import dedent, indent
from typing import TYPE_CHECKING

from pismo_demo.airflow_home import USER, plain_environment
from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pismo_demo.alerting import Mail
    from pismo_demo.feed import Published
    from pismo_demo.servers import Places
    from pismo_sandbox.check.verify import Verification


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG, and the seconds that it took."""

    run_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Query:
    """Python code to paste, and a title for its result."""

    title: str
    code: str


def queries(lake: Path) -> tuple[Query, ...]:
    """Return three queries on a lake."""
    return (
        Query(
            "Events of each type (DuckDB)",
            dedent(f'''\
                import duckdb
                print(duckdb.sql("""
                    SELECT domain, event_type, count(*) AS events, max(event_timestamp) AS latest
                    FROM read_parquet('{lake}/events/*/*/*/*.parquet', hive_partitioning = true)
                    GROUP BY ALL ORDER BY events DESC, 1, 2 LIMIT 8"""))'''),  # noqa: S608 - a local path
        ),
        Query(
            "Money received by PIX, exact to the cent (DuckDB)",
            dedent(f'''\
                import duckdb
                print(duckdb.sql("""
                    SELECT event_date, count(*) AS received, sum(data__amount)::DECIMAL(38, 2) AS total
                    FROM read_parquet('{lake}/events/domain=pix/event_type=pix_in-1/*/*.parquet',
                                      hive_partitioning = true, union_by_name = true)
                    GROUP BY ALL ORDER BY event_date"""))'''),  # noqa: S608 - a local path
        ),
        Query(
            "From a row back to its byte in Pismo's file (pandas)",
            dedent(f"""\
                import pandas
                # Arrow's types keep every digit of an id; pandas' own round those above 2^53 beside a null
                cards = pandas.read_parquet(
                    "{lake}/events/domain=cards/event_type=update-1", dtype_backend="pyarrow")
                row = cards.sort_values("event_timestamp").iloc[-1]
                print(row[["event_id", "data__card_id", "_source_file", "_source_offset"]].to_string())"""),
        ),
    )


def catalog_query(catalog: Path) -> Query:
    """Return a query through the catalog of the tables."""
    return Query(
        "Money received by PIX, through the catalog (pyiceberg)",
        dedent(f"""\
            from pyiceberg.catalog import load_catalog
            catalog = load_catalog("pismo", type="sql", uri="sqlite:///{catalog}")
            received = catalog.load_table("pix.pix_in_1")
            rows = received.scan(selected_fields=("event_date", "data__amount")).to_pandas()
            print(rows.groupby("event_date")["data__amount"].agg(["count", "sum"]).to_string())
            print(len(received.snapshots()), "snapshots,", len(received.inspect.files()), "files")"""),
    )


def run_query(query: Query) -> str:
    """Return the output of a query, run like pasted code."""
    done = subprocess.run(  # noqa: S603 - the text above
        [sys.executable, "-c", query.code],
        env=plain_environment(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        msg = f"query {query.title!r} failed:\n{done.stderr.strip()}"
        raise DemoError(msg)
    return done.stdout.rstrip()


def summary(published: Published, found: Verification, lake: Path, runs: Sequence[Run]) -> str:
    """Return a table of published events, rows in the lake, and their comparison."""
    size = sum(path.stat().st_size for path in lake.rglob("*.parquet"))
    hours = f"{published.start:%Y-%m-%d %H:%M} to {published.end:%Y-%m-%d %H:%M} UTC"
    if published.day:
        hours = f"{published.day}, and {hours}"
    verdict = "every event exactly once, every value exact, all damage accounted for" if found.ok else "DIFFERENCES"
    rows = (
        ("Published", hours),
        ("  event files", f"{published.files:,} ({published.bytes / 1e6:,.1f} MB)"),
        ("  events, copies included", f"{published.copies:,}"),
        ("  distinct events", f"{published.events:,}"),
        ("  damaged or unusable", f"{published.rejects:,}"),
        *(("Ingested" if run is runs[0] else "Closed", f"{run.run_id}, {run.seconds:.0f} s") for run in runs),
        ("  rows in the lake", f"{found.rows:,}"),
        ("  Parquet files", f"{found.files:,} ({size / 1e6:,.1f} MB)"),
        ("  rows in rejects", f"{found.rejects:,} ({found.conflicts:,} conflicting duplicates)"),
        ("Checked", verdict),
        ("  values compared", f"{found.leaves:,} ({found.rescued:,} in _rescued)"),
    )
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def show_mails(mails: Sequence[Mail]) -> str:
    """Return the first mail, and the number of the others."""
    more = f", and {len(mails) - 1} more" if len(mails) > 1 else ""
    return f"     An alert came by mail: {mails[0].path}{more}\n{mails[0]}\n"


def where_to_look(places: Places, delivery: str, address: str | None, password: str) -> str:
    """Return the paths, the page and the login of Airflow if it still runs, and the next things to try."""
    lines = [f"Lake       {places.lake}"]
    if address:
        lines += [
            f"The page   {address}/plugin/pismo-lake  user {USER}, password {password}",
            f"Airflow    {address}",
            "Stop it    make demo-down",
        ]
    else:
        lines += ["Airflow    stopped; make demo KEEP=1 leaves it running for the browser"]
    return "\n".join(
        [*lines, "", "Next", *(f"  {step}" for step in _next_steps(places, delivery, running=bool(address)))]
    )


def _next_steps(places: Places, delivery: str, *, running: bool) -> list[str]:
    command = f".venv/bin/python -m pismo_lake --delivery {delivery}"
    page = "open the page, and trigger pismo_doctor in Airflow" if running else "make demo KEEP=1, and open the page"
    return [
        page,
        f". {places.settings}; {command} status",
        f"{command} where-is EVENT_ID  # the event of query 3: its file, bytes and row",
        "make demo CHANNEL=sftp  # or s3-notices, or gcs",
        "docs/tutorial/first-delivery.md does each step by hand",
    ]


def show_queries(lake: Path, catalog: Path | None = None) -> str:
    """Return each query with its output; the last one is through the catalog, if there is one."""
    blocks = []
    for number, query in enumerate([*queries(lake), *([catalog_query(catalog)] if catalog else [])], 1):
        blocks.append(f"{number}. {query.title}\n\n{indent(query.code, '    ')}\n\n{run_query(query)}\n")
    return "\n".join(blocks)
