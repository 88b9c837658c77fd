"""Feed a lake in a folder from bytes, without Airflow and without a source."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import simplejson
from sqlalchemy import text
from tests.postgres import maintenance, make_database

from pismo_lake.build.day import build_unit, close_day
from pismo_lake.errors import ConfigError, LakeError, landing_error
from pismo_lake.events.find_rows import Found, refuse_unknown, search_rows
from pismo_lake.hours import PublishDay
from pismo_lake.index.run import index_landed
from pismo_lake.landing.land import Landing, land_files
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.ledger import FileLedger, LakeFiles, Ledger
from pismo_lake.paths import GENERATIONS, IDENTITY
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.lake import LakeSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.index.indexer import IndexSummary

HOUR = "main_stream/2026/3/1/12"
SERVER = os.environ.get("PISMO_TEST_LEDGER_URL")
"""If set, a PostgreSQL server in which each lake has its ledger; SQLite otherwise."""
TEMPLATE = "pismo_template"

ORG = "TN-00000000-1111-4222-8333-444444444444"


def key(hour: int, name: str = "a", day: int = 1) -> str:
    """Return an object key in a publish hour of March 2026."""
    return f"main_stream/2026/3/{day}/{hour}/{name}"


def at(hour: int, day: int = 1) -> str:
    """Return a time ten minutes into such an hour."""
    return f"2026-03-{day:02d}T{hour:02d}:10:00Z"


def event(event_id: str = "e-1", data: Any = None, **envelope: Any) -> bytes:
    """Return one event's bytes; Decimals in `data` keep their digits.

    An envelope key that is set to ``...`` is left out.
    """
    body = {
        "event_id": event_id,
        "domain": "pix",
        "event_type": "pix_in",
        "schema_version": 1,
        "org_id": ORG,
        "cid": "c-1",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "data": {"account_id": 7} if data is None else data,
    } | envelope
    kept = {key: value for key, value in body.items() if value is not ...}
    return simplejson.dumps(kept, use_decimal=True, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of landing and indexing."""

    files: int
    skipped: int
    bytes: int
    events: int
    rejects: int
    publish_hours: tuple[str, ...]
    unreadable: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]


def is_bond(path: Path) -> bool:
    """Whether a file says which ledger a lake belongs to: it is never the same in two lakes."""
    return path.name == IDENTITY or path.parent.name == GENERATIONS


OPENED: list[Ledger] = []
"""Ledgers of lakes under test, which are closed after each test."""


@cache
def _empty_ledger() -> bytes:
    """Return a new SQLite ledger: to make its tables takes longer than many a test."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        Ledger.open(f"sqlite:///{file}").close()
        return file.read_bytes()


@cache
def _make_template(server: str) -> str:
    """Make the database on a server from which the others are copied, and return its name."""
    Ledger.open(make_database(server, TEMPLATE)).close()
    return TEMPLATE


class LakeUnderTest:
    """Lands and builds files given as {key: bytes}."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        inferred = ContractRules(shipped=False)
        base = LakeSettings("test", str(root / "landing"), str(root / "lake"), contracts=inferred)
        self.settings = replace(base, **settings)
        if SERVER is None:
            self._make_ledger()
        self.open_ledger(self._ledger_url())

    def open_ledger(self, url: str, **options: bool) -> None:
        """Use the ledger at a URL from now on; it is closed after the test."""
        self.ledger = Ledger.open(url, **options)
        OPENED.append(self.ledger)

    def _make_ledger(self) -> None:
        """Make the SQLite file if it is missing; another process may make it at the same time."""
        file = self.root / "ledger.db"
        if not file.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.root, prefix=".ledger") as fresh:
                fresh.write(_empty_ledger())
                fresh.flush()
                with suppress(FileExistsError):
                    os.link(fresh.name, file)

    def _ledger_url(self) -> str:
        """Return a database for this lake only; create it if it is missing."""
        if SERVER is None:
            return f"sqlite:///{self.root / 'ledger.db'}"
        with maintenance(SERVER) as connection:
            query = text("SELECT 1 FROM pg_database WHERE datname = :name")
            found = connection.execute(query, {"name": self._database}).first()
        if not found:
            return make_database(SERVER, self._database, _make_template(SERVER))
        return SERVER.replace("/postgres", f"/{self._database}")

    @property
    def _database(self) -> str:
        return f"lake_{hashlib.sha256(str(self.root).encode()).hexdigest()[:16]}"

    @property
    def files(self) -> FileLedger:
        """The landed files of its delivery."""
        return FileLedger(self.ledger, self.settings.lake, "test")

    @property
    def lake_files(self) -> LakeFiles:
        """The landed files of all deliveries."""
        return LakeFiles(self.ledger, self.settings.lake)

    def lose_ledger(self) -> None:
        """As a disk does that breaks; the next one opened is empty."""
        self.ledger.close()
        if SERVER is None:
            (self.root / "ledger.db").unlink()
            return
        with maintenance(SERVER) as connection:
            connection.execute(text(f"DROP DATABASE {self._database} WITH (FORCE)"))

    def land(self, files: dict[str, bytes], sizes: dict[str, int] | None = None) -> Taken:
        """Land and index; files that landed are indexed even if others failed."""
        landing = self.land_raw(files, sizes)
        indexed = self.index()
        if landing.failures:
            raise landing_error(landing.failures)
        return Taken(**asdict(landing.summary) | asdict(indexed))

    def index(self) -> IndexSummary:
        return index_landed(self.settings, self.ledger)

    def land_raw(self, files: dict[str, bytes], sizes: dict[str, int] | None = None) -> Landing:
        @contextmanager
        def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
            raw = files[file.key]
            yield iter([raw[:10], raw[10:]])

        remote = [RemoteFile(key, (sizes or {}).get(key, len(raw))) for key, raw in files.items()]
        return land_files(self.settings, self.ledger, remote, fetch, parallel=3)

    def build(self, units: Iterable[str] | None = None, **options: Any) -> dict[str, BuildSummary]:
        if units is None:
            # like a run, which also indexes files that another run has left
            self.index()
        wanted = self.files.unbuilt_units() if units is None else units
        return {unit: build_unit(self.settings, self.ledger, unit, **options) for unit in list(wanted)}

    def close(self, day: str, **options: Any) -> BuildSummary:
        self.index()
        return close_day(self.settings, self.ledger, PublishDay.parse(day), **options)

    def put(self, *chunks: bytes, key: str = f"{HOUR}/a") -> BuildSummary:
        """Land one file of these bytes, build, and return its hour's summary."""
        self.land({key: b"".join(chunks)})
        return next(iter(self.build().values()))

    def _tables(self, folder: str) -> Iterator[Any]:
        for path in sorted((self.root / "lake").glob(f"{folder}/**/*.parquet")):
            yield pq.ParquetFile(path).read()

    def rows(self) -> list[dict[str, Any]]:
        return [row for table in self._tables("events") for row in table.to_pylist()]

    def row(self) -> dict[str, Any]:
        (only,) = self.rows()
        return only

    def rejects(self) -> list[dict[str, Any]]:
        return [row for table in self._tables("rejects") for row in table.to_pylist()]

    def reasons(self) -> list[str]:
        return sorted(row["reason"] for row in self.rejects())

    def rescued(self) -> list[dict[str, Any]]:
        text = self.row()["_rescued"]
        return json.loads(text) if text else []

    def digest(self) -> dict[str, str]:
        """SHA-256 of every file of the lake by path, without its bond with the ledger."""
        paths = (path for path in (self.root / "lake").rglob("*") if path.is_file() and not is_bond(path))
        return {str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def find_in_rows(
    settings: LakeSettings, conditions: Sequence[tuple[str, str]], event_ids: Iterable[str] = ()
) -> list[Found]:
    """Return the events of rows that meet any condition (column, value), or have an id.

    Raises:
        ConfigError: No file has a column, or the values of a column cannot be told apart.
        LakeError: A file is damaged.
    """
    rows = search_rows(settings, conditions, event_ids)
    if damaged := [str(blind) for blind in rows.blind if blind.damaged]:
        raise LakeError(damaged[0])
    refuse_unknown(conditions, rows.columns, rows.present)
    if rows.blind:
        raise ConfigError(str(rows.blind[0]))
    return list(rows.events.values())
