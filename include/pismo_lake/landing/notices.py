"""Find the event files of a delivery that a queue's message announces.

Pismo sends an ordinary event for every upload to the bucket ("New file available in bucket", dataplatform /
new-bucket-object v1), also for reports. It arrives in many wrappers (`pismo_lake.landing.shapes`), or as a notice of
the object store if a team copies files onward. It is recognised by its structure, since its wire name is not
documented for certain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import NoticeError
from pismo_lake.hours import PublishHour
from pismo_lake.landing.shapes import Notice, contents_of
from pismo_lake.landing.values import texts_of
from pismo_lake.paths import is_event_file
from pismo_lake.settings.channels import Expected

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Announced", "Expected", "Notice", "concerns", "in_prefix", "read_announced", "read_notices"]

_LONGEST_KEY = 1024


@dataclass(slots=True)
class Announced:
    """The event files that a message announces, and the problems that forbid to delete it."""

    notices: list[Notice] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_notices(body: str | bytes, attributes: Mapping[str, str] | None = None) -> list[Notice]:
    """Return the objects that a message announces; none if a valid message announces none.

    `attributes` are those of a message pulled from Pub/Sub.

    Raises:
        NoticeError: the message is no JSON object, or it announces a new file without naming it.
    """
    found = contents_of(body, attributes)
    if found.faults:
        msg = f"cannot read the message: {found.faults[0]}"
        raise NoticeError(msg)
    return found.notices


def read_announced(body: str | bytes, attributes: Mapping[str, str] | None, expected: Expected) -> Announced:
    """Read a message for one delivery; an unreadable part does not hide the others.

    A part in an unknown shape is a problem if it names the delivery's bucket and prefix, or the key of an event file.
    """
    found = contents_of(body, attributes)
    result = Announced(problems=list(found.faults))
    for notice in found.notices:
        try:
            if concerns(notice, expected):
                result.notices.append(notice)
        except NoticeError as error:
            result.problems.append(str(error))
    if any(_mentions(part, expected) for part in found.unknown):
        result.problems.append(f"it names {expected.bucket} or an event file in an unknown shape")
    return result


def concerns(notice: Notice, expected: Expected) -> bool:
    """Return whether a notice is of an event file of this delivery.

    It is not if it has another prefix, or if it is of a folder marker.

    Raises:
        NoticeError: it has another organisation or bucket, or an event file outside an hour folder. This delivery must
            not
            delete such a message.
    """
    if notice.bucket.lower() != expected.bucket.lower():
        msg = f"the notice is of bucket {notice.bucket[:100]!r}, expected {expected.bucket}"
        raise NoticeError(msg)
    if notice.organisation and notice.organisation.lower() != expected.organisation.lower():
        msg = f"the notice is of organisation {notice.organisation[:100]!r}, expected {expected.organisation}"
        raise NoticeError(msg)
    if not in_prefix(notice.key, expected.prefix) or not is_event_file(notice.key):
        return False
    if len(notice.key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY or PublishHour.of_key(notice.key) is None:
        msg = f"the notice is of {notice.key[:200]!r}, which is not in an hour folder"
        raise NoticeError(msg)
    return True


def in_prefix(key: str, prefix: str) -> bool:
    """Return whether a key is below a prefix; a copied bucket may have folders before it."""
    return f"/{prefix.strip('/')}/" in f"/{key}"


def _mentions(part: Any, expected: Expected) -> bool:
    """Return whether a part of unknown shape may be about an event file of the delivery."""
    stream = expected.prefix.strip("/").rsplit("/", 1)[-1]
    file = re.compile(rf"(?:^|/){re.escape(stream)}/(?:year=)?\d{{4}}/(?:month=)?\d{{1,2}}/")
    texts = list(texts_of(part))
    named = any(expected.bucket.lower() in text.lower() for text in texts)
    return (named and any(stream in text for text in texts)) or any(file.search(text) for text in texts)
