"""Erase a person from a lake and a landing zone on s3:// while other processes write there."""

from __future__ import annotations

import gzip
import io
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake import storage
from pismo_lake.build.spool import spool_folder
from pismo_lake.events.erase import erase, landing_roots
from pismo_lake.events.find_person import find_person
from pismo_lake.events.traces import find_traces
from pismo_lake.hours import PublishDay
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.report.model import DayVerdict
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.storage import registry
from pismo_sandbox.s3.odd_store import KEY, SECRET, OddStore, running_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
VALUE = "00666777889"
CONDITION = [("data__document", VALUE)]


@pytest.fixture(scope="module")
def running() -> Iterator[OddStore]:
    with running_store() as store:
        yield store


@pytest.fixture
def store(running: OddStore, monkeypatch: pytest.MonkeyPatch) -> OddStore:
    """Make the store the storage of s3:// and give it an empty bucket."""
    monkeypatch.setattr(registry, "_STORES", dict(registry._STORES))
    options = {"key": KEY, "secret": SECRET, "client_kwargs": {"endpoint_url": running.endpoint}}
    storage.configure("s3", lambda: options)
    for name in contents(running):
        running.other().delete_object(Bucket=running.bucket, Key=name)
    return running


def contents(store: OddStore) -> dict[str, bytes]:
    """Return all objects as another process sees them."""
    s3: Any = store.other()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=store.bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {name: s3.get_object(Bucket=store.bucket, Key=name)["Body"].read() for name in keys}


def with_value(store: OddStore) -> list[str]:
    """Return the objects that hold the value, Parquet and gzip files by their content."""
    found = []
    for name, content in contents(store).items():
        data = content
        if data.startswith(b"PAR1"):
            data += repr(pq.ParquetFile(pa.BufferReader(data)).read().to_pylist()).encode()
        elif data.startswith(b"\x1f\x8b"):
            data += gzip.decompress(data)
        found += [name] if VALUE.encode() in data else []
    return found


@pytest.fixture
def remote(store: OddStore, tmp_path: Path) -> LakeUnderTest:
    """Make a lake on s3:// with a closed day and an open hour."""
    place = f"s3://{store.bucket}"
    rules = ContractRules(shipped=False, child_tables=("**/people",))
    lake = LakeUnderTest(tmp_path, landing=f"{place}/landing", lake=f"{place}/lake", contracts=rules)
    his = {"document": VALUE, "people": [{"document": VALUE}]}
    lake.land({
        key(1): event("e-1", his, timestamp=at(1)) + event("e-2", timestamp=at(1)),
        key(2): gzip.compress(event("e-3", his, timestamp=at(2)) + event("e-1", {**his, "n": 1}, timestamp=at(1))),
    })  # fmt: skip
    lake.build()
    lake.close("2026-03-01")
    lake.land({key(5, day=2): event("e-5", his, timestamp=at(5, 2)) + event("e-6", timestamp=at(5, 2))})
    lake.build()
    return lake


def test_nothing_is_left_on_s3(store: OddStore, remote: LakeUnderTest) -> None:
    assert len(with_value(store)) > 5
    person = find_person(remote.settings, remote.ledger, CONDITION)
    assert [found.event_id for found in person.events] == ["e-1", "e-3", "e-5"]
    done = erase(remote.settings, remote.ledger, person.events, "t", raw=True)
    assert (done.failures, done.left, done.raw_files) == ({}, (), 3)
    assert with_value(store) == []
    roots = landing_roots(remote.settings, remote.ledger)
    traces = find_traces(remote.settings, remote.ledger, roots, CONDITION, person.events, raw=True)
    assert (traces.found, traces.unsearched) == ([], [])
    report = reconcile(remote.settings, remote.ledger, PublishDay.parse("2026-03-01"))
    assert report.verdict is DayVerdict.COMPLETE


def test_what_another_process_wrote_a_moment_ago_is_found_and_removed(store: OddStore, remote: LakeUnderTest) -> None:
    """No listing is kept: neither for the search, nor for the question whether a file is there."""
    everything = list(storage.list_files(remote.settings.lake))
    stray = "lake/events/domain=pix/event_type=pix_in-1/event_date=2026-03-01/stray.parquet"
    assert not storage.exists(f"s3://{store.bucket}/{stray}")
    sink = io.BytesIO()
    pq.write_table(pa.table({"event_id": ["e-9"], "org_id": ["o"], "text": [VALUE]}), sink)
    store.other().put_object(Bucket=store.bucket, Key=stray, Body=sink.getvalue())
    store.other().put_object(Bucket=store.bucket, Key="landing/test/.hidden.tmp", Body=f"of {VALUE}".encode())
    assert storage.exists(f"s3://{store.bucket}/{stray}")
    assert len(list(storage.list_files(remote.settings.lake))) == len(everything) + 1
    person = find_person(remote.settings, remote.ledger, CONDITION)
    erase(remote.settings, remote.ledger, person.events, "t", raw=True)
    roots = landing_roots(remote.settings, remote.ledger)
    traces = find_traces(remote.settings, remote.ledger, roots, CONDITION, person.events, raw=True)
    assert sorted(trace.place for trace in traces.found) == sorted(
        [f"s3://{store.bucket}/{stray}", f"s3://{store.bucket}/landing/test/.hidden.tmp"]
    )
    for trace in traces.found:
        storage.remove(trace.place)
    assert not storage.exists(f"s3://{store.bucket}/{stray}")
    assert with_value(store) == []


def test_a_copy_that_another_process_lands_is_blanked(store: OddStore, remote: LakeUnderTest) -> None:
    person = find_person(remote.settings, remote.ledger, CONDITION)
    erase(remote.settings, remote.ledger, person.events, "t", raw=True)
    assert not storage.exists(f"s3://{store.bucket}/landing/test/{key(7, day=2)}")
    remote.land({key(7, day=2): gzip.compress(event("e-1", {"document": VALUE}, timestamp=at(1)))})
    remote.build()
    assert with_value(store) == []


def test_a_new_lake_from_landing_on_s3_knows_what_is_erased(store: OddStore, remote: LakeUnderTest) -> None:
    person = find_person(remote.settings, remote.ledger, CONDITION)
    erase(remote.settings, remote.ledger, person.events, "t")
    elsewhere = LakeUnderTest.__new__(LakeUnderTest)
    elsewhere.root, elsewhere.ledger = remote.root, remote.ledger
    elsewhere.settings = replace(remote.settings, lake=f"s3://{store.bucket}/elsewhere")
    rebuild_ledger(elsewhere.settings, elsewhere.ledger)
    elsewhere.build()
    assert [name for name in with_value(store) if name.startswith("elsewhere/")] == []
    assert [name for name in contents(store) if name.startswith("elsewhere/events/")]


def test_the_spool_of_a_killed_close_of_an_s3_lake_is_removed(
    remote: LakeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        with spool_folder(remote.settings, "2026-03-01", "token") as folder:
            (folder / "00000-0000.parquet").write_bytes(VALUE.encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = tmp_path.glob("pismo-close-*")
    person = find_person(remote.settings, remote.ledger, CONDITION)
    done = erase(remote.settings, remote.ledger, person.events, "t", raw=True)
    assert done.leftovers == (str(left),)
    assert not left.exists()
