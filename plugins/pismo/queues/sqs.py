"""Notices in SQS, where an SNS topic (or EventBridge, or S3 itself) puts them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.sqs import SqsHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pismo.queues.message import Message, in_batches
from pismo_lake.errors import AccessDenied, ConfigError, KmsDenied, PismoError, SourceUnavailable
from pismo_lake.faults import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.settings.channels import Notices

_BATCH = 10
# an empty answer to a long poll says that no server of the queue has a message; to a short one it does not
_WAIT_SECONDS = 1
_DIGITS = 10
_DENIED = ("AccessDenied", "AuthFailure", "SignatureDoesNotMatch", "InvalidClientTokenId", "InvalidSecurity")
_MISSING = ("QueueDoesNotExist", "NonExistentQueue", "InvalidAddress")


class SqsQueue:
    """An SQS queue through the provider's hook; nothing is deleted but by `delete`."""

    def __init__(self, notices: Notices) -> None:
        self.name, self.lease_seconds = notices.queue, notices.lease_seconds
        self._hook = SqsHook(
            aws_conn_id=notices.conn_id,
            region_name=notices.region,
            config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60),
        )
        if notices.endpoint_url:
            self._hook.conn_config.endpoint_url = notices.endpoint_url

    def receive(self, most: int) -> list[Message]:
        """Long polls until `most` are held, one of them comes back empty, or a third of the lease is over."""
        messages: dict[str, Message] = {}
        until = time.monotonic() + self.lease_seconds / 3
        while len(messages) < most and time.monotonic() < until:
            answer = self._call(
                "receive_message",
                MaxNumberOfMessages=min(_BATCH, most - len(messages)),
                WaitTimeSeconds=_WAIT_SECONDS,
                VisibilityTimeout=self.lease_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            ).get("Messages", [])
            if not answer:
                break
            for item in answer:
                count = str(item.get("Attributes", {}).get("ApproximateReceiveCount", ""))
                deliveries = int(count) if count.isascii() and count.isdigit() and len(count) < _DIGITS else 0
                # delivered twice within one batch: the later receipt is the one that deletes
                messages[item["MessageId"]] = Message(
                    item["MessageId"], item.get("Body", ""), item["ReceiptHandle"], deliveries=deliveries
                )
        return list(messages.values())

    def extend(self, messages: Sequence[Message], seconds: int | None = None) -> None:
        """Hold messages for another lease from now."""
        lease = self.lease_seconds if seconds is None else seconds
        for some in in_batches(messages, _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": item.receipt, "VisibilityTimeout": lease}
                for number, item in enumerate(some)
            ]
            # one that is refused was deleted, or its lease ran out: it comes back and is known then
            self._call("change_message_visibility_batch", Entries=entries)

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete in batches; what the service fails to delete is asked for once more."""
        left = list(messages)
        for _ in range(2):
            refused: list[Message] = []
            for some in in_batches(left, _BATCH):
                entries = [{"Id": str(number), "ReceiptHandle": item.receipt} for number, item in enumerate(some)]
                answer = self._call("delete_message_batch", Entries=entries)
                refused += [some[int(entry["Id"])] for entry in answer.get("Failed", [])]
            if not refused:
                return
            left = refused
        msg = f"{self.name}: {len(left)} message(s) could not be deleted; they come back and are known then"
        raise SourceUnavailable(msg)

    def backlog(self) -> int:
        """Messages that wait, by `ApproximateNumberOfMessages`; those held by somebody do not count."""
        name = "ApproximateNumberOfMessages"
        return int(self._call("get_queue_attributes", AttributeNames=[name])["Attributes"][name])

    def has_dead_letters(self) -> bool:
        """Whether the queue has a redrive policy."""
        answer = self._call("get_queue_attributes", AttributeNames=["RedrivePolicy"])
        return "RedrivePolicy" in answer.get("Attributes", {})

    def close(self) -> None:
        """Nothing to give back: botocore's pool ends with the client."""

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._hook.get_conn(), operation)(QueueUrl=self.name, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise self._named(error, operation) from error

    def _named(self, error: Exception, operation: str) -> PismoError:
        reason = reason_of(error)
        code, told = reason.code, reason.told
        if not code:
            kind = AccessDenied if reason.fault.permanent else SourceUnavailable
            return kind(f"{self.name}: {reason}" + ("" if reason.fault.permanent else ", try again"))
        action = "sqs:" + "".join(word.capitalize() for word in operation.removesuffix("_batch").split("_"))
        if code.startswith("KMS.") or "kms" in code.lower():
            return KmsDenied(
                f"{self.name}: its messages cannot be decrypted; kms:Decrypt on the queue's key is needed ({told})"
            )
        if any(word in code for word in _MISSING):
            return ConfigError(f"{self.name}: there is no such queue ({told})")
        if any(word in code for word in _DENIED):
            return AccessDenied(f"{self.name}: {action} refused to the connection's identity ({told})")
        if reason.fault.permanent:
            return AccessDenied(f"{self.name}: {action} failed: {reason}")
        return SourceUnavailable(f"{self.name}: {told} on {action}, try again")
