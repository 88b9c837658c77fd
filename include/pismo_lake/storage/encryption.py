"""Encrypt the lake's files by Parquet modular encryption, with a key in AWS KMS.

Each file has data keys of its own. They are wrapped by key-encryption keys that KMS encrypts (`kms:Encrypt`) and
decrypts (`kms:Decrypt`); the wrapped keys are in the files. Footers, statistics and all columns are encrypted
(AES-GCM, 256 bits), so a changed file cannot be read. Only readers that accept the key can read such a lake: pyarrow
and pandas, by `LakeKey.reading`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow.parquet as pq
    import pyarrow.parquet.encryption as pe

_ENCRYPTED = b"PARE"
_KEY_BITS = 256
_KEYS_KEPT = timedelta(minutes=10)


@dataclass(frozen=True)
class LakeKey:
    """A KMS key by its id, ARN or alias; `connect` returns a boto3 KMS client, only once."""

    key_id: str
    connect: Callable[[], Any]

    def __reduce__(self) -> tuple[type[LakeKey], tuple[str, Callable[[], Any]]]:
        # another process makes its own connections
        return LakeKey, (self.key_id, self.connect)

    def writing(self) -> pe.FileEncryptionProperties:
        """Return the properties to write one file; every file needs its own."""
        import pyarrow.parquet.encryption as pe

        configuration = pe.EncryptionConfiguration(
            footer_key=self.key_id, uniform_encryption=True, encryption_algorithm="AES_GCM_V1", plaintext_footer=False,
            double_wrapping=True, cache_lifetime=_KEYS_KEPT, data_key_length_bits=_KEY_BITS,
        )  # fmt: skip
        return self._factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)

    def reading(self) -> pe.FileDecryptionProperties:
        """Return the properties to read files, as ``decryption_properties`` of pyarrow and pandas."""
        import pyarrow.parquet.encryption as pe

        return self._factory.file_decryption_properties(
            pe.KmsConnectionConfig(), pe.DecryptionConfiguration(cache_lifetime=_KEYS_KEPT)
        )

    def check(self) -> str:
        """Encrypt and decrypt with the key, and return its id."""
        from pismo_lake.storage.kms import Kms

        kms, secret = Kms(self.connect()), secrets.token_bytes(_KEY_BITS // 8)
        if kms.unwrap_key(kms.wrap_key(secret, self.key_id), self.key_id) != secret:
            msg = f"KMS key {self.key_id}: the decrypted bytes differ from the encrypted ones"
            raise LakeError(msg)
        return self.key_id

    @cached_property
    def _factory(self) -> pe.CryptoFactory:
        import pyarrow.parquet.encryption as pe

        from pismo_lake.storage.kms import Kms

        return pe.CryptoFactory(lambda _: Kms(self.connect()))


def open_parquet(source: Any, key: LakeKey | None) -> pq.ParquetFile:
    """Open a file of the lake, encrypted or not; `source` is open for reading.

    Raises:
        LakeError: the file is encrypted, and there is no key.
    """
    import pyarrow.parquet as pq

    encrypted = source.read(len(_ENCRYPTED)) == _ENCRYPTED
    source.seek(0)
    if not encrypted:
        return pq.ParquetFile(source)
    if key is None:
        msg = "the lake's files are encrypted: give the key (lake_kms_key of the delivery, --kms-key)"
        raise LakeError(msg)
    return pq.ParquetFile(source, decryption_properties=key.reading())
