"""Make a folder on the local disk for the files of a closed day, before they are moved."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.paths import SPOOL, safe_segment
from pismo_lake.storage.leftovers import hold_folder, remove_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings.lake import LakeSettings

STAGED = ".plan"
"""The end of the names of folders that have a plan, and files of several tasks."""


@contextmanager
def spool_folder(settings: LakeSettings, unit: str, token: str) -> Iterator[Path]:
    """Make a folder for the files of a claimed unit, and remove it after the block.

    A local lake has the folder on its own disk, so that files are moved and not copied. Folders from killed builds of
    this unit are removed too, and the staged files of earlier claims. A folder in use is left, even if its builder has
    lost the claim: this builder may be the one that is late.
    """
    name = f"{safe_segment(settings.delivery)}-{unit}"
    if not storage.is_local(settings.lake):
        with hold_folder(Path(tempfile.mkdtemp(prefix=spool_prefix(settings)))) as folder:
            yield folder
        return
    root = storage.local_path(settings.lake) / SPOOL
    own = f"{name}-{token}"
    remove_folders(sorted(path for path in root.glob(f"{name}-*") if not path.name.startswith(own)))
    with hold_folder(root / own) as folder:
        yield folder


def staging_path(delivery: str, unit: str, token: str) -> str:
    """Return the path below the lake of the staged files of a claimed unit, which several tasks write."""
    return f"{SPOOL}/{safe_segment(delivery)}-{unit}-{token}{STAGED}"


def claim_of(path: str) -> str | None:
    """Return the token of the claim that a staged file belongs to; None for another path below the lake."""
    root, _, rest = path.partition("/")
    folder = rest.partition("/")[0]
    return folder.removesuffix(STAGED).rpartition("-")[2] if root == SPOOL and folder.endswith(STAGED) else None


def remove_staged(settings: LakeSettings, unit: str = "", token: str = "") -> None:
    """Remove the staged files of a unit, or of all, in the object store of a lake; leave those of a claim."""
    if storage.is_local(settings.lake):
        return
    name = f"{safe_segment(settings.delivery)}-{unit}" if unit else ""
    root = storage.join(settings.lake, SPOOL)
    for folder in storage.list_folders(root):
        if folder.startswith(name) and folder.endswith(STAGED) and not (token and f"-{token}" in folder):
            for uri in storage.list_every_file(f"{root}/{folder}"):
                storage.remove(uri)


def remove_spools(settings: LakeSettings) -> tuple[list[Path], list[Path]]:
    """Remove folders that killed builds left here; return them, and those still in use.

    On a local disk the staged files of a closing day are removed too, as no task holds them between two steps. The day
    is then closed without them. `remove_staged` does the same in an object store.
    """
    if storage.is_local(settings.lake):
        root = storage.local_path(settings.lake) / SPOOL
        return remove_folders(sorted(path for path in root.glob("*") if path.is_dir()))
    found = Path(tempfile.gettempdir()).glob(f"{spool_prefix(settings)}*")
    return remove_folders(sorted(path for path in found if path.is_dir() and path.stat().st_uid == os.getuid()))


def spool_prefix(settings: LakeSettings) -> str:
    """Return how the names of temporary folders begin in which files of a lake are made."""
    return f"pismo-close-{hashlib.sha256(settings.lake.encode()).hexdigest()[:12]}-"
