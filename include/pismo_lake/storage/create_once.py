"""Create an object only if there is none, also in stores that cannot refuse.

AWS refuses a PUT with ``If-None-Match: *`` if the object exists. Other stores answer 501 or 409, or ignore the header
and overwrite. So a store outside AWS is tried once per process and bucket, with an object of its own. If it does not
refuse, writers claim a name by an object beside it, and a writer may write only if it finds no other claim. This needs
listings that show every finished write at once, as those of MinIO, Ceph, R2 and AWS do.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from pismo_lake.errors import StorageUnavailable
from pismo_lake.faults import Fault, reason_of

_LOG = logging.getLogger(__name__)
_TRIES = 8
_LONGEST_PAUSE = 2.0
# a claim older than this belongs to a killed writer; a living writer gives up long before
_CLAIM_ENDS = timedelta(minutes=15)
_WRITER_GIVES_UP = 60.0

_REFUSES: dict[tuple[str, str], bool] = {}
_TRYING = Lock()


class _Answer(Enum):
    WRITTEN = auto()
    EXISTS = auto()
    CONFLICT = auto()
    UNKNOWN = auto()


def create_once(filesystem: Any, path: str, data: bytes) -> bool:
    """Write an object and return True; if it exists already, leave it and return False."""
    place = _place(filesystem, path)
    if not _is_amazons(place) and _is_there(filesystem, path):
        # do not risk existing bytes on the answer of one trial
        return False
    if refuses_to_overwrite(filesystem, path):
        created = _create_refused(filesystem, path, data)
        if created is not None:
            return created
        if _is_amazons(place):
            raise _busy_error(path)
        _REFUSES[place] = False
    return _create_claimed(filesystem, path, data)


def is_claimed(filesystem: Any, path: str) -> bool:
    """Return whether a temporary object is so young that its writer may be at work."""
    try:
        changed = _read_changed(filesystem.info(path))
    except FileNotFoundError:
        return False
    return changed is not None and datetime.now(UTC) - changed < _CLAIM_ENDS


def refuses_to_overwrite(filesystem: Any, path: str) -> bool:
    """Return whether the store of a path refuses to overwrite an object; try it once."""
    place = _place(filesystem, path)
    if _is_amazons(place) or place in _REFUSES:
        return _REFUSES.get(place, True)
    with _TRYING:
        if place not in _REFUSES:
            _REFUSES[place] = _try_refusing(filesystem, path)
            if not _REFUSES[place]:
                _LOG.warning("%s/%s does not refuse to overwrite: each new file takes four more requests", *place)
        return _REFUSES[place]


def _place(filesystem: Any, path: str) -> tuple[str, str]:
    """Return a store's endpoint, and the bucket of a path."""
    client = getattr(filesystem, "s3", None)
    endpoint = str(client.meta.endpoint_url) if client is not None else type(filesystem).__name__
    return endpoint, path.split("/", 1)[0]


def _is_amazons(place: tuple[str, str]) -> bool:
    return (urlsplit(place[0]).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _try_refusing(filesystem: Any, path: str) -> bool:
    """Create an object of our own twice: the second try must be refused and change nothing."""
    place = f"{path.rpartition('/')[0]}/.{uuid.uuid4().hex}.tried.tmp"
    try:
        if _put_new(filesystem, place, b"1") is not _Answer.WRITTEN:
            # the store refuses the header; if it refuses every write, this raises the reason
            filesystem.pipe_file(place, b"1")
            return False
        refused = _put_new(filesystem, place, b"2") in {_Answer.EXISTS, _Answer.CONFLICT}
        return refused and bool(filesystem.cat_file(place) == b"1")
    finally:
        _let_go(filesystem, place)


def _put_new(filesystem: Any, path: str, data: bytes) -> _Answer:
    """Write on condition that there is no object; raise errors that do not concern it."""
    try:
        filesystem.pipe_file(path, data, mode="create")
    except FileExistsError:
        return _Answer.EXISTS
    except Exception as error:
        reason = reason_of(error)
        if reason.code in {"PreconditionFailed", "412"}:
            return _Answer.EXISTS
        if reason.fault is Fault.CONFLICT:
            return _Answer.CONFLICT
        if reason.code != "NoSuchBucket" and reason.status in {400, 405, 501}:
            return _Answer.UNKNOWN
        raise
    return _Answer.WRITTEN


def _create_refused(filesystem: Any, path: str, data: bytes) -> bool | None:
    """Create an object in a store that refuses; None if it cannot say whether there is one."""
    for number in range(_TRIES):
        answer = _put_new(filesystem, path, data)
        if answer is _Answer.WRITTEN:
            return True
        if answer is _Answer.EXISTS or _is_there(filesystem, path):
            return False
        if answer is _Answer.UNKNOWN:
            return None
        _pause(number)
    return None


def _create_claimed(filesystem: Any, path: str, data: bytes) -> bool:
    folder, _, name = path.rpartition("/")
    claims = f"{folder}/.{name}.claim"
    for number in range(_TRIES):
        mine = f"{claims}/.{uuid.uuid4().hex}.tmp"
        started = time.monotonic()
        try:
            filesystem.pipe_file(mine, b"")
            alone = _is_alone(filesystem, claims, mine)
            # check after the claims: a writer gives up its claim only after it has written
            if _is_there(filesystem, path):
                return False
            if alone and time.monotonic() - started < _WRITER_GIVES_UP:
                filesystem.pipe_file(path, data)
                return True
        finally:
            _let_go(filesystem, mine)
        _pause(number)
    raise _busy_error(path)


def _is_alone(filesystem: Any, claims: str, mine: str) -> bool:
    """Return whether no other writer claims the name; claims of killed writers are removed."""
    found = filesystem.find(claims, detail=True)
    since = _read_changed(found.get(mine))
    others = [name for name in found if name != mine]
    for name in others:
        before = _read_changed(found[name])
        if since is not None and before is not None and since - before > _CLAIM_ENDS:
            _let_go(filesystem, name)
    return mine in found and not others


def _read_changed(about: Any) -> datetime | None:
    """Return the time of an object's write by the store's own clock."""
    moment = (about or {}).get("LastModified")
    return moment if isinstance(moment, datetime) else None


def _is_there(filesystem: Any, path: str) -> bool:
    """Return whether an object exists, only by HEAD."""
    try:
        if hasattr(filesystem, "call_s3"):
            bucket, key, _ = filesystem.split_path(path)
            filesystem.call_s3("head_object", Bucket=bucket, Key=key)
            return True
        return bool(filesystem.info(path)["type"] == "file")
    except FileNotFoundError:
        return False
    except PermissionError:
        # the answer to HEAD has no text, but that of GET has the reason
        filesystem.cat_file(path, start=0, end=1)
        raise


def _let_go(filesystem: Any, path: str) -> None:
    """Remove an object of our own; if that fails, it hinders others for a quarter of an hour."""
    try:
        filesystem.rm_file(path)
    except FileNotFoundError:
        pass
    except Exception as error:  # noqa: BLE001 - the work itself is done, or has its own error
        _LOG.warning("%s could not be removed: %s", path, reason_of(error))


def _pause(number: int) -> None:
    time.sleep(min(0.02 * 2**number, _LONGEST_PAUSE) * (0.5 + random.random()))  # noqa: S311 - no secret


def _busy_error(path: str) -> StorageUnavailable:
    return StorageUnavailable(f"{path}: other writers are active, or one was killed during a write", uri=path)
