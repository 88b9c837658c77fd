"""Run an object store that differs from AWS's, on loopback: moto's S3 behind a dial.

Tests turn the dial while it runs: the condition ``If-None-Match`` may be refused (501), answered by a conflict (409)
or ignored; checksum headers may be unknown; single objects may be archived or forbidden; every request may fail.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pismo_sandbox.s3.server import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KEY, SECRET = "odd-store-user", "odd-store-password-not-a-real-one"

_STATUS = {
    301: "301 Moved Permanently", 400: "400 Bad Request", 403: "403 Forbidden", 404: "404 Not Found",
    409: "409 Conflict", 500: "500 Internal Server Error", 501: "501 Not Implemented", 503: "503 Slow Down",
}  # fmt: skip
_CHECKSUM_HEADERS = ("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "HTTP_X_AMZ_TRAILER")


@dataclass(slots=True)
class Answer:
    """An error that the store returns."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Dial:
    """The ways in which the store differs; `before_put` gets an object's key before the write."""

    condition: Literal["known", "refused", "conflict", "ignored"] = "known"
    checksums: bool = True
    archived: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    fault: Answer | None = None
    before_put: Callable[[str], None] | None = None
    log: list[tuple[str, str, str]] = field(default_factory=list)


class _DialedApp:
    """WSGI layer that answers as the dial says, and passes all other requests on."""

    def __init__(self, app: Callable[..., Iterable[bytes]], dial: Dial) -> None:
        self._app, self._dial = app, dial

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        dial, method, path = self._dial, environ["REQUEST_METHOD"], environ["PATH_INFO"]
        dial.log.append((method, path, environ.get("HTTP_HOST", "")))
        key = path.lstrip("/").partition("/")[2]
        answer = self._refusal(environ, method, key)
        if answer is not None:
            # read the body, so that the connection can be used again
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return _xml(start_response, answer)
        if dial.condition == "ignored":
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if method == "PUT" and dial.before_put is not None:
            dial.before_put(key)
        return self._app(environ, start_response)

    def _refusal(self, environ: dict[str, Any], method: str, key: str) -> Answer | None:
        dial = self._dial
        if dial.fault is not None:
            return dial.fault
        if key in dial.forbidden:
            return Answer(403, "AccessDenied", f"User {KEY} is not authorized for this object")
        if key in dial.archived and method == "GET":
            return Answer(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
        if method == "PUT" and not dial.checksums and any(name in environ for name in _CHECKSUM_HEADERS):
            return Answer(400, "InvalidArgument", "Unsupported header x-amz-sdk-checksum-algorithm")
        if method == "PUT" and "HTTP_IF_NONE_MATCH" in environ:
            if dial.condition == "refused":
                implied = "A header you provided implies functionality that is not implemented"
                return Answer(501, "NotImplemented", implied)
            if dial.condition == "conflict":
                return Answer(409, "ConditionalRequestConflict", "A conflicting operation is in progress")
        return None


def _xml(start_response: Callable[..., Any], answer: Answer) -> list[bytes]:
    text = f"<Error><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>"
    body = f'<?xml version="1.0"?>{text}'.encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), *answer.headers]
    start_response(_STATUS[answer.status], headers)
    return [body]


@dataclass(slots=True)
class OddStore:
    """A running store with one bucket of its own."""

    endpoint: str
    bucket: str
    dial: Dial

    def other(self) -> Any:
        """Return a boto3 client like that of another process: it shares nothing with others."""
        return client("s3", self.endpoint, KEY, SECRET)


@contextmanager
def running_store(certificate: tuple[str, str] | None = None) -> Iterator[OddStore]:
    """Run the store in this process on a free port; a `certificate` (file, key file) adds TLS."""
    from moto.server import (  # type: ignore[attr-defined]
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.test import Client

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's own signature
            """Say nothing: the dial keeps its own log."""

    dial, moto = Dial(), DomainDispatcherApplication(create_backend_app)
    bucket = f"odd-{uuid.uuid4().hex}"
    Client(moto).put(f"/{bucket}", headers={"Host": "s3.amazonaws.com"})
    app = _DialedApp(moto, dial)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever, name="odd-store", daemon=True)
    thread.start()
    try:
        yield OddStore(f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}", bucket, dial)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
