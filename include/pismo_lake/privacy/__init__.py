"""Apply a policy to values, to columns and to a whole lake."""

from pismo_lake.privacy.columns import protect
from pismo_lake.privacy.mark import mark_lake, refuse_unprotected
from pismo_lake.privacy.redact import Redactor

__all__ = ["Redactor", "mark_lake", "protect", "refuse_unprotected"]
