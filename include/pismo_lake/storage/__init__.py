"""Read and write bytes and Parquet files, whole or not at all: on disks and in object stores."""

from pismo_lake.storage.encryption import LakeKey, open_parquet
from pismo_lake.storage.errors import sound
from pismo_lake.storage.files import (
    create,
    exists,
    hidden_files,
    is_in_use,
    is_refused,
    is_temporary,
    list_every_file,
    list_files,
    list_folders,
    map_file,
    move_in,
    open_for_reading,
    read_bytes,
    read_json,
    read_range,
    remove,
    sha256,
    size,
    version,
    write_atomic,
)
from pismo_lake.storage.places import is_local, join, leaves, local_path
from pismo_lake.storage.registry import configure

__all__ = [
    "LakeKey",
    "configure",
    "create",
    "exists",
    "hidden_files",
    "is_in_use",
    "is_local",
    "is_refused",
    "is_temporary",
    "join",
    "leaves",
    "list_every_file",
    "list_files",
    "list_folders",
    "local_path",
    "map_file",
    "move_in",
    "open_for_reading",
    "open_parquet",
    "read_bytes",
    "read_json",
    "read_range",
    "remove",
    "sha256",
    "size",
    "sound",
    "version",
    "write_atomic",
]
