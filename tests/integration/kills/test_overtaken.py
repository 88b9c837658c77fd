"""Let a builder sleep before a step until another one overtakes it: no row is doubled.

The builder then wakes, takes the step and dies. On a disk the sleeper is fenced. In an object store its request may
arrive all the same: then the day is called incomplete, the file is named, and `check --repair` removes it.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from tests.small_feed import DAY, SmallLake
from tests.steps import EVERY_STEP, Stepper

from pismo_lake import storage
from pismo_lake.storage import registry
from pismo_sandbox.s3.odd_store import KEY, SECRET, running_store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
BUILDS = re.compile(r"(?:rename|write|remove|close) lake/(?:events|items|rejects|_ids|_lake/|_spool)")
EVENT_IDS = ["e-1", "e-2", "e-3", "e-4", "e-5"]
BUSY_MS = 50


@pytest.fixture(scope="module", autouse=True)
def states(lake: SmallLake, stepper: Stepper) -> None:
    lake.keep("empty")
    assert stepper.run("flatten", lake.source("first"), "--jobs", "1", *lake.options).code == 0
    lake.keep("flattened")


def choose(steps: tuple[str, ...], *, dies: bool) -> list[int]:
    """Return the numbers of some steps of a build: one per sort of path, and a commit after it.

    If not every step is taken, a builder dies after every other pair of them, and goes on after the others.
    """
    found: dict[str, int] = {}
    before = ""
    for number, step in enumerate(steps, 1):
        if step.startswith("commit"):
            if before:
                found.setdefault(f"{EVERY_STEP and number} commit after {before}", number)
        elif match := BUILDS.match(step):
            before = match[0]
            found.setdefault(f"{EVERY_STEP and number} {before}", number)
        else:
            before = ""
    numbers = sorted(found.values())
    return [number for place, number in enumerate(numbers) if EVERY_STEP or place // 2 % 2 == dies]


@pytest.mark.parametrize(
    "dies", [pytest.param(True, id="dies"), pytest.param(False, id="goes on", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("unit", ["hour", "day"])
def test_an_overtaken_builder_doubles_no_row(lake: SmallLake, stepper: Stepper, unit: str, dies: bool) -> None:
    flatten = [("flatten", lake.source(folder), "--jobs", "1", *lake.options) for folder in ("first", "late")]
    close = ("close", "--date", DAY, *lake.options)
    start, first, second = (
        ("empty", flatten[0], flatten) if unit == "hour" else ("flattened", close, [flatten[1], close])
    )
    lake.set_back(start)
    steps = stepper.run(*first).steps
    lake.set_back(start)
    assert [stepper.run(*command).code for command in second] == [0, 0]
    expected = lake.digest()
    overtaken, wrong = 0, dict[str, object]()
    chosen = choose(steps, dies=dies)
    for number in chosen:
        lake.set_back(start)
        sleeper = stepper.run(*first, stop=number, kill=number + 1 if dies else 0)
        assert sleeper.stopped, sleeper.output
        codes = [stepper.run(*command, busy_ms=BUSY_MS).code for command in second]
        woken = stepper.wake(sleeper)
        # the others may have done all that the sleeper had to do
        assert woken.code in ({-signal.SIGKILL, 0} if dies else {0}), woken.output
        overtaken += codes == [0, 0]
        if codes != [0, 0]:
            # the sleeper held the ledger, so that nobody could overtake it
            assert [stepper.run(*command).code for command in second] == [0, 0]
        ids = lake.event_ids()
        found = json.loads(stepper.run("check", "--repair", "--json", *lake.options).output)
        kinds = {finding["kind"] for finding in found}
        if ids != EVENT_IDS or kinds - {"temporary file"} or lake.digest() != expected or lake.temporary():
            wrong[f"{number}: {steps[number - 1]}"] = (ids, found, lake.temporary())
    assert wrong == {}
    assert 0 < overtaken < len(chosen)


@pytest.fixture(scope="module")
def in_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallLake, Stepper, str]]:
    """Yield a lake in an object store, with its ledger in a local file, and the bucket."""
    before = dict(registry._STORES)
    with running_store() as store:
        lake = SmallLake(tmp_path_factory.mktemp("store"), f"s3://{store.bucket}")
        access = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
        options = {"key": KEY, "secret": SECRET, "endpoint_url": store.endpoint}
        storage.configure("s3", lambda: options)
        with Stepper(lake.root, access | {"AWS_ENDPOINT_URL": store.endpoint}) as stepper:
            yield lake, stepper, store.bucket
    registry._STORES.clear()
    registry._STORES.update(before)


def stored_ids(bucket: str) -> list[str]:
    found = []
    for uri in storage.list_files(f"s3://{bucket}/lake/events"):
        with storage.open_for_reading(uri) as source:
            found += pq.ParquetFile(source).read(["event_id"]).column("event_id").to_pylist()
    return sorted(found)


def test_an_object_of_an_overtaken_builder_is_named_and_removed(in_store: tuple[SmallLake, Stepper, str]) -> None:
    lake, stepper, bucket = in_store
    first, late = (("flatten", lake.source(folder), "--jobs", "1", *lake.options) for folder in ("first", "late"))
    sleeper = stepper.stop_at(rf"^put_object lake/events/.*{DAY}T03", *first)
    assert sleeper.stopped, sleeper.output
    for command in (first, late, ("close", "--date", DAY, *lake.options)):
        done = stepper.run(*command)
        assert done.code == 0, done.output
    assert f"{DAY} is complete" in done.output
    assert stored_ids(bucket) == EVENT_IDS
    woken = stepper.wake(sleeper)
    assert woken.code == -signal.SIGKILL
    doubled = stored_ids(bucket)
    assert doubled != EVENT_IDS, (woken.steps[-4:], woken.output[-500:])
    assert set(doubled) == set(EVENT_IDS)
    (stray,) = json.loads(stepper.run("check", "--json", *lake.options).output)
    assert stray["kind"] == "unknown file"
    name = stray["path"].removeprefix(f"s3://{bucket}/lake/")
    for command in ("report", "close"):
        told = stepper.run(command, "--date", DAY, *lake.options)
        assert told.code == 1
        assert (
            f"{DAY} is incomplete: 1 file(s) of the lake differ from the ledger: {name} (unknown file)" in told.output
        )
    mended = stepper.run("check", "--repair", *lake.options)
    assert mended.code == 0, mended.output
    assert stored_ids(bucket) == EVENT_IDS
    assert json.loads(stepper.run("check", "--json", *lake.options).output) == []
    assert f"{DAY} is complete" in stepper.run("report", "--date", DAY, *lake.options).output
