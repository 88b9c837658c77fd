"""Remember in the folder of schemas which files pulls have written, and which messages they gave.

So a pull replaces only files that a pull wrote, and says each thing once. A record is a numbered file that is created
and never changed, so two pulls at once cannot lose an entry, on a disk and in any object store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake import storage
from pismo_lake.errors import StorageUnavailable
from pismo_lake.paths import PULLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME = re.compile(r"(\d{7,})\.json")
_TRIES = 100
_KEPT = 3
_DIGESTS = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """The record of one schema file.

    Attributes:
        digests: the SHA-256 of the contents that pulls wrote last, the newest at the end.
        noted: the state or fate that was reported last, with the digest that it was about.
        announced: the time of the event that announced it last.
    """

    digests: tuple[str, ...] = ()
    noted: str = ""
    announced: str = ""

    def wrote(self, digest: str) -> Entry:
        """Return the entry after a pull has written a content."""
        others = [one for one in self.digests if one != digest]
        return replace(self, digests=(*others, digest)[-_DIGESTS:])


Entries = dict[str, Entry]


def load_record(folder: str) -> Entries:
    """Return the entries of the newest record of a folder; none before the first pull."""
    return _load(folder)[1]


def update_record(folder: str, change: Callable[[Entries], Entries]) -> None:
    """Change the entries of a folder; if another pull was first, change those of its record.

    Raises:
        StorageUnavailable: others change the record all the time.
    """
    for _ in range(_TRIES):
        numbers, entries = _load(folder)
        changed = change(entries)
        if changed == entries:
            return
        number = numbers[-1] + 1 if numbers else 1
        if storage.create(_uri(folder, number), _to_json(changed)):
            for old in numbers[: -_KEPT + 1]:
                storage.remove(_uri(folder, old))
            return
    msg = f"{folder}: other pulls change the record all the time"
    raise StorageUnavailable(msg, uri=folder)


def _load(folder: str) -> tuple[list[int], Entries]:
    for _ in range(_TRIES):
        names = (uri.rsplit("/", 1)[-1] for uri in storage.list_files(storage.join(folder, PULLED)))
        numbers = sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))
        if not numbers:
            return [], {}
        try:
            return numbers, _from_json(storage.read_json(_uri(folder, numbers[-1])))
        except FileNotFoundError:
            # other pulls have written newer ones and removed it
            continue
    msg = f"{folder}: other pulls change the record all the time"
    raise StorageUnavailable(msg, uri=folder)


def _uri(folder: str, number: int) -> str:
    return storage.join(folder, PULLED, f"{number:07d}.json")


def _to_json(entries: Mapping[str, Entry]) -> bytes:
    tree = {
        name: {"digests": list(entry.digests), "noted": entry.noted, "announced": entry.announced}
        for name, entry in sorted(entries.items())
    }
    return orjson.dumps({"schemas": tree}, option=orjson.OPT_INDENT_2)


def _from_json(tree: Mapping[str, Any]) -> Entries:
    return {
        name: Entry(tuple(about.get("digests", ())), about.get("noted", ""), about.get("announced", ""))
        for name, about in tree.get("schemas", {}).items()
    }
