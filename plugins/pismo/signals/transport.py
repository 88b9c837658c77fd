"""Send lineage through any transport, and leave it out while its sink does not answer.

The provider of OpenLineage sends an event before a task works, and one after it. Each task of a run would wait for a
sink that accepts a connection and never answers. With this transport one event waits, and the next ones of this machine
do not. This module is imported only if a setting of OpenLineage names it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attr
from openlineage.client.transport import Config, Transport, get_default_factory
from openlineage.client.utils import get_only_specified_fields

if TYPE_CHECKING:
    from openlineage.client.client import Event

_LOG = logging.getLogger(__name__)


@attr.define
class PatientConfig(Config):
    """The settings of a `PatientTransport`: another transport, and two times in seconds."""

    transport: dict[str, Any]
    wait_seconds: float = attr.field(default=2.0, converter=float)
    pause_seconds: float = attr.field(default=300.0, converter=float)

    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> PatientConfig:
        """Read the settings of OpenLineage; a transport without a ``type`` is refused."""
        if not isinstance(params.get("transport"), dict) or "type" not in params["transport"]:
            msg = "the transport of lineage needs a key `transport` with the settings of another transport, with `type`"
            raise ValueError(msg)
        return cls(**get_only_specified_fields(cls, params))


class PatientTransport(Transport):
    """Waits for an answer for some seconds; if there is none, it drops the events of the next minutes.

    All processes of a user on one machine share the pause, because each task is a process of its own. An answer that
    comes late ends the pause.
    """

    kind = "patient"
    config_class = PatientConfig

    def __init__(self, config: PatientConfig) -> None:
        """Make the other transport, and find the file that says since when its sink does not answer."""
        self._config = config
        # nothing but the address: other settings may hold a key
        address = " ".join(str(config.transport.get(key)) for key in ("type", "url", "topic"))
        digest = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.pause_file = Path(tempfile.gettempdir()) / f"pismo-lineage-{os.getuid()}-{digest}"
        self._inner = get_default_factory().create(dict(config.transport))

    def emit(self, event: Event) -> None:
        """Send an event, or drop it with a warning.

        Raises:
            Exception: the error of the other transport, if it came in time.
        """
        if self._is_paused():
            _LOG.warning("A lineage event is left out: %s did not answer a moment ago", self._inner.kind)
            return
        errors: list[Exception] = []
        thread = threading.Thread(target=self._send, args=(event, errors), name="pismo-lineage", daemon=True)
        thread.start()
        thread.join(self._config.wait_seconds)
        if thread.is_alive():
            self._begin_pause()
            _LOG.warning(
                "The lineage sink (%s) did not answer in %s s; events are left out for %s s",
                self._inner.kind,
                self._config.wait_seconds,
                self._config.pause_seconds,
            )
        elif errors:
            raise errors[0]

    def close(self, timeout: float = -1) -> bool:
        """Close the other transport, but wait no longer than for an event."""
        wait = self._config.wait_seconds
        return self._inner.close(min(timeout, wait) if timeout >= 0 else wait)

    def _send(self, event: Event, errors: list[Exception]) -> None:
        try:
            self._inner.emit(event)
        except Exception as error:  # noqa: BLE001 - `emit` raises it in the thread of the caller
            errors.append(error)
        else:
            with suppress(OSError):
                self.pause_file.unlink()

    def _is_paused(self) -> bool:
        with suppress(OSError):
            found = self.pause_file.lstat()
            # another user of this machine must not be able to stop the lineage of this one
            return found.st_uid == os.getuid() and 0 <= time.time() - found.st_mtime < self._config.pause_seconds
        return False

    def _begin_pause(self) -> None:
        with suppress(OSError):
            self.pause_file.unlink(missing_ok=True)
            os.close(os.open(self.pause_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
