"""Check the table of settings that is made from a JSON Schema, with schemas like pydantic's."""

from __future__ import annotations

from typing import Annotated, Literal

from docs.hooks.settings_table import settings_table
from pydantic import BaseModel, Field


class _S3(BaseModel, title="S3"):
    kind: Literal["s3"]
    prefix: str = Field("main_stream", description="first folder | of the files")
    account: str = Field(description="Pismo's account.")


class _Sftp(BaseModel, title="SFTP"):
    kind: Literal["sftp"]
    prefix: str = Field("main_stream", description="first folder | of the files")
    seconds: float = Field(15.0, gt=0, description="time to connect")


class _Delivery(BaseModel):
    environment: Literal["sandbox", "production"]
    listing: bool = True
    days: int = Field(7, ge=1, le=30)
    pool: str | None = Field(None, description="Airflow\npool")
    source: Annotated[_S3 | _Sftp, Field(discriminator="kind")]
    notices: _Sftp | None = None


class _File(BaseModel):
    deliveries: dict[str, _Delivery]


def _rows() -> list[str]:
    return settings_table(_File.model_json_schema()).splitlines()


def test_defaults_bounds_and_choices_are_shown() -> None:
    rows = _rows()
    assert "| `environment` | required | `sandbox` or `production` |" in rows
    assert "| `listing` | true |  |" in rows
    assert "| `days` | 7 | at least 1; at most 30 |" in rows
    assert "| `pool` | none | Airflow pool |" in rows


def test_alternatives_follow_their_common_settings() -> None:
    rows = _rows()
    common = rows.index(r"| `source.prefix` | `main_stream` | first folder \| of the files |")
    s3, sftp = rows.index("| *S3* | | |"), rows.index("| *SFTP* | | |")
    assert common < s3 < rows.index("| `source.account` | required | Pismo's account |") < sftp
    assert sftp < rows.index("| `source.seconds` | 15 | time to connect; more than 0 |")


def test_settings_of_an_optional_mapping_are_listed() -> None:
    assert "| `notices.seconds` | 15 | time to connect; more than 0 |" in _rows()
