"""The sandbox's two SFTP servers, met by a real client: OpenSSH's own, and the one with faults to switch."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil
import pytest
from tests.waiting import PATIENCE

from pismo_sandbox.sftp.openssh import SftpServer, SshdFailedError, SshdMissingError, find_sshd, running_openssh
from pismo_sandbox.sftp.server import RunningSftp, SftpPolicy, rsa_key_pair, running_sftp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).parents[2]
FOLDER = "main_stream/2026/3/1/9"
BIG, SMALL = f"{FOLDER}/big", f"{FOLDER}/small"
SIZE = 12 << 20
LOST = (asyncssh.SFTPConnectionLost, asyncssh.ConnectionLost, ConnectionError)
Server = SftpServer | RunningSftp


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture(scope="module")
def other_keys() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("feed")
    (root / FOLDER).mkdir(parents=True)
    (root / BIG).write_bytes(os.urandom(SIZE))
    (root / SMALL).write_bytes(b"small")
    return root


@pytest.fixture(scope="module")
def sshd() -> str:
    """OpenSSH's server, installed if that can be done."""
    if find_sshd() is None:
        done = subprocess.run([REPOSITORY / "scripts/openssh"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no sshd: {done.stderr.strip()}")
    found = find_sshd()
    assert found
    return found


@pytest.fixture
def openssh(sshd: str, root: Path, keys: tuple[str, str]) -> Iterator[SftpServer]:
    with no_leftovers(), running_openssh(root, [keys[1]]) as server:
        yield server


@pytest.fixture
def policy(keys: tuple[str, str]) -> SftpPolicy:
    return SftpPolicy([keys[1]])


@pytest.fixture
def faulty(root: Path, policy: SftpPolicy) -> Iterator[RunningSftp]:
    with no_leftovers(), running_sftp(root, policy) as server:
        yield server


@pytest.fixture(params=["openssh", "faulty"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@contextmanager
def no_leftovers() -> Iterator[None]:
    """Nothing that was started within is there after it: no thread, no process of ours, no file or socket held open."""
    me = psutil.Process()
    threads = our_threads()
    children = set(me.children(recursive=True))
    files = me.num_fds()
    yield
    assert our_threads() == threads
    assert set(me.children(recursive=True)) == children
    assert me.num_fds() <= files


def our_threads() -> set[threading.Thread]:
    # the test's own loop looks up addresses in threads of its own
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def options(server: Server, private: list[str], host_key: str | None = None) -> dict[str, Any]:
    line = f"[{server.host}]:{server.port} {host_key or server.host_key}\n"
    return {
        "host": server.host,
        "port": server.port,
        "username": server.username if isinstance(server, SftpServer) else "pismo",
        "client_keys": [asyncssh.import_private_key(text) for text in private],
        "known_hosts": asyncssh.import_known_hosts(line),
        "config": None,
        "agent_path": None,
        "login_timeout": PATIENCE,
    }


@asynccontextmanager
async def client(server: Server, private: str) -> AsyncIterator[asyncssh.SFTPClient]:
    async with asyncssh.connect(**options(server, [private])) as connection, connection.start_sftp_client() as sftp:
        yield sftp


async def read(sftp: asyncssh.SFTPClient, path: str, *, block: int = 1 << 16, into: bytearray | None = None) -> bytes:
    """The whole file, one request after another; what had come when the connection broke is in `into`."""
    got = bytearray() if into is None else into
    async with sftp.open(path, "rb", block_size=0) as file:
        while piece := await file.read(block):
            assert isinstance(piece, bytes)
            got += piece
    return bytes(got)


# ---- what both do


async def test_lists_with_sizes(server: Server, keys: tuple[str, str]) -> None:
    async with client(server, keys[0]) as sftp:
        found = {str(entry.filename): entry.attrs.size async for entry in sftp.scandir(FOLDER)}
        assert {"big": SIZE, "small": 5}.items() <= found.items()
        assert found.keys() <= {"big", "small", ".", ".."}
        assert (await sftp.stat(SMALL)).size == 5
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.listdir("main_stream/2026/3/1/10")


async def test_reads_every_byte(server: Server, root: Path, keys: tuple[str, str], tmp_path: Path) -> None:
    async with client(server, keys[0]) as sftp:
        assert await read(sftp, BIG) == (root / BIG).read_bytes()
        # many requests at once, as a whole-file copy makes them
        await sftp.get(BIG, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (root / BIG).read_bytes()


async def test_refuses_every_change(server: Server, root: Path, keys: tuple[str, str]) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    async with client(server, keys[0]) as sftp:
        changes = [
            lambda: sftp.open(f"{FOLDER}/new", "wb"),
            lambda: sftp.open(SMALL, "ab"),
            lambda: sftp.open(SMALL, "r+b"),
            lambda: sftp.remove(SMALL),
            lambda: sftp.rename(SMALL, f"{FOLDER}/moved"),
            lambda: sftp.posix_rename(SMALL, f"{FOLDER}/moved"),
            lambda: sftp.mkdir(f"{FOLDER}/folder"),
            lambda: sftp.rmdir(FOLDER),
            lambda: sftp.chmod(SMALL, 0o777),
            lambda: sftp.truncate(SMALL, 1),
            lambda: sftp.symlink("small", f"{FOLDER}/symlink"),
            lambda: sftp.link(SMALL, f"{FOLDER}/hardlink"),
        ]
        for change in changes:
            # some of them OpenSSH does not even offer where nothing may be written
            with pytest.raises((asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported)):
                await change()
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before


async def test_refuses_other_keys_and_passwords(
    server: Server, keys: tuple[str, str], other_keys: tuple[str, str]
) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**options(server, [other_keys[0]]))
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**{**options(server, []), "client_keys": None, "password": "secret"})


async def test_shows_its_host_key_and_no_other(server: Server, keys: tuple[str, str]) -> None:
    seen = await asyncssh.get_server_host_key(server.host, server.port, config=None, server_host_key_algs="ssh-ed25519")
    assert seen
    assert seen.export_public_key().decode().split()[:2] == server.host_key.split()
    another = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(**options(server, [keys[0]], another))


@pytest.mark.parametrize(("wrong", "message"), [(5, None), (6, "Too many authentication failures")])
async def test_six_wrong_keys_are_too_many(
    server: Server, keys: tuple[str, str], wrong: int, message: str | None
) -> None:
    offered = [rsa_key_pair(1024)[0] for _ in range(wrong)] + [keys[0]]
    if message is None:
        async with asyncssh.connect(**options(server, offered)):
            return
    with pytest.raises(asyncssh.DisconnectError, match=message):
        await asyncssh.connect(**options(server, offered))


async def test_fifty_at_once(server: Server, keys: tuple[str, str]) -> None:
    async def one() -> bytes:
        async with client(server, keys[0]) as sftp:
            return await read(sftp, SMALL)

    assert await asyncio.gather(*(one() for _ in range(50))) == [b"small"] * 50


# ---- OpenSSH


async def test_openssh_takes_sha2_signatures_only(openssh: SftpServer, keys: tuple[str, str]) -> None:
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        async with asyncssh.connect(**options(openssh, [keys[0]]), signature_algs=[algorithm]):
            pass
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**options(openssh, [keys[0]]), signature_algs=["ssh-rsa"])


async def test_openssh_runs_no_command_and_forwards_nothing(openssh: SftpServer, keys: tuple[str, str]) -> None:
    async with asyncssh.connect(**options(openssh, [keys[0]])) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection(openssh.host, openssh.port)
        # the command is not run: what answers is the SFTP server, which ends for want of a request
        done = await connection.run("echo hello", stdin=asyncssh.DEVNULL)
        assert "hello" not in str(done.stdout)


async def test_openssh_restarts_with_the_same_port_and_keys(openssh: SftpServer, keys: tuple[str, str]) -> None:
    async with client(openssh, keys[0]) as sftp:
        openssh.restart()
        with pytest.raises(LOST):
            await read(sftp, SMALL)
    async with client(openssh, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_openssh_stops_with_its_sessions_and_starts_again(openssh: SftpServer, keys: tuple[str, str]) -> None:
    connection = await asyncssh.connect(**options(openssh, [keys[0]]))
    await connection.start_sftp_client()
    assert openssh._daemon.process
    started = psutil.Process(openssh._daemon.process.pid)
    # sshd, and at least the process that serves the session
    processes = [started, *started.children(recursive=True)]
    assert len(processes) > 1
    openssh.stop()
    await asyncio.wait_for(connection.wait_closed(), PATIENCE)
    assert not openssh.running
    # in a container nobody may collect the dead
    assert not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(ConnectionRefusedError):
        await asyncssh.connect(**options(openssh, [keys[0]]))
    openssh.start()
    async with client(openssh, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_openssh_keeps_host_keys_in_its_state(
    sshd: str, root: Path, keys: tuple[str, str], tmp_path: Path
) -> None:
    # a blank and a per cent sign have a meaning in sshd's configuration
    feed, state = tmp_path / "a 100% feed", tmp_path / "a 100% state"
    feed.symlink_to(root)
    with no_leftovers(), running_openssh(feed, [keys[1]], state=state) as first:
        async with client(first, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"
    with no_leftovers(), running_openssh(feed, [keys[1]], state=state, port=first.port) as second:
        assert (second.host_key, second.port) == (first.host_key, first.port)
        async with client(second, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"


def test_openssh_says_why_it_cannot_start(
    sshd: str, root: Path, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SshdFailedError, match="Address already in use"), running_openssh(root, [], port=port):
            pass
    monkeypatch.setattr("pismo_sandbox.sftp.openssh.find_sshd", lambda: None)
    with pytest.raises(SshdMissingError, match="scripts/openssh"), running_openssh(root, []):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_openssh_from_the_command_line(
    sshd: str, root: Path, keys: tuple[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    authorized = tmp_path / "authorized_keys"
    authorized.write_text(f"# consumers\n\n{keys[1]} somebody@somewhere\n")
    command = [sys.executable, "-m", "pismo_sandbox.sftp.openssh", "--root", root, "--authorized-keys", authorized]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "include")}
    with no_leftovers(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"sftp://([^@]+)@(127\.0\.0\.1):(\d+) hostkey (ssh-ed25519 \S+)\n", line)
        assert found, line
        user, host, port, host_key = found.groups()
        server = SftpServer(host, int(port), user, host_key, None)  # type: ignore[arg-type]
        async with client(server, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0


# ---- faults


async def test_cut_after_some_bytes(faulty: RunningSftp, policy: SftpPolicy, root: Path, keys: tuple[str, str]) -> None:
    policy.cut_after, policy.cuts_left = 300_000, 2
    for _ in range(2):
        got = bytearray()
        async with client(faulty, keys[0]) as sftp:
            with pytest.raises(LOST):
                await read(sftp, BIG, into=got)
        assert got == (root / BIG).read_bytes()[:300_000]
    assert policy.cuts_left == 0
    async with client(faulty, keys[0]) as sftp:
        assert await read(sftp, BIG) == (root / BIG).read_bytes()


async def test_cut_always_and_only_files_that_are_long_enough(
    faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]
) -> None:
    policy.cut_after = 1000
    for _ in range(3):
        async with client(faulty, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"
            with pytest.raises(LOST):
                await read(sftp, BIG)


async def test_stall(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.stall_after = 100_000
    async with client(faulty, keys[0]) as sftp:
        got = bytearray()
        reading = asyncio.create_task(read(sftp, BIG, into=got))
        async with asyncio.timeout(PATIENCE):
            while len(got) < 100_000:
                await asyncio.sleep(0.01)
        # not wait_for: cancelled, it would close the file, and that is not answered either
        await asyncio.wait({reading}, timeout=0.5)
        assert not reading.done()
        assert len(got) == 100_000
        assert policy.connections == 1
        faulty.drop_connections()
        with pytest.raises(LOST):
            await reading


async def test_drip(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.drip = 0.2
    async with client(faulty, keys[0]) as sftp:
        began = time.monotonic()
        assert await read(sftp, SMALL, block=2) == b"small"
        # three pieces and the end
        assert time.monotonic() - began >= 0.8


async def test_denied_and_vanished(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.denied, policy.vanished = {BIG, "main_stream/2026/3/2"}, {SMALL}
    async with client(faulty, keys[0]) as sftp:
        assert {"big", "small"} <= set(await sftp.listdir(FOLDER))
        assert (await sftp.stat(BIG)).size == SIZE
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await read(sftp, BIG)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await read(sftp, SMALL)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat(SMALL)
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.listdir("main_stream/2026/3/2")
        policy.denied.clear()
        policy.vanished.clear()
        assert len(await read(sftp, BIG)) == SIZE
        assert await read(sftp, SMALL) == b"small"


async def test_slow_listing(policy: SftpPolicy, keys: tuple[str, str], tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / str(number)).touch()
    policy.listing_delay = 0.2
    with no_leftovers(), running_sftp(tmp_path, policy) as faulty:
        async with client(faulty, keys[0]) as sftp:
            began = time.monotonic()
            assert len(await sftp.listdir(".")) == 252
            assert time.monotonic() - began >= 0.6


async def test_refused_connections(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.refuse_connections = True
    with pytest.raises(LOST):
        await asyncssh.connect(**options(faulty, [keys[0]]))
    assert policy.most_connections == 0
    policy.refuse_connections = False
    async with client(faulty, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_silence_on_open_and_new_connections(
    faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]
) -> None:
    async with client(faulty, keys[0]) as sftp:
        policy.silent = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(sftp, SMALL), 0.3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncssh.connect(**options(faulty, [keys[0]])), 0.3)
        policy.silent = False
        assert await asyncio.wait_for(read(sftp, SMALL), PATIENCE) == b"small"
        policy.silent = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(sftp, SMALL), 0.3)
        # cut while silent, and stopped while silent at the end of the test
        faulty.drop_connections()
        assert policy.connections == 0


async def test_dropped_connections_are_counted(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    connections = [await asyncssh.connect(**options(faulty, [keys[0]])) for _ in range(3)]
    assert (policy.connections, policy.most_connections) == (3, 3)
    faulty.drop_connections()
    assert (policy.connections, policy.most_connections) == (0, 3)
    for connection in connections:
        await asyncio.wait_for(connection.wait_closed(), PATIENCE)


async def test_a_key_is_revoked(
    faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str], other_keys: tuple[str, str]
) -> None:
    policy.authorized = [f"{other_keys[1]} with a comment"]
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**options(faulty, [keys[0]]))
    async with client(faulty, other_keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_the_host_key_changes(faulty: RunningSftp, keys: tuple[str, str]) -> None:
    before = faulty.host_key
    faulty.change_host_key()
    assert faulty.host_key != before
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(**options(faulty, [keys[0]], before))
    async with client(faulty, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_a_given_host_key_and_port(root: Path, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    private, public = rsa_key_pair()
    with running_sftp(root, policy, host_key=private) as first:
        assert first.host_key == public
        with pytest.raises(OSError, match="in use"), running_sftp(root, policy, port=first.port):
            pass
    with no_leftovers(), running_sftp(root, policy, host_key=private, port=first.port) as second:
        async with client(second, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"


async def test_the_root_cannot_be_left(policy: SftpPolicy, keys: tuple[str, str], tmp_path: Path) -> None:
    inside, secret = tmp_path / "inside", tmp_path / "secret"
    inside.mkdir()
    secret.write_bytes(b"secret")
    (inside / "within").write_bytes(b"within")
    (inside / "way-out").symlink_to(secret)
    (inside / "way-up").symlink_to(tmp_path)
    (inside / "alias").symlink_to("within")
    with running_sftp(inside, policy) as faulty:
        async with client(faulty, keys[0]) as sftp:
            for path in ("../secret", "/../secret", str(secret), "way-out", "way-up/secret"):
                with pytest.raises(asyncssh.SFTPNoSuchFile):
                    await read(sftp, path)
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.listdir("way-up")
            assert await sftp.realpath(".") == "/"
            assert await read(sftp, "/within") == await read(sftp, "alias") == b"within"


async def test_what_was_asked_is_logged(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    async with client(faulty, keys[0]) as sftp:
        await sftp.listdir(FOLDER)
        await read(sftp, f"/{SMALL}")
        for refused in (sftp.remove(SMALL), sftp.mkdir("new"), sftp.rename(SMALL, "moved"), sftp.symlink("a", "b")):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await refused
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.open("new", "wb")
    assert policy.log == [
        ("list", FOLDER),
        ("open", SMALL),
        ("remove", SMALL),
        ("mkdir", "new"),
        ("rename", SMALL),
        ("symlink", "b"),
        ("write", "new"),
    ]
