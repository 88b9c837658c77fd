"""Open a delivery's ledger and storage for a page, and keep the answer while the ledger stays as it is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from pismo.names import deliveries_file
from pismo.ui.cache import Cache
from pismo_lake.settings import Delivery, InvalidDelivery, load_deliveries

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

    Work = Callable[[LakeSettings, Ledger], "Answer"]

Answer = TypeVar("Answer")

_REVISION_SECONDS = 2.0
_ANSWER_SECONDS = 30.0
_ANSWERS = 512


class Reader:
    """Answers questions about the deliveries of a file.

    An answer is kept for half a minute, and only while the ledger has the same revision. One question is worked on at a
    time in a process, because each scheme of storage has one set of credentials in it.
    """

    def __init__(self, file: str | None = None) -> None:
        self._file = file or deliveries_file()
        self._revisions = Cache(_REVISION_SECONDS, _ANSWERS)
        self._answers = Cache(_ANSWER_SECONDS, _ANSWERS)
        self._storage = threading.Lock()

    def deliveries(self) -> tuple[Delivery | InvalidDelivery, ...]:
        """Return the deliveries of the file, in its order."""
        return load_deliveries(self._file)

    def find(self, name: str) -> Delivery | InvalidDelivery | None:
        """Return a delivery by name; None if the file has none."""
        return next((delivery for delivery in self.deliveries() if delivery.name == name), None)

    def answer(self, delivery: Delivery, question: Hashable, work: Work[Answer], *, keys: bool = False) -> Answer:
        """Return the answer to a question about a delivery.

        Args:
            delivery: the delivery.
            question: names the work and everything that its answer depends on, beside the ledger.
            work: makes the answer from the settings and the ledger.
            keys: give the settings the keys of the lake's files, too.
        """
        revision = self._revisions.get(delivery.name, lambda: self._read_revision(delivery))
        answer: Answer = self._answers.get(
            (delivery.name, revision, question), lambda: self._work(delivery, work, keys=keys)
        )
        return answer

    def _read_revision(self, delivery: Delivery) -> str:
        from pismo.connect.ledger import open_ledger
        from pismo_lake.ledger.lookups import Lookups

        with open_ledger(delivery, new=False) as ledger:
            return Lookups(ledger.for_reading(), delivery.lake, delivery.name).revision()

    def _work(self, delivery: Delivery, work: Work[Answer], *, keys: bool) -> Answer:
        from pismo.connect.ledger import open_ledger, settings_of
        from pismo.connect.storage import configure_storage

        with self._storage:
            configure_storage(delivery)
            settings = settings_of(delivery) if keys else delivery.settings
            with open_ledger(delivery, new=False) as ledger:
                return work(settings, ledger.for_reading())
