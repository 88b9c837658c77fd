"""Define the paths of partitions in the lake, and of raw files and indexes in landing.

Keys, domains and event types come from outside. Each function here turns each of them into one safe segment, so that
no path can leave its folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from urllib.parse import unquote

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_LONGEST = 100
_FINGERPRINT = 10
_EMPTY = "%"
_OWN = frozenset({"_index", "_erasures"})

SCHEMES = ("s3", "gs", "abfss")
"""The schemes of object stores that landing and lake may be in."""
_STORES = frozenset({*SCHEMES, "file"})
_CUT_SCHEME = re.compile(r"[a-z0-9]+:/(?!/)")
IDS = "_ids"
VALUE_ROOTS = ("events", "items")
"""The folders of a lake that hold values of payloads, a folder for each event type."""
REJECTS = "rejects"
"""The folder of a lake with the bytes that are no event."""
REPORTS = "reports"
"""The folder of a lake with the reports of its days."""
TABLES = "_iceberg"
"""The folder of a lake with the metadata of its tables, if it has a table format."""
TABLES_NOTE = f"{TABLES}/catalog.json"
"""The file of a lake that notes its table format and its catalog."""
BUILD_ROOTS = (*VALUE_ROOTS, REJECTS, IDS)
"""The folders of a lake that hold outputs of builds; the ledger records each file in them."""
OUTPUT_ROOTS = (*BUILD_ROOTS, REPORTS)
"""The folders of a lake that hold everything made from event files."""
CONTRACTS = "_contracts"
PULLED = "_pulled"
"""The folder, in a folder of schemas, of the records of pulls."""
ERASURES = "_erasures"
"""The folder of the records of erasures: in a lake, and in landing beside the raw files of each delivery."""
COLUMNS = ".columns"
"""The end of the names of parsed payloads, which are beside the indexes in landing."""
REPLAYS = "_replays"
"""The folder of a lake with the plans of replays that are not done: places of events, without ids and values."""
SPOOL = "_spool"
"""The folder for unfinished files of a closing day."""
IDENTITY = "_lake.json"
"""The file that says which lake this is, and to which ledger it belongs."""
GENERATIONS = "_lake"
"""Marks of the lake's generation, each named by its number."""


def safe_segment(text: str) -> str:
    """Return one path segment for any text, never hidden and never too long.

    It is percent-encoded beyond [A-Za-z0-9_.-].

    >>> safe_segment("cards"), safe_segment("../x"), safe_segment("") ('cards', '%2E.%2Fx', '%')
    """
    # a long name is not kept in memory
    return _known_segment(text) if len(text) <= _LONGEST else _segment(text)


def _segment(text: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    segment = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw) or _EMPTY
    if segment.startswith("."):
        segment = "%2E" + segment[1:]
    return _shorten(segment, raw)


_known_segment = lru_cache(maxsize=4096)(_segment)


def _shorten(segment: str, raw: bytes) -> str:
    """Return a segment that file systems accept; a long one ends with a hash of its text."""
    return segment if len(segment) <= _LONGEST else f"{segment[:80]}~{hashlib.sha256(raw).hexdigest()[:16]}"


def event_name(event_type: str, schema_version: str | None) -> str:
    """Return an event type with its version, which the raw type may lack (facts §1.3).

    >>> event_name("creation-1", "1"), event_name("creation", "1"), event_name("creation", None) ('creation-1',
    'creation-1', 'creation')
    """
    if not schema_version or event_type.endswith(f"-{schema_version}"):
        return event_type
    return f"{event_type}-{schema_version}"


def root_of(uri: str) -> str:
    """Return a landing zone or lake as the ledger knows it: absolute, without a trailing slash."""
    if "://" in uri and not uri.startswith("file://"):
        return uri.rstrip("/")
    # do not follow links: their targets may change
    return os.path.abspath(uri.removeprefix("file://"))  # noqa: PTH100


def explain_wrong_places(landing: str, lake: str) -> str | None:
    """Return the reason why a landing zone and a lake cannot be at these places; None if they can."""
    for field, place in (("lake", lake), ("landing", landing)):
        scheme, found, rest = place.partition("://")
        bucket = rest if scheme == "file" else rest.partition("/")[0]
        if (found and (scheme not in _STORES or not bucket.strip("/"))) or _CUT_SCHEME.match(place):
            return f"{field} {place!r} is neither a path nor s3://, gs:// or abfss://<bucket>/<folder>"
    one, other = f"{root_of(landing)}/", f"{root_of(lake)}/"
    if one.startswith(other) or other.startswith(one):
        return f"one of landing and lake is inside the other: {landing}, {lake}"
    return None


def event_path(domain: str, name: str) -> str:
    """Return an event type for counts, contracts and policies: ``<domain>/<name with version>``.

    Both parts are safe segments.
    """
    return f"{safe_segment(domain)}/{safe_segment(name)}"


def type_folder(domain: str, event_type: str) -> str:
    """Return the folder of an event type below the lake, from its safe segments."""
    return f"events/domain={domain}/event_type={event_type}"


def partition_path(domain: str, name: str, event_date: str) -> str:
    """Return the folder of a partition below the lake; `name` is an `event_name`."""
    return f"{type_folder(safe_segment(domain), safe_segment(name))}/event_date={event_date}"


def items_folder(domain: str, event_type: str, name: str) -> str:
    """Return the folder of a list's child table below the lake.

    The domain and the event type are safe segments, `name` is the list's column without ``data__``.
    """
    segment = f"{event_type}__{name}"
    if "__" in event_type or event_type.endswith("_"):
        # the end of the type is not clear: a__b with a list c, or a with a list b__c
        segment += f"~{hashlib.sha256(event_type.encode()).hexdigest()[:_FINGERPRINT]}"
    return f"items/domain={domain}/event_type={_shorten(segment, segment.encode())}"


def items_path(domain: str, event: str, name: str, event_date: str) -> str:
    """Return the folder of a child table's partition below the lake; `event` is an `event_name`."""
    return f"{items_folder(safe_segment(domain), safe_segment(event), name)}/event_date={event_date}"


def rejects_path(publish_date: str) -> str:
    """Return the folder of a publish day's rejects below the lake."""
    return f"{REJECTS}/publish_date={publish_date}"


def reports_path(publish_date: str) -> str:
    """Return the folder of a publish day's reports below the lake."""
    return f"{REPORTS}/publish_date={publish_date}"


def replay_path(delivery: str, replay_id: str) -> str:
    """Return the path of a replay's plan below the lake."""
    return f"{REPLAYS}/{safe_segment(delivery)}/{safe_segment(replay_id)}.parquet"


def doctor_path(delivery: str) -> str:
    """Return the path of a delivery's latest checks by the doctor."""
    return f"_doctor/{safe_segment(delivery)}.json"


def output_name(delivery: str, unit: str, part: int, fingerprint: str) -> str:
    """Return the file name of a part's outputs: its unit, its part, and the hash of its inputs.

    Other inputs give another name, so a run that has lost its claim cannot change the files of its successor. For a
    closed day, `part` numbers the files of one partition.
    """
    return f"{safe_segment(delivery)}-{unit}-p{part:04d}-{fingerprint[:_FINGERPRINT]}.parquet"


_OUTPUT = re.compile(rf"(.+)-(\d{{4}}-\d\d-\d\d(?:T\d\d)?)-p(\d{{4,}})-[0-9a-f]{{{_FINGERPRINT}}}\.parquet", re.ASCII)


def split_output_name(name: str) -> tuple[str, str, int] | None:
    """Return (delivery as a safe segment, unit, part) of an `output_name`; None for other names.

    >>> split_output_name("prod-s3-2026-03-01T12-p0001-0123456789.parquet")
    ('prod-s3', '2026-03-01T12', 1)
    """
    match = _OUTPUT.fullmatch(name)
    return (match[1], match[2], int(match[3])) if match else None


def safe_key(key: str) -> str:
    """Return an object key as a safe relative path, outside of our own folders in landing.

    Two keys never have the same path: an empty segment is `%`, because a disk leaves out empty segments.

    >>> safe_key("a/b"), safe_key("a//b"), safe_key("/a/../b") ('a/b', 'a/%/b', '%/a/%2E./b')
    """
    segments = [safe_segment(segment) for segment in key.split("/")]
    if segments[0] in _OWN:
        segments[0] = f"%5F{segments[0][1:]}"
    return "/".join(segments)


def key_of_path(path: str) -> str:
    """Return the object key that has a `safe_key`, if no segment was shortened."""
    return "/".join("" if segment == _EMPTY else unquote(segment) for segment in path.split("/"))


def is_event_file(key: str) -> bool:
    """Return whether a key can be an event file's.

    A key that ends in `/` marks a folder: consoles and tools create such objects.
    """
    return not key.endswith("/")


def can_be_kept(key: str) -> bool:
    """Return whether every ledger can store an object key.

    PostgreSQL refuses NUL, and every database refuses half a character.
    """
    try:
        return "\0" not in key and bool(key.encode())
    except UnicodeEncodeError:
        return False


def landing_path(delivery: str, name: str) -> str:
    """Return the path of a raw file below the landing root."""
    return f"{safe_segment(delivery)}/{safe_key(name)}"


def erasures_path(delivery: str) -> str:
    """Return the path of the folder of a delivery's records of erasures below the landing root."""
    return f"{safe_segment(delivery)}/{ERASURES}"


def name_in_landing(raw_uri: str, delivery: str, name: str) -> str:
    """Return the name that the path of a raw file, and that of its index, is made of.

    Earlier versions left out the empty segments of a name.
    """
    older = "/".join(segment for segment in name.split("/") if segment)
    if older == name or not raw_uri.endswith(f"/{landing_path(delivery, older)}"):
        return name
    return older


def landing_zone(raw_uri: str, delivery: str, name: str) -> str | None:
    """Return the landing zone that a raw file is in; None if its URI is not one of this name."""
    path = f"/{landing_path(delivery, name_in_landing(raw_uri, delivery, name))}"
    return raw_uri.removesuffix(path) if raw_uri.endswith(path) else None


def landing_root(raw_uri: str, delivery: str, name: str) -> str:
    """Return the folder of a delivery in landing that a raw file is in."""
    return f"{landing_zone(raw_uri, delivery, name) or raw_uri}/{safe_segment(delivery)}"


def index_path(delivery: str, name: str) -> str:
    """Return the path of a raw file's index below the landing root."""
    return f"{safe_segment(delivery)}/_index/{safe_key(name)}.parquet"


def columns_path(delivery: str, name: str) -> str:
    """Return the path of a raw file's parsed payloads below the landing root."""
    return f"{safe_segment(delivery)}/_index/{safe_key(name)}{COLUMNS}"
