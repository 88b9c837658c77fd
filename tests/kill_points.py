"""End the work of a process at a chosen step, in the test's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class KilledError(BaseException):
    """The process ends here."""


def kill_at(wanted: str) -> Callable[[str], None]:
    """Return a checkpoint that ends the work at the wanted step."""

    def checkpoint(step: str) -> None:
        if step == wanted:
            raise KilledError

    return checkpoint
