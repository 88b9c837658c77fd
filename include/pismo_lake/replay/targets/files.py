"""Write events into files of a folder, local or in an object store: an event a line, or as Pismo writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pismo_lake import storage
from pismo_lake.errors import StorageRefused, StorageUnavailable, TargetRefused, TargetUnavailable
from pismo_lake.replay.target import Limits
from pismo_lake.settings.replay import TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.replay.message import Message
    from pismo_lake.replay.target import Failure

LIMITS = Limits(messages=50_000, batch_bytes=8 << 20, usual_rate=20_000.0, recorded_each=True)


class FileTarget:
    """A folder. Each file is named by the replay and by the place of its first event.

    An attempt that continues writes the file that an earlier one may have left again, under the same name. So the
    files have each event once.
    """

    def __init__(self, kind: TargetKind, folder: str, replay_id: str) -> None:
        self.name = f"{kind} {folder}"
        self.limits = LIMITS
        self._lines, self._folder, self._replay_id = kind is TargetKind.NDJSON, folder, replay_id

    def weigh(self, message: Message) -> int:
        """Return the bytes of a message in a file."""
        return len(message.body) + self._lines

    def refuse(self, message: Message) -> str | None:
        """Refuse an event that cannot be one line."""
        if self._lines and _has_break(message.body):
            try:
                orjson.loads(message.body)
            except ValueError:
                return "it has a line break inside a text, so it cannot be one line: send it as undelimited"
        return None

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Write one file, whole or not at all."""
        bodies = [message.body for message in batch]
        if self._lines:
            # in JSON, a line break between two tokens means the same as a space
            bodies = [body.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n" for body in bodies]
        ending = "ndjson" if self._lines else "json"
        uri = storage.join(self._folder, f"{self._replay_id}-{batch[0].position:012d}.{ending}")
        try:
            storage.write_atomic(uri, b"".join(bodies))
        except StorageUnavailable as error:
            raise TargetUnavailable(str(error)) from error
        except StorageRefused as error:
            raise TargetRefused(str(error)) from error
        return []

    def check(self) -> str:
        """Write an empty file and remove it."""
        uri = storage.join(self._folder, f"_check-{self._replay_id}")
        try:
            storage.write_atomic(uri, b"")
            storage.remove(uri)
        except StorageUnavailable as error:
            raise TargetUnavailable(str(error)) from error
        except StorageRefused as error:
            raise TargetRefused(str(error)) from error
        return f"{self._folder}: can be written to"

    def close(self) -> None:
        """Do nothing: each file is closed when it is written."""


def _has_break(body: bytes) -> bool:
    return b"\n" in body or b"\r" in body
