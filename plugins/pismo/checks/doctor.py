"""Check each right and key of a delivery, but leave no file behind and take no message."""

from __future__ import annotations

import os
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

from pismo.checks.check import Check, State, attempt, describe_error, skip
from pismo_lake.errors import ConfigError, LakeError, NoLedgerError, PismoError
from pismo_lake.settings.channels import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pismo_lake.settings.deliveries import Delivery

_SHOWN = 5


def examine(delivery: Delivery, *, key: str | None = None, other_host: str | None = None) -> Iterator[Check]:
    """Yield all checks of a delivery; `key` is an event file to read if listing is denied."""
    yield from examine_source(delivery, key or _find_newest_key(delivery), other_host)
    if delivery.notices is not None:
        yield from _queue(delivery)
    elif not delivery.listing:
        yield Check("notices", State.FAIL, "there are none, and listing is switched off")
    yield from _own(delivery)
    yield from _rules(delivery)
    if delivery.replay is not None:
        yield _replay_target(delivery)
    if delivery.pool != "default_pool":
        advice = f"create it, or tasks wait for ever: airflow pools set {delivery.pool} SLOTS DESCRIPTION"
        yield Check("Airflow pool", State.OPTIONAL, f"{delivery.pool} (cannot be checked from here)", advice)


def examine_source(delivery: Delivery, key: str | None = None, other_host: str | None = None) -> Iterator[Check]:
    """Yield the checks of the access to Pismo, which need no place for files and no ledger."""
    match delivery.channel:
        case Channel.S3:
            from pismo.checks.s3 import examine_s3

            yield from examine_s3(delivery, key)
        case Channel.SFTP:
            try:
                from pismo.checks.sftp import examine_sftp
            except ImportError as error:
                yield Check("SFTP packages", State.FAIL, f"{error.name} is missing", "install the wheel's extra sftp")
                return
            yield from examine_sftp(delivery, key, other_host)
        case Channel.GCS:
            yield from _gcs(delivery, key)


def _gcs(delivery: Delivery, key: str | None) -> Iterator[Check]:
    from pismo.checks.reading import examine_reading
    from pismo.connect.source import open_source

    try:
        source = open_source(delivery)
    except ConfigError as error:
        yield Check("Google packages", State.FAIL, str(error), "install requirements-gcp.txt, or the wheel's extra gcp")
        return
    except Exception as error:  # noqa: BLE001 - the error's kind says if connection or credentials are missing
        yield Check("connection", State.FAIL, describe_error(error), f"see the connection {delivery.conn_id}")
        return
    with closing(source):
        yield from examine_reading(
            source, delivery, key, "roles/storage.objectViewer on the bucket for the connection's identity"
        )


def _queue(delivery: Delivery) -> Iterator[Check]:
    from pismo.connect.queue import open_queue

    advice = "docs/how-to/notices.md has the policies of queue, key and identity"
    try:
        queue = open_queue(delivery)
    except ConfigError as error:
        yield Check("queue", State.FAIL, str(error))
        return
    except Exception as error:  # noqa: BLE001 - the error's kind says if the connection is missing
        yield Check("queue", State.FAIL, describe_error(error), advice)
        return
    with closing(queue):

        def look() -> str:
            waiting = queue.backlog()
            return f"{queue.name}: " + ("reachable" if waiting is None else f"about {waiting} message(s) wait")

        first = attempt("queue", look, advice)
        yield first
        if first.state is State.FAIL:
            yield from skip("topic", "dead letters", because="queue")
            return
        topic = attempt("topic", lambda: ", ".join(queue.sources()), advice)
        if topic.state is State.PASS and not topic.seen:
            wants = "let the topic send by the queue's policy, with its ARN as aws:SourceArn"
            topic = Check("topic", State.OPTIONAL, "the queue's policy names none", wants)
        yield topic
        found = attempt("dead letters", lambda: "configured" if queue.has_dead_letters() else "", advice)
        if found.state is State.PASS and not found.seen:
            wants = "give the queue a redrive policy; without one, bad messages return until they expire"
            found = Check("dead letters", State.OPTIONAL, "none configured", wants)
        yield found


def _own(delivery: Delivery) -> Iterator[Check]:
    from pismo.connect.ledger import ledger_url, open_ledger
    from pismo.connect.storage import configure_storage
    from pismo_lake.ledger import FileLedger, Sightings
    from pismo_lake.ledger.sqlite_files import sqlite_file

    def open_existing_ledger() -> str:
        try:
            opened = open_ledger(delivery, new=False)
        except NoLedgerError:
            file = sqlite_file(ledger_url(delivery))
            if file is None:
                # runs do not create tables on a server
                raise
            return f"none yet, the first run creates it in {_place_for(file.parent)}"
        with opened as ledger:
            waiting = len(FileLedger(ledger, delivery.lake, delivery.name).unbuilt_units())
            return f"open, {waiting} publish hour(s) or day(s) wait to be built"

    def quarantine() -> str:
        try:
            opened = open_ledger(delivery, new=False)
        except NoLedgerError:
            return "empty"
        with opened as ledger:
            seen = Sightings(ledger, delivery.lake, delivery.name).list_quarantined()
        if seen:
            shown = "; ".join(f"{key}: {file.problem}" for key, file in list(seen.items())[:_SHOWN])
            msg = f"{len(seen)} file(s) are quarantined, their events are missing: {shown}"
            raise LakeError(msg)
        return "empty"

    found = attempt("ledger", open_existing_ledger, "see docs/how-to/connections.md, ledger_conn_id")
    yield found
    if found.state is State.PASS:
        advice = "see docs/how-to/days.md: repair the cause, then run the ingest DAG with retry_failed"
        yield attempt("quarantine", quarantine, advice, optional=(LakeError,))

    def find_credentials() -> str:
        configure_storage(delivery)
        return "found"

    credentials = attempt("storage credentials", find_credentials, "see docs/how-to/connections.md, storage_conn_id")
    if credentials.state is State.FAIL:
        yield credentials
        yield from skip("landing writable", "lake writable", because="storage credentials")
        return
    rights = "needs to list, read, write and delete there"
    for name, root in (("landing writable", delivery.landing), ("lake writable", delivery.lake)):
        written = attempt(name, lambda root=root: _check_writing(root), rights)  # type: ignore[misc]
        yield written
        if name == "landing writable" and written.state is State.PASS:
            yield attempt("landing never overwritten", lambda: _describe_refusing(delivery.landing))


def _rules(delivery: Delivery) -> Iterator[Check]:
    from pismo.connect.ledger import settings_of
    from pismo.connect.storage import configure_storage
    from pismo_lake import storage
    from pismo_lake.contracts.json_schema import schema_folders
    from pismo_lake.privacy.mark import lake_keys, refuse_unprotected

    def schemas() -> str:
        if not storage.is_local(delivery.contracts.folder or ""):
            configure_storage(delivery)
        found = schema_folders(delivery.contracts)
        for folder in found:
            for name in folder.names.values():
                folder.payload(name)
        return ", ".join(f"{len(folder.names)} in {folder.root}" for folder in found) or "none, all are inferred"

    yield attempt("contracts", schemas, "python -m pismo_lake contracts check names each file")

    if delivery.contracts.pull is not None:
        yield from _schema_source(delivery)

    def policy() -> str:
        configure_storage(delivery)
        settings = settings_of(delivery)
        refuse_unprotected(settings)
        if settings.privacy is None:
            return "none: columns hold what Pismo sends"
        keys = ", ".join(f"key {key_id}" for key_id in lake_keys(settings).by_id)
        return f"{settings.privacy.name}, {len(settings.privacy.rules)} rules" + (f", {keys}" if keys else "")

    advice = "see docs/how-to/privacy.md: privacy, privacy_key_conn_id"
    found = attempt("privacy", policy, advice)
    if found.state is State.PASS and delivery.privacy is None:
        advice = "if people read the lake who may not see cards and names: privacy: strict, see docs/how-to/privacy.md"
        found = Check(found.name, State.OPTIONAL, found.seen, advice)
    yield found

    if delivery.lake_kms_key is not None:

        def encryption() -> str:
            key = settings_of(delivery).key
            return f"{key.check()}: encrypts and decrypts" if key else ""

        yield attempt("encryption", encryption, "see docs/how-to/encryption.md: lake_kms_key, storage_conn_id")


def _replay_target(delivery: Delivery) -> Check:
    """Look at the target of replays with its own connection; nothing is sent."""
    from pismo.connect.target import open_replay_target

    def look() -> str:
        with closing(open_replay_target(delivery, f"doctor-{uuid.uuid4().hex}")) as target:
            return target.check()

    # the right to send may come without the right to look
    return attempt("replay target", look, "see docs/how-to/replay.md: replay.address, replay.conn_id")


def _schema_source(delivery: Delivery) -> Iterator[Check]:
    """Check the place that schemas are pulled from, and the folder that they are pulled into."""
    from pismo.connect.schemas import schema_source
    from pismo.connect.storage import configure_storage

    def read() -> str:
        source = schema_source(delivery)
        return source.check() if source else "none: schemas come from Pismo's events"

    def write() -> str:
        configure_storage(delivery)
        return _check_writing(str(delivery.contracts.folder))

    # a pull that fails stops nothing else
    advice = "see docs/how-to/pull-schemas.md: contracts.pull.source, contracts.pull.conn_id"
    yield attempt("schema source", read, advice, optional=(PismoError,))
    yield attempt("contracts folder writable", write, advice, optional=(PismoError,))


def _check_writing(root: str) -> str:
    """Write a file and remove it; if the folder is missing, check that it can be created."""
    from pismo_lake import storage

    if storage.is_local(root) and not storage.local_path(root).is_dir():
        return f"{root}: missing, the first run creates it in {_place_for(storage.local_path(root))}"
    uri = storage.join(root, f"_doctor-{uuid.uuid4().hex}")
    storage.write_atomic(uri, b"written by the doctor")
    try:
        if storage.read_bytes(uri) != b"written by the doctor":
            msg = f"{root}: the file that was read differs from the file that was written"
            raise LakeError(msg)
    finally:
        storage.remove(uri)
    return root


def _describe_refusing(root: str) -> str:
    """Say how the store keeps raw files from being overwritten."""
    from pismo_lake import storage

    if storage.is_refused(storage.join(root, f"_doctor-{uuid.uuid4().hex}")):
        return "refused by the disk or the store itself"
    return "by claims: the store ignores If-None-Match, so each new file costs four more requests"


def _place_for(folder: Path) -> Path:
    """Return the nearest existing folder above.

    Raises:
        LakeError: no folder can be created in it.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists() or path.is_symlink())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        msg = f"{folder} cannot be created: {there} is not a folder, or is not writable"
        raise LakeError(msg)
    return there


def _find_newest_key(delivery: Delivery) -> str | None:
    """Return the newest event file of the ledger: one that existed at the source."""
    from pismo.connect.ledger import open_ledger
    from pismo_lake.ledger import FileLedger

    try:
        with open_ledger(delivery, new=False) as ledger:
            return FileLedger(ledger, delivery.lake, delivery.name).newest_key()
    except Exception:  # noqa: BLE001 - another check reports the ledger's errors
        return None
