"""Fetch one file, and write its bytes to landing under a name that holds no other bytes."""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.errors import ConfigError, SizeMismatch, SourceError
from pismo_lake.hours import NO_HOUR, hour_of_key
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.ledger.raw_files import RawFile
from pismo_lake.paths import landing_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pismo_lake.ledger.raw_files import Version
    from pismo_lake.settings.lake import LakeSettings

    Fetch = Callable[[RemoteFile], AbstractContextManager[Iterator[bytes]]]

# errors of these kinds can come from the content, the key, or an answer about one file
_DEFECTS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class Landed:
    """The result of one file: raw files to record, or the `same` version that was landed before."""

    file: RemoteFile
    raws: tuple[RawFile, ...]
    same: Version | None = None
    size: int = 0


class Lander:
    """Fetches and writes single files; many threads use it."""

    def __init__(
        self, settings: LakeSettings, fetch: Fetch, versions: Mapping[str, Sequence[Version]],
        is_of_other_key: Callable[[RawFile], bool], *, anywhere: bool,
    ) -> None:  # fmt: skip
        self._settings, self._fetch, self._versions, self._anywhere = settings, fetch, versions, anywhere
        self._is_of_other_key = is_of_other_key

    def land(self, file: RemoteFile) -> Landed:
        """Fetch a file and write it; an unexpected error fails only this file."""
        try:
            return self._land(file)
        except _DEFECTS as error:
            # leave out the error's own text: it may quote the content
            place = traceback.extract_tb(error.__traceback__)[-1]
            msg = f"{file.key}: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}, a defect"
            raise SourceError(msg, key=file.key) from error

    def _land(self, file: RemoteFile) -> Landed:
        if not self._anywhere and hour_of_key(file.key) == NO_HOUR:
            # write nothing for a report, or for a key with a typing error
            msg = f"{file.key} is not directly in an hour folder, so it has no publish hour"
            raise ConfigError(msg)
        with self._fetch(file) as chunks:
            raw = b"".join(chunks)
        if file.size is not None and len(raw) != file.size:
            msg = f"{file.key} has {len(raw)} bytes, but {file.size} were announced"
            raise SizeMismatch(msg, key=file.key)
        versions = self._versions.get(file.key, ())
        same = next((version for version in versions if _holds(version, raw)), None)
        if same is not None:
            return self._land_again(file, same, raw)
        digest = hashlib.sha256(raw).hexdigest()
        mine = self._raw_file(file, file.key, len(raw), digest)
        if not versions and storage.create(mine.raw_uri, raw):
            return Landed(file, (mine,), size=len(raw))
        kept = None if versions or self._is_of_other_key(mine) else storage.read_bytes(mine.raw_uri)
        if kept == raw:
            return Landed(file, (mine,), size=len(raw))
        named = self._raw_file(file, f"{file.key}~{digest[:12]}", len(raw), digest)
        storage.write_atomic(named.raw_uri, raw)
        if kept is None:
            return Landed(file, (named,), size=len(raw))
        # a run landed other bytes and was killed before it recorded them: record both versions
        other = self._raw_file(RemoteFile(file.key, len(kept)), file.key, len(kept))
        return Landed(file, (other, named), size=len(raw))

    def _raw_file(self, file: RemoteFile, name: str, size: int, sha256: str | None = None) -> RawFile:
        uri = storage.join(self._settings.landing, landing_path(self._settings.delivery, name))
        return RawFile(name, file.key, size, file.etag, sha256, uri, file.published_at)

    def _land_again(self, file: RemoteFile, same: Version, raw: bytes) -> Landed:
        """Put back the removed raw bytes or index of a landed file, which was asked for again.

        Bytes that are put back are indexed again: erased events in them are blanked then.
        """
        lost = not storage.exists(same.raw_uri)
        if lost:
            storage.write_atomic(same.raw_uri, raw)
        lost |= same.index_uri is not None and not storage.exists(same.index_uri)
        again = replace(self._raw_file(file, same.name, len(raw), same.sha256), raw_uri=same.raw_uri)
        return Landed(file, (again,) if lost else (), same)


def _holds(version: Version, raw: bytes) -> bool:
    """Return whether a version has these bytes; if it was lost before its index, compare sizes."""
    if version.size != len(raw):
        return False
    if version.sha256 is not None:
        return version.sha256 == hashlib.sha256(raw).hexdigest()
    try:
        return storage.read_bytes(version.raw_uri) == raw
    except FileNotFoundError:
        return True
