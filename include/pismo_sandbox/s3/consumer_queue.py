"""Give a consumer a queue of its own, and send each published event to it once, as Pismo's real-time channel does."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from pismo_sandbox.s3.server import CONSUMER_KEY, CONSUMER_SECRET, REGION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pismo_sandbox.s3.server import Sandbox

NAME = "events-of-our-service"
_AT_ONCE = 10


def make_consumer_queue(sandbox: Sandbox) -> str:
    """Make the queue, and return its URL."""
    url: str = sandbox.admin("sqs").create_queue(QueueName=NAME)["QueueUrl"]
    return url


def write_variables(file: Path, sandbox: Sandbox, url: str) -> None:
    """Write a file for a shell, with the queue and the settings by which AWS's tools find it."""
    variables = {
        "QUEUE": url, "AWS_ENDPOINT_URL": sandbox.endpoint, "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": CONSUMER_KEY, "AWS_SECRET_ACCESS_KEY": CONSUMER_SECRET,
    }  # fmt: skip
    fresh = file.with_name(f".{file.name}")
    fresh.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
    # a shell that waits for the file finds it whole
    fresh.replace(file)


def send_events(sqs: Any, url: str, texts: Iterable[bytes], prefix: str = "") -> int:
    """Send the bytes of events to a queue, one message an event; return their number.

    `prefix` is the beginning of "domain/event type". Bytes that a queue does not carry are left out.
    """
    batch: list[dict[str, str]] = []
    sent = 0
    for text in texts:
        try:
            event = json.loads(text)
            body = text.decode()
        except ValueError:
            continue
        if f"{event.get('domain')}/{event.get('event_type')}".startswith(prefix):
            batch.append({"Id": str(len(batch)), "MessageBody": body})
        if len(batch) == _AT_ONCE:
            sent += _send(sqs, url, batch)
            batch = []
    return sent + (_send(sqs, url, batch) if batch else 0)


def _send(sqs: Any, url: str, batch: list[dict[str, str]]) -> int:
    return len(sqs.send_message_batch(QueueUrl=url, Entries=batch)["Successful"])
