"""Stand before an SQS endpoint, and take only a part of some batches, as AWS does under load."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SEND = "AmazonSQS.SendMessageBatch"
_THROTTLED = b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: NarrowQueue

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("X-Amz-Target") != _SEND:
            self._answer(*self.server.forward(self.headers, body))
            return
        self.server.sends += 1
        match self.server.plan.pop(0) if self.server.plan else "take":
            case "throttle":
                self._answer(400, _THROTTLED)
            case "half":
                asked = json.loads(body)
                entries = asked["Entries"]
                kept, left = entries[::2], entries[1::2]
                status, answer = self.server.forward(self.headers, json.dumps(asked | {"Entries": kept}).encode())
                failed = [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in left]
                self._answer(status, json.dumps(json.loads(answer) | {"Failed": failed}).encode())
            case "lose":
                # it takes the messages, and the answer is lost
                self.server.forward(self.headers, body)
                self.close_connection = True
            case "kill":
                self.server.forward(self.headers, body)
                self.server.kill()
                self.close_connection = True
            case _:
                self._answer(*self.server.forward(self.headers, body))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class NarrowQueue(ThreadingHTTPServer):
    """An endpoint with a plan for its requests to send: ``take``, ``throttle``, ``half``, ``lose``, ``kill``."""

    daemon_threads = True

    def __init__(self, endpoint: str, plan: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._endpoint, self.plan, self.sends = endpoint, list(plan), 0
        self.kill: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def forward(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        kept = {name: value for name, value in headers.items() if name.lower() not in {"host", "content-length"}}
        request = urllib.request.Request(f"{self._endpoint}/", data=body, headers=kept, method="POST")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
