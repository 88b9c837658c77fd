"""Read files of correct SFTP servers that answer unlike OpenSSH: the bytes are right."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.lakes import LakeUnderTest, event
from tests.sftp_feed import FOLDER, HOUR, KEY, SftpFeed, fetched, sftp_feed

from pismo_lake.errors import SizeMismatch, SourceUnavailable
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import new_files
from pismo_sandbox.sftp.server import Sizes, rsa_key_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
BODY = random.Random(7).randbytes(1_500_000)


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture
def feed(tmp_path: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpFeed]:
    root = tmp_path / "served"
    root.mkdir()
    with sftp_feed(root, pair, monkeypatch) as feed:
        yield feed


# --- the length of an answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [1, 4096, 300_000])
@pytest.mark.parametrize("size", [None, len(BODY)])
def test_bytes_beyond_the_asked_ones_shift_nothing(feed: SftpFeed, more: int, size: int | None) -> None:
    feed.put(body=BODY)
    feed.policy.answers_more = more
    assert fetched(feed.hook(), size=size) == BODY


@pytest.mark.parametrize("most", [1000, 4096, 65_537])
@pytest.mark.parametrize("size", [None, len(BODY)])
def test_short_answers_bring_every_byte_once(feed: SftpFeed, most: int, size: int | None) -> None:
    feed.put(body=BODY)
    feed.policy.answers_most = most
    assert fetched(feed.hook(), size=size) == BODY
    assert feed.policy.served == len(BODY)


def test_short_answers_with_bytes_beyond_the_asked_ones(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.answers_most, feed.policy.answers_more = 50_000, 10
    assert fetched(feed.hook(), size=len(BODY)) == BODY


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 262_144, 262_145, 524_288])
@pytest.mark.parametrize("announced", [True, False])
def test_sizes_around_a_block(feed: SftpFeed, size: int, announced: bool) -> None:
    body = feed.put(body=os.urandom(size))
    assert fetched(feed.hook(), size=size if announced else None) == body
    assert fetched(feed.hook(size_is_right=False), size=size if announced else None) == body


def test_a_short_answer_and_a_cut_lose_nothing(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.answers_most, feed.policy.cut_after, feed.policy.cuts_left = 10_000, 400_000, 2
    assert fetched(feed.hook(), size=len(BODY)) == BODY
    assert feed.policy.cuts_left == 0


# --- behind the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 262_144, len(BODY)])
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("believed", [True, False])
def test_a_failure_behind_the_end_is_the_end(feed: SftpFeed, size: int, announced: bool, believed: bool) -> None:
    feed.put(body=BODY[:size])
    feed.policy.past_end = asyncssh.FX_FAILURE
    assert fetched(feed.hook(size_is_right=believed), size=size if announced else None) == BODY[:size]


def test_a_failure_behind_the_end_of_an_empty_file(feed: SftpFeed) -> None:
    feed.put(body=b"")
    feed.policy.past_end = asyncssh.FX_FAILURE
    assert fetched(feed.hook(), size=0) == b""


def test_a_failure_at_the_first_byte_is_no_empty_file(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.most_requests, feed.policy.too_many, feed.policy.says = 0, asyncssh.FX_FAILURE, "backend is away"
    feed.policy.sizes = Sizes.ZERO
    with pytest.raises(SourceUnavailable, match="backend is away"):
        fetched(feed.hook(size_is_right=False, attempts=2))


@pytest.mark.parametrize("believed", [True, False])
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("reads", [1, 64])
def test_an_end_where_there_is_none_cuts_no_file_short(
    feed: SftpFeed, believed: bool, announced: bool, reads: int
) -> None:
    feed.put(body=BODY)
    feed.policy.early_ends = 1
    hook = feed.hook(size_is_right=believed, reads=reads)
    size = len(BODY) if announced else None
    try:
        assert fetched(hook, size=size) == BODY
    except SizeMismatch:
        # the next try of the task reads it
        assert believed
        assert fetched(hook, size=size) == BODY
    assert feed.policy.early_ends == 0


# --- reads at once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 10])
@pytest.mark.parametrize("too_many", [None, asyncssh.FX_FAILURE])
def test_a_server_that_allows_few_reads_at_once(feed: SftpFeed, most: int, too_many: int | None) -> None:
    # more blocks than any of them allows
    body = feed.put(body=random.Random(8).randbytes(4_500_000))
    feed.policy.most_requests, feed.policy.too_many = most, too_many
    assert fetched(feed.hook(), size=len(body)) == body
    assert "too many requests" in {operation for operation, _ in feed.policy.log}


def test_what_one_file_has_learned_holds_for_the_next(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.most_requests = 1
    hook = feed.hook()
    assert fetched(hook, size=len(BODY)) == BODY
    feed.policy.log.clear()
    assert fetched(hook, size=len(BODY)) == BODY
    assert [path for operation, path in feed.policy.log if operation == "too many requests"] == []


def test_few_reads_from_the_start(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.most_requests = 2
    assert fetched(feed.hook(reads=2), size=len(BODY)) == BODY
    assert {operation for operation, _ in feed.policy.log} == {"open"}


def test_files_side_by_side_share_the_reads_of_a_connection(feed: SftpFeed, tmp_path: Path) -> None:
    for number in range(12):
        feed.put(f"f{number:02d}", b"".join(event(f"{number}-{one}") for one in range(400)))
    feed.policy.most_requests = 2
    hook, lake = feed.hook(reads=2, connections=1), LakeUnderTest(tmp_path)
    landed = land_files(lake.settings, lake.ledger, list(hook.list_files([HOUR])), hook.fetch, parallel=8)
    assert landed.summary.files == 12
    assert "too many requests" not in {operation for operation, _ in feed.policy.log}


# --- sizes -----------------------------------------------------------------------------------------------------


# larger sizes and a failure: the next test
UNBELIEVED = [(sizes, asyncssh.FX_EOF) for sizes in Sizes]
UNBELIEVED += [(sizes, asyncssh.FX_FAILURE) for sizes in Sizes if sizes is not Sizes.LARGER]


@pytest.mark.parametrize(("sizes", "past_end"), UNBELIEVED)
def test_sizes_that_are_not_believed(feed: SftpFeed, tmp_path: Path, sizes: Sizes, past_end: int) -> None:
    body = b"".join(event(f"e-{number}") for number in range(2000))
    feed.put(body=body)
    feed.policy.sizes, feed.policy.past_end = sizes, past_end
    hook, lake = feed.hook(size_is_right=False), LakeUnderTest(tmp_path)
    (file,) = hook.list_files([HOUR])
    assert file.size is None
    land_files(lake.settings, lake.ledger, [file], hook.fetch)
    known = lake.files.find_known([KEY])
    assert known[KEY].size == len(body)
    assert new_files(hook.list_files([HOUR]), known) == []
    lake.build()
    assert len(lake.rows()) == 2000


def test_a_failure_before_the_stated_end_is_no_end(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.sizes, feed.policy.past_end, feed.policy.says = Sizes.LARGER, asyncssh.FX_FAILURE, "no such range"
    with pytest.raises(SourceUnavailable, match="no such range"):
        fetched(feed.hook(size_is_right=False, attempts=2))


@pytest.mark.parametrize("sizes", [Sizes.ZERO, Sizes.SMALLER, Sizes.LARGER])
def test_a_wrong_size_is_an_error_that_names_the_setting(feed: SftpFeed, sizes: Sizes) -> None:
    feed.put(body=BODY)
    feed.policy.sizes = sizes
    hook = feed.hook()
    (file,) = hook.list_files([HOUR])
    with pytest.raises(SizeMismatch, match="size_is_right") as raised, hook.fetch(file) as chunks:
        list(chunks)
    assert raised.value.key == KEY


def test_sizes_that_are_not_stated_need_no_setting(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.sizes = Sizes.NONE
    hook = feed.hook()
    (file,) = hook.list_files([HOUR])
    assert file.size is None
    assert fetched(hook) == BODY


def test_a_download_of_unknown_length_goes_on_where_it_was_cut(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.sizes, feed.policy.cut_after, feed.policy.cuts_left = Sizes.ZERO, 600_000, 2
    assert fetched(feed.hook(size_is_right=False)) == BODY
    assert feed.policy.cuts_left == 0
    assert feed.policy.served < 2 * len(BODY)


def test_a_changed_file_of_unknown_length_is_read_anew(feed: SftpFeed) -> None:
    feed.put(body=BODY)
    feed.policy.sizes, feed.policy.cut_after, feed.policy.cuts_left = Sizes.ZERO, 600_000, 1
    other, path = BODY[::-1], feed.root / FOLDER / "a"

    def change() -> None:
        path.write_bytes(other)
        os.utime(path, (0, 1_700_000_000))

    feed.policy.when_cut = change
    assert fetched(feed.hook(size_is_right=False)) == other
    assert feed.policy.cuts_left == 0
