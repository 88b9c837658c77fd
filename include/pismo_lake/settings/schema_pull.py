"""Configure the source of pulled schemas, and the changes that a pull may make."""

from __future__ import annotations

from enum import StrEnum

from pydantic.dataclasses import dataclass

from pismo_lake.settings.fields import STRICT_MODEL


class TypeChanges(StrEnum):
    """The fate of a schema that would change the type of a column of the lake."""

    HOLD = "hold"
    APPLY = "apply"


class Announced(StrEnum):
    """The fate of schemas in Pismo's events json_schema_change."""

    REPORT = "report"
    APPLY = "apply"


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class SchemaPull:
    """The source of the schemas, which the close DAG reads after each close."""

    source: str | None = None
    """An s3://<bucket>/<prefix>, a folder, or a checkout of Pismo's repository, relative to the deliveries file."""
    conn_id: str | None = None
    """The Airflow connection of type aws that may list and read an s3:// source; else the machine's own rights."""
    type_changes: TypeChanges = TypeChanges.HOLD
    """If a schema would change the type of a column of the lake: hold it back and say so, or apply it."""
    announced: Announced = Announced.REPORT
    """Schemas in Pismo's events json_schema_change: report (in the day report), or apply (as if they were pulled)."""

    def __post_init__(self) -> None:
        if self.source is None and self.announced is Announced.REPORT:
            msg = "contracts.pull has no source: give one, or announced: apply"
            raise ValueError(msg)
        if self.conn_id is not None and not (self.source or "").startswith("s3://"):
            msg = "contracts.pull.conn_id is only for an s3:// source"
            raise ValueError(msg)
