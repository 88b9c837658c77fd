"""Make the message of an event: its bytes, and attributes by which a consumer can filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.decode.envelope import envelope_of, parse_exact
from pismo_lake.errors import ReplayError
from pismo_lake.paths import event_name, event_path
from pismo_lake.privacy.redact import Redactor
from pismo_lake.replay.account import account_of

if TYPE_CHECKING:
    from pismo_lake.settings.privacy import Privacy


@dataclass(frozen=True, slots=True)
class Message:
    """One event to send.

    Attributes:
        position: its place in the replay.
        body: the bytes to send.
        key: the identity of the event: a hash of its organisation and id, in hex.
        attributes: the text that goes beside the body.
        account: the id of its account, if the body names one.
    """

    position: int
    body: bytes
    key: str
    attributes: dict[str, str]
    account: str | None

    @property
    def group(self) -> str:
        """Return the name of the events that keep their order: those of its account, or it alone."""
        return self.key if self.account is None else f"account-{self.account}"


class MessageMaker:
    """Makes the messages of one replay; `privacy` is the policy to apply to each event, if there is one."""

    def __init__(self, replay_id: str, privacy: Privacy | None) -> None:
        self._replay_id, self._privacy = replay_id, privacy
        self._redactors: dict[str, Redactor] = {}

    def make(self, position: int, key: bytes, raw: bytes) -> Message:
        """Return the message of an event.

        Raises:
            ReplayError: the policy cannot be applied to it.
        """
        try:
            event = parse_exact(raw)
            envelope = envelope_of(event)
            body = raw
            if self._privacy is not None:
                name = event_path(envelope.domain, event_name(envelope.event_type, envelope.schema_version))
                body = self._redactor(self._privacy, name).event(raw).encode()
                event = parse_exact(body)
        except ValueError:
            # the text of the error may quote the event
            msg = "no message can be made of it: it is no event, or the privacy policy cannot be applied to it"
            raise ReplayError(msg) from None
        attributes = {
            "event_id": envelope.event_id,
            "domain": envelope.domain,
            "event_type": envelope.event_type,
            "replayed": "true",
            "replay_id": self._replay_id,
        }
        return Message(position, body, key.hex(), attributes, account_of(event))

    def _redactor(self, privacy: Privacy, name: str) -> Redactor:
        found = self._redactors.get(name)
        if found is None:
            found = self._redactors[name] = Redactor(privacy, name)
        return found
