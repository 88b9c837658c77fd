"""Define a schema that one of Pismo's events announces.

Source: Pismo's page "JSON schema change" (dataplatform-json-schema-change-1).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnnouncedSchema:
    """The announcement of a schema: its file's name, its text (None if it was removed), and the event's time."""

    name: str
    text: str | None
    at: str
