"""Read the schemas of a source: a folder, a checkout of Pismo's repository, or a bucket.

Names and contents come from elsewhere. A name that is no plain ``<domain>/<event>-<version>.json`` is never used as a
path, and a file that is too large is not read.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from pismo_lake import storage
from pismo_lake.contracts.json_schema import fold_event, is_schema
from pismo_lake.errors import ConfigError, StorageError
from pismo_lake.paths import root_of
from pismo_lake.spelling import printable
from pismo_lake.storage.errors import naming
from pismo_lake.storage.registry import store_of

if TYPE_CHECKING:
    from pismo_lake.storage.store import Store

PUBLISHED = "published-event-schemas"
"""The folder of the schemas in Pismo's public repository (page "Access Pismo event schemas on GitHub")."""
SHARED = "main-event.json"
"""The schema of the envelope, which others may refer to."""
MOST_BYTES = 1 << 20
"""The largest schema; Pismo's are some kilobytes."""
MOST_FILES = 10_000
"""The most files of a source."""

_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}"
_NAME = re.compile(rf"{_SEGMENT}/{_SEGMENT}\.json")
_READERS = 8
_ADVICE = "give the identity of contracts.pull.conn_id the rights to list and read there"


@dataclass(slots=True)
class Read:
    """The contents of a source by name, the files that cannot be used with the reason, and the number of others."""

    contents: dict[str, bytes] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    ignored: int = 0

    @property
    def names(self) -> set[str]:
        """The names of all schemas of the source, also of those that cannot be used."""
        return {*self.contents, *self.bad}


@dataclass(frozen=True, slots=True)
class SchemaSource:
    """A place to read schemas from; `store` has the credentials, by default those of the machine."""

    place: str
    store: Store | None = None

    def read(self) -> Read:
        """Read all schemas.

        Raises:
            ConfigError: there is no schema, or there are too many files for a folder of schemas.
            StorageError: the place cannot be listed.
        """
        root, uris = self._list()
        found = Read()
        wanted: dict[str, str] = {}
        for uri in uris:
            name = uri.removeprefix(f"{root}/")
            if name.startswith(".") or not (is_schema(name) or name == SHARED):
                found.ignored += 1
            elif problem := _problem(root, name):
                found.bad[printable(name)] = problem
            else:
                wanted[name] = uri
        _refuse_doubles(wanted, found)
        with ThreadPoolExecutor(_READERS) as readers:
            for name, content in zip(wanted, readers.map(self._read_file, wanted.values()), strict=True):
                if isinstance(content, bytes):
                    found.contents[name] = content
                else:
                    found.bad[name] = content
        if not any(map(is_schema, found.names)):
            msg = f"{self.place} has no file <domain>/<event>-<version>.json"
            raise ConfigError(msg)
        return found

    def check(self) -> str:
        """Return how many schemas the source has, after one of them was read.

        Raises:
            ConfigError: there is no schema.
            StorageError: the place cannot be listed, or the schema cannot be read.
        """
        root, uris = self._list()
        schemas = [uri for uri in uris if _NAME.fullmatch(uri.removeprefix(f"{root}/"))]
        if not schemas:
            msg = f"{self.place} has no file <domain>/<event>-<version>.json"
            raise ConfigError(msg)
        with naming(schemas[0], "read", _ADVICE):
            self._store(schemas[0]).read(schemas[0])
        return f"{len(schemas)} schema(s) in {root}"

    def _store(self, uri: str) -> Store:
        return self.store or store_of(uri)

    def _list(self) -> tuple[str, list[str]]:
        """Return the folder of the schemas, and the URIs of the files below it."""
        root = root_of(self.place)
        if storage.is_local(root) and not Path(root).is_dir():
            msg = f"{self.place} is no folder"
            raise ConfigError(msg)
        with naming(root, "listed", _ADVICE):
            if PUBLISHED in self._store(root).folders(root):
                root = f"{root}/{PUBLISHED}"
            uris = sorted(self._store(root).find(root))
        if len(uris) > MOST_FILES:
            msg = f"{root} has {len(uris)} files, more than {MOST_FILES}: name the folder of the schemas"
            raise ConfigError(msg)
        return root, uris

    def _read_file(self, uri: str) -> bytes | str:
        """Return the content of a file, or why it cannot be used."""
        store = self._store(uri)
        try:
            with naming(uri, "read", _ADVICE):
                size, _ = store.version(uri)
                if size > MOST_BYTES:
                    return f"it has {size} bytes, more than {MOST_BYTES}"
                content = store.read(uri)
        except (StorageError, FileNotFoundError) as error:
            return str(error)
        return content if isinstance(problem := problem_of(content), bytes) else problem


def _problem(root: str, name: str) -> str:
    """Return why a file may not be read; empty if it may."""
    if name != SHARED and not _NAME.fullmatch(name):
        return "the name is not <domain>/<event>-<version>.json of plain letters"
    if storage.is_local(root) and not Path(root, name).resolve().is_relative_to(Path(root).resolve()):
        return f"it is a link to a place outside {root}"
    return ""


def is_plain_name(name: str) -> bool:
    """Return whether a name is a plain ``<domain>/<event>-<version>.json``, which leaves no folder."""
    return _NAME.fullmatch(name) is not None


def problem_of(content: bytes) -> bytes | str:
    """Return the content of a schema, or why it cannot be one."""
    if len(content) > MOST_BYTES:
        return f"it has {len(content)} bytes, more than {MOST_BYTES}"
    try:
        document = orjson.loads(content)
    except ValueError as error:
        return f"it is not JSON: {error}"
    return content if isinstance(document, dict) else "it is no JSON object"


def _refuse_doubles(wanted: dict[str, str], found: Read) -> None:
    """Refuse files of one event type in two spellings, all but the first."""
    first: dict[tuple[str, ...], str] = {}
    for name in [name for name in wanted if is_schema(name)]:
        domain, _, event = name.partition("/")
        other = first.setdefault(fold_event(domain, event), name)
        if other != name:
            del wanted[name]
            found.bad[name] = f"it is for the same event type as {other}"
