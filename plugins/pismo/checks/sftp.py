"""Check SFTP: the connection, the server's key, each private key, and one event file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncssh

from pismo.checks.check import Check, State, attempt, skip
from pismo.checks.reading import examine_reading
from pismo.hooks.sftp import PismoSFTPHook
from pismo.hooks.sftp_errors import FAILED, convert_error
from pismo.hooks.sftp_keys import key_label
from pismo_lake.errors import HostKeyDenied, KeysDenied, PismoError
from pismo_lake.settings.channels import SFTP_ENDPOINTS, Environment, SftpSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings.deliveries import Delivery

_REGISTER = "ask Pismo (Service Desk) to register its public key, or take it out of the connection"


def examine_sftp(delivery: Delivery, key: str | None, other_host: str | None) -> Iterator[Check]:
    """Check the server, each key and one file.

    `other_host` (host:port) replaces the address of the other environment's endpoint.
    """
    try:
        hook = PismoSFTPHook(delivery)
    except PismoError as error:
        yield Check("connection", State.FAIL, str(error), "see docs/how-to/connections.md")
        yield from skip("host key", "private keys", "listing", "reading an event file", because="connection")
        return
    except Exception as error:  # noqa: BLE001 - the error's kind says if the connection is missing
        yield Check("connection", State.FAIL, type(error).__name__, f"add the Airflow connection {delivery.conn_id}")
        return
    with closing(hook):
        yield Check("connection", State.PASS, f"{hook.place}, {len(hook.identity.keys)} private key(s)")
        tries = [_try(hook, ours) for ours in hook.identity.keys]
        problem = next((error for error in tries if error is not None and not isinstance(error, KeysDenied)), None)
        if problem is not None:
            name = "host key" if isinstance(problem, HostKeyDenied) else "server"
            yield Check(
                name, State.FAIL, str(problem), "" if name == "host key" else "check the network and the firewall"
            )
            yield from skip("private keys", "listing", "reading an event file", because=name)
            return
        yield Check("host key", State.PASS, "matches the pinned key")
        works = any(error is None for error in tries)
        for number, (ours, refusal) in enumerate(zip(hook.identity.keys, tries, strict=True), 1):
            state = State.PASS if refusal is None else State.OPTIONAL if works else State.FAIL
            seen = f"{key_label(ours)}: {'accepted' if refusal is None else 'refused'}"
            yield Check(f"private key {number}", state, seen, _REGISTER)
        if works:
            yield from examine_reading(hook, delivery, key, "ask Pismo for read access to the event files' folders")
            return
        yield _environment(delivery, other_host)
        yield from skip("listing", "reading an event file", because="private keys")


def _try(hook: PismoSFTPHook, ours: asyncssh.SSHKey) -> PismoError | None:
    """Return None if the server accepts the key, or else the reason for its refusal."""

    async def connect() -> None:
        connection = await hook.connect_with(ours)
        connection.close()
        await connection.wait_closed()

    try:
        hook.run(connect())
    except asyncssh.PermissionDenied:
        return KeysDenied("refused")
    except FAILED as error:
        return convert_error(error, hook.place, "")
    return None


def _environment(delivery: Delivery, other_host: str | None) -> Check:
    """Check whether the other environment accepts the keys that this one refuses."""
    assert isinstance(delivery.source, SftpSource)
    other = next(one for one in Environment if one is not delivery.environment)
    host, _, port = (other_host or SFTP_ENDPOINTS[other]).partition(":")
    if delivery.source.host is not None and other_host is None:
        return Check(
            "environment", State.SKIPPED, "the endpoint is not Pismo's own; give the other one with --other-host"
        )
    swapped = replace(
        delivery, environment=other, source=replace(delivery.source, host=host, port=int(port) if port else None)
    )

    def try_keys() -> str:
        with closing(PismoSFTPHook(swapped)) as hook:
            results = [_try(hook, ours) for ours in hook.identity.keys]
        # this environment's host key is pinned: if the other server has another one, the keys were not tried
        if any(result is None for result in results):
            msg = f"the {other.value} endpoint accepts these credentials: they are not {delivery.environment.value}'s"
            raise KeysDenied(msg)
        return f"{host} refuses them too, or its host key differs from the pinned one"

    return attempt("environment", try_keys, f"use {other.value}'s credentials only for {other.value}")
