"""Run OpenSSH's own server on a loopback port: only SFTP, only reading, only public keys.

It accepts only RSA keys with SHA-2 signatures, as Pismo does. It runs as the user that starts it, in a folder of its
own; the system's SSH server is neither read nor changed.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HOST, _START_SECONDS, _PORT_TRIES = "127.0.0.1", 300.0, 5
_CONFIG = """\
ListenAddress {host}
Port {port}
HostKey "{state}/ssh_host_ed25519_key"
HostKey "{state}/ssh_host_rsa_key"
PidFile "{state}/sshd.pid"
AuthorizedKeysFile "{escaped}/authorized_keys"
AuthenticationMethods publickey
PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {user}
UsePAM no
StrictModes no
DisableForwarding yes
MaxStartups 200:30:400
LogLevel VERBOSE
Subsystem sftp internal-sftp
ForceCommand internal-sftp -R -d {start}
"""


class SshdMissingError(RuntimeError):
    """sshd is not installed on this machine."""


class SshdFailedError(RuntimeError):
    """sshd did not start, or has ended."""


def find_sshd() -> str | None:
    """Return the path of sshd, which is not on the PATH of ordinary users."""
    return shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@dataclass(slots=True)
class _Daemon:
    """The process behind an SftpServer."""

    command: list[str]
    state: Path
    address: tuple[str, int]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.alive():
            return
        (self.state / "sshd.pid").unlink(missing_ok=True)
        with (self.state / "sshd.log").open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - sshd with a configuration written here
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        with ExitStack() as failed:
            failed.callback(self.stop)
            self._wait()
            failed.pop_all()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self.alive() and time.monotonic() < deadline:
            # sshd writes the file once it listens; an answer alone may come from another server at this port
            if (self.state / "sshd.pid").exists():
                with suppress(OSError), socket.create_connection(self.address, timeout=10) as probe:
                    if probe.recv(4) == b"SSH-":
                        return
            time.sleep(0.02)
        words = (self.state / "sshd.log").read_text(errors="replace").splitlines()[-5:]
        raise SshdFailedError("sshd did not start; its last lines:\n" + "\n".join(words))

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End sshd, and the sessions that it has forked, which it would leave running."""
        if self.process is None or not self.alive():
            return
        victims: dict[int, psutil.Process] = {}
        with suppress(psutil.NoSuchProcess):
            # suspended processes cannot fork: the list is complete if no new process is found
            fresh = [psutil.Process(self.process.pid)]
            while fresh:
                for process in fresh:
                    victims[process.pid] = process
                    with suppress(psutil.NoSuchProcess):
                        process.suspend()
                found = psutil.Process(self.process.pid).children(recursive=True)
                fresh = [process for process in found if process.pid not in victims]
        for process in victims.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        while any(_lives(process) for process in victims.values()):
            time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    # in a container, dead processes may stay as zombies
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


@dataclass(frozen=True, slots=True)
class SftpServer:
    """A running sshd: its address, its user, and the public line of its ed25519 host key."""

    host: str
    port: int
    username: str
    host_key: str
    _daemon: _Daemon = field(repr=False, compare=False)

    def start(self) -> None:
        """Start the server again after `stop`, at the same port with the same keys."""
        self._daemon.start()

    def stop(self) -> None:
        """End the server and every open session."""
        self._daemon.stop()

    def restart(self) -> None:
        """End the server and every open session, and start it again."""
        self.stop()
        self.start()

    @property
    def running(self) -> bool:
        """Whether sshd runs."""
        return self._daemon.alive()


@contextmanager
def running_openssh(
    root: Path, authorized_keys: Sequence[str], *, port: int = 0, state: Path | None = None
) -> Iterator[SftpServer]:
    """Run sshd on a free (or the given) loopback port, its sessions starting in `root`.

    Host keys are kept in `state` and used again; without it they are new each time.
    """
    sshd = find_sshd()
    if sshd is None:
        raise SshdMissingError("this machine has no sshd: run scripts/openssh, or apt-get install openssh-server")
    with tempfile.TemporaryDirectory(prefix="pismo-sshd-") as private:
        # sshd splits ForceCommand at blanks and knows no quotes, so sessions start through a link without blanks
        start = Path(private, "root")
        start.symlink_to(root.resolve(strict=True))
        state = Path(private) if state is None else state.resolve()
        state.mkdir(parents=True, exist_ok=True)
        host_key = _furnish(state, authorized_keys)
        server = _start_server(sshd, state, start, host_key, port)
        try:
            yield server
        finally:
            server.stop()


def _furnish(state: Path, authorized_keys: Sequence[str]) -> str:
    """Write host keys and authorised keys; return the public ed25519 line."""
    for name, algorithm in (("rsa", "ssh-rsa"), ("ed25519", "ssh-ed25519")):
        path = state / f"ssh_host_{name}_key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(asyncssh.generate_private_key(algorithm).export_private_key())
    (state / "authorized_keys").write_text("".join(f"{line.strip()}\n" for line in authorized_keys))
    if os.geteuid() == 0:
        # sshd needs this folder before login; systemd makes it, if it runs
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    public = asyncssh.read_private_key(state / "ssh_host_ed25519_key").export_public_key().decode()
    return " ".join(public.split()[:2])


def _start_server(sshd: str, state: Path, start: Path, host_key: str, port: int) -> SftpServer:
    username, config = pwd.getpwuid(os.geteuid()).pw_name, state / "sshd_config"
    names = {"host": _HOST, "state": state, "escaped": str(state).replace("%", "%%"), "start": start, "user": username}
    for tries_left in reversed(range(_PORT_TRIES)):
        with socket.create_server((_HOST, 0)) as probe:
            number = port or int(probe.getsockname()[1])
        config.write_text(_CONFIG.format(port=number, **names))
        daemon = _Daemon([sshd, "-D", "-e", "-f", str(config)], state, (_HOST, number))
        try:
            daemon.start()
            break
        except SshdFailedError:
            # another process may have taken the free port
            if port or not tries_left:
                raise
    return SftpServer(_HOST, number, username, host_key, daemon)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a folder until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m pismo_sandbox.sftp.openssh", description=main.__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder to serve")
    parser.add_argument("--authorized-keys", type=Path, required=True, metavar="FILE", help="one public key a line")
    parser.add_argument("--port", type=int, default=0, help="default: a free port")
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder that keeps the host keys for the next start")
    options = parser.parse_args(arguments)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: asked.append(received))
    try:
        keys = options.authorized_keys.read_text().splitlines()
        with running_openssh(options.root, keys, port=options.port, state=options.state) as server:
            print(f"sftp://{server.username}@{server.host}:{server.port} hostkey {server.host_key}", flush=True)
            while not asked:
                if not server.running:
                    raise SshdFailedError("sshd has ended")
                time.sleep(0.1)
    except (RuntimeError, OSError) as error:
        print(f"openssh: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
