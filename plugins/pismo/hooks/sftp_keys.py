"""Read the keys of an `sftp` connection: up to eight RSA keys, and a pinned host key."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from airflow.sdk import Connection

MOST_KEYS = 8
"""Pismo keeps up to eight public keys an organisation (Setting up event file delivery)."""

_BLOCK = re.compile(r"(-----BEGIN [A-Z0-9 ]+-----)(.*?)(-----END [A-Z0-9 ]+-----)", re.DOTALL)
_WRITTEN_NEWLINE = re.compile(r"\\r\\n|\\n|\\r")
_PUBLIC_KEY = re.compile(r"(?:^|\s)((?:ssh|ecdsa)-[a-z0-9-]+)\s+(AAAA[A-Za-z0-9+/]+=*)")
_INSECURE = ("no_host_key_check", "ignore_hostkey_verification", "allow_host_key_change")


@dataclass(frozen=True, slots=True)
class SftpIdentity:
    """Our user name and keys in the order to try, and the host keys that we trust."""

    username: str
    keys: tuple[asyncssh.SSHKey, ...]
    host_keys: tuple[asyncssh.SSHKey, ...]


def identity_of(connection: Connection) -> SftpIdentity:
    r"""Read the keys of an Airflow connection of type ``sftp``.

    Extras: `private_key` (one or several PEM blocks, or a list) or `key_file` (a path, or a list of paths),
    `private_key_passphrase`, `host_key` (one or several public keys, or a list; a bare key is RSA, as for the
    provider, and lines of ssh-keyscan are accepted) or `known_hosts` (a path). A key may have lost its line breaks:
    they may be written as ``\\n`` or as blanks, or the whole key may be base64.

    Raises:
        ConfigError: a setting is wrong or missing; the message shows no key.
    """
    name = f"connection {connection.conn_id}"
    if connection.conn_type != "sftp":
        msg = f"{name}: type {connection.conn_type!r}, expected sftp"
        raise ConfigError(msg)
    extra = connection.extra_dejson
    if connection.password:
        msg = f"{name}: has a password; Pismo's SFTP accepts only RSA keys, so remove the password"
        raise ConfigError(msg)
    if not connection.login:
        msg = f"{name}: the login, Pismo's SFTP user name, is missing"
        raise ConfigError(msg)
    for setting in _INSECURE:
        if str(extra.get(setting, "")).lower() == "true":
            msg = f"{name}: {setting} is set; pin the host key with host_key instead"
            raise ConfigError(msg)
    return SftpIdentity(connection.login, _private_keys(name, extra), _host_keys(name, extra))


def _private_keys(name: str, extra: dict[str, Any]) -> tuple[asyncssh.SSHKey, ...]:
    texts = [block for text in _to_list(extra.get("private_key")) for block in _blocks(text)]
    for path in _to_list(extra.get("key_file")):
        text = _file(name, path)
        texts += _blocks(text) or [text]
    if not texts:
        msg = f"{name}: no private_key (an RSA key as PEM) and no key_file"
        raise ConfigError(msg)
    if len(texts) > MOST_KEYS:
        msg = f"{name}: {len(texts)} private keys, Pismo keeps at most {MOST_KEYS}"
        raise ConfigError(msg)
    passphrase = extra.get("private_key_passphrase") or extra.get("passphrase") or None
    keys = []
    for number, text in enumerate(texts, 1):
        try:
            key = asyncssh.import_private_key(text, passphrase)
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError, ValueError) as error:
            locked = isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower()
            why = "needs the right private_key_passphrase" if locked else "is not a private key in PEM form"
            msg = f"{name}: private key {number} {why}"
            # do not chain the cause: it may quote the key
            raise ConfigError(msg) from None
        if key.algorithm != b"ssh-rsa":
            msg = f"{name}: private key {number} is {key.algorithm.decode()}; Pismo accepts only RSA keys"
            raise ConfigError(msg)
        keys.append(key)
    return tuple(keys)


def _host_keys(name: str, extra: dict[str, Any]) -> tuple[asyncssh.SSHKey, ...]:
    texts = _to_list(extra.get("host_key"))
    # the host names in the file are ignored: the file pins keys for this connection alone
    texts += [_file(name, path) for path in _to_list(extra.get("known_hosts"))]
    lines = [line.strip() for text in texts for line in _WRITTEN_NEWLINE.sub("\n", text).splitlines()]
    keys = []
    for line in lines:
        # a marked line holds a revoked key, or the key of an authority
        if not line or line.startswith(("#", "@")):
            continue
        found = _PUBLIC_KEY.search(line)
        text = f"{found[1]} {found[2]}" if found else line if " " in line else f"ssh-rsa {line}"
        try:
            keys.append(asyncssh.import_public_key(text))
        except (asyncssh.KeyImportError, ValueError):
            msg = f"{name}: host_key is not a public key such as 'ssh-rsa AAAA…'"
            raise ConfigError(msg) from None
    if not keys:
        msg = f"{name}: no host_key; ask Pismo for the key, and compare it with the answer of ssh-keyscan"
        raise ConfigError(msg)
    return tuple(keys)


def _blocks(text: str) -> list[str]:
    """Return the PEM blocks of a text with their line breaks restored."""
    whole = _WRITTEN_NEWLINE.sub("\n", text)
    if not _BLOCK.search(whole):
        try:
            whole = b64decode("".join(whole.split()), validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            return []
    return [_block(*found) for found in _BLOCK.findall(whole)]


def _block(head: str, body: str, foot: str) -> str:
    lines = [line.strip() for line in body.strip().splitlines()]
    if len(lines) == 1:
        lines = lines[0].split()
    return "\n".join([head, *lines, foot, ""])


def _to_list(value: Any) -> list[str]:
    if not value:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _file(name: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{name}: {path} cannot be read: {type(error).__name__}"
        raise ConfigError(msg) from None


def key_label(key: asyncssh.SSHKey) -> str:
    """Return a key's public fingerprint, for logs and reports."""
    return str(key.get_fingerprint())
