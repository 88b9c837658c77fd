"""Write a letter to Pismo: our identity and keys, and the missing rights; no secret."""

from __future__ import annotations

import re
import textwrap
from contextlib import closing
from typing import TYPE_CHECKING

from pismo.checks.check import State
from pismo_lake.settings.channels import (
    SFTP_ENDPOINTS,
    Channel,
    GcsSource,
    NoticeChannel,
    S3Source,
    SftpSource,
    bucket_name,
    role_arn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pismo.checks.check import Check
    from pismo_lake.settings.deliveries import Delivery

_WIDTH = 100
_SESSION = re.compile(r"arn:(aws[\w-]*):sts::(\d{12}):assumed-role/([^/\s]+)/\S+")
_ARN = re.compile(r"arn:aws[\w-]*:\S+")
_UNKNOWN = "[not found: see the checks]"
# if one of these checks fails, Pismo has to act; all others are ours
_PISMOS = re.compile(r"role|listing|reading an event file|use of the KMS key|private key \d+|host key|private keys")


def write_letter(delivery: Delivery, checks: Iterable[Check]) -> str:
    """Return the text to send to Pismo, from the delivery and the results of its checks."""
    found = {check.name: check for check in checks}
    match delivery.channel:
        case Channel.S3:
            body = _s3(delivery, found)
        case Channel.SFTP:
            body = _sftp(delivery, found)
        case Channel.GCS:
            body = _gcs(delivery)
    return "\n".join([*_head(delivery), *body, *_notices(delivery, found), *_tail(delivery, found)])


def _head(delivery: Delivery) -> Iterator[str]:
    yield f"Subject: Event file delivery for {delivery.organisation} ({delivery.environment})"
    yield ""
    yield "Dear Pismo team,"
    yield ""
    yield from _paragraph(
        f"we read the event files of organisation {delivery.organisation} in the {delivery.environment} environment, by"
        f" {_BY[delivery.channel]}. This is our side, and the list of the rights that we still need."
    )


_BY = {Channel.S3: "Amazon S3", Channel.SFTP: "SFTP", Channel.GCS: "a copy to our Cloud Storage bucket"}


def _s3(delivery: Delivery, found: dict[str, Check]) -> Iterator[str]:
    source = delivery.source
    assert isinstance(source, S3Source)
    role = source.role_arn or role_arn(source.pismo_account_id, delivery.organisation)
    bucket = f"arn:aws:s3:::{source.bucket or bucket_name(delivery.organisation)}"
    ours = _own_identity(found.get("own identity"))
    yield from _facts(
        {
            "Our identity": ours,
            "Role to assume": role,
            "External id": source.external_id or "none: tell us if the role asks for one",
            "Bucket": bucket,
            "Region": source.region or "not known to us: please tell us",
        }
    )
    asked = []
    if _is_open(found.get("role")):
        asked.append(f"Let {ours} assume {role} (sts:AssumeRole), and tell us the external id if there is one.")
    listing, reading = found.get("listing"), found.get("reading an event file")
    denied = listing is not None and listing.state is not State.PASS and "ListBucket" in listing.seen
    if delivery.listing and (denied or (listing is not None and listing.state is State.SKIPPED)):
        asked.append(f"Give that role s3:ListBucket on {bucket}.")
    if _is_open(reading):
        asked.append(f"Give that role s3:GetObject on {bucket}/{source.prefix}/*.")
    if "use of the KMS key" in found or (reading is not None and reading.state is State.SKIPPED):
        asked.append("Give that role kms:Decrypt on the key of the bucket.")
    yield from _ask(asked)


def _own_identity(check: Check | None) -> str:
    """Return the ARN that Pismo must trust; for a session, the ARN of its role."""
    text = check.seen if check is not None and check.state is State.PASS else ""
    session = _SESSION.search(text)
    if session:
        return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
    arn = _ARN.search(text)
    return arn[0] if arn else _UNKNOWN


def _sftp(delivery: Delivery, found: dict[str, Check]) -> Iterator[str]:
    source = delivery.source
    assert isinstance(source, SftpSource)
    place = found["connection"].seen.partition(",")[0] if found["connection"].state is State.PASS else _UNKNOWN
    yield from _facts({"Server": source.host or SFTP_ENDPOINTS[delivery.environment], "Our user": place})
    keys = _public_keys(delivery)
    asked = []
    for number, key in enumerate(keys, 1):
        if _is_open(found.get(f"private key {number}")):
            asked.append(f"Register this public key for our user:\n\n{key}\n")
    if not keys:
        asked.append("Tell us our user name. We have no key in our connection yet, and will send it.")
    if _is_open(found.get("host key")):
        asked.append("Tell us the fingerprint of the server's host key: it is not the one that we have pinned.")
    if found.get("listing") is not None and found["listing"].state is State.FAIL:
        asked.append(f"Give our user read access to the folder {source.root}/{source.prefix}.")
    yield from _ask(asked)


def _public_keys(delivery: Delivery) -> list[str]:
    """Return the public halves of the connection's keys, without their comments."""
    from pismo.hooks.sftp import PismoSFTPHook

    try:
        hook = PismoSFTPHook(delivery)
    except Exception:  # noqa: BLE001 - the check of the connection has the reason
        return []
    with closing(hook):
        texts = [key.export_public_key("openssh").decode().split() for key in hook.identity.keys]
    return [" ".join(text[:2]) for text in texts]


def _gcs(delivery: Delivery) -> Iterator[str]:
    source = delivery.source
    assert isinstance(source, GcsSource)
    yield from _facts({"Our bucket": f"gs://{source.bucket}", "Folder in it": source.prefix})
    yield from _ask(
        [
            (
                "Tell us the service account that copies the files. We give it roles/storage.objectCreator on the"
                " bucket and roles/pubsub.publisher on the topic."
            ),
            "Copy the event files to this folder of our bucket, and tell us the path of main_stream in it.",
        ]
    )


def _notices(delivery: Delivery, found: dict[str, Check]) -> Iterator[str]:
    if delivery.notices is None:
        return
    check = found.get("topic")
    topic = check.seen if check is not None and check.state is State.PASS and check.seen else _UNKNOWN
    kind = "SNS topic" if delivery.notices.channel is NoticeChannel.SQS else "Pub/Sub topic"
    yield ""
    yield from _paragraph(
        f"Please send the real-time events of this organisation to our {kind}, at least those of new files"
        " (domain dataplatform, new bucket object):"
    )
    yield ""
    yield f"  {topic}"
    if delivery.notices.channel is NoticeChannel.SQS:
        yield ""
        yield from _paragraph(
            "The policy of the topic lets your data account publish (sns:Publish). If you assume a role in our account"
            " to publish, tell us the external id, and we send you the ARN of the role."
        )


def _tail(delivery: Delivery, found: dict[str, Check]) -> Iterator[str]:
    works = [name for name in found if _PISMOS.fullmatch(name) and found[name].state is State.PASS]
    if works:
        yield ""
        yield from _paragraph(f"These checks passed already: {', '.join(works)}.")
    yield ""
    yield "Kind regards"
    ours = [name for name in found if not _PISMOS.fullmatch(name) and found[name].state is State.FAIL]
    if ours:
        yield ""
        yield "--- not for Pismo ---"
        yield from _paragraph(
            f"Fix these on your own side first (pismo doctor {delivery.name} says how): {', '.join(ours)}."
        )


def _is_open(check: Check | None) -> bool:
    """Return whether the check did not pass, or was not made."""
    return check is None or check.state is not State.PASS


def _facts(facts: dict[str, str]) -> Iterator[str]:
    yield ""
    for name, value in facts.items():
        yield f"  {name + ':':<16} {value}"


def _ask(wishes: list[str]) -> Iterator[str]:
    yield ""
    if not wishes:
        yield "All rights that we need are there; nothing is missing."
        return
    yield "Please:"
    for number, wish in enumerate(wishes, 1):
        yield ""
        # keys and ARNs are never broken
        first, found, rest = wish.partition("\n\n")
        yield from textwrap.wrap(
            first, _WIDTH, initial_indent=f"  {number}. ", subsequent_indent="     ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        if found:
            yield ""
            yield rest.strip()


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
