"""Publish batch files like Pismo: 5 minutes or 10 MB, undelimited, in an hour folder.

The dials add each kind of trouble. The truth ledger records everything that is published.
"""

from __future__ import annotations

import io
import random
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from pismo_sandbox.feed.batch import Batch
from pismo_sandbox.feed.events import Event, EventFactory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pismo_sandbox.check.truth import Truth

BATCH_BYTES = 10_000_000
BATCH_SPAN = timedelta(minutes=5)
_MEMORY = 2000
_LONGEST_REDELIVERY = timedelta(days=6)


@dataclass(frozen=True, slots=True)
class Dials:
    """The share (0 to 1) of events, or of files, with each trouble; all are 0 by default."""

    duplicates_in_file: float = 0.0
    duplicates_across_files: float = 0.0
    late_events: float = 0.0
    conflicts: float = 0.0
    unusable_events: float = 0.0
    garbage: float = 0.0
    truncated_files: float = 0.0
    gzip_files: float = 0.0
    delimited_files: float = 0.0
    report_files: float = 0.0
    late_files: float = 0.0
    padded: bool = False

    @classmethod
    def everything(cls) -> Dials:
        """Return dials with every trouble."""
        return cls(0.01, 0.01, 0.02, 0.001, 0.003, 0.001, 0.15, 0.15, 0.3, 0.1, 0.1)


class Sink(Protocol):
    """A place to store files."""

    def put(self, key: str, data: bytes) -> None:
        """Store one object."""


class FolderSink:
    """Files below a local folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        """Store one file."""
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class S3Sink:
    """Objects of a bucket, through a boto3 client."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def put(self, key: str, data: bytes) -> None:
        """Store one object."""
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data)


class Publisher:
    """Publishes a stretch of time; the same seed, window and dials give the same files."""

    def __init__(
        self,
        sink: Sink,
        truth: Truth,
        *,
        seed: int = 7,
        dials: Dials | None = None,
        factory: EventFactory | None = None,
    ) -> None:
        self._sink, self._truth = sink, truth
        self._dials = dials or Dials()
        self._random = random.Random(seed + 1)
        self.factory = factory or EventFactory(seed)
        self._memory: list[Event] = []
        self._published: list[datetime] = []
        self._held_back: list[tuple[str, bytes]] = []

    def publish(self, start: datetime, end: datetime, total_bytes: int) -> list[str]:
        """Spread about `total_bytes` evenly over `[start, end)`; return the written keys in order."""
        steps = max(int((end - start) / BATCH_SPAN), 1)
        quota = total_bytes / steps
        keys: list[str] = []
        for step in range(steps):
            moment = start + step * BATCH_SPAN
            left = quota
            while left > 0:
                size = min(left, BATCH_BYTES)
                keys.append(self._file(moment, size))
                left -= size
        # late files: they arrive long after their hour
        for key, data in self._held_back:
            self._sink.put(key, data)
        self._held_back.clear()
        return keys

    def _key(self, moment: datetime) -> str:
        name = f"pismo-main-1-{moment:%Y-%m-%d-%H-%M-%S}-{self.factory.event_id()}"
        if self._dials.padded:
            return f"main_stream/{moment:%Y/%m/%d/%H}/{name}"
        return f"main_stream/{moment.year}/{moment.month}/{moment.day}/{moment.hour}/{name}"

    def _roll(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _file(self, moment: datetime, size: float) -> str:
        dials = self._dials
        delimiter = self._random.choice((b"\n", b" ", b"\r\n", b",\n")) if self._roll(dials.delimited_files) else b""
        batch = Batch(self._key(moment), f"{moment:%Y-%m-%dT%H}", delimiter)
        while batch.size < size:
            self._next(batch, moment)
        if self._roll(dials.truncated_files):
            event = self.factory.make(moment)
            batch.add_reject(event.text[: max(len(event.text) * 2 // 3, 20)], "truncated")
        data = batch.finish(compress=self._roll(dials.gzip_files))
        if self._roll(dials.late_files):
            self._held_back.append((batch.key, data))
        else:
            self._sink.put(batch.key, data)
        self._truth.add_file(batch.key, batch.hour, len(data), batch.copies, batch.rejects)
        if self._roll(dials.report_files):
            self._sink.put(f"reports/accounting_events/type=daily/year=2026/month=1/{batch.hour}.parquet", _report())
        return batch.key

    def _next(self, batch: Batch, moment: datetime) -> None:
        dials = self._dials
        at = moment - timedelta(milliseconds=self._random.randrange(300_000))
        if self._roll(dials.late_events):
            at -= timedelta(minutes=self._random.randrange(1, 72 * 60))
        event = self.factory.make(at)
        batch.add(event)
        if self._random.random() < 0.02:
            self._memory.append(event)
            self._published.append(moment)
            del self._memory[:-_MEMORY], self._published[:-_MEMORY]
        # copies arrive within days, like redeliveries
        forgotten = bisect_left(self._published, moment - _LONGEST_REDELIVERY)
        del self._memory[:forgotten], self._published[:forgotten]
        if self._roll(dials.duplicates_in_file):
            batch.add(event)
        if self._memory and self._roll(dials.duplicates_across_files):
            batch.add(self._random.choice(self._memory))
        if self._memory and self._roll(dials.conflicts):
            batch.add(_change(self._random.choice(self._memory)))
        if self._roll(dials.unusable_events):
            for chunk, kind in self._unusable(at):
                batch.add_reject(chunk, kind)
        if self._roll(dials.garbage):
            self._garble(batch, at)

    def _unusable(self, at: datetime) -> Iterator[tuple[bytes, str]]:
        text = self.factory.make(at).text
        kind = self._random.choice(
            ("non_finite_number", "missing_event_id", "not_an_object", "invalid_utf8", "too_deep")
        )
        match kind:
            case "non_finite_number":
                event = self.factory.wrap("pix", "pix_in", 1, '{"amount":NaN}', at)
                yield event.text, kind
            case "missing_event_id":
                yield text.replace(b'"event_id"', b'"event_idx"', 1), kind
            case "invalid_utf8":
                yield text.replace(b'"cid":"', b'"cid":"\xff\xfe', 1), kind
            case "too_deep":
                event = self.factory.wrap("pix", "pix_in", 1, '{"a":' * 1000 + "1" + "}" * 1000, at)
                yield event.text, kind
            case _:
                yield self._random.choice((b"null", b'"text }{ "', b"true")), kind

    def _garble(self, batch: Batch, at: datetime) -> None:
        """Overwrite a few bytes in the middle of an event with bytes that are never valid JSON."""
        text = self.factory.make(at).text
        middle = len(text) // 2
        # each has a byte that is not UTF-8, so that none is valid JSON by chance
        noise = self._random.choice((b'\x01"\xff{', b'"]\xff{"', b"\0\0\xff\0\0", b"{{\xff[["))
        broken = text[:middle] + noise + text[middle + 5 :]
        batch.add_reject(broken, "invalid_json")


def _change(event: Event) -> Event:
    """Return the same event id with other content."""
    text = event.text.replace(b'"cid":"', b'"cid":"changed-', 1)
    return Event(event.org_id, event.event_id, event.payload, text)


def _report() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"Org_ID": ["TN"], "Amount": [1.25]}), sink)
    return sink.getvalue()
