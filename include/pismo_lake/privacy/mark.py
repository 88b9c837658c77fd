"""Mark a lake that has a privacy policy or encrypted files, and refuse callers without them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pismo_lake import storage
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

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
    """Write the mark if the caller has a policy or a key; without both, refuse a marked lake.

    A lake under another policy, or an earlier version of it, is not refused: new outputs are written under the new
    one, and a warning names the command that writes the others again. The mark keeps a check of each key that the lake
    was written with, so that an erasure knows whether it has them all.
    """
    marked = _read(settings)
    _refuse(settings, marked)
    mark: dict[str, object] = {}
    if settings.privacy is not None:
        key = settings.privacy.key.key_id if settings.privacy.key else None
        mark = {"policy": settings.privacy.name, "key_id": key, "fingerprint": settings.privacy.fingerprint()}
        checks = _checks(marked)
        if settings.privacy.hashes and settings.privacy.key is not None:
            key_id, check = settings.privacy.key.key_id, settings.privacy.key.check
            checks[key_id] = sorted({*checks.get(key_id, ()), check})
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


@dataclass(frozen=True, slots=True)
class LakeKeys:
    """The keys of a lake's policy by their ids, the earlier ones too; several if an id had several secrets.

    `incomplete` are the ids for which the lake was written with a secret that is not given.
    """

    by_id: Mapping[str, Sequence[PrivacyKey]]
    incomplete: AbstractSet[str]

    def digests(self, value: str) -> list[str]:
        """Return the hashes of a value by all keys."""
        return [key.digest(value) for keys in self.by_id.values() for key in keys]


def lake_keys(settings: LakeSettings) -> LakeKeys:
    """Return the keys that are given for a lake, compared with those that it was written with.

    Raises:
        ConfigError: The policy file names an earlier key that is not given.
    """
    given = settings.privacy.keys() if settings.privacy is not None else {}
    checks = _checks(_read(settings)) if given else {}
    known = {key_id: {key.check for key in keys} for key_id, keys in given.items()}
    return LakeKeys(given, {key_id for key_id, wanted in checks.items() if not known.get(key_id, set()) >= set(wanted)})


def _checks(marked: dict[str, object]) -> dict[str, list[str]]:
    """Return the checks of the keys that a mark names, by the keys' ids."""
    found = marked.get("keys")
    if not isinstance(found, dict):
        return {}
    return {str(key_id): [each] if isinstance(each, str) else [*map(str, each)] for key_id, each in found.items()}


def _read(settings: LakeSettings) -> dict[str, object]:
    try:
        return storage.read_json(storage.join(settings.lake, MARK))
    except FileNotFoundError:
        return {}
