"""Send each event to an HTTP endpoint by POST, over one connection that stays open."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pismo_lake import __version__
from pismo_lake.errors import ConfigError, TargetRefused, TargetUnavailable
from pismo_lake.replay.target import Failure, Limits
from pismo_lake.replay.targets.texts import header_text, shown_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.replay.message import Message

LIMITS = Limits(messages=1, batch_bytes=1 << 30, ordered=True, usual_rate=100.0)
HEADER = "Authorization"
"""The usual header of the secret."""
_HEADER_NAME, _HEADER_VALUE = re.compile(r"[A-Za-z0-9-]+", re.ASCII), re.compile(r"[\x21-\x7e]+", re.ASCII)
_SECONDS = 30.0
_PASSING = frozenset({408, 409, 423, 425, 429})
_OF_THE_MESSAGE = frozenset({400, 413, 415, 422})
"""Answers that are about one message, not about all of them."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """The header that proves who sends: by default ``Authorization: Bearer <value>``."""

    value: str
    header: str = HEADER

    def __post_init__(self) -> None:
        # the errors of the library would show the value
        if not _HEADER_NAME.fullmatch(self.header) or not _HEADER_VALUE.fullmatch(self.value):
            msg = f"the secret, or the name of its header ({self.header!r}), has signs that no HTTP header has"
            raise ConfigError(msg)

    @property
    def text(self) -> str:
        """Return the value of the header."""
        return f"Bearer {self.value}" if self.header.lower() == "authorization" else self.value


class HttpTarget:
    """An endpoint that takes one event with each request.

    An answer of 2xx means that the event is taken. No redirect is followed, because the secret would go with it.
    """

    def __init__(self, url: str, secret: Secret | None = None, *, seconds: float = _SECONDS) -> None:
        self.name = f"http {shown_url(url)}"
        self.limits = LIMITS
        parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = secret
        host, port = parts.hostname or "", parts.port
        self._connection: HTTPConnection = (
            HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=seconds)
        )

    def weigh(self, message: Message) -> int:
        """Return the bytes of the body."""
        return len(message.body)

    def refuse(self, message: Message) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Refuse nothing: the endpoint has its own limits."""
        return None

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Send one event."""
        (message,) = batch
        headers = {"Content-Type": "application/json", "User-Agent": f"pismo-lake/{__version__}"}
        for name, value in message.attributes.items():
            headers[f"Pismo-{name.replace('_', '-').title()}"] = header_text(value)
        if self._secret is not None:
            headers[self._secret.header] = self._secret.text
        try:
            self._connection.request("POST", self._path, body=message.body, headers=headers)
            answer = self._connection.getresponse()
            # read the answer, or the connection cannot be used again
            answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise self._convert_error(error) from error
        return self._judge(answer)

    def check(self) -> str:
        """Open a connection, and send no request: the endpoint knows only POST."""
        try:
            self._connection.connect()
        except (OSError, HTTPException) as error:
            raise self._convert_error(error) from error
        finally:
            self._connection.close()
        return f"{self.name.removeprefix('http ')}: accepts connections" + (
            "" if self._secret else ", without a secret"
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _judge(self, answer: HTTPResponse) -> list[Failure]:
        status, reason = answer.status, f"{answer.status} {answer.reason}".strip()
        if 200 <= status < 300:
            return []
        if status in _PASSING or status >= 500:
            seconds = 0.0
            with suppress(ValueError):
                # it may also be a date; then our own pauses are used
                seconds = float(answer.headers.get("Retry-After", "0"))
            return [Failure(0, reason, passing=True, seconds=max(seconds, 0.0))]
        if status in _OF_THE_MESSAGE:
            return [Failure(0, reason, passing=False)]
        msg = f"{self.name}: it answers {reason}"
        raise TargetRefused(msg)

    def _convert_error(self, error: Exception) -> TargetRefused | TargetUnavailable:
        # the certificate does not become right by itself
        kind = TargetRefused if isinstance(error, ssl.SSLCertVerificationError) else TargetUnavailable
        return kind(f"{self.name}: {type(error).__name__}: {getattr(error, 'strerror', None) or 'no answer'}")
