"""Open the queue of notices that a delivery names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.errors import ConfigError
from pismo_lake.settings.channels import NoticeChannel

if TYPE_CHECKING:
    from pismo.queues.message import NoticeQueue
    from pismo_lake.settings.deliveries import Delivery


def open_queue(delivery: Delivery) -> NoticeQueue:
    """Open the queue of the delivery's notices."""
    notices = delivery.notices
    if notices is None:
        msg = f"{delivery.name} has no notices"
        raise ConfigError(msg)
    if notices.channel is NoticeChannel.SQS:
        from pismo.queues.sqs import SqsQueue

        return SqsQueue(notices)
    try:
        from pismo.queues.pubsub import PubSubQueue
    except ImportError as error:
        msg = f"{delivery.name}: Pub/Sub needs requirements-gcp.txt or the extra gcp; {error.name} is missing"
        raise ConfigError(msg) from None
    return PubSubQueue(notices)
