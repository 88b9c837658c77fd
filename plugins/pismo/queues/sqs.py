"""Take notices from SQS; an SNS topic, EventBridge, or S3 itself sends them there."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.sqs import SqsHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pismo.queues.message import Message, split_in_batches
from pismo_lake.errors import AccessDenied, ConfigError, KmsDenied, PismoError, SourceUnavailable
from pismo_lake.faults import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.settings.channels import Notices

_BATCH = 10
# if a long poll is empty, no server of the queue has a message; an empty short poll does not show that, but needs no
# second, and the caller asks again
_WAIT_SECONDS = 1
_DIGITS = 10
_DENIED = ("AccessDenied", "AuthFailure", "SignatureDoesNotMatch", "InvalidClientTokenId", "InvalidSecurity")
_MISSING = ("QueueDoesNotExist", "NonExistentQueue", "InvalidAddress")


class SqsQueue:
    """An SQS queue through the provider's hook; only `delete` deletes messages."""

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
        """Poll until it has `most`, a poll is empty, or a third of the lease is over."""
        messages: dict[str, Message] = {}
        until = time.monotonic() + self.lease_seconds / 3
        while len(messages) < most and time.monotonic() < until:
            answer = self._call(
                "receive_message",
                MaxNumberOfMessages=min(_BATCH, most - len(messages)),
                WaitTimeSeconds=0 if messages else _WAIT_SECONDS,
                VisibilityTimeout=self.lease_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            ).get("Messages", [])
            if not answer:
                break
            for item in answer:
                count = str(item.get("Attributes", {}).get("ApproximateReceiveCount", ""))
                deliveries = int(count) if count.isascii() and count.isdigit() and len(count) < _DIGITS else 0
                # if a message arrives twice in one batch, only its later receipt can delete it
                messages[item["MessageId"]] = Message(
                    item["MessageId"], item.get("Body", ""), item["ReceiptHandle"], deliveries=deliveries
                )
        return list(messages.values())

    def extend(self, messages: Sequence[Message], seconds: int | None = None) -> None:
        """Lease messages again from now."""
        lease = self.lease_seconds if seconds is None else seconds
        for some in split_in_batches(messages, _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": item.receipt, "VisibilityTimeout": lease}
                for number, item in enumerate(some)
            ]
            # ignore refused entries: the message was deleted, or its lease ended; then it returns and is known
            self._call("change_message_visibility_batch", Entries=entries)

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages in batches; try once more to delete those that the service keeps."""
        left = list(messages)
        for _ in range(2):
            refused: list[Message] = []
            for some in split_in_batches(left, _BATCH):
                entries = [{"Id": str(number), "ReceiptHandle": item.receipt} for number, item in enumerate(some)]
                answer = self._call("delete_message_batch", Entries=entries)
                refused += [some[int(entry["Id"])] for entry in answer.get("Failed", [])]
            if not refused:
                return
            left = refused
        msg = f"{self.name}: {len(left)} message(s) could not be deleted; they return later and are known then"
        raise SourceUnavailable(msg)

    def backlog(self) -> int:
        """Return `ApproximateNumberOfMessages`, which does not count leased messages."""
        return self._count(self.name)

    def has_dead_letters(self) -> bool:
        """Return whether the queue has a redrive policy."""
        return self._redrive_policy() is not None

    def dead_letters(self) -> int:
        """Return `ApproximateNumberOfMessages` of the queue that the redrive policy names.

        Raises:
            ConfigError: There is no such queue.
            AccessDenied: The identity lacks sqs:GetQueueAttributes on it.
        """
        policy = self._redrive_policy()
        if policy is None:
            msg = f"{self.name}: it has no dead-letter queue"
            raise ConfigError(msg)
        account, name = str(json.loads(policy)["deadLetterTargetArn"]).split(":")[-2:]
        # both queues are in one region, so they have one host
        return self._count(f"{self.name.rsplit('/', 2)[0]}/{account}/{name}")

    def sources(self) -> list[str]:
        """Return the ARNs that may send by the queue's policy, e.g. of a topic."""
        policy = self._call("get_queue_attributes", AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
        return _source_arns(json.loads(policy)) if policy else []

    def close(self) -> None:
        """Do nothing: botocore closes its connections with the client."""

    def _count(self, queue: str) -> int:
        name = "ApproximateNumberOfMessages"
        return int(self._call("get_queue_attributes", queue, AttributeNames=[name])["Attributes"][name])

    def _redrive_policy(self) -> str | None:
        answer = self._call("get_queue_attributes", AttributeNames=["RedrivePolicy"])
        found: str | None = answer.get("Attributes", {}).get("RedrivePolicy")
        return found

    def _call(self, operation: str, queue: str = "", **arguments: Any) -> Any:
        """Make a call about a queue; about the queue of notices if none is named."""
        queue = queue or self.name
        try:
            return getattr(self._hook.get_conn(), operation)(QueueUrl=queue, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise _convert_error(error, operation, queue) from error


def _convert_error(error: Exception, operation: str, queue: str) -> PismoError:
    reason = reason_of(error)
    code, answer = reason.code, reason.answer
    if not code:
        kind = AccessDenied if reason.fault.permanent else SourceUnavailable
        return kind(f"{queue}: {reason}" + ("" if reason.fault.permanent else ", try again"))
    action = "sqs:" + "".join(word.capitalize() for word in operation.removesuffix("_batch").split("_"))
    if code.startswith("KMS.") or "kms" in code.lower():
        return KmsDenied(f"{queue}: its messages cannot be decrypted without kms:Decrypt on the queue's key ({answer})")
    if any(word in code for word in _MISSING):
        return ConfigError(f"{queue}: no such queue ({answer})")
    if any(word in code for word in _DENIED):
        return AccessDenied(f"{queue}: the connection's identity is refused {action} ({answer})")
    if reason.fault.permanent:
        return AccessDenied(f"{queue}: {action} failed: {reason}")
    return SourceUnavailable(f"{queue}: {answer} on {action}, try again")


def _source_arns(policy: Any) -> list[str]:
    """Return the values of `aws:SourceArn` in the conditions of a policy."""
    statements = policy.get("Statement", [])
    found = []
    for statement in statements if isinstance(statements, list) else [statements]:
        for condition in statement.get("Condition", {}).values():
            for key, value in condition.items():
                if key.lower() == "aws:sourcearn":
                    found += value if isinstance(value, list) else [value]
    return found
