"""Make the fields that the forms of several DAGs have."""

from __future__ import annotations

from airflow.sdk import Param


def switch(name: str, about: str, description: str, *, on: bool = False) -> Param:
    """Return a Param that is on or off, in the section *How*; `description` is Markdown."""
    return Param(on, type="boolean", title=f"{name}: {about}", description_md=description, section="How")
