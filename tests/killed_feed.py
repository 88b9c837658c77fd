"""Land and build a folder of files in a process that kills itself at a moment of the work.

The processes are forked from one that has imported the program, so that a start costs no imports.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

from tests.lakes import LakeUnderTest

from pismo_lake import storage

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

_IMPORTED = ("tests.killed_feed", "pandas", "pismo_lake.build.day", "pismo_lake.index.run", "pismo_lake.landing.land")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(list(_IMPORTED))


def start(root: Path, source: Path, kill: str = "") -> BaseProcess:
    """Start a process that lands and builds; `kill` is a step and its number, as ``raw:9``."""
    process = _FORKS.Process(target=_work, args=(root, source, kill))
    process.start()
    return process


class _Steps:
    """Counts one sort of steps, and kills the process after one of them."""

    def __init__(self, kill: str) -> None:
        self._step, _, count = kill.partition(":")
        self._left = int(count or 0)

    def take(self, name: str) -> None:
        if name == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _work(root: Path, source: Path, kill: str) -> None:
    steps = _Steps(kill)
    write, create = storage.write_atomic, storage.create

    def counted_write(uri: str, data: Any, **how: Any) -> None:
        write(uri, data, **how)
        folder = "index" if "/_index/" in uri else "raw" if "/landing/" in uri else "output"
        steps.take("kept" if uri.endswith(".columns") else folder)

    def counted_create(uri: str, data: Any) -> bool:
        made = create(uri, data)
        steps.take("raw")
        return made

    storage.write_atomic, storage.create = counted_write, counted_create
    lake = LakeUnderTest(root)
    files = {str(path.relative_to(source)): path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    lake.land({key: raw for key, raw in files.items() if key.startswith("main_stream/")})
    lake.build(checkpoint=steps.take)
    lake.ledger.close()
