"""A lake with all that `ddl` describes: versions, a list, a hostile schema, rejects and a day report."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.lakes import LakeUnderTest, event, key

from pismo_lake.contracts.store import ContractStore
from pismo_lake.ddl.tables import DescribedTable, lake_tables
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.write import write_report
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_lake.settings.privacy import Privacy
    from pismo_lake.settings.tables import Tables

HOSTILE = """it's \\ "quoted" -- no comment */ </script><b>|`x`* {{ env_var('HOME') }} {% raw %} {# no #} $$ é"""
"""A description that means something in SQL, YAML, Jinja, Markdown and HTML."""


def describe_lake(root: Path, privacy: Privacy | None = None, tables: Tables | None = None) -> LakeUnderTest:
    """Return a lake with two versions of an event type, whose schemas describe some columns."""
    amount = {"type": "number", "description": f"{HOSTILE}\n; DROP TABLE x; --"}
    for version, account in ((1, "integer"), (2, "string")):
        folder = root / "schemas" / "pix"
        folder.mkdir(parents=True, exist_ok=True)
        properties = {
            "account_id": {"type": account},
            "amount": amount,
            "lines": {
                "type": "array",
                "items": {"properties": {"value": {"type": "number", "description": "A value."}}},
            },
        }
        schema = {"description": f"Money that came in. {HOSTILE}", "properties": properties}
        (folder / f"pix_in-{version}.json").write_text(json.dumps(schema))
    rules = ContractRules(str(root / "schemas"), shipped=False, child_tables=("**/lines",))
    lake = LakeUnderTest(root, contracts=rules, privacy=privacy, tables=tables)
    first = [
        event("e-1", {"account_id": 7, "amount": Decimal("1.10"), "lines": [{"value": 1}, {"value": 2}]}),
        event("e-2", {"account_id": 7, "amount": Decimal("2.25"), "due": "2026-03-05", "tags": ["a"]}),
        event("e-3", {"account_id": "x-8", "amount": Decimal("0.5"), "tags": [{"k": 1}]}, schema_version=2),
        b"{broken}",
        event("o-1", {"a": {"id": 1}, "b": {"id": 2}}, event_type="other", schema_version=...),
    ]
    lake.land({key(12): b"".join(first)})
    lake.build()
    write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, PublishDay.parse("2026-03-01")))
    return lake


def described_tables(lake: LakeUnderTest) -> list[DescribedTable]:
    """Return the tables of such a lake."""
    return lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
