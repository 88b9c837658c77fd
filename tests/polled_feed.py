"""A feed whose files are functions of their number: three days, late copies, events to be erased."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.lakes import at, event, key

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
_EVENTS = 6


def key_of(number: int) -> str:
    """Return the object key of a file; the hours of a day come round again and again."""
    hour = number % 72
    return key(hour % 24, f"f{number:06d}", day=1 + hour // 24)


def body(number: int) -> bytes:
    """Return the bytes of a file: its own events, and a copy of an event of another file."""
    return b"".join(event(event_id, {"n": _place(event_id)[0]}, timestamp=_time(event_id)) for event_id in _ids(number))


def events(files: int) -> Iterator[str]:
    """Yield the event ids of the first files, copies too."""
    for number in range(files):
        yield from _ids(number)


def erased(event_id: str) -> bool:
    """Return whether an event may be erased at any time; all of them are erased at the end."""
    number, place = _place(event_id)
    return place == 0 and number % 10 == 0


def has_copies(event_id: str) -> bool:
    """Return whether other files may have copies of an event."""
    return _place(event_id)[1] == 1


def _ids(number: int) -> list[str]:
    own = [f"e-{number}-{place}" for place in range(_EVENTS)]
    other = random.Random(number).randrange(number + 1)
    return [*own, f"e-{other}-1"] if other != number else own


def _place(event_id: str) -> tuple[int, int]:
    _, number, place = event_id.split("-")
    return int(number), int(place)


def _time(event_id: str) -> str:
    hour = _place(event_id)[0] % 72
    return at(hour % 24, 1 + hour // 24)
