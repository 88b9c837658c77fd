"""Define the dials of the in-process SFTP server: faults and differences from OpenSSH."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Callable


class Sizes(StrEnum):
    """The sizes that attributes state."""

    RIGHT = "right"
    ZERO = "zero"
    NONE = "none"
    SMALLER = "smaller"
    LARGER = "larger"

    def state_size(self, size: int | None) -> int | None:
        """Return the stated size of a file of this real size."""
        if size is None or self is Sizes.NONE:
            return None
        return {Sizes.ZERO: 0, Sizes.SMALLER: size // 2, Sizes.LARGER: size + 1000}.get(self, size)


class Links(StrEnum):
    """The ways in which the entries of a folder show a symbolic link."""

    AS_LINKS = "as links"
    FOLLOWED = "followed"


@dataclass(slots=True)
class SftpPolicy:
    """The rights and faults of the server; paths are below its root, a folder means all in it.

    `cut_after` and `stall_after` count the served bytes of one opened file; `when_cut` is called at each cut.
    `connections` counts the open ones, `made` all of them. After `listing_breaks_after` names, a listing fails.

    A correct server may differ from OpenSSH in each of the following. `answers_most` is the largest number of bytes in
    an answer, `answers_more` the number of bytes beyond the request. `missing` and `past_end` are the status codes for
    a missing path and for a read after the end; `early_ends` reads find an end before it. With more than
    `most_requests` at once, the server ends the connection, or answers `too_many`. The folders of `unlisted` cannot be
    listed, but their sub-folders can. Attributes have permission bits if `permissions`, and state `sizes`. `longname`
    is the long name of all entries; `extra_names` are entries of all folders that are not on disk. `says` is the text
    of each status. `served` counts the bytes of all answers.
    """

    authorized: list[str]
    cut_after: int | None = None
    cuts_left: int | None = None
    when_cut: Callable[[], None] | None = None
    stall_after: int | None = None
    drip: float | None = None
    denied: set[str] = field(default_factory=set)
    vanished: set[str] = field(default_factory=set)
    listing_delay: float = 0.0
    listing_breaks_after: int | None = None
    refuse_connections: bool = False
    silent: bool = False
    answers_most: int | None = None
    answers_more: int = 0
    missing: int = asyncssh.FX_NO_SUCH_FILE
    past_end: int = asyncssh.FX_EOF
    early_ends: int = 0
    most_requests: int | None = None
    too_many: int | None = None
    unlisted: set[str] = field(default_factory=set)
    permissions: bool = True
    sizes: Sizes = Sizes.RIGHT
    links: Links = Links.AS_LINKS
    longname: bytes | None = None
    extra_names: tuple[bytes, ...] = ()
    says: str | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    served: int = 0
    connections: int = 0
    made: int = 0
    most_connections: int = 0

    def refusal(self, code: int, text: str) -> asyncssh.SFTPError:
        """Return a status, with the text of `says` if there is one."""
        return asyncssh.SFTPError(code, text if self.says is None else self.says)
