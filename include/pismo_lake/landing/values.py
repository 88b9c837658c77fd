"""Read values in a message: JSON, base64, sizes, and the spellings of an object's key."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus

from pismo_lake.decode.nesting import is_too_deep
from pismo_lake.errors import NoticeError
from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 5
"""A notice may be inside this many wrappers."""

_DIGITS = len(str(1 << 63))
# in lines, as in mails
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}(?:\r?\n[A-Za-z0-9+/_-]+)*={0,2}\s*")


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, unchanged and decoded: percent-encoding, base64, JSON."""
    # a stack of (value, how often it may be decoded): a message may be nested deeper than recursion allows
    left = [(value, DEPTH)]
    while left:
        item, depth = left.pop()
        if isinstance(item, Mapping):
            left += [(inner, depth) for pair in item.items() for inner in pair]
        elif isinstance(item, list):
            left += [(inner, depth) for inner in item]
        elif isinstance(item, str):
            yield item
            left += [(inner, depth - 1) for inner in _insides(item) if depth]


def _insides(text: str) -> Iterator[Any]:
    """Yield the values that a text may encode: percent-encoded text, JSON, base64."""
    if "%" in text and (decoded_text := unquote(text)) != text:
        yield decoded_text
    shadowed: list[Any] = []
    try:
        inner = loads(text, shadowed)
    except NoticeError:
        inner = decode_if_base64(text)
    yield from shadowed
    if isinstance(inner, Mapping | list | str) and inner != text:
        yield inner


def decode_if_base64(text: str) -> str | None:
    """Decode a text that may be base64; None if it is not, or does not hold text."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        plain = "".join(text.split()).translate({45: 43, 95: 47})
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode()
    except ValueError:
        return None


def loads(text: str | bytes, shadowed: list[Any] | None = None) -> Any:
    """Parse JSON; a number with too many digits becomes a text.

    If a key is repeated, its last value counts; the others that differ are added to `shadowed`.

    Raises:
        NoticeError: the text is not JSON, or has too many levels.
    """
    msg = "it is not JSON"

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        plain = dict(items)
        if len(plain) < len(items) and shadowed is not None:
            shadowed.extend({key: value} for key, value in items if value != plain[key])
        return plain

    if is_too_deep(text if isinstance(text, str) else text.decode("latin-1")):
        raise NoticeError(msg)
    try:
        return json.loads(text, parse_int=_whole, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise NoticeError(msg) from None


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _DIGITS else digits


def spellings(key: str, *, form: bool) -> tuple[str, str | None]:
    """Return the key of an object, and a second spelling if its encoding is not certain."""
    if form:
        name = unquote_plus(key)
        # S3 encodes nearly every sign: a key with a plus and no percent sign may be unencoded
        other = key if "+" in key and "%" not in key else None
    else:
        name, other = key, None
    while "/" not in name and "%2f" in name.lower():
        # every key of the stream has a slash
        name = unquote_plus(name)
    if not form:
        decoded = unquote(name)
        other = decoded if decoded != name and can_be_kept(decoded) else None
    other = other.lstrip("/") if other else None
    return name.lstrip("/"), other


def decode_base64(data: Any) -> bytes:
    """Decode base64.

    Raises:
        NoticeError: the data is not base64.
    """
    try:
        return base64.b64decode(str(data), validate=True)
    except (binascii.Error, ValueError):
        msg = "its data is not base64"
        raise NoticeError(msg) from None


def dict_in(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object; return an empty one for any other text."""
    try:
        value = loads(text)
    except NoticeError:
        return {}
    return value if isinstance(value, dict) else {}


def size_in(body: str | bytes) -> Any:
    """Return the `size` of a JSON object; None if it has none."""
    return dict_in(body).get("size")


def size_of(size: Any) -> int | None:
    """Return a size in bytes, which GCS sends as text; None if it is no sensible integer."""
    text = str(size) if isinstance(size, int | str) and not isinstance(size, bool) else ""
    whole = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
    return whole if whole is not None and whole < 1 << 63 else None
