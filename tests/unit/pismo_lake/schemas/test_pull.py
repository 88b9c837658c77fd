"""A pull is whole or not at all, names what is bad, keeps what is yours, and changes nothing when repeated."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.kill_points import KilledError
from tests.lakes import LakeUnderTest, event
from tests.published import INT, NUMBER, PIX, TEXT, Puller, brief, of, publish

from pismo_lake import storage
from pismo_lake.contracts.json_schema import SchemaFolder
from pismo_lake.errors import ConfigError, LakeError
from pismo_lake.schemas import SchemaSource, pull_schemas
from pismo_lake.schemas.announced import AnnouncedSchema
from pismo_lake.schemas.record import load_record
from pismo_lake.schemas.source import MOST_BYTES, MOST_FILES
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pismo_lake.storage.store import Store

SCHEMAS = {PIX: of(n=INT), "account/x-1.json": of(a=TEXT), "main-event.json": of(event_id=TEXT)}
WRITTEN = dict.fromkeys(SCHEMAS, ("new", "written"))


def test_a_pull_of_a_checkout_and_a_second_one(puller: Puller) -> None:
    more = {".git/config.json": {}, "README.md": b"#", "package.json": {}, "openapi/a.json": {}}
    publish(puller.source, {f"published-event-schemas/{name}": schema for name, schema in SCHEMAS.items()} | more)
    pulled = puller.pull()
    assert brief(pulled) == WRITTEN
    assert {name: json.loads(content) for name, content in puller.schemas().items()} == SCHEMAS
    kept = puller.files()
    again = puller.pull()
    assert (again.schemas, again.unchanged, puller.files()) == ((), 3, kept)
    assert str(again).endswith(": 3 unchanged")


def test_the_folder_may_be_missing_and_schemas_may_lie_in_any_folder(lake: LakeUnderTest, tmp_path: Path) -> None:
    lake.settings = replace(lake.settings, contracts=ContractRules(str(tmp_path / "not" / "yet"), shipped=False))
    publish(tmp_path / "any", SCHEMAS | {"pix/deep/er-1.json": {}, "notes.txt": b""})
    source = SchemaSource(str(tmp_path / "any"))
    dry = pull_schemas(lake.settings, lake.ledger, source, dry_run=True)
    assert not (tmp_path / "not").exists()
    pulled = pull_schemas(lake.settings, lake.ledger, source)
    assert (brief(pulled), dry.schemas, pulled.ignored) == (WRITTEN, pulled.schemas, 2)
    assert SchemaFolder.open(tmp_path / "not" / "yet").find("account", "X_1") == "account/x-1.json"


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "it is not JSON"),
    "an empty file": (b"", "it is not JSON"),
    "no UTF-8": (b'{"title": "\xff"}', "it is not JSON"),
    "a list": ([], "it is no JSON object"),
    "a truth": (True, "it is no JSON object"),
    "too large": (b'{"title": "' + b"x" * MOST_BYTES + b'"}', "more than 1048576"),
    "too deep": (b'{"allOf":[' * 600 + b"{}" + b"]}" * 600, "it is not JSON"),
    "many levels": (b'{"allOf":[' * 300 + b"{}" + b"]}" * 300, "more than 100 levels"),
    "a circle": ({"$ref": "#"}, "leads only back to itself"),
    "a circle of files": ({"$ref": "../account/other-1.json"}, "leads only back to itself"),
    "doubled": (
        {"definitions": {f"l{n}": {"allOf": [{"$ref": f"#/definitions/l{n + 1}"}] * 2} for n in range(40)}
         | {"l40": {}}, "$ref": "#/definitions/l0"},
        "more than 20000 parts",
    ),
    "an unknown type": (of(a={"type": "text"}), "unknown type text"),
    "a type of types": ({"type": [[]]}, "unhashable"),
    "no draft-07": (of(a={"minLength": "many"}), "is not of type"),
    "a missing file": ({"$ref": "gone.json"}, "gone.json"),
    "a file outside": ({"$ref": "../../secret.json"}, "secret.json"),
    "a long name": ({"$ref": "x" * 5000}, "which is not in"),
    "a NUL": ({"not": {"$ref": "\0.json"}}, "uri-reference"),
    "a missing file that no column needs": ({"not": {"$ref": "gone.json"}}, "gone.json"),
    "a network": ({"$ref": "http://127.0.0.1:1/x.json"}, "which is not in"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_and_the_others_go_on(puller: Puller, name: str) -> None:
    bad, why = BAD[name]
    publish(puller.lake.root, {"secret.json": of(secret=TEXT)})
    publish(puller.source, SCHEMAS | {"account/bad-1.json": of(a=INT)})
    puller.pull()
    kept = puller.schemas()
    circle = {"account/other-1.json": {"$ref": "bad-1.json"}} if name == "a circle of files" else {}
    publish(puller.source, circle | {"account/bad-1.json": bad, "cards/new-1.json": of(a=TEXT)})
    pulled = puller.pull()
    problems = {schema.name: schema.reason for schema in pulled.bad}
    assert why in problems["account/bad-1.json"]
    assert problems.keys() == {"account/bad-1.json", *circle}
    assert brief(pulled)["cards/new-1.json"] == ("new", "written")
    # the folder keeps the last one that could be used
    assert puller.schemas() == kept | {"cards/new-1.json": puller.files()["cards/new-1.json"]}
    assert puller.pull().news == ()


NAMES = [
    "pix/..json", "pix/.hidden-1.json", "_pulled/0000009.json", "a b/c-1.json", "pix/a\nb-1.json", "pix/é-1.json",
    "pix/a%2F..%2Fb-1.json", "pix/a\\..\\b-1.json", f"pix/{'x' * 200}-1.json", "pix/-rf-1.json", "~root/x-1.json",
]  # fmt: skip


def test_hostile_names_never_become_paths(puller: Puller) -> None:
    publish(puller.source, dict.fromkeys(NAMES, of(a=TEXT)) | SCHEMAS)
    outside = puller.lake.root / "outside"
    publish(outside, {"secret-1.json": of(secret=TEXT)})
    (puller.source / "pix" / "link-1.json").symlink_to(outside / "secret-1.json")
    (puller.source / "linked").symlink_to(outside)
    pulled = puller.pull()
    assert puller.schemas().keys() == SCHEMAS.keys()
    assert len(pulled.bad) == len(NAMES) + 1
    assert all(schema.name.isprintable() for schema in pulled.bad)
    assert "a link to a place outside" in next(s.reason for s in pulled.bad if s.name == "pix/link-1.json")
    assert sorted(path.name for path in puller.lake.root.iterdir() if path.is_dir()) == [
        "outside",
        "published",
        "schemas",
    ]


class HostileBucket:
    """A store whose listing has any names, as a bucket may have; it only reads."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.read_uris: list[str] = []

    def folders(self, root: str) -> list[str]:
        return []

    def find(self, root: str) -> list[str]:
        return [f"{root}/{name}" for name in self._names]

    def version(self, uri: str) -> tuple[int, None]:
        return 2, None

    def read(self, uri: str) -> bytes:
        self.read_uris.append(uri)
        return b"{}"


def test_hostile_keys_of_a_bucket_never_become_paths(puller: Puller) -> None:
    keys = [
        "../x-1.json", "pix/../../x-1.json", "../../../x-1.json", "/x-1.json", "./x-1.json", "pix/..",
        "pix/x\0-1.json", "pix/\ud800-1.json", "..\\..\\x/y-1.json", "C:/x-1.json", "pix/good-1.json",
    ]  # fmt: skip
    bucket = HostileBucket(*keys)
    source = SchemaSource("s3://docs/all", cast("Store", bucket))
    pulled = pull_schemas(puller.lake.settings, puller.lake.ledger, source)
    assert bucket.read_uris == ["s3://docs/all/pix/good-1.json"]
    assert {name for name, (_, fate) in brief(pulled).items() if fate} == {"pix/good-1.json"}
    assert puller.schemas().keys() == {"pix/good-1.json"}
    json.dumps(pulled.to_json()).encode()


def test_too_many_files_are_no_folder_of_schemas(puller: Puller) -> None:
    source = SchemaSource("s3://docs", cast("Store", HostileBucket(*(f"a/{n}-1.json" for n in range(MOST_FILES + 1)))))
    with pytest.raises(ConfigError, match="more than 10000: name the folder of the schemas"):
        pull_schemas(puller.lake.settings, puller.lake.ledger, source)


def test_a_schema_cannot_forge_or_flood_a_log(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"a\nb": 1, "x" * 5000: 1}))
    flood = {"minLength": "many\n" * 50_000}
    publish(puller.source, {PIX: of(**{"a\nb": TEXT, "x" * 5000: TEXT, "\u202e": TEXT}), "pix/bad-1.json": of(a=flood)})
    lines = [line for schema in puller.pull().schemas for line in (str(schema), *schema.meanings())]
    assert all(line.isprintable() and len(line) < 1500 for line in lines), lines


def test_two_spellings_of_one_event_type_are_not_mixed(puller: Puller) -> None:
    publish(puller.source, {"pix/pix-in-1.json": of(a=TEXT), PIX: of(a=INT)})
    pulled = puller.pull()
    assert brief(pulled) == {"pix/pix-in-1.json": ("new", "written"), PIX: ("bad", "")}
    assert pulled.bad[0].reason == "it is for the same event type as pix/pix-in-1.json"


def test_a_schema_of_yours_is_kept_until_you_accept_the_other(puller: Puller) -> None:
    publish(puller.folder, {PIX: of(mine=TEXT), "account/x-1.json": SCHEMAS["account/x-1.json"], "own/y-1.json": {}})
    publish(puller.source, SCHEMAS)
    kept = puller.schemas()
    pulled = puller.pull(apply_types=True)
    assert brief(pulled) == {PIX: ("changed", "yours is kept"), "main-event.json": ("new", "written")}
    assert puller.pull().news == ()
    assert puller.schemas() == kept | {"main-event.json": puller.files()["main-event.json"]}
    assert brief(puller.pull(accepted=["pix/*"])) == {PIX: ("changed", "written")}
    # a file that a pull wrote, and a person changed, is yours again
    publish(puller.folder, {"account/x-1.json": of(a=TEXT, mine=TEXT)})
    assert brief(puller.pull()) == {"account/x-1.json": ("changed", "yours is kept")}


def test_a_schema_that_is_gone_is_said_once_and_kept(puller: Puller) -> None:
    publish(puller.folder, {"own/y-1.json": {}})
    publish(puller.source, SCHEMAS)
    puller.pull()
    kept = puller.schemas()
    for _ in range(2):
        publish(puller.source, {PIX: None})
        assert brief(puller.pull(dry_run=True)) == {PIX: ("gone", "kept")}
        assert brief(puller.pull()) == {PIX: ("gone", "kept")}
        assert brief(puller.pull()) == {}
        assert puller.schemas() == kept
        publish(puller.source, {PIX: SCHEMAS[PIX]})
        assert brief(puller.pull()) == {}


@pytest.mark.parametrize("place", ["nothing", "empty", "file"])
def test_a_source_without_schemas_is_an_error_and_nothing_is_gone(puller: Puller, place: str) -> None:
    publish(puller.source, SCHEMAS)
    puller.pull()
    kept = puller.files()
    (puller.lake.root / "empty").mkdir()
    publish(puller.lake.root, {"file": b"x"})
    with pytest.raises(ConfigError, match=rf"{place} (is no folder|has no file <domain>)"):
        pull_schemas(puller.lake.settings, puller.lake.ledger, SchemaSource(str(puller.lake.root / place)))
    assert puller.files() == kept


def test_a_file_that_cannot_be_written_stops_no_other(puller: Puller) -> None:
    publish(puller.folder, {"account": b"a file, no folder"})
    publish(puller.source, SCHEMAS)
    pulled = puller.pull()
    assert brief(pulled) == WRITTEN | {"account/x-1.json": ("bad", "")}
    assert "both a file and a folder" in pulled.bad[0].reason


def test_a_damaged_record_is_named(puller: Puller) -> None:
    publish(puller.source, SCHEMAS)
    puller.pull()
    newest = max((puller.folder / "_pulled").iterdir())
    newest.write_bytes(b"{")
    with pytest.raises(LakeError, match=newest.name):
        puller.pull()


def _killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Kill at the write of this number, counted from the next one."""
    left = [number]

    def killing(write: Callable[..., Any]) -> Callable[..., Any]:
        def work(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return write(*arguments, **options)

        return work

    for name in ("write_atomic", "create", "remove"):
        monkeypatch.setattr(storage, name, killing(getattr(storage, name)))


def test_a_killed_pull_and_the_next_one_end_like_one(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    first = SCHEMAS | {"own/gone-1.json": of(a=TEXT)}
    second = {PIX: of(n=INT, m=TEXT), "cards/new-1.json": of(a=TEXT), "cards/bad-1.json": b"{", "own/gone-1.json": None}
    third = {PIX: of(n=INT, m=TEXT, o=TEXT)}
    endings = set()
    kills = 0
    for number in range(100):
        home = Puller(LakeUnderTest(puller.lake.root / f"home-{number}"))
        publish(home.source, first)
        home.pull()
        publish(home.source, second)
        with monkeypatch.context() as patched:
            _killed_at(patched, number)
            try:
                home.pull()
            except KilledError:
                kills += 1
            else:
                break
        # the source goes on between the kill and the next pull
        publish(home.source, third)
        assert "yours is kept" not in {fate for _, fate in brief(home.pull()).values()}
        assert home.pull().news == ()
        endings.add(json.dumps([{n: c.decode() for n, c in home.schemas().items()}, sorted(_noted(home).items())]))
    assert kills >= 4
    assert len(endings) == 1


def _noted(home: Puller) -> dict[str, str]:
    return {name: entry.noted for name, entry in load_record(str(home.folder)).items()}


def test_pulls_at_once_end_like_one(puller: Puller) -> None:
    publish(puller.source, {f"pix/e{number}-1.json": of(**{f"k{number}": TEXT}) for number in range(30)})
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            start.wait()
            puller.pull()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(puller.schemas()) == 30
    assert all(len(entry.digests) == 1 for entry in load_record(str(puller.folder)).values())
    again = puller.pull()
    assert (again.schemas, again.unchanged) == ((), 30)
    assert not list(puller.folder.rglob(".*"))


def test_the_leftover_of_a_killed_writer_is_removed(puller: Puller) -> None:
    publish(puller.source, SCHEMAS)
    yours = {".notes.tmp": b"", "pix/.pix_in-1.json.0123.tmp": b"{", f"a/b/.x.json.{'0' * 32}.tmp": b"{"}
    publish(
        puller.folder, yours | {f"pix/.pix_in-1.json.{'0' * 32}.tmp": b"{", f"_pulled/.1.json.{'f' * 32}.tmp": b"{"}
    )
    puller.pull()
    assert puller.schemas().keys() == SCHEMAS.keys() | yours.keys()
    assert not list(puller.folder.glob("_pulled/.*"))


def announce(name: str, schema: Any, at: str) -> AnnouncedSchema:
    text = schema if schema is None or isinstance(schema, str) else json.dumps(schema)
    return AnnouncedSchema(name, text, f"2026-03-01T{at}:00.000Z")


def test_announced_schemas_are_pulled_the_newest_last(puller: Puller) -> None:
    def pull(*announced: AnnouncedSchema) -> dict[str, tuple[str, str]]:
        return brief(pull_schemas(puller.lake.settings, puller.lake.ledger, None, announced=announced))

    hostile = announce("../x-1.json", {}, "12:00")
    broken = announce("pix/b-1.json", "{", "12:00")
    newer, older = announce(PIX, of(n=INT, m=TEXT), "12:00"), announce(PIX, of(n=INT), "11:00")
    assert pull(newer, hostile, older, broken) == {
        PIX: ("new", "written"), "../x-1.json": ("bad", ""), "pix/b-1.json": ("bad", ""),
    }  # fmt: skip
    assert json.loads(puller.schemas()[PIX]) == of(n=INT, m=TEXT)
    # an old day is closed again
    assert pull(older) == {}
    assert pull(newer) == {}
    assert pull(announce(PIX, None, "13:00")) == {PIX: ("gone", "kept")}
    assert pull(announce(PIX, None, "13:00")) == {}
    assert json.loads(puller.schemas()[PIX]) == of(n=INT, m=TEXT)


def test_the_source_has_priority_over_announcements(puller: Puller) -> None:
    publish(puller.source, SCHEMAS)
    announced = [announce(PIX, of(n=INT, old=TEXT), "12:00"), announce("cards/new-1.json", of(a=TEXT), "12:00")]
    assert brief(puller.pull(announced=announced)) == WRITTEN | {"cards/new-1.json": ("new", "written")}
    assert json.loads(puller.schemas()[PIX]) == SCHEMAS[PIX]
    # the source never had it, so it is not gone
    assert brief(puller.pull()) == {}


def test_an_announced_change_of_a_type_is_held_back(puller: Puller) -> None:
    puller.lake.put(event("e-1", {"n": 1}))
    announced = [announce(PIX, of(n=NUMBER), "12:00")]
    for accepted, is_news, fate in (([], True, "held back"), ([], False, "held back"), (["pix/*"], True, "written")):
        pulled = pull_schemas(
            puller.lake.settings, puller.lake.ledger, None, announced=announced, accepted=accepted
        )  # fmt: skip
        assert (brief(pulled), bool(pulled.news)) == ({PIX: ("new", fate)}, is_news)
    assert brief(pull_schemas(puller.lake.settings, puller.lake.ledger, None, announced=announced)) == {}


def test_a_folder_is_needed(lake: LakeUnderTest) -> None:
    with pytest.raises(ConfigError, match="give --contracts FOLDER"):
        pull_schemas(lake.settings, lake.ledger, SchemaSource(os.devnull))
