"""An `sftp` connection has keys in many forms; errors name a wrong setting, not its value."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from airflow.sdk import Connection

from pismo.hooks.sftp_keys import identity_of, key_label
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def pem(kind: str = "ssh-rsa", passphrase: str | None = None) -> str:
    key = asyncssh.generate_private_key(kind, **({"key_size": 2048} if kind == "ssh-rsa" else {}))
    return key.export_private_key(passphrase=passphrase).decode()


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return [pem() for _ in range(3)]


@pytest.fixture(scope="module")
def host_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def connection(extra: dict[str, Any], **changes: Any) -> Connection:
    values = {"conn_id": "pismo", "conn_type": "sftp", "login": "user"} | changes
    return Connection(**values, extra=json.dumps(extra))


@pytest.mark.parametrize("shape", ["list", "text", "files"])
def test_keys_come_in_their_order(keys: list[str], host_key: str, shape: str, tmp_path: Path) -> None:
    wanted = [key_label(asyncssh.import_private_key(key)) for key in keys]
    extra: dict[str, Any] = {"host_key": host_key}
    if shape == "files":
        paths = [tmp_path / f"{number}.pem" for number in range(len(keys))]
        for path, key in zip(paths, keys, strict=True):
            path.write_text(key)
        extra["key_file"] = [str(path) for path in paths]
    else:
        extra["private_key"] = keys if shape == "list" else "\n".join(keys)
    assert [key_label(key) for key in identity_of(connection(extra)).keys] == wanted


def test_host_keys_may_be_several_while_they_change(keys: list[str], host_key: str, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_public_key().decode().strip()
    bare = other.split()[1]
    both = identity_of(connection({"private_key": keys[0], "host_key": f"{host_key}\n{other}"}))
    assert len(both.host_keys) == 2
    assert identity_of(connection({"private_key": keys[0], "host_key": bare})).host_keys == both.host_keys[1:]
    known = tmp_path / "known_hosts"
    known.write_text(f"# pinned\nsftp.example {other}\n")
    assert identity_of(connection({"private_key": keys[0], "known_hosts": str(known)})).host_keys == both.host_keys[1:]


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "backslash n": lambda key: key.replace("\n", "\\n"),
    "backslash r, backslash n": lambda key: key.replace("\n", "\\r\\n"),
    "carriage returns": lambda key: key.replace("\n", "\r\n"),
    "blanks": lambda key: key.replace("\n", " "),
    "indented": lambda key: "\n".join(f"    {line}" for line in key.splitlines()),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 in lines": lambda key: base64.encodebytes(key.encode()).decode(),
}


@pytest.fixture(scope="module")
def forms(keys: list[str]) -> list[str]:
    """One key in each form of PEM."""
    key = asyncssh.import_private_key(keys[0])
    return [key.export_private_key(form).decode() for form in ("openssh", "pkcs1-pem", "pkcs8-pem")]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_key_that_lost_its_line_breaks_is_understood(forms: list[str], host_key: str, written: str) -> None:
    extra = {"private_key": [WRITTEN[written](text) for text in forms], "host_key": host_key}
    assert len({key_label(key) for key in identity_of(connection(extra)).keys}) == 1


@pytest.mark.parametrize("written", ["backslash n", "blanks", "base64"])
def test_several_keys_in_one_text_or_file_that_lost_their_line_breaks(
    keys: list[str], host_key: str, written: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(WRITTEN[written]("".join(keys[:2])))
    for extra in ({"private_key": path.read_text()}, {"key_file": str(path)}):
        assert len({key_label(key) for key in identity_of(connection(extra | {"host_key": host_key})).keys}) == 2


def test_a_locked_key_that_lost_its_line_breaks(keys: list[str], host_key: str) -> None:
    key = asyncssh.import_private_key(keys[0])
    for form in ("openssh", "pkcs1-pem", "pkcs8-pem"):
        text = key.export_private_key(form, passphrase="open sesame").decode().replace("\n", "\\n")
        extra = {"private_key": text, "host_key": host_key, "private_key_passphrase": "open sesame"}
        assert [key_label(one) for one in identity_of(connection(extra)).keys] == [key_label(key)]


def test_host_keys_as_ssh_keyscan_writes_them(keys: list[str], host_key: str) -> None:
    plain = " ".join(host_key.split()[:2])
    whole = identity_of(connection({"private_key": keys[0], "host_key": plain})).host_keys
    for text in (
        f"sftp.example.org {plain}",
        f"[sftp.example.org]:2222,[192.0.2.1]:2222 {plain} a comment",
        f"# sftp.example.org:22 SSH-2.0-x\nsftp.example.org {plain}\n",
        f"# sftp.example.org:22 SSH-2.0-x\\nsftp.example.org {plain}\\n",
        f"|1|c2FsdA==|aGFzaA== {plain}",
    ):
        assert identity_of(connection({"private_key": keys[0], "host_key": text})).host_keys == whole


def test_a_revoked_host_key_is_not_trusted(keys: list[str], host_key: str, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"@revoked * {host_key}\n@cert-authority * {host_key}\n")
    with pytest.raises(ConfigError, match="no host_key"):
        identity_of(connection({"private_key": keys[0], "known_hosts": str(known)}))


def test_a_passphrase_opens_a_key(host_key: str) -> None:
    locked = pem(passphrase="open sesame")
    extra = {"private_key": locked, "host_key": host_key}
    assert len(identity_of(connection(extra | {"private_key_passphrase": "open sesame"})).keys) == 1
    with pytest.raises(ConfigError, match="passphrase"):
        identity_of(connection(extra))
    with pytest.raises(ConfigError, match="private key 1"):
        identity_of(connection(extra | {"private_key_passphrase": "wrong"}))


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "password": ({}, {"password": "secret-password"}, "only RSA keys"),
    "type": ({}, {"conn_type": "ssh"}, "expected sftp"),
    "login": ({}, {"login": None}, "login"),
    "no key": ({"private_key": None}, {}, "no private_key"),
    "not a key": ({"private_key": "-----BEGIN X-----\nsecret\n-----END X-----"}, {}, "private key 1"),
    "too many": ({"private_key": ["-----BEGIN X-----\n-----END X-----"] * 9}, {}, "at most 8"),
    "no host key": ({"host_key": None}, {}, "no host_key"),
    "bad host key": ({"host_key": "ssh-rsa AAAA"}, {}, "host_key"),
    "unchecked": ({"no_host_key_check": "true"}, {}, "no_host_key_check"),
    "changeable": ({"allow_host_key_change": True}, {}, "allow_host_key_change"),
    "missing file": ({"private_key": None, "key_file": "/nowhere/key"}, {}, "/nowhere/key"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_not_shown(keys: list[str], host_key: str, name: str) -> None:
    extra, changes, says = WRONG[name]
    whole = {"private_key": keys[0], "host_key": host_key} | extra
    with pytest.raises(ConfigError, match=says) as raised:
        identity_of(connection(whole, **changes))
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_other_kinds_of_keys_are_refused(host_key: str) -> None:
    with pytest.raises(ConfigError, match="ssh-ed25519"):
        identity_of(connection({"private_key": pem("ssh-ed25519"), "host_key": host_key}))
