"""A pull says what a schema means for the columns of the lake, and changes no type without a word."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event, key
from tests.published import DATE, INT, NUMBER, PIX, TEXT, TIME, brief, columns, of, publish

from pismo_lake.contracts.describe import changes_of
from pismo_lake.contracts.json_schema import forget_schemas
from pismo_lake.contracts.store import ContractStore
from pismo_lake.schemas.plan import Consent, Folder, make_plan
from pismo_lake.schemas.source import Read

if TYPE_CHECKING:
    from tests.published import Puller

DECIMAL = "decimal128(38, 18)"
LISTED = {"type": "array", "items": of(a=INT)}
PAYLOAD = {"n": 1, "text": "x", "lines": [{"a": 1}], "day": "2026-03-01"}

MEANINGS: dict[str, tuple[dict[str, Any], dict[str, Any], set[tuple[str, str, str, str]], str]] = {
    "a new column": ({}, {"new": TEXT}, {("data__new", "added", "", "string")}, "written"),
    "a wider number": ({}, {"n": NUMBER}, {("data__n", "retyped", "int64", DECIMAL)}, "held back"),
    "a wider number that events brought already": ({"big": NUMBER}, {"big": INT}, set(), "written"),
    "another kind": ({}, {"text": INT}, {("/data/text", "conflict", "string", "int")}, "written"),
    "a list with more": (
        {}, {"lines": {"type": "array", "items": of(a=INT, b=TEXT)}},
        {("data__lines", "extended", "list<item: struct<a: int64>>", "list<item: struct<a: int64, b: string>>")},
        "written",
    ),
    "a wider number in a list": (
        {}, {"lines": {"type": "array", "items": of(a=NUMBER)}},
        {("data__lines", "retyped", "list<item: struct<a: int64>>", f"list<item: struct<a: {DECIMAL}>>")}, "held back",
    ),
    "a typed column": ({}, {"day": DATE}, {("typed__day", "added", "", "date32[day]")}, "written"),
    "another typed column": (
        {"day": DATE}, {"day": TIME}, {("/data/day", "conflict", "string date", "string date-time")}, "written",
    ),
    "less": ({"n": INT, "text": TEXT}, {"n": INT}, {("data__text", "undeclared", "string", "")}, "written"),
    "a column of a schema": ({"soon": INT}, {"soon": TEXT}, {("/data/soon", "conflict", "int", "string")}, "written"),
    "a wider number of a schema": (
        {"soon": INT}, {"soon": NUMBER}, {("data__soon", "retyped", "int64", DECIMAL)}, "held back",
    ),
    "only another text": ({"n": INT}, {"n": INT | {"description": "A number."}}, set(), "written"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANINGS)
def test_the_meaning_of_a_schema(puller: Puller, name: str) -> None:
    before, after, meaning, fate = MEANINGS[name]
    puller.lake.put(event("e-1", PAYLOAD | ({"big": Decimal("1.5")} if "big" in before else {})))
    puller.publish(**before)
    puller.pull(apply_types=True)
    kept = puller.files()
    puller.publish(**after)
    dry = puller.pull(dry_run=True)
    assert puller.files() == kept
    pulled = puller.pull()
    assert (columns(pulled), brief(pulled)[PIX]) == (meaning, ("changed", fate))
    assert dry.schemas == pulled.schemas
    assert (puller.files()[PIX] == kept[PIX]) == (fate == "held back")


def test_a_held_schema_is_said_each_time_and_news_once(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"n": 1}))
    puller.publish(n=NUMBER, new=TEXT)
    for is_news in (True, False, False):
        pulled = puller.pull()
        assert brief(pulled) == {PIX: ("new", "held back")}
        assert bool(pulled.news) is is_news
        assert "data__n: int64 becomes decimal128(38, 18)" in "\n".join(pulled.schemas[0].meanings())
    puller.publish(n=NUMBER, new=TEXT, more=TEXT)
    assert [schema.name for schema in puller.pull().news] == [PIX]
    assert puller.schemas() == {}
    # the lake goes on as before
    puller.lake.land({key(13): event("e-2", {"n": 2})})
    assert list(puller.lake.build()) == ["2026-03-01T13"]
    assert {type(row["data__n"]) for row in puller.lake.rows()} == {int}


def test_an_accepted_schema_is_written_and_its_files_are_built_again(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"n": 1}))
    puller.publish(n=NUMBER)
    assert brief(puller.pull(accepted=["cards/*"])) == {PIX: ("new", "held back")}
    assert brief(puller.pull(accepted=["pix/pix_in-1"])) == {PIX: ("new", "written")}
    assert brief(puller.pull()) == {}
    puller.lake.land({key(13): event("e-2", {"n": 2})})
    assert sorted(puller.lake.build()) == ["2026-03-01T12", "2026-03-01T13"]
    assert {type(row["data__n"]) for row in puller.lake.rows()} == {Decimal}


def test_a_type_without_events_may_change_at_will(puller: Puller) -> None:
    for kind in (INT, NUMBER, TEXT, DATE, TIME):
        puller.publish(n=kind)
        assert brief(puller.pull())[PIX][1] == "written"


def test_a_file_that_others_refer_to_is_held_too(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"n": 1}))
    refers = of(n={"$ref": "../common/types.json#/definitions/n"})
    publish(puller.source, {"common/types.json": {"definitions": {"n": INT}}, PIX: refers})
    assert set(brief(puller.pull()).values()) == {("new", "written")}
    kept = puller.schemas()
    publish(puller.source, {"common/types.json": {"definitions": {"n": NUMBER}}, "cards/new-1.json": refers})
    pulled = puller.pull()
    assert brief(pulled) == {"common/types.json": ("changed", "held back"), "cards/new-1.json": ("new", "written")}
    assert "it would change the type of a column of pix/pix_in-1.json" in pulled.schemas[0].reason
    assert puller.schemas() == kept | {"cards/new-1.json": puller.files()["cards/new-1.json"]}
    accepted = puller.pull(accepted=["pix/*"])
    assert brief(accepted) == {
        "common/types.json": ("changed", "written"), PIX: ("changed", ""), "cards/new-1.json": ("changed", ""),
    }  # fmt: skip
    assert columns(accepted) == {("data__n", "retyped", "int64", DECIMAL)}
    assert columns(accepted, "cards/new-1.json") == {("data__n", "redeclared", "int64", DECIMAL)}


def test_a_schema_that_needs_a_held_file_waits_for_it(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"n": 1}))
    publish(puller.source, {"common/types.json": {"definitions": {"n": INT}},
                            PIX: of(n={"$ref": "../common/types.json#/definitions/n"})})  # fmt: skip
    puller.pull()
    kept = puller.schemas()
    publish(puller.source, {"common/types.json": {"definitions": {"n": NUMBER, "m": TEXT}},
                            "cards/new-1.json": of(m={"$ref": "../common/types.json#/definitions/m"})})  # fmt: skip
    fates = brief(puller.pull())
    assert fates["common/types.json"] == ("changed", "held back")
    assert fates["cards/new-1.json"] == ("new", "held back")
    assert puller.schemas() == kept
    assert brief(puller.pull(apply_types=True))["cards/new-1.json"] == ("new", "written")


def test_a_shared_file_does_not_take_a_schema_of_yours_away(puller: Puller) -> None:
    publish(puller.source, {"common/types.json": {"definitions": {"n": INT}}})
    puller.pull()
    publish(puller.folder, {PIX: of(n={"$ref": "../common/types.json#/definitions/n"})})
    publish(puller.source, {"common/types.json": {"definitions": {"m": INT}}, "cards/new-1.json": of(a=TEXT)})
    pulled = puller.pull()
    assert brief(pulled) == {"common/types.json": ("changed", "held back"), "cards/new-1.json": ("new", "written")}
    assert pulled.schemas[0].reason.startswith(f"{PIX} could not be used with it: contract ")


def test_a_file_is_written_after_those_that_it_refers_to(puller: Puller) -> None:
    def refer(number: int) -> dict[str, Any]:
        return {"definitions": {"n": {"anyOf": [{"$ref": f"z{n}-1.json#/definitions/n"} for n in range(number)]}}}

    chain = {f"pix/z{number}-1.json": refer(number) | {"$ref": "#/definitions/n"} for number in range(1, 8)}
    chain |= {"pix/z0-1.json": {"definitions": {"n": INT}}, "pix/a-1.json": {"$ref": "z7-1.json"}}
    contents = {name: json.dumps(schema).encode() for name, schema in chain.items()}
    folder = Folder(str(puller.folder), {}, {}, {}, shipped=False)
    plan = make_plan(folder, Read(contents), (), Consent(lambda _: False, lambda _: False))
    assert list(plan.writes) == [*(f"pix/z{number}-1.json" for number in range(8)), "pix/a-1.json"]


def test_other_lakes_of_the_folder_keep_their_types_too(puller: Puller) -> None:
    other = LakeUnderTest(puller.lake.root)
    other.settings = replace(other.settings, lake=str(puller.lake.root / "lake-2"))
    other.put(event("e-1", {"n": 1}))
    puller.publish(n=NUMBER)
    assert brief(puller.pull(lakes=[other.settings.lake])) == {PIX: ("new", "held back")}
    assert brief(puller.pull()) == {PIX: ("new", "written")}


def test_both_spellings_of_an_event_type_are_one(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"n": 1}))
    publish(puller.source, {"PIX/pix-in-1.json": of(n=NUMBER)})
    assert brief(puller.pull()) == {"PIX/pix-in-1.json": ("new", "held back")}
    publish(puller.folder, {PIX: of(n=INT)})
    publish(puller.source, {"PIX/pix-in-1.json": of(n=INT, m=TEXT)})
    pulled = puller.pull(accepted=["**"])
    assert brief(pulled) == {"PIX/pix-in-1.json": ("new", "yours is kept")}
    assert pulled.schemas[0].reason == f"the folder has it as {PIX}"


def test_the_contract_is_the_one_that_the_pull_foretold(puller: Puller) -> None:
    puller.lake.put(event("e-1", PAYLOAD))
    puller.publish(new=TEXT, day=DATE, lines={"type": "array", "items": of(a=INT, b=TEXT)})
    foretold = columns(puller.pull())
    forget_schemas()
    puller.lake.land({key(13): event("e-2", PAYLOAD)})
    puller.lake.build()
    store = ContractStore(puller.lake.ledger, puller.lake.settings)
    row = next(row for row in puller.lake.rows() if row["event_id"] == "e-2")
    assert {"data__new", "typed__day"} <= row.keys()
    assert {name for name, *_ in foretold} == {"data__new", "typed__day", "data__lines"}
    assert store.of("pix", "pix_in-1").data.fields["day"].format == "date"


def test_a_column_that_only_a_schema_declared_keeps_its_type_too(puller: Puller) -> None:
    """A close writes a declared column, and the contract of a rare event type is not saved by then."""
    puller.lake.put(event("e-1", {"n": 1}))
    puller.publish(soon=INT)
    puller.pull()
    puller.lake.close("2026-03-01", force=True)
    assert "data__soon" in puller.lake.row()
    for properties in ({}, {"soon": TEXT}):
        puller.publish(**properties)
        puller.pull()
    puller.lake.land({key(13): event("e-2", {"soon": "text"})})
    puller.lake.build()
    contract = ContractStore(puller.lake.ledger, puller.lake.settings).of("pix", "pix_in-1")
    assert contract.data.fields["soon"].kind == "int"
    changes = changes_of(puller.lake.ledger, puller.lake.settings.lake, "pix", "pix_in-1")
    assert ("/data/soon", "", "int", "schema pix/pix_in-1.json") in [change[:4] for change in changes]
