"""Make a selection of the texts that a person gives: on the command line, or in a form."""

from __future__ import annotations

from dataclasses import dataclass

from pismo_lake.errors import ConfigError, SeenFileError
from pismo_lake.replay.ids import IdSet
from pismo_lake.replay.seen import read_ids
from pismo_lake.replay.selection import Clock, Selection, TimeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The texts of a selection; `ids` and `seen` are files, `where` are ``COLUMN=VALUE``."""

    first: str | None = None
    last: str | None = None
    clock: str = Clock.PUBLISH
    types: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    ids: str | None = None
    seen: str | None = None

    def select(self) -> Selection:
        """Return the selection; read the files that it names.

        Raises:
            ConfigError: a text is wrong, or only one end of the range is given.
            SeenFileError: a file of ids is missing or damaged.
        """
        if (self.first is None) != (self.last is None):
            msg = "the two ends of a range belong together: give from and to"
            raise ConfigError(msg)
        times = None
        if self.first is not None and self.last is not None:
            times = TimeRange.parse(self.first, self.last, self.clock)
        event_ids = self.event_ids
        if self.ids is not None:
            event_ids += tuple(read_ids(self.ids))
            if not event_ids:
                # without ids, it would mean all events
                msg = f"{self.ids}: the file has no ids"
                raise SeenFileError(msg)
        pairs = tuple((column, value) for column, _, value in (text.partition("=") for text in self.where))
        return Selection(
            times=times,
            types=self.types,
            organisations=self.organisations,
            values=pairs,
            accounts=self.accounts,
            event_ids=event_ids,
            seen=None if self.seen is None else IdSet(read_ids(self.seen)),
        )
