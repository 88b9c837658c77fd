"""Plan builds and closes without doing them, for dry runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.build.day import unit_builder
from pismo_lake.progress import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pismo_lake.build.unit_builder import UnitBuilder
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class PartPlan:
    """The plan of one part: `bytes` of raw to read, and its state.

    `state` is ``unchanged`` | ``new`` | ``changed`` | ``forced``. `replaces` are paths below the lake that are removed
    if the part is built with another result.
    """

    unit: str
    part: int
    files: int
    bytes: int
    state: str
    replaces: tuple[str, ...]

    def __str__(self) -> str:
        if self.state == "unchanged":
            return f"{self.unit} part {self.part}: unchanged, {self.files} file(s), nothing to do"
        return (
            f"{self.unit} part {self.part}: {self.state}, would read {self.files} file(s), {size_text(self.bytes)},"
            f" and replace {len(self.replaces)} output(s)"
        )


def plan_units(settings: LakeSettings, ledger: Ledger, units: Iterable[str], *, force: bool = False) -> list[PartPlan]:
    """Return the plan of each part of publish hours (YYYY-MM-DDTHH) and days (YYYY-MM-DD)."""
    return [plan for unit in units for plan in _plan(unit_builder(settings, ledger, unit), force=force)]


def _plan(builder: UnitBuilder, *, force: bool) -> Iterator[PartPlan]:
    inputs = builder.inputs()
    recorded = {record.part: record for record in builder.builds.parts()}
    replaced = builder.replaces() if inputs.parts else []
    for number, files in sorted(inputs.parts.items()):
        before = recorded.get(number)
        state = "new"
        if before is not None:
            digest = builder.fingerprint(files, inputs.verdicts, before.counts)
            state = "changed" if digest != before.fingerprint else "forced" if force else "unchanged"
        replaces = sorted((*(before.outputs if before is not None else ()), *replaced))
        size = sum(record.plain_size for record in files)
        yield PartPlan(builder.unit, number, len(files), size, state, tuple(replaces))
