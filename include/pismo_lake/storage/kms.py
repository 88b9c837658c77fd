"""Wrap the keys of encrypted files by AWS KMS, in the form that pyarrow calls."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pyarrow.parquet.encryption as pe

from pismo_lake.errors import KmsDenied, LakeError, SourceUnavailable
from pismo_lake.faults import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

_DENIED = {"AccessDenied", "AccessDeniedException", "KMSAccessDeniedException", "UnrecognizedClientException"}


class Kms(pe.KmsClient):  # type: ignore[misc]
    """Wraps and unwraps keys by AWS KMS; pyarrow calls it."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        """Encrypt a key-encryption key."""
        answer = _ask(master_key_identifier, self._client.encrypt, KeyId=master_key_identifier, Plaintext=key_bytes)
        return base64.b64encode(answer["CiphertextBlob"])

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        """Decrypt a key-encryption key."""
        blob = base64.b64decode(wrapped_key)
        answer = _ask(master_key_identifier, self._client.decrypt, KeyId=master_key_identifier, CiphertextBlob=blob)
        return bytes(answer["Plaintext"])


def _ask(key_id: str, call: Callable[..., Any], **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**arguments)
    except (BotoCoreError, ClientError) as error:
        reason = reason_of(error)
        if reason.code in _DENIED:
            msg = f"KMS key {key_id}: it needs kms:Encrypt and kms:Decrypt ({reason.answer})"
            raise KmsDenied(msg) from None
        msg = f"KMS key {key_id}: {reason}"
        raise (LakeError if reason.fault.permanent else SourceUnavailable)(msg) from None
