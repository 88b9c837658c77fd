"""Fetch files and keep their bytes; read notices."""

from pismo_lake.landing.land import Landing, land_files
from pismo_lake.landing.notices import read_notices
from pismo_lake.landing.remote_file import RemoteFile, new_files

__all__ = ["Landing", "RemoteFile", "land_files", "new_files", "read_notices"]
