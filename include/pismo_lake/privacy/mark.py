"""Mark a lake that has a privacy policy or encrypted files, and refuse callers without them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson

from pismo_lake import storage
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import PrivacyKey

MARK = "_privacy.json"
_LOG = logging.getLogger(__name__)


def refuse_unprotected(settings: LakeSettings) -> None:
    """Refuse a caller without the lake's policy or key.

    Raises:
        ConfigError: the lake has a policy or is encrypted, and the caller has no policy, or no key.
    """
    _refuse(settings, _read(settings))


def _refuse(settings: LakeSettings, marked: dict[str, object]) -> None:
    if settings.privacy is not None:
        settings.privacy.check_keys()
    if marked.get("policy") and settings.privacy is None:
        msg = (
            f"{settings.lake} is under privacy policy {marked['policy']!r}: give it too (privacy of the delivery,"
            f" --privacy or PISMO_PRIVACY), or remove {MARK} there to write in clear"
        )
        raise ConfigError(msg)
    if marked.get("kms_key") and settings.key is None:
        msg = (
            f"{settings.lake} is encrypted with {marked['kms_key']}: give the key too (lake_kms_key of the delivery,"
            f" --kms-key or PISMO_LAKE_KMS_KEY), or remove {MARK} there to write in clear"
        )
        raise ConfigError(msg)


def mark_lake(settings: LakeSettings) -> None:
    """Leave the mark if the caller has a policy or a key; otherwise as `refuse_unprotected`.

    A lake under another policy, or an earlier version of it, is not refused: new outputs are written under the new
    one, and a warning names the command that writes the others again. The mark keeps a check of each key that the lake
    was written with.

    Raises:
        ConfigError: The lake was written with another secret of the same key id.
    """
    marked = _read(settings)
    _refuse(settings, marked)
    mark: dict[str, object] = {}
    if settings.privacy is not None:
        key = settings.privacy.key.key_id if settings.privacy.key else None
        mark = {"policy": settings.privacy.name, "key_id": key, "fingerprint": settings.privacy.fingerprint()}
        checks = _checks(marked)
        if settings.privacy.hashes and settings.privacy.key is not None:
            _refuse_other_secret(settings, settings.privacy.key, checks)
            checks[settings.privacy.key.key_id] = settings.privacy.key.check
        mark |= {"keys": checks} if checks else {}
    if settings.key is not None:
        mark["kms_key"] = settings.key.key_id
    if mark and marked != mark:
        if marked.get("fingerprint") and marked["fingerprint"] != mark.get("fingerprint"):
            _LOG.warning(
                "%s was written under privacy policy %r as it was before: hours and days keep it until they are built"
                " again (flatten --force builds them)", settings.lake, marked["policy"],
            )  # fmt: skip
        storage.write_atomic(storage.join(settings.lake, MARK), orjson.dumps(mark, option=orjson.OPT_INDENT_2))


def usable_keys(settings: LakeSettings) -> dict[str, PrivacyKey]:
    """Return the keys of a lake's policy by their ids, the earlier ones too.

    Raises:
        ConfigError: A key has another secret than the key of this id that the lake was written with.
    """
    keys = settings.privacy.keys() if settings.privacy is not None else {}
    checks = _checks(_read(settings)) if keys else {}
    for key in keys.values():
        _refuse_other_secret(settings, key, checks)
    return keys


def _refuse_other_secret(settings: LakeSettings, key: PrivacyKey, checks: dict[str, str]) -> None:
    if checks.get(key.key_id, key.check) != key.check:
        msg = (
            f"privacy key {key.key_id!r} has another secret than the key of this id that {settings.lake} was written"
            " with: give that secret, or give a new key an id of its own"
        )
        raise ConfigError(msg)


def _checks(marked: dict[str, object]) -> dict[str, str]:
    """Return the check of each key that a mark names, by the key's id."""
    found = marked.get("keys")
    return {str(key_id): str(check) for key_id, check in found.items()} if isinstance(found, dict) else {}


def _read(settings: LakeSettings) -> dict[str, object]:
    try:
        return storage.read_json(storage.join(settings.lake, MARK))
    except FileNotFoundError:
        return {}
