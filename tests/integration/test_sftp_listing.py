"""List correct SFTP servers that answer unlike OpenSSH: no event file is left out silently."""

from __future__ import annotations

import os
import socket
from contextlib import chdir
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.lakes import LakeUnderTest, event
from tests.sftp_feed import FOLDER, HOUR, KEY, SftpFeed, fetched, sftp_delivery, sftp_feed

from pismo.hooks.sftp import PismoSFTPHook
from pismo_lake.errors import AccessDenied, PismoError, SourceUnavailable
from pismo_lake.landing.land import land_files
from pismo_sandbox.sftp.openssh import find_sshd, running_openssh
from pismo_sandbox.sftp.server import Links, Sizes, rsa_key_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
BAD_NAME = b"caf\xe9.json"
REFUSALS = [asyncssh.FX_FAILURE, asyncssh.FX_PERMISSION_DENIED, asyncssh.FX_OP_UNSUPPORTED, asyncssh.FX_BAD_MESSAGE]


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    root.mkdir()
    return root


@pytest.fixture
def feed(root: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpFeed]:
    with sftp_feed(root, pair, monkeypatch) as feed:
        yield feed


@pytest.fixture(params=["sandbox", "openssh"])
def either(
    request: pytest.FixtureRequest, root: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[SftpFeed]:
    """Yield the same folder behind the sandbox's server, then behind OpenSSH's."""
    if request.param == "sandbox":
        yield request.getfixturevalue("feed")
        return
    if find_sshd() is None:
        pytest.skip("no sshd on this machine: scripts/openssh installs it as root")
    with running_openssh(root, [pair[1]]) as server, sftp_feed(root, pair, monkeypatch) as feed:
        extra = {"private_key": pair[0], "host_key": server.host_key}
        feed.connection |= {"host": server.host, "port": server.port, "login": server.username, "extra": extra}
        yield feed


def warnings(capfd: pytest.CaptureFixture[str]) -> str:
    """Return the warnings in Airflow's log of hooks, which structlog writes."""
    written = capfd.readouterr()
    return "\n".join(line for line in (written.out + written.err).splitlines() if "warning" in line)


# --- names -----------------------------------------------------------------------------------------------------


def test_a_name_that_is_no_utf_8_is_named_and_stops_nothing(
    either: SftpFeed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    either.put("good", event("good"))
    either.put("schön ☃", event("snow"))
    (either.root / FOLDER / os.fsdecode(BAD_NAME)).write_bytes(event("bad"))
    hook, lake = either.hook(), LakeUnderTest(tmp_path)
    files = list(hook.list_files([HOUR]))
    assert len(files) == 3
    assert rf"{FOLDER}/caf\xe9.json" in warnings(capfd)
    (failed,) = land_files(lake.settings, lake.ledger, files, hook.fetch).failures
    assert failed.startswith(f"{FOLDER}/caf%")
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["good", "snow"]


def test_long_names_that_are_no_utf_8(feed: SftpFeed) -> None:
    feed.put()
    feed.policy.longname = b"-rw-r--r-- 1 andr\xe9 1 Jan 1 a"
    assert feed.listed() == {"a": 2}


def test_folder_markers_are_no_event_files(feed: SftpFeed) -> None:
    feed.put()
    feed.policy.extra_names = (b"", b"/", b"sub/", b"9/")
    assert feed.listed() == {"a": 2}


# --- kinds of entries ------------------------------------------------------------------------------------------


def test_links_are_followed(either: SftpFeed, tmp_path: Path) -> None:
    body = either.put("real", event("real") * 3, folder="elsewhere")
    folder = either.root / FOLDER
    folder.mkdir(parents=True)
    (folder / "link").symlink_to("../../../../../elsewhere/real")
    assert either.listed() == {"link": len(body)}
    assert fetched(either.hook(), f"{FOLDER}/link", len(body)) == body


def test_a_link_to_nothing_is_named_by_its_landing(either: SftpFeed, tmp_path: Path) -> None:
    either.put("good", event("good"))
    (either.root / FOLDER / "dangling").symlink_to("nowhere")
    hook, lake = either.hook(), LakeUnderTest(tmp_path)
    landing = land_files(lake.settings, lake.ledger, list(hook.list_files([HOUR])), hook.fetch)
    assert list(landing.failures) == [f"{FOLDER}/dangling"]
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["good"]


def test_folders_pipes_and_sockets_are_named(either: SftpFeed, capfd: pytest.CaptureFixture[str]) -> None:
    either.put()
    either.put("inner", folder=f"{FOLDER}/sub")
    folder = either.root / FOLDER
    (folder / "to-folder").symlink_to("sub")
    os.mkfifo(folder / "pipe")
    # a socket's address may not be long, so it is relative
    with socket.socket(socket.AF_UNIX) as made, chdir(folder):
        made.bind("socket")
    assert either.listed() == {"a": 2}
    told = warnings(capfd)
    assert all(f"{FOLDER}/{name} is" in told for name in ("sub", "to-folder", "pipe", "socket"))


@pytest.mark.parametrize("longname", [None, b"no hint"])
@pytest.mark.parametrize("sizes", [Sizes.RIGHT, Sizes.NONE])
def test_attributes_without_permission_bits(feed: SftpFeed, longname: bytes | None, sizes: Sizes) -> None:
    feed.put("a", b"12345")
    feed.put("inner", folder=f"{FOLDER}/sub")
    (feed.root / FOLDER / "link").symlink_to("a")
    feed.policy.permissions, feed.policy.longname, feed.policy.sizes = False, longname, sizes
    size = 5 if sizes is Sizes.RIGHT else None
    assert feed.listed() == {"a": size, "link": size}


def test_a_long_name_says_what_an_entry_is(feed: SftpFeed) -> None:
    feed.put()
    feed.policy.permissions, feed.policy.longname = False, b"-rw-r--r--   1 0  0  2 Jan  1 00:00 a"
    assert feed.listed() == {"a": 2}
    assert "stat" not in {operation for operation, _ in feed.policy.log}
    feed.policy.longname = b"drwxr-xr-x   1 0  0  2 Jan  1 00:00 a"
    assert feed.listed() == {}


def test_a_server_that_follows_links_itself(feed: SftpFeed) -> None:
    body = feed.put("real", event("real"), folder="elsewhere")
    (feed.root / FOLDER).mkdir(parents=True)
    (feed.root / FOLDER / "link").symlink_to("../../../../../elsewhere/real")
    feed.policy.links = Links.FOLLOWED
    assert feed.listed() == {"link": len(body)}


@pytest.mark.parametrize("most", [1, 3])
def test_a_server_that_allows_few_requests_at_once(feed: SftpFeed, most: int) -> None:
    for number in range(30):
        feed.put(f"f{number:02d}")
    feed.policy.permissions, feed.policy.longname, feed.policy.most_requests = False, b"no hint", most
    assert len(feed.listed()) == 30
    assert "too many requests" in {operation for operation, _ in feed.policy.log}
    feed.policy.log.clear()
    assert len(feed.listed(reads=1, connections=1)) == 30
    assert "too many requests" not in {operation for operation, _ in feed.policy.log}


def test_a_server_that_refuses_many_requests_keeps_no_file_back(feed: SftpFeed) -> None:
    feed.put()
    feed.put("b", folder="main_stream/2026/03/01/09")
    feed.policy.most_requests, feed.policy.too_many = 1, asyncssh.FX_FAILURE
    feed.policy.missing = asyncssh.FX_FAILURE
    found = {file.key for file in feed.hook(attempts=8).list_files([HOUR])}
    assert found == {KEY, "main_stream/2026/03/01/09/b"}


# --- folders that are not there --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("spelling", [FOLDER, "main_stream/2026/03/01/09"])
def test_a_missing_folder_may_be_refused(feed: SftpFeed, code: int, spelling: str) -> None:
    feed.put(folder=spelling)
    feed.policy.missing = code
    hours = [HOUR, HOUR.plus(5), HOUR.plus(24 * 40), HOUR.plus(24 * 400)]
    assert [file.key for file in feed.hook().list_files(hours)] == [f"{spelling}/a"]


@pytest.mark.parametrize("code", REFUSALS)
def test_another_spelling_says_it_if_no_parent_can_be_listed(
    feed: SftpFeed, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    feed.put()
    feed.policy.missing = code
    feed.policy.unlisted = {".", "main_stream", "main_stream/2026", "main_stream/2026/3", "main_stream/2026/3/1"}
    assert feed.listed() == {"a": 2}
    assert "main_stream/2026/03/01/09/ counts as missing" in warnings(capfd)


@pytest.mark.parametrize(("code", "kind"), [(asyncssh.FX_FAILURE, SourceUnavailable),
                                            (asyncssh.FX_PERMISSION_DENIED, AccessDenied)])  # fmt: skip
def test_an_hour_of_which_nothing_can_be_listed_is_an_error(feed: SftpFeed, code: int, kind: type[PismoError]) -> None:
    feed.put()
    feed.policy.missing, feed.policy.says = code, "no entry for you"
    feed.policy.unlisted = {".", "main_stream", "main_stream/2026", "main_stream/2026/3", "main_stream/2026/3/1"}
    with pytest.raises(kind, match="no entry for you"):
        list(feed.hook(attempts=2).list_files([HOUR.plus(1)]))


@pytest.mark.parametrize("parents", ["listed", "unlisted"])
def test_a_folder_that_is_there_and_denied_is_an_error(feed: SftpFeed, parents: str) -> None:
    feed.put()
    feed.put(folder="main_stream/2026/03/01/09")
    feed.policy.denied, feed.policy.says = {FOLDER}, "ask your administrator"
    feed.policy.missing = asyncssh.FX_PERMISSION_DENIED
    if parents == "unlisted":
        feed.policy.unlisted = {"main_stream/2026/3/1"}
    with pytest.raises(AccessDenied, match=r"2026/3/1/9.*ask your administrator"):
        feed.listed()


def test_a_listing_that_breaks_off_is_no_short_listing(feed: SftpFeed) -> None:
    for number in range(300):
        feed.put(f"f{number:03d}")
    feed.policy.listing_breaks_after, feed.policy.says = 200, "out of memory"
    with pytest.raises(SourceUnavailable, match=r"broke off.*out of memory"):
        feed.listed(attempts=2)


# --- the server's own words ------------------------------------------------------------------------------------


def test_the_status_text_is_part_of_the_error(feed: SftpFeed) -> None:
    feed.put()
    feed.policy.denied.add(KEY)
    feed.policy.says = "quota of\x1b[31m key\nreads used up"
    with pytest.raises(AccessDenied, match=r"quota of \[31m key reads used up") as raised:
        fetched(feed.hook())
    assert raised.value.key == KEY


def test_a_refused_network_is_named(feed: SftpFeed) -> None:
    feed.put()
    feed.connection["port"] = 1
    with pytest.raises(SourceUnavailable, match=r"[Rr]efused"):
        fetched(feed.hook(attempts=1))


def test_paths_below_a_root(feed: SftpFeed) -> None:
    feed.put(folder=f"far/below/{FOLDER}")
    for root in ("far/below", "/far/below/"):
        assert feed.listed(root=root) == {"a": 2}
        assert fetched(feed.hook(root=root)) == b"{}"
    assert sftp_delivery().source
    assert {PismoSFTPHook.path_of(feed.hook(root=root), "k") for root in ("", "/")} == {b"k", b"/k"}
