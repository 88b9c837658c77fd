"""Measure a replay: plan many events, and send them to a queue, or into files.

The queue is a server on loopback that takes each batch and answers at once, in a process of its own. So the figures
are the costs of this side. A real queue adds its own time for each request.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOURS, _FILES = 10, 4
_EVENT = (
    '{"event_id":"%s","domain":"pix","event_type":"pix_in","schema_version":1,"org_id":"TN-0","cid":"c-1",'
    '"timestamp":"2026-03-01T%02d:%02d:%02d.000Z","data":{"account_id":%d,"amount":10.25,"currency":"BRL",'
    '"description":"a transfer of the month"}}'
)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        entries = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).get("Entries", [])
        taken = [
            {"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": _digest(entry["MessageBody"])}
            for entry in entries
        ]
        body = json.dumps({"Successful": taken, "Attributes": {"MaximumMessageSize": "262144"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _serve(pipe: Any) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    pipe.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def _queue() -> Iterator[str]:
    """Run the server in a process of its own, and return its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _generate(root: Path, events: int) -> None:
    """Write event files of ten publish hours."""
    rng = random.Random(1)
    each = events // (_HOURS * _FILES)
    for hour in range(_HOURS):
        folder = root / "main_stream" / "2026" / "3" / "1" / str(hour)
        folder.mkdir(parents=True)
        for number in range(_FILES):
            with (folder / f"f{number}").open("w") as file:
                for at in range(each):
                    second = (number * each + at) * 3600 // (_FILES * each)
                    event_id = uuid.UUID(int=rng.getrandbits(128))
                    file.write(_EVENT % (event_id, hour, second // 60, second % 60, rng.randrange(50_000)))


def main(arguments: list[str]) -> int:
    """Land a generated feed, replay it, and print CPU seconds, speed and peak memory."""
    parser = argparse.ArgumentParser(prog="benchmarks replay", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--target", choices=("sqs", "undelimited"), default="sqs")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder, _queue() as endpoint:
        root = Path(folder)
        _generate(root / "raw", options.events)
        lake = ["--lake", str(root / "lake")]
        subprocess.run([sys.executable, "-m", "pismo_lake", "flatten", str(root / "raw"), *lake], check=True)
        address = f"{endpoint}/1/events" if options.target == "sqs" else str(root / "out")
        own = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
        to = ["--target", options.target, "--address", address, "--region", "us-east-1", "--endpoint-url", endpoint]
        words = ["replay", "--from", "2026-03-01", "--to", "2026-03-02", *to, *lake]
        started = time.monotonic()
        command = [sys.executable, "-m", "pismo_lake", *words]
        process = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    if status:
        return 1
    cpu = used.ru_utime + used.ru_stime
    print(f"{options.events} events to {options.target}: {seconds:.0f} s, {options.events / seconds:.0f} events/s")
    print(f"{cpu:.0f} CPU s, {options.events / cpu:.0f} events for each CPU s; peak {used.ru_maxrss / 1024:.0f} MiB")
    return 0
