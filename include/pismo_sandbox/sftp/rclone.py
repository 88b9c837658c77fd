"""Run rclone's SFTP server over a bucket, on a loopback port, which resembles Pismo's SFTP.

It reads the sandbox's S3 with a session of Pismo's role, and accepts only public keys. The user's own rclone is
neither read nor changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from pismo_sandbox.s3.server import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo_sandbox.s3.server import Sandbox

_HOST, _START_SECONDS = "127.0.0.1", 30.0
_LISTENING = re.compile(r"SFTP server listening on \S+:(\d+)")


class RcloneMissingError(RuntimeError):
    """rclone is not installed on this machine."""


class RcloneFailedError(RuntimeError):
    """rclone did not start."""


@dataclass(frozen=True, slots=True)
class RcloneServer:
    """A running rclone: its address, and the public line of its host key."""

    host: str
    port: int
    host_key: str


@contextmanager
def running_rclone(sandbox: Sandbox, authorized_keys: Sequence[str]) -> Iterator[RcloneServer]:
    """Serve the organisation's bucket over SFTP until the block ends."""
    rclone = shutil.which("rclone")
    if rclone is None:
        raise RcloneMissingError("this machine has no rclone: run scripts/rclone, or apt-get install rclone")
    with tempfile.TemporaryDirectory(prefix="pismo-rclone-") as private:
        state = Path(private)
        key = asyncssh.generate_private_key("ssh-ed25519")
        (state / "host_key").touch(mode=0o600)
        (state / "host_key").write_bytes(key.export_private_key())
        (state / "authorized_keys").write_text("".join(f"{line.strip()}\n" for line in authorized_keys))
        command = [
            rclone, "serve", "sftp", f"pismo:{sandbox.policy.bucket}", "--addr", f"{_HOST}:0", "--read-only",
            "--authorized-keys", str(state / "authorized_keys"), "--key", str(state / "host_key"),
            # show new files at once
            "--dir-cache-time", "0s", "--config", str(state / "rclone.conf"), "--cache-dir", str(state / "cache"),
        ]  # fmt: skip
        (state / "rclone.conf").touch()
        log = state / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - rclone with arguments made here
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment(sandbox, state)
            )
        try:
            port = _port(process, log)
            yield RcloneServer(_HOST, port, " ".join(key.export_public_key().decode().split()[:2]))
        finally:
            process.kill()
            process.wait()


def _environment(sandbox: Sandbox, state: Path) -> dict[str, str]:
    """Return the bucket as a remote of rclone, with a session of the consumers' role."""
    session = sandbox.consumer("sts").assume_role(RoleArn=sandbox.policy.role_arn, RoleSessionName="rclone")
    credentials = session["Credentials"]
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": sandbox.endpoint,
        "REGION": REGION,
        "FORCE_PATH_STYLE": "true",
        "ACCESS_KEY_ID": credentials["AccessKeyId"],
        "SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "SESSION_TOKEN": credentials["SessionToken"],
    }
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(state)} | {
        f"RCLONE_CONFIG_PISMO_{name}": value for name, value in settings.items()
    }


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until rclone logs its port; it chooses a free one."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found = _LISTENING.search(log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    words = log.read_text(errors="replace").splitlines()[-5:]
    raise RcloneFailedError("rclone did not start; its last lines:\n" + "\n".join(words))
