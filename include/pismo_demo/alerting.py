"""Send the alerts of the demo's delivery to a mail server of its own."""

from __future__ import annotations

import html
import re
import sys
import time
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING

from pismo_demo.channels import Feed, Server
from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 3
_WAIT_SECONDS = 10.0
_ALERTS = """\
    # added by the demo: every alert is a mail to its own mail server
    alerts:
      - notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
        arguments: {to: on-call@example.com}
        events: [failed, late, incomplete, no_files, never_a_file, quarantined, contract_change, notices_left]
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was received, its text without tags."""

    path: Path
    subject: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        """Return the subject, the first lines, and the path."""
        left_out = len(self.lines) - _SHOWN
        more = [f"  … {left_out} more lines"] if left_out > 0 else []
        return "\n".join([f"  Subject: {self.subject}", *(f"  {line}" for line in self.lines[:_SHOWN]), *more])


def mail_server(mails: Path) -> Server:
    """Return the mail server, which keeps each mail as a file."""
    command = (sys.executable, "-m", "pismo_sandbox", "serve-mail", str(mails))
    return Server("a mail server", command, re.compile(r"smtp://127\.0\.0\.1:(?P<port>\d+)\n"))


def add_alerts(feed: Feed, home: Path, port: str) -> Feed:
    """Return the settings with alerts by mail; the deliveries file is a copy in the demo's home."""
    from pismo_sandbox.mail import mail_connection

    copy = home / "deliveries.yaml"
    # each of our files ends with the settings of its only delivery
    copy.write_text(f"{feed.deliveries.read_text().rstrip()}\n{_ALERTS}")
    return replace(feed, deliveries=copy, connections=feed.connections | {"smtp_default": mail_connection(port)})


def read_mails(mails: Path) -> list[Mail]:
    """Return the mails that have arrived, in the order of their arrival; wait a moment for the first.

    Raises:
        DemoError: No mail has arrived.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while not (paths := sorted(mails.glob("*.eml"), key=lambda path: int(path.stem))):
        if time.monotonic() > until:
            msg = f"no alert has arrived in {mails}"
            raise DemoError(msg)
        time.sleep(0.2)
    return [_read(path) for path in paths]


def _read(path: Path) -> Mail:
    mail = message_from_bytes(path.read_bytes(), policy=default)
    body = mail.get_body(("plain", "html"))
    text = html.unescape(re.sub(r"<[^>]+>", "", body.get_content())) if body is not None else ""
    return Mail(path, str(mail["subject"]), tuple(line for line in text.splitlines() if line.strip()))
