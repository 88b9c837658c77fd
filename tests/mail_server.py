"""Serve the sandbox's mail server while a test runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.serving import serving

from pismo_sandbox.mail import MailServer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def mail_server() -> AbstractContextManager[MailServer]:
    return serving(MailServer())
