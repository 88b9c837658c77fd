"""The run facet of OpenLineage that names the units of a task.

Import it only if the provider of OpenLineage is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attr
from openlineage.client.generated.base import RunFacet

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "pismo_units"
MOST_UNITS = 1_000
"""The most units that the facet names: it stays below 100 kB."""


@attr.define
class UnitsRunFacet(RunFacet):
    """The delivery and the units of a task: publish hours (2026-03-01T12), or publish days (2026-03-01)."""

    delivery: str
    units: list[str]
    unit_count: int


def units_facet(delivery: str, units: Sequence[str]) -> dict[str, RunFacet]:
    """Return the facet by its name; empty if the task has no units."""
    if not units:
        return {}
    return {NAME: UnitsRunFacet(delivery, sorted(units)[:MOST_UNITS], len(units))}
