"""Where things stand: publish hours in object keys, partitions in the lake, raw files and indexes in landing.

Keys, domains and event types come from outside; every function that makes a path makes each of them one safe
segment, so none can leave its folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_HOUR = timedelta(hours=1)
_FIRST_HOUR = datetime(1, 1, 1, tzinfo=UTC)
_LAST_HOUR = datetime(9999, 12, 31, 23, tzinfo=UTC)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TEXT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d)")
_KEY = re.compile(r"(?:^|/)(?:year=)?(\d{4})/(?:month=)?(\d{1,2})/(?:day=)?(\d{1,2})/(?:hour=)?(\d{1,2})/[^/]*$")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_LONGEST = 100
_FINGERPRINT = 10


@dataclass(frozen=True, slots=True, order=True)
class PublishHour:
    """The hour folder a file was published in (Data events recovery); its zone is undocumented, UTC is assumed."""

    start: datetime

    @classmethod
    def containing(cls, moment: datetime) -> PublishHour:
        """The hour that an aware moment falls into."""
        # built anew: Airflow hands in pendulum times, whose differences are no plain timedelta
        utc = moment.astimezone(UTC)
        return cls(datetime(utc.year, utc.month, utc.day, utc.hour, tzinfo=UTC))

    @classmethod
    def parse(cls, text: str) -> PublishHour:
        """From ``YYYY-MM-DDTHH``; ValueError for anything else."""
        found = _TEXT.fullmatch(text)
        if not found:
            msg = f"{text!r} is not a publish hour: write YYYY-MM-DDTHH"
            raise ValueError(msg)
        return cls(datetime(*(int(group) for group in found.groups()), tzinfo=UTC))  # type: ignore[arg-type,misc]

    @classmethod
    def of_key(cls, key: str) -> PublishHour | None:
        """From an object key ``…/<y>/<m>/<d>/<h>/<name>``, padded, unpadded or hive style; None without one."""
        found = _KEY.search(key)
        try:
            return cls(datetime(*(int(g) for g in found.groups()), tzinfo=UTC)) if found else None  # type: ignore[arg-type,misc]
        except ValueError:
            return None

    def __str__(self) -> str:
        return self.start.isoformat()[: len("YYYY-MM-DDTHH")]

    @property
    def date(self) -> str:
        """The publish date, YYYY-MM-DD."""
        return self.start.date().isoformat()

    def plus(self, hours: int) -> PublishHour:
        """The hour so many hours later, or earlier; the last one, or the first, where there is no such hour."""
        least, most = (_FIRST_HOUR - self.start) // _HOUR, (_LAST_HOUR - self.start) // _HOUR
        return PublishHour(self.start + min(max(hours, least), most) * _HOUR)

    def prefixes(self, root: str = "main_stream") -> tuple[str, ...]:
        """Every folder spelling of this hour: unpadded (as documented), padded, hive style; without doubles."""
        at = self.start
        spellings = (
            f"{root}/{at.year}/{at.month}/{at.day}/{at.hour}/",
            f"{root}/{at:%Y/%m/%d/%H}/",
            f"{root}/{at:year=%Y/month=%m/day=%d/hour=%H}/",
            f"{root}/year={at.year}/month={at.month}/day={at.day}/hour={at.hour}/",
        )
        return tuple(dict.fromkeys(spellings))


@dataclass(frozen=True, slots=True, order=True)
class PublishDay:
    """The 24 publish hours of a date; once closed they are one unit of the lake."""

    start: datetime

    @classmethod
    def containing(cls, moment: datetime) -> PublishDay:
        """The day, in UTC, that an aware moment falls into."""
        return cls(PublishHour.containing(moment).start.replace(hour=0))

    @classmethod
    def parse(cls, text: str) -> PublishDay:
        """From ``YYYY-MM-DD``; ValueError for anything else."""
        if not _DAY.fullmatch(text):
            msg = f"{text!r} is not a publish day: write YYYY-MM-DD"
            raise ValueError(msg)
        try:
            return cls(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
        except ValueError:
            msg = f"{text!r} is no day of the calendar"
            raise ValueError(msg) from None

    def __str__(self) -> str:
        return self.start.date().isoformat()

    @property
    def hours(self) -> tuple[PublishHour, ...]:
        """Its publish hours in order."""
        return tuple(PublishHour(self.start + step * _HOUR) for step in range(24))


def unit_of(text: str) -> PublishHour | PublishDay:
    """A build unit from its name: a publish hour (``YYYY-MM-DDTHH``) or a closed publish day (``YYYY-MM-DD``)."""
    return PublishDay.parse(text) if _DAY.fullmatch(text) else PublishHour.parse(text)


def hours_between(start: datetime, end: datetime) -> tuple[PublishHour, ...]:
    """The publish hours of `[start, end]`, both ends' hours included."""
    first, last = PublishHour.containing(start), PublishHour.containing(end)
    count = (last.start - first.start) // _HOUR
    return tuple(first.plus(step) for step in range(count + 1))


@lru_cache(maxsize=4096)
def safe_segment(text: str) -> str:
    """One path segment for any text: percent-encoded beyond [A-Za-z0-9_.-], never hidden, never over-long.

    >>> safe_segment("cards"), safe_segment("../x"), safe_segment("")
    ('cards', '%2E.%2Fx', '%')
    """
    raw = text.encode("utf-8", "surrogatepass")
    segment = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw) or "%"
    if segment.startswith("."):
        segment = "%2E" + segment[1:]
    return _shortened(segment, raw)


def _shortened(segment: str, raw: bytes) -> str:
    """A segment no longer than file systems take, told from others of the same beginning by what it stands for."""
    return segment if len(segment) <= _LONGEST else f"{segment[:80]}~{hashlib.sha256(raw).hexdigest()[:16]}"


def event_name(event_type: str, schema_version: str | None) -> str:
    """Event type with its version, once: the raw type comes with and without ``-<version>`` (facts §1.3).

    >>> event_name("creation-1", "1"), event_name("creation", "1"), event_name("creation", None)
    ('creation-1', 'creation-1', 'creation')
    """
    if not schema_version or event_type.endswith(f"-{schema_version}"):
        return event_type
    return f"{event_type}-{schema_version}"


def root_of(uri: str) -> str:
    """A landing zone or lake as the ledger knows it: a path of this machine from its root on, no trailing slash."""
    if "://" in uri and not uri.startswith("file://"):
        return uri.rstrip("/")
    # links are not followed: what they point to may change
    return os.path.abspath(uri.removeprefix("file://"))  # noqa: PTH100


def event_path(domain: str, name: str) -> str:
    """An event type as counts, contracts and policies name it: ``<domain>/<name with version>``, safe segments."""
    return f"{safe_segment(domain)}/{safe_segment(name)}"


def type_folder(domain: str, event_type: str) -> str:
    """Folder of an event type below the lake, from its safe segments."""
    return f"events/domain={domain}/event_type={event_type}"


def partition_path(domain: str, name: str, event_date: str) -> str:
    """Folder of a partition below the lake; `name` is an `event_name`."""
    return f"{type_folder(safe_segment(domain), safe_segment(name))}/event_date={event_date}"


def items_folder(domain: str, event_type: str, name: str) -> str:
    """Folder of a list's child table below the lake, from safe segments and the list's column without ``data__``."""
    segment = f"{event_type}__{name}"
    if "__" in event_type or event_type.endswith("_"):
        # where the type ends cannot be told: a__b with a list c, a with a list b__c
        segment += f"~{hashlib.sha256(event_type.encode()).hexdigest()[:_FINGERPRINT]}"
    return f"items/domain={domain}/event_type={_shortened(segment, segment.encode())}"


def items_path(domain: str, event: str, name: str, event_date: str) -> str:
    """Folder of a child table's partition below the lake; `event` is an `event_name`."""
    return f"{items_folder(safe_segment(domain), safe_segment(event), name)}/event_date={event_date}"


def rejects_path(publish_date: str) -> str:
    """Folder of a publish day's rejects below the lake."""
    return f"rejects/publish_date={publish_date}"


def reports_path(publish_date: str) -> str:
    """Folder of a publish day's reports below the lake."""
    return f"reports/publish_date={publish_date}"


def output_name(delivery: str, unit: str, part: int, fingerprint: str) -> str:
    """File name of a part's outputs: the unit and part it holds, and what they are a function of.

    Other inputs give another name, so nobody who was overtaken can touch what stands. For a closed day `part` numbers
    the files of one partition.
    """
    return f"{safe_segment(delivery)}-{unit}-p{part:04d}-{fingerprint[:_FINGERPRINT]}.parquet"


def output_pattern(delivery: str) -> re.Pattern[str]:
    """Matches the names that `output_name` gives for a delivery: (unit, part)."""
    name = re.escape(safe_segment(delivery))
    return re.compile(rf"{name}-(\d{{4}}-\d\d-\d\d(?:T\d\d)?)-p(\d{{4,}})-[0-9a-f]{{{_FINGERPRINT}}}\.parquet")


def safe_key(key: str) -> str:
    """An object key as a relative path: its slashes kept, every segment safe, none of them ``_index``."""
    segments = [safe_segment(segment) for segment in key.split("/") if segment]
    if segments and segments[0] == "_index":
        segments[0] = "%5Findex"
    return "/".join(segments) or "%"


def can_be_kept(key: str) -> bool:
    """Whether every ledger can hold an object key: PostgreSQL takes no NUL, and no database half a character."""
    try:
        return "\0" not in key and bool(key.encode())
    except UnicodeEncodeError:
        return False


def landing_path(delivery: str, name: str) -> str:
    """A raw file below the landing root."""
    return f"{safe_segment(delivery)}/{safe_key(name)}"


def index_path(delivery: str, name: str) -> str:
    """A raw file's index below the landing root."""
    return f"{safe_segment(delivery)}/_index/{safe_key(name)}.parquet"


def columns_path(delivery: str, name: str) -> str:
    """The parsed payloads of a raw file that waits for its build, below the landing root."""
    return f"{safe_segment(delivery)}/_index/{safe_key(name)}.columns"
