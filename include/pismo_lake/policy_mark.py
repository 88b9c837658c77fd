"""The mark of a lake under a privacy policy: whoever comes without one must not write or show what it hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pismo_lake import storage
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from pismo_lake.settings import LakeSettings

MARK = "_privacy.json"


def refuse_unprotected(settings: LakeSettings) -> None:
    """`ConfigError` where the lake is under a policy and the caller has none, or one without its key."""
    if settings.privacy is not None:
        settings.privacy.checked()
        return
    marked = _read(settings)
    if marked is not None:
        msg = (
            f"{settings.lake} is under privacy policy {marked.get('policy')!r}: give it too (privacy of the delivery,"
            f" --privacy or PISMO_PRIVACY), or remove {MARK} there to write in clear"
        )
        raise ConfigError(msg)


def mark_lake(settings: LakeSettings) -> None:
    """Leave the mark where the caller has a policy; as `refuse_unprotected` where not."""
    refuse_unprotected(settings)
    if settings.privacy is None:
        return
    key = settings.privacy.key.key_id if settings.privacy.key else None
    mark = {"policy": settings.privacy.name, "key_id": key, "fingerprint": settings.privacy.fingerprint()}
    if _read(settings) != mark:
        storage.write_atomic(storage.join(settings.lake, MARK), orjson.dumps(mark, option=orjson.OPT_INDENT_2))


def _read(settings: LakeSettings) -> dict[str, object] | None:
    try:
        return dict(orjson.loads(storage.read_bytes(storage.join(settings.lake, MARK))))
    except FileNotFoundError:
        return None
