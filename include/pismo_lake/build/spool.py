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


@contextmanager
def spool_folder(settings: LakeSettings, unit: str, token: str) -> Iterator[Path]:
    """Make a folder for the files of a claimed unit, and remove it after the block.

    A local lake has the folder on its own disk, so that files are moved and not copied. Folders from killed builds of
    this unit are removed too. A folder in use is left, even if its builder has lost the claim: this builder may be the
    one that is late.
    """
    if not storage.is_local(settings.lake):
        with hold_folder(Path(tempfile.mkdtemp(prefix=_prefix(settings)))) as folder:
            yield folder
        return
    root = storage.local_path(settings.lake) / SPOOL
    name = f"{safe_segment(settings.delivery)}-{unit}"
    remove_folders(sorted(root.glob(f"{name}-*")))
    with hold_folder(root / f"{name}-{token}") as folder:
        yield folder


def remove_spools(settings: LakeSettings) -> tuple[list[Path], list[Path]]:
    """Remove folders that killed builds left here; return them, and those still in use."""
    if storage.is_local(settings.lake):
        root = storage.local_path(settings.lake) / SPOOL
        return remove_folders(sorted(path for path in root.glob("*") if path.is_dir()))
    found = Path(tempfile.gettempdir()).glob(f"{_prefix(settings)}*")
    return remove_folders(sorted(path for path in found if path.is_dir() and path.stat().st_uid == os.getuid()))


def _prefix(settings: LakeSettings) -> str:
    return f"pismo-close-{hashlib.sha256(settings.lake.encode()).hexdigest()[:12]}-"
