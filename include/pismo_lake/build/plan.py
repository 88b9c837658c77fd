"""What a run would build and remove, without doing it: the dry run of builds and closes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.build.fingerprint import fingerprint
from pismo_lake.contracts.store import ContractStore
from pismo_lake.hours import PublishDay, unit_of
from pismo_lake.index.dedupe import judge_all
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART, DayLedger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part: `bytes` of raw to read; `state` is ``unchanged`` | ``new`` | ``changed`` | ``forced``.

    `replaces` are outputs, paths below the lake, that go if the part is built and comes out otherwise.
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
            f"{self.unit} part {self.part}: {self.state}, would read {self.files} file(s), {self.bytes / 1e6:.1f} MB,"
            f" and replace {len(self.replaces)} output(s)"
        )


def plan_units(settings: LakeSettings, ledger: Ledger, units: Iterable[str], *, force: bool = False) -> list[PartPlan]:
    """The parts of publish hours (YYYY-MM-DDTHH) and publish days (YYYY-MM-DD, as closing would) as they stand."""
    return [part for unit in units for part in _Planner(settings, ledger, unit, force=force).parts()]


class _Planner:
    """One unit's plan."""

    def __init__(self, settings: LakeSettings, ledger: Ledger, unit: str, *, force: bool) -> None:
        self._settings, self._ledger, self._unit, self._force = settings, ledger, unit, force
        self._contracts = ContractStore(ledger, settings)

    def parts(self) -> Iterator[PartPlan]:
        place = (self._settings.lake, self._settings.delivery)
        landed = FileLedger(self._ledger, *place)
        if isinstance(unit_of(self._unit), PublishDay):
            builds = DayLedger(self._ledger, *place, self._unit)
            files = landed.of_day(self._unit)
            if files:
                hours = [BuildLedger(self._ledger, *place, hour).parts() for hour in builds.hours()]
                taken_over = [path for parts in hours for part in parts for path in part.outputs]
                verdicts = judge_all(self._settings, self._ledger, files)
                extra = (self._settings.target_bytes,)
                yield self._part(PART, files, verdicts, builds.part(PART), taken_over, extra)
            return
        files = landed.of_hour(self._unit)
        verdicts = judge_all(self._settings, self._ledger, files)
        recorded = {record.part: record for record in BuildLedger(self._ledger, *place, self._unit).parts()}
        for number in sorted({record.part for record in files}):
            mine = [record for record in files if record.part == number]
            yield self._part(number, mine, verdicts, recorded.get(number), (), ())

    def _part(
        self, number: int, files: Sequence[FileRecord], verdicts: dict[str, Verdict], before: PartRecord | None,
        taken_over: Sequence[str], extra: Sequence[object],
    ) -> PartPlan:  # fmt: skip
        state = "new"
        if before is not None:
            digest = fingerprint(self._settings, self._contracts, files, verdicts, before.counts, *extra)
            state = "changed" if digest != before.fingerprint else "forced" if self._force else "unchanged"
        replaces = (*(before.outputs if before is not None else ()), *taken_over)
        size = sum(record.plain_size for record in files)
        return PartPlan(self._unit, number, len(files), size, state, tuple(sorted(replaces)))
