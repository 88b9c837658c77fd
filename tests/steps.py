"""Run commands in processes that end, or stop, right before one of their durable steps.

A durable step is a change that outlives a process: a file is opened to be written, synced, renamed, linked or removed,
a Parquet file of a spool is closed, a transaction of the ledger is committed, an object is put or deleted. They are
traced and not listed here: a step that is new in the program is found by itself.

    python -m tests.steps           a server: reads requests from its input, a JSON object a line, and answers each

The server imports the program once and forks for each command, so that a command costs no start.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

ROOT = Path(__file__).parents[1]
EVERY_STEP = bool(os.environ.get("PISMO_EVERY_STEP"))
"""Whether a command ends or stops before each of its steps, as `make soak` does it, or before one step of each sort."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command's process: return code (minus the signal that ended it), output, and its steps.

    `stopped` is its process id if it is not over: it sleeps before the step that it was to stop at.
    """

    code: int
    output: str
    steps: tuple[str, ...]
    stopped: int = 0


@dataclass(frozen=True, slots=True)
class _Order:
    """A command, and the step before which it is stopped or killed.

    Steps are counted from 1. A pattern stops the command before the first step that has it; then `dies` says whether it
    is killed before its next step.
    """

    arguments: Sequence[str]
    root: str
    kill: int = 0
    stop: int = 0
    busy_ms: int | None = None
    pattern: str = ""
    dies: bool = False


class Stepper:
    """Runs commands of `python -m pismo_lake` by a server of its own."""

    def __init__(self, root: Path, environment: Mapping[str, str] | None = None) -> None:
        self._root = root
        path = os.pathsep.join(map(str, (ROOT / "include", ROOT / "plugins", ROOT)))
        command = [sys.executable, "-m", "tests.steps"]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        assert self._server.stdout is not None
        self._server.stdout.close()

    def run(self, *arguments: str, kill: int = 0, stop: int = 0, busy_ms: int | None = None) -> Ended:
        """Run a command until it ends or stops; with `busy_ms` limit its wait for a locked ledger."""
        return self._ask({"run": asdict(_Order(arguments, str(self._root), kill, stop, busy_ms))})

    def stop_at(self, pattern: str, *arguments: str) -> Ended:
        """Run a command until it stops before a matching step; once awake, it takes it and dies."""
        order = _Order(arguments, str(self._root), pattern=pattern, dies=True)
        return self._ask({"run": asdict(order)})

    def wake(self, stopped: Ended) -> Ended:
        """Let a stopped command go on to its end."""
        return self._ask({"wake": stopped.stopped})

    def _ask(self, request: dict[str, Any]) -> Ended:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return Ended(answer["code"], answer["output"], tuple(answer["steps"]), answer["stopped"])


class _Tracer:
    """Counts the steps of this process, and ends or stops it before one."""

    def __init__(self, order: _Order, log: int) -> None:
        self._root, self._kill, self._stop, self._log = order.root, order.kill, order.stop, log
        self._pattern, self._dies = order.pattern, order.dies
        self._last = ""
        self._count = 0
        self._busy = False

    def step(self, kind: str, place: object = "") -> None:
        """Take note of a step that is about to be taken."""
        if self._busy:
            return
        self._busy = True
        text = f"{kind} {_shown(place, self._root)}"
        os.write(self._log, f"{text}\n".encode())
        if text == self._last:
            # the same request once more, because the first one failed
            self._busy = False
            return
        self._count += 1
        if self._pattern and re.search(self._pattern, text):
            self._pattern, self._stop = "", self._count
            if self._dies:
                self._kill, self._last = self._count + 1, text
        if self._count == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._count == self._stop:
            os.kill(os.getpid(), signal.SIGSTOP)
        self._busy = False

    def end(self, kind: str, place: object) -> None:
        """Take note of a step that has been taken; die if it was to be the last one."""
        if self._last == f"{kind} {_shown(place, self._root)}":
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self, busy_ms: int | None) -> None:
        """Trace from now on."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        sys.addaudithook(self._audited)
        fsync = os.fsync

        def synced(number: Any) -> None:
            self.step("fsync", os.readlink(f"/proc/self/fd/{number if isinstance(number, int) else number.fileno()}"))
            fsync(number)

        os.fsync = synced
        event.listen(Engine, "commit", lambda _: self.step("commit"))
        if busy_ms is not None:
            event.listen(Engine, "connect", lambda connection, _: connection.execute(f"PRAGMA busy_timeout={busy_ms}"))
        self._wrap_parquet()
        self._wrap_store()

    def _audited(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, mode, flags = arguments
            writes = set(mode or "") & set("wax+") or (mode is None and flags & (os.O_WRONLY | os.O_RDWR))
            if writes and self._is_mine(path):
                self.step("write", path)
        elif name in {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}:
            path = arguments[1] if name in {"os.rename", "os.link"} else arguments[0]
            if self._is_mine(path):
                self.step(name.removeprefix("os."), path)

    def _is_mine(self, path: object) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        # a name alone is given beside the number of its folder
        named = os.fspath(path)
        return not named.startswith("/") or named.startswith(f"{self._root}/")

    def _wrap_parquet(self) -> None:
        """Arrow writes files by itself."""
        from pyarrow import parquet

        close, step = parquet.ParquetWriter.close, self.step

        def closed(writer: Any) -> None:
            if writer.is_open and isinstance(writer.where, str | os.PathLike):
                step("close", writer.where)
            close(writer)

        parquet.ParquetWriter.close = closed

    def _wrap_store(self) -> None:
        from s3fs import S3FileSystem

        call, step, end = S3FileSystem._call_s3, self.step, self.end

        async def called(store: Any, method: str, *arguments: Any, **options: Any) -> Any:
            changes = method.startswith(("put", "delete", "upload", "complete", "copy"))
            if changes:
                step(method, options.get("Key", ""))
            answer = await call(store, method, *arguments, **options)
            if changes:
                end(method, options.get("Key", ""))
            return answer

        S3FileSystem._call_s3 = called


def _shown(place: object, root: str) -> str:
    """Return a place below the root."""
    text = os.fspath(place) if isinstance(place, os.PathLike) else str(place)
    return text.replace("\n", " ").removeprefix(f"{root}/")


def _work(order: _Order, log: int) -> int:
    """Do a command in this process, which was forked for it."""
    from pismo_lake.build import heartbeat
    from pismo_lake.check import run as check_run
    from pismo_lake.cli.main import main
    from pismo_lake.landing import land, record

    # one landing thread, and one note at its end: else threads and the speed of the machine decide on the steps
    record._NOTED_SECONDS = 3600.0
    land.land_files.__kwdefaults__["parallel"] = 1
    # beats would be steps that come when they like; nobody else is at work here, or is known to sleep
    heartbeat.BEAT_SECONDS, heartbeat.QUIET_SECONDS = 3600.0, 0.0
    check_run.SECOND_LOOK_SECONDS = 0.0
    _Tracer(order, log).install(order.busy_ms)
    return main(list(order.arguments))


class _Server:
    """Forks a process for each command, and waits until it is over or stops."""

    def __init__(self) -> None:
        self._logs: dict[int, Path] = {}
        self._place = Path(os.environ.get("TMPDIR", "/tmp")) / f"pismo-steps-{os.getpid()}"
        self._place.mkdir()

    def serve(self) -> None:
        for line in sys.stdin:
            request = json.loads(line)
            pid = request.get("wake") or self._start(_Order(**request["run"]))
            if "wake" in request:
                os.kill(pid, signal.SIGCONT)
            print(json.dumps(self._await(pid)), flush=True)
        for path in self._place.iterdir():
            path.unlink()
        self._place.rmdir()

    def _start(self, order: _Order) -> int:
        base = self._place / str(len(self._logs))
        pid = os.fork()
        if pid:
            self._logs[pid] = base
            return pid
        code = 70
        try:
            log = os.open(f"{base}.steps", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            output = os.open(f"{base}.output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = _work(order, log)
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:  # noqa: BLE001 - the process ends here
            traceback.print_exc()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    def _await(self, pid: int) -> dict[str, Any]:
        _, status = os.waitpid(pid, os.WUNTRACED)
        base = self._logs[pid]
        steps = Path(f"{base}.steps").read_text().splitlines()
        output = Path(f"{base}.output").read_text()
        stopped = pid if os.WIFSTOPPED(status) else 0
        code = 0 if stopped else os.waitstatus_to_exitcode(status)
        return {"code": code, "output": output, "steps": steps, "stopped": stopped}


def _import_program() -> None:
    """Import all modules: one that is imported before the forks is not imported after each of them."""
    # Arrow loads pandas as soon as it sees an array that could be one of its own
    for module in ("s3fs", "pandas", "pismo_lake"):
        importlib.import_module(module)
    for found in pkgutil.walk_packages(sys.modules["pismo_lake"].__path__, "pismo_lake."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    # Alembic and its scripts are imported only to make tables
    from pismo_lake.ledger import Ledger

    with tempfile.TemporaryDirectory() as folder:
        Ledger.open(f"sqlite:///{folder}/ledger.db").close()


if __name__ == "__main__":
    _import_program()
    _Server().serve()
