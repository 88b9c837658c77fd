"""Make seeded events: the documented envelope around payloads, with exact digits."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import simplejson

from pismo_sandbox.feed.payloads import CATALOGUE, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

ORGANISATION = "TN-00000000-1111-4222-8333-444444444444"
_VARIANTS = 60


@dataclass(frozen=True, slots=True)
class Event:
    """One event as in a file; `payload` is the JSON text of its `data`."""

    org_id: str
    event_id: str
    payload: str
    text: bytes


def dump(value: object, *, indent: int | None = None) -> str:
    """Return JSON text with the exact digits of Decimals, and with UTF-8 letters."""
    separators = (",", ": ") if indent else (",", ":")
    return str(simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=separators, indent=indent))


class EventFactory:
    """Makes events for a seed; the same seed gives the same events in the same order."""

    def __init__(self, seed: int = 7, organisation: str = ORGANISATION, catalogue: Sequence[Entry] = CATALOGUE) -> None:
        self._random = random.Random(seed)
        self.organisation = organisation
        self._catalogue = catalogue
        self._weights = [row[3] for row in catalogue]
        self._pool = {
            (domain, name): [dump(make(self._random)) for _ in range(_VARIANTS)]
            for domain, name, _, _, make in catalogue
        }

    def event_id(self) -> str:
        """Return a new event id."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def stamp(self, moment: datetime) -> str:
        """Return an envelope timestamp, mostly with milliseconds and Z.

        Some have nanoseconds, no fraction, or an offset.
        """
        roll = self._random.random()
        if roll < 0.9:
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        if roll < 0.94:
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond * 1000 + 17:09d}Z"
        if roll < 0.97:
            return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
        return f"{moment.astimezone(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%M:%S}-03:00"

    def make(self, moment: datetime, *, event_id: str | None = None) -> Event:
        """Return one event of the weighted catalogue at a moment."""
        domain, name, version, _, _ = self._random.choices(self._catalogue, self._weights)[0]
        payload = self._random.choice(self._pool[domain, name])
        return self.wrap(domain, name, version, payload, moment, event_id=event_id)

    def wrap(
        self, domain: str, name: str, version: int, payload: str, moment: datetime, *, event_id: str | None = None
    ) -> Event:
        """Put the envelope around a payload.

        Both `event_type` forms occur, and `schema_version` as integer and as string.
        """
        roll = self._random.random()
        event_type = f"{name}-{version}" if roll < 0.3 else name
        version_text = f'"{version}"' if roll > 0.9 else str(version)
        org = self.organisation.lower() if roll < 0.05 else self.organisation
        extra = ',"trace":{"hop":2,"via":"hub"}' if 0.50 < roll < 0.51 else ""
        event_id = event_id or self.event_id()
        text = (
            f'{{"event_id":"{event_id}","domain":"{domain}","event_type":"{event_type}",'
            f'"schema_version":{version_text},"org_id":"{org}","cid":"{self.event_id()}",'
            f'"timestamp":"{self.stamp(moment)}"{extra},"data":{payload}}}'
        )
        return Event(org, event_id, payload, text.encode())
