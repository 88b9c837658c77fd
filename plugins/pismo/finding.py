"""Find the event files of a window that are not landed yet; shared by the sensor's first look and the land task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.landing import RemoteFile, new_files
from pismo_lake.layout import PublishHour

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo.hooks.s3 import PismoS3Hook
    from pismo.windows import Window
    from pismo_lake.deliveries import Delivery
    from pismo_lake.ledger import Ledger


def find_files(hook: PismoS3Hook, ledger: Ledger, delivery: Delivery, window: Window) -> list[RemoteFile]:
    """New files in the window. Keys given by hand are taken as they are, without listing; `force` re-lands them."""
    if window.object_keys:
        files = [RemoteFile(key, None) for key in dict.fromkeys(window.object_keys)]
        return files if window.force else unlanded(files, ledger, delivery)
    return unlanded(hook.list_files(window.hours), ledger, delivery)


def unlanded(files: Iterable[RemoteFile], ledger: Ledger, delivery: Delivery) -> list[RemoteFile]:
    """Those the ledger does not have in this version."""
    listed = list(files)
    return new_files(listed, ledger.known(delivery.name, [file.key for file in listed]))


def summary(files: Iterable[RemoteFile], unbuilt: Iterable[str]) -> dict[str, object]:
    """What XCom carries: publish hours and counts, never file lists."""
    listed = list(files)
    hours = {str(hour) for file in listed if (hour := PublishHour.of_key(file.key))}
    return {"files": len(listed), "bytes": sum(file.size or 0 for file in listed), "publish_hours": sorted(hours),
            "unbuilt_hours": sorted(unbuilt)}  # fmt: skip
