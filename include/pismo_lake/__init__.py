"""Load Pismo event files into a Parquet lake, in plain Python without Airflow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pismo_lake.storage.encryption import LakeKey

__version__ = "1.0.0"
__all__ = ["LakeKey", "__version__"]


def __getattr__(name: str) -> Any:
    # Airflow parses DAG files again and again: it must not import pyarrow for a name that they do not use
    if name == "LakeKey":
        from pismo_lake.storage import encryption

        return getattr(encryption, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
