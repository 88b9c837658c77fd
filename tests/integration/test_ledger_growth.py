"""Ask a ledger of many files on PostgreSQL: indexes answer the queries of runs, not scans.

PISMO_LEDGER_FILES=10000000 makes it ten million (docs/explanation/scale.md has the figures).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from tests.postgres import maintenance, running_postgres

from pismo_lake.hours import PublishHour
from pismo_lake.ledger import FileLedger, LakeFiles, Ledger
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration
FILES = int(os.environ.get("PISMO_LEDGER_FILES", "150000"))
LAKE, DELIVERY = "/lake", "prod_s3"
# 300 files a day on two deliveries; days but the last are closed
FILL = """
INSERT INTO pismo_files (lake, delivery, name, key, size, etag, sha256, publish_hour, raw_uri, index_uri, plain_size,
    framing, status, events, rejects, untimed, min_timestamp, max_timestamp, part, built, closed, touched, landed_at)
SELECT '/lake', d, k, k, 10000000, md5(k), md5(k) || md5(k), hour, '/landing/' || k, '/index/' || k, 10000000,
    'concatenated', 'landed', 17000, 0, 0, 1000000 * (extract(epoch from at)::bigint - 300),
    1000000 * extract(epoch from at)::bigint, 0, n > 10, n > 300, 0, '2026-01-01T00:00:00+00:00'
FROM (SELECT n, at, d, to_char(at, 'YYYY-MM-DD"T"HH24') AS hour,
             'main_stream/' || to_char(at, 'YYYY/FMMM/FMDD/FMHH24') || '/f' || n AS k
      FROM (SELECT n, timestamp '2026-03-01 12:00' - n * interval '4 min 48 s' AS at, d
            FROM generate_series(1, :each) AS n, unnest(array['prod_s3', 'prod_gcs']) AS d) AS moments) AS files
"""


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with running_postgres() as url, Ledger.open(url) as ledger:
        with ledger.transaction() as connection:
            connection.execute(text(FILL), {"each": FILES // 2})
        with maintenance(url) as connection:
            connection.execute(text("VACUUM ANALYZE"))
            size = connection.execute(text("SELECT pg_total_relation_size('pismo_files')")).scalar_one()
            print(f"{FILES} files: {size / FILES:.0f} bytes each with their indexes")
        yield ledger


HORIZON = ("2026-02-13T00", "2026-02-20T10")
TIMES = (1_771_578_000_000_000, 1_771_581_600_000_000)
KEYS = [f"main_stream/2026/2/20/10/f{number}" for number in range(2700, 2740)]


def files(ledger: Ledger) -> FileLedger:
    return FileLedger(ledger, LAKE, DELIVERY)


QUESTIONS: dict[str, Callable[[Ledger], Any]] = {
    "new files of a listing": lambda ledger: files(ledger).find_known(KEYS),
    "versions of keys": lambda ledger: RawLedger(ledger, LAKE, DELIVERY).versions(KEYS),
    "what has no index": lambda ledger: RawLedger(ledger, LAKE, DELIVERY).list_waiting(["2026-02-20T10"]),
    "hours of a day without an index": lambda ledger: RawLedger(ledger, LAKE, DELIVERY).hours_of_day("2026-02-20"),
    "an hour": lambda ledger: files(ledger).of_hour("2026-03-01T10"),
    "a day": lambda ledger: files(ledger).of_day("2026-02-20"),
    "predecessors": lambda ledger: LakeFiles(ledger, LAKE).list_overlapping(*HORIZON, TIMES),
    "their indexes": lambda ledger: LakeFiles(ledger, LAKE).list_overlapping_indexes(*HORIZON, TIMES),
    "what is to be built": lambda ledger: files(ledger).unbuilt_units(),
    "hours of keys": lambda ledger: files(ledger).hours_of_keys(KEYS),
    "units of hours": lambda ledger: files(ledger).units_of_hours(["2026-02-20T10", "2026-02-20T11"]),
    "cadence": lambda ledger: files(ledger).count_by_hour("2026-02-06T00", "2026-02-20T23"),
    "files by name": lambda ledger: files(ledger).find_named(KEYS),
    "files of no closed day": lambda ledger: LakeFiles(ledger, LAKE).list_not_closed(),
    "the doctor's file": lambda ledger: files(ledger).newest_key(),
    "sightings": lambda ledger: Sightings(ledger, LAKE, DELIVERY).of_day("2026-02-20"),
    "an hour marked": lambda ledger: files(ledger).mark_unbuilt("2026-02-20T10"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_of_a_run_reads_every_file(ledger: Ledger, name: str) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    event.listen(ledger.engine, "before_cursor_execute", note)
    started = time.perf_counter()
    answer = QUESTIONS[name](ledger)
    seconds = time.perf_counter() - started
    event.remove(ledger.engine, "before_cursor_execute", note)
    assert asked
    with ledger.engine.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
            assert "Seq Scan on pismo_files" not in "\n".join(plan), "\n".join(plan)
    size = len(answer) if answer is not None else 0
    print(f"{name:24} {seconds * 1e3:9.1f} ms {size:7} answer(s)")


def test_the_ledger_knows_its_hours(ledger: Ledger) -> None:
    """That the questions above are about rows which are there."""
    assert len(files(ledger).find_known(KEYS)) > 10
    assert len(LakeFiles(ledger, LAKE).list_overlapping(*HORIZON, TIMES)) > 10
    assert len(files(ledger).of_day("2026-02-20")) == 300
    assert PublishHour.of_key(KEYS[0]) is not None
    assert len(LakeFiles(ledger, LAKE).list_not_closed()) == 600
