"""Compare lake and landing with the ledger, name each difference, and repair it if asked to."""

from pismo_lake.check.model import CheckResult, Finding, Kind
from pismo_lake.check.run import check_lake

__all__ = ["CheckResult", "Finding", "Kind", "check_lake"]
