"""Work on a lake in random order until its folder has a file `stop`."""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING

from tests import lakes
from tests.polled_feed import DAYS, body, erased, events, key_of

from pismo_lake.build import heartbeat
from pismo_lake.build.hour import build_hour
from pismo_lake.errors import PismoError
from pismo_lake.events.erase import erase
from pismo_lake.events.find_rows import find_copies
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.index.run import index_landed
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.tables import FileRemoval, Tables

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lakes import LakeUnderTest

LOG = "workers.log"
"""The file below the crowd's folder that has the output of all processes."""


def take_a_slice(lake: LakeUnderTest, files: int, rng: random.Random) -> None:
    """Land and index some files apart, and build a part of some hours, like the task of a slice."""
    numbers = rng.sample(range(files), 4)
    missing = [number for number in numbers if not lake.files.find_known([key_of(number)])]
    lake.land_raw({key_of(number): body(number) for number in missing})
    waiting = [file.name for file in RawLedger(lake.ledger, lake.settings.lake, "test").list_waiting()]
    index_landed(lake.settings, lake.ledger, names=set(rng.sample(waiting, min(len(waiting), 4))), apart=True)
    hours = [unit for unit in lake.files.unbuilt_units() if "T" in unit]
    for hour in rng.sample(hours, min(len(hours), 2)):
        parts = sorted({record.part for record in lake.files.of_hour(hour)})
        chosen = set(rng.sample(parts, min(len(parts), 1)))
        build_hour(lake.settings, lake.ledger, PublishHour.parse(hour), parts=chosen)


def work(lake: LakeUnderTest, files: int, rng: random.Random) -> None:
    """Do one thing that a run, a command or a close does."""
    todo = rng.random()
    if todo < 0.35:
        numbers = [number for number in rng.sample(range(files), 8) if not lake.files.find_known([key_of(number)])]
        lake.land({key_of(number): body(number) for number in numbers})
    elif todo < 0.45:
        take_a_slice(lake, files, rng)
    elif todo < 0.7:
        lake.index()
        units = lake.files.unbuilt_units()
        lake.build(rng.sample(units, min(len(units), 6)), force=rng.random() < 0.2)
    elif todo < 0.9:
        lake.close(rng.choice(DAYS), force=rng.random() < 0.3)
    elif todo < 0.95:
        reconcile(lake.settings, lake.ledger, PublishDay.parse(rng.choice(DAYS)))
    else:
        chosen = rng.sample(sorted(filter(erased, set(events(files)))), 1)
        if found := find_copies(lake.settings, lake.ledger, chosen):
            erase(lake.settings, lake.ledger, found, "request 1")


def work_until_stopped(seed: int, root: Path, files: int, server: str, remove_files: str) -> None:
    """Work in this process, and write all output to the crowd's log.

    Args:
        seed: the start of the random order.
        root: the folder of the lake.
        files: the number of files of the feed.
        server: the URL of the server of the ledgers, or nothing for SQLite.
        remove_files: the removal of files of a lake with tables; empty for a lake without tables.
    """
    log = os.open(root / LOG, os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # a killed process is overtaken in a second, not in ten
    heartbeat.BEAT_SECONDS, heartbeat.QUIET_SECONDS = 0.2, 1.0
    lakes.SERVER = server or None
    rng = random.Random(seed)
    tables = Tables(remove_files=FileRemoval(remove_files)) if remove_files else None
    lake = lakes.LakeUnderTest(root, tables=tables)
    while not (root / "stop").exists():
        try:
            work(lake, files, rng)
        except PismoError as error:
            sys.stdout.write(f"{type(error).__name__} {error}\n")
            sys.stdout.flush()
        (root / f"worked-{os.getpid()}").touch()
    lake.ledger.close()
