"""The keys, the feed and the two servers that the tests of the sandbox's SFTP share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sftp_client import feed_folder, installed_sshd, no_leftovers

from pismo_sandbox.sftp.openssh import SftpServer, running_openssh
from pismo_sandbox.sftp.server import RunningSftp, SftpPolicy, rsa_key_pair, running_sftp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture(scope="module")
def other_keys() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return feed_folder(tmp_path_factory.mktemp("feed"))


@pytest.fixture(scope="module")
def sshd() -> str:
    return installed_sshd()


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
