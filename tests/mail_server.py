"""A small SMTP server that keeps the mails it gets."""

from __future__ import annotations

import socketserver
from email import message_from_string
from email.policy import default
from typing import TYPE_CHECKING

from tests.serving import serving

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from email.message import EmailMessage


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                self.server.mails.append(self._data())
            self._say("250 ok" if verb != "QUIT" else "221 bye")
            if verb == "QUIT":
                return

    def _data(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line.removeprefix(".") if line.startswith("..") else line)
        return message_from_string("".join(lines), policy=default)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[EmailMessage] = []

    @property
    def connection(self) -> dict[str, object]:
        """Return the Airflow connection of this server, for JSON."""
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "lake@example.com"}
        return {"conn_type": "smtp", "host": "127.0.0.1", "port": self.server_address[1], "extra": extra}


def mail_server() -> AbstractContextManager[MailServer]:
    return serving(MailServer())
