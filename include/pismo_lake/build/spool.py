"""Make a folder on the local disk for the files of a closed day, before they are moved."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.paths import SPOOL, safe_segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings.lake import LakeSettings


@contextmanager
def spool_folder(settings: LakeSettings, unit: str, token: str) -> Iterator[Path]:
    """Make a folder for the files of a claimed unit, and remove it after the block.

    A local lake has the folder on its own disk, so that files are moved and not copied. Folders from killed builds of
    this unit are removed too: their claims are lost.
    """
    if not storage.is_local(settings.lake):
        with tempfile.TemporaryDirectory(prefix="pismo-close-") as folder:
            yield Path(folder)
        return
    root = storage.local_path(settings.lake) / SPOOL
    name = f"{safe_segment(settings.delivery)}-{unit}"
    for stale in root.glob(f"{name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    own = root / f"{name}-{token}"
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
