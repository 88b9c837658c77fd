"""Read the demo's options from the environment, which `make demo NAME=value` sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

CHANNELS = ("s3", "s3-notices", "sftp", "gcs")


@dataclass(frozen=True, slots=True)
class Options:
    """Hours of the feed, its size, seed and channel, and whether to leave everything running.

    `close` says whether to close yesterday too, `tables` whether the lake has Iceberg tables.
    """

    hours: int = 3
    megabytes: float = 24.0
    seed: int = 7
    keep: bool = False
    channel: str = "s3"
    close: bool = True
    tables: bool = False
    home: Path = ROOT / ".demo"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Options:
        """Read HOURS, MB, SEED, KEEP, CHANNEL and TABLES; variables that are not set keep their defaults."""
        channel = environment.get("CHANNEL", "").strip().lower() or "s3"
        if channel not in CHANNELS:
            msg = f"CHANNEL={channel}: one of {', '.join(CHANNELS)} is expected"
            raise DemoError(msg)
        tables = environment.get("TABLES", "").strip().lower()
        if tables not in {"", "iceberg"}:
            msg = f"TABLES={tables}: iceberg is expected, or nothing"
            raise DemoError(msg)
        return cls(
            hours=int(_number(environment, "HOURS", 3, 1, 48, whole=True)),
            megabytes=_number(environment, "MB", 24.0, 0.1, 2000.0),
            seed=int(_number(environment, "SEED", 7, 0, 2**31, whole=True)),
            keep=environment.get("KEEP", "").strip().lower() not in {"", "0", "no", "false"},
            channel=channel,
            tables=bool(tables),
        )


def _number(
    environment: Mapping[str, str], name: str, default: float, least: float, most: float, *, whole: bool = False
) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        msg = f"{name}={text}: a {'whole ' if whole else ''}number from {least:g} to {most:g} is expected"
        raise DemoError(msg)
    return value
