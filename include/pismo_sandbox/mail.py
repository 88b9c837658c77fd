"""Receive mails and keep them as files: `python -m pismo_sandbox serve-mail DIR`."""

from __future__ import annotations

import socketserver
import threading
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

FROM = "lake@example.com"
"""The sender of the mails."""


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode(errors="replace").strip():
            verb = line.split(" ")[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                self.server.keep(self._data())
            self._say("250 ok" if verb != "QUIT" else "221 bye")
            if verb == "QUIT":
                return

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    """An SMTP server on a free port of this machine, without a login and without TLS.

    It keeps the mails in `mails`, and also in a folder if there is one: `1.eml`, `2.eml` and so on.
    """

    daemon_threads = True

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[EmailMessage] = []
        self._folder, self._lock = folder, threading.Lock()

    @property
    def connection(self) -> dict[str, object]:
        """The Airflow connection of this server, for JSON."""
        return mail_connection(self.server_address[1])

    def keep(self, text: bytes) -> None:
        """Keep a mail."""
        with self._lock:
            self.mails.append(message_from_bytes(text, policy=default))
            if self._folder is not None:
                fresh = self._folder / "new"
                fresh.write_bytes(text)
                fresh.rename(self._folder / f"{len(self.mails)}.eml")


def mail_connection(port: Any) -> dict[str, object]:
    """Return the Airflow connection of a mail server on this machine, for JSON."""
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": FROM}
    return {"conn_type": "smtp", "host": "127.0.0.1", "port": int(port), "extra": extra}
