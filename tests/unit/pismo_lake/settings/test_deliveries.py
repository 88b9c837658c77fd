"""Errors in the deliveries file name line and allowed values, and break no other delivery."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from pismo_lake.contracts.json_schema import schema_folders
from pismo_lake.errors import ConfigError
from pismo_lake.settings.channels import GcsSource, SftpSource
from pismo_lake.settings.deliveries import Delivery, InvalidDelivery, load_deliveries

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
deliveries:
  good:
    organisation: TN-1
    environment: sandbox
    channel: s3
    conn_id: c
    source: {pismo_account_id: "123456789012"}
    landing: raw
    lake: l
    ledger_url: sqlite://
"""
TAIL = "    conn_id: c\n    landing: raw\n    lake: l\n    ledger_url: sqlite://\n"
ORGANISATION = "  bad:\n    organisation: TN-1\n"
HEAD = f"{ORGANISATION}    environment: sandbox\n"
SFTP = f"{HEAD}    channel: sftp\n    source: {{}}\n"
NOTICES = f"{SFTP}    notices:\n      channel: "


def problem(tmp_path: Path, text: str) -> str:
    path = tmp_path / "deliveries.yaml"
    path.write_text(GOOD + text)
    good, bad = load_deliveries(path)
    assert isinstance(good, Delivery)
    assert isinstance(bad, InvalidDelivery)
    return bad.problem


# the entry `bad:` is in line 11
WRONG = {
    "environment": (f"{ORGANISATION}    environment: test\n    channel: s3\n", 13, "sandbox, production"),
    "channel": (f"{HEAD}    channel: ftp\n", 14, "allowed: s3, sftp, gcs"),
    "no source": (f"{HEAD}    channel: gcs\n{TAIL}", 11, "`source:` with at least bucket is missing"),
    "unknown": (f"{SFTP}    colour: red\n{TAIL}", 16, "unknown setting colour"),
    "unknown in source": (
        f"{HEAD}    channel: sftp\n    source:\n      port: 22\n      password: x\n{TAIL}", 17,
        "unknown setting source.password",
    ),
    "number": (f"{HEAD}    channel: sftp\n    source:\n      port: many\n{TAIL}", 16, "source.port is 'many'"),
    "range": (f"{HEAD}    channel: sftp\n    source:\n      connections: 0\n{TAIL}", 16, "must be 1 or more"),
    "no reads": (f"{HEAD}    channel: sftp\n    source:\n      reads: 0\n{TAIL}", 16, "source.reads must be 1 or more"),
    "truth": (f"{SFTP}    listing: maybe\n{TAIL}", 16, "true or false"),
    "nan": (f"{SFTP}    wait_minutes: .nan\n{TAIL}", 16, "a number is expected"),
    "contract mode": (f"{SFTP}    contracts:\n      mode: melt\n{TAIL}", 17, "allowed: evolve, freeze, discard"),
    "no contracts there": (f"{SFTP}    contracts:\n      folder: nowhere\n{TAIL}", 17, "nowhere does not exist"),
    "unknown in contracts": (f"{SFTP}    contracts: {{colour: red}}\n{TAIL}", 16, "contracts.colour"),
    "pull of nothing": (
        f"{SFTP}    contracts:\n      folder: s\n      pull: {{type_changes: hold}}\n{TAIL}", 18, "pull has no source"
    ),
    "pull into no folder": (f"{SFTP}    contracts: {{pull: {{source: s}}}}\n{TAIL}", 16, "pull needs contracts.folder"),
    "pull into its source": (
        f"{SFTP}    contracts: {{folder: s/in, pull: {{source: s}}}}\n{TAIL}", 16, "are one inside the other"
    ),
    "pull by a connection from a folder": (
        f"{SFTP}    contracts: {{folder: t, pull: {{source: s, conn_id: c}}}}\n{TAIL}", 16, "only for an s3:// source"
    ),
    "unknown in pull": (
        f"{SFTP}    contracts:\n      folder: t\n      pull:\n        source: s\n        often: yes\n{TAIL}", 20,
        "unknown setting contracts.pull.often",
    ),
    "type changes": (
        f"{SFTP}    contracts:\n      folder: t\n      pull:\n        source: s\n        type_changes: ask\n{TAIL}", 20,
        "contracts.pull.type_changes is 'ask', allowed: hold, apply",
    ),
    "no pull": (f"{SFTP}    contracts: {{folder: t, pull: s3://b}}\n{TAIL}", 16, "with source is missing"),
    "privacy without a key": (f"{SFTP}    privacy: strict\n{TAIL}", 11, "privacy_key_conn_id"),
    "no such policy": (f"{SFTP}    privacy: mine.yaml\n{TAIL}", 11, "mine.yaml"),
    "text": (f"{SFTP}    pool: [a]\n{TAIL}", 16, "text is expected"),
    "nothing tells": (f"{SFTP}    listing: false\n{TAIL}", 11, "no notices"),
    "notices": (
        f"{NOTICES}kafka\n{TAIL}", 17, "allowed: sqs, pubsub"
    ),
    "queue": (
        f"{NOTICES}pubsub\n      queue: q\n      conn_id: c\n{TAIL}",
        16, "projects/<project>/subscriptions/<name>",
    ),
    "no queue": (
        f"{SFTP}    notices: {{channel: sqs, conn_id: c}}\n{TAIL}", 16,
        "notices.queue is missing",
    ),
    "empty": ("  bad:\n", 11, "a mapping of settings"),
    "schedule": (f"{SFTP}    schedule: hello\n{TAIL}", 11, "'hello' is not a cron expression"),
    "schedule out of range": (f"{SFTP}    schedule: '99 * * * *'\n{TAIL}", 11, "is not a cron expression"),
    "continuous with notices": (
        f"{NOTICES}sqs\n      queue: q\n      conn_id: c\n    schedule: '@continuous'\n{TAIL}", 11, "give one of them"
    ),
    "continuous without a wait": (
        f"{SFTP}    schedule: '@continuous'\n    wait_minutes: 0\n{TAIL}", 11, "needs wait_minutes"
    ),
    "zone": (f"{SFTP}    event_date_zone: America\n{TAIL}", 11, "'America' is not an IANA time zone"),
    "endless": (f"{SFTP}    close_after_hours: 1e12\n{TAIL}", 16, "close_after_hours must be from 0 to 744"),
    "look-back": (f"{SFTP}    lookback_hours: 5000\n{TAIL}", 16, "lookback_hours must be from 0 to 900"),
    "no bucket": (f"{SFTP}{TAIL.replace('lake: l', 'lake: s3://')}", 11, "lake 's3://' is neither a path nor s3://"),
    "half a scheme": (f"{SFTP}{TAIL.replace('lake: l', 'lake: s3:/b/l')}", 11, "is neither a path nor s3://"),
    "another store": (f"{SFTP}{TAIL.replace('raw', 'gcs://b/raw')}", 11, "landing 'gcs://b/raw' is neither a path"),
    "one in the other": (f"{SFTP}{TAIL.replace('raw', 'l/raw')}", 11, "one of landing and lake is inside the other"),
    "account": (
        f"{HEAD}    channel: s3\n    source: {{pismo_account_id: 012345670123}}\n{TAIL}", 15, "is not 12 digits"
    ),
    "catalog alone": (f"{SFTP}    catalog: {{type: sql}}\n{TAIL}", 11, "give table_format: iceberg"),
    "kept files alone": (f"{SFTP}    remove_files: after_snapshots\n{TAIL}", 11, "table_format is not"),
    "unknown catalog": (f"{SFTP}    table_format: iceberg\n    catalog: {{type: hive}}\n{TAIL}", 17, "catalog.type"),
    "rest without a uri": (f"{SFTP}    catalog: {{type: rest}}\n{TAIL}", 16, "a rest catalog needs a uri"),
    "catalog with a password": (
        f"{SFTP}    table_format: iceberg\n    catalog: {{type: sql, uri: 'postgresql://u:hush@h/d'}}\n{TAIL}", 17,
        "uri has a password",
    ),
    "catalog with a token": (
        f"{SFTP}    table_format: iceberg\n    catalog: {{type: glue, properties: {{rest.token: hush}}}}\n{TAIL}", 17,
        "has a secret (rest.token)",
    ),
    "unknown format": (f"{SFTP}    table_format: delta\n{TAIL}", 16, "table_format"),
    "encrypted tables": (
        f"{SFTP}    table_format: iceberg\n    lake_kms_key: k\n{TAIL}", 11, "no reader of the table format can decrypt"
    ),
    "tables in another cloud": (
        f"{SFTP}    table_format: iceberg\n{TAIL.replace('lake: l', 'lake: gs://b/l').replace('raw', 'gs://b/raw')}",
        11, "table_format needs a lake in a folder or in S3",
    ),
    "two formats of a lake": (f"{SFTP}    table_format: iceberg\n{TAIL}", 11, "differ from those of good"),
    "poll": (
        f"{NOTICES}sqs\n      queue: q\n      conn_id: c\n      poll_seconds: 0\n{TAIL}", 20, "poll_seconds must be 1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_has_its_line(tmp_path: Path, name: str) -> None:
    text, line, says = WRONG[name]
    found = problem(tmp_path, text)
    assert says in found
    assert f"line {line})" in found


def test_a_setting_given_twice_is_no_guess(tmp_path: Path) -> None:
    found = problem(tmp_path, f"{SFTP}{TAIL}    conn_id: d\n")
    assert found == "delivery bad (line 20): conn_id is given twice"


def test_a_delivery_given_twice_is_no_guess(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_text(GOOD + GOOD.removeprefix("deliveries:\n"))
    with pytest.raises(ConfigError, match="good is given twice"):
        load_deliveries(path)


ODD = {
    "no number": "!!int x",
    "no time": "!!timestamp x",
    "a tag of another program": "!cloud secret",
    "a list that holds itself": "&list [*list]",
    "a mapping that holds itself": "&map {a: *map}",
    "a list as a name": "{[1]: 2}",
    "a number as a name": "{1: 2}",
    "a truth value as a name": "{on: 2}",
    "a merge of a number": "{<<: 3}",
    "lists in lists": "[" * 3000 + "]" * 3000,
    "the name of the lines": "{__lines__: {a: b}}",
    "bytes": "!!binary aGVsbG8=",
    "a day": "2026-01-01",
    "a huge number": "1208925819614629174706176",
    "no number at all": ".nan",
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("setting", [field.name for field in fields(Delivery) if field.name != "name"])
def test_a_value_of_any_form_breaks_no_other_delivery(tmp_path: Path, setting: str, odd: str) -> None:
    settings = {
        "organisation": "TN-1", "environment": "sandbox", "channel": "sftp", "conn_id": "c", "source": "{}",
        "landing": "raw", "lake": "m", "ledger_url": "sqlite://", setting: ODD[odd],
    }  # fmt: skip
    path = tmp_path / "deliveries.yaml"
    path.write_text(GOOD + "  odd:\n" + "".join(f"    {name}: {value}\n" for name, value in settings.items()))
    good, other = load_deliveries(path)
    assert isinstance(good, Delivery)
    assert other.name == "odd"
    if isinstance(other, InvalidDelivery):
        assert re.match(r"delivery odd \(line (1[1-9]|2[0-9])\): ", other.problem)


@pytest.mark.parametrize("odd", ODD)
def test_an_entry_of_any_form_breaks_no_other_delivery(tmp_path: Path, odd: str) -> None:
    assert problem(tmp_path, f"  bad: {ODD[odd]}\n").startswith("delivery bad (line 11): ")


def test_settings_may_be_shared_and_overridden(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.yaml"
    shared, entry = GOOD.replace("deliveries:\n  good:", "shared: &shared"), "    <<: *shared\n"
    path.write_text(
        shared.replace("\n    ", "\n  ") + "deliveries:\n"
        f"  one:\n{entry}    conn_id: d\n"
        f"  two:\n    conn_id: e\n{entry}"
        f"  three:\n{entry}    colour: red\n"
    )
    one, two, three = load_deliveries(path)
    assert isinstance(one, Delivery)
    assert isinstance(two, Delivery)
    assert (one.conn_id, two.conn_id, one.lake, two.landing) == ("d", "e", two.lake, one.landing)
    assert isinstance(three, InvalidDelivery)
    assert "unknown setting colour" in three.problem
    path.write_text(path.read_text() + "    colour: blue\n")
    assert load_deliveries(path)[:2] == (one, two)
    three = load_deliveries(path)[2]
    assert isinstance(three, InvalidDelivery)
    assert "colour is given twice" in three.problem


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_bytes(GOOD.encode() + "# é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"deliveries file .*utf-8"):
        load_deliveries(path)


def test_types_and_defaults_of_every_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PISMO_PORT", "2222")
    path = tmp_path / "deliveries.yaml"
    rest = "    organisation: TN-1\n    environment: production\n" + TAIL
    path.write_text(
        f"deliveries:\n  a:\n    channel: sftp\n    source:\n      port: ${{PISMO_PORT:-}}\n"
        f"      host: ${{PISMO_HOST:-}}\n{rest}"
        f"  b:\n    channel: gcs\n    source: {{bucket: ours}}\n{rest}"
    )
    sftp, gcs = load_deliveries(path)
    assert isinstance(sftp, Delivery)
    assert isinstance(gcs, Delivery)
    assert sftp.source == SftpSource(port=2222)
    assert gcs.source == GcsSource("ours")
    # notices name Pismo's bucket for each channel
    assert gcs.expected.bucket == sftp.expected.bucket == "pismo-dataplatform-tn-1"


def test_a_privacy_policy_stands_beside_the_deliveries_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("rules: [{path: '**/email', action: drop}]")
    path = tmp_path / "deliveries.yaml"
    path.write_text(GOOD + "    privacy: mine.yaml\n")
    (delivery,) = load_deliveries(path)
    assert isinstance(delivery, Delivery)
    assert delivery.settings.privacy is not None
    assert [rule.path for rule in delivery.settings.privacy.rules] == ["**/email"]


def test_contracts_of_a_delivery(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    path = tmp_path / "deliveries.yaml"
    path.write_text(
        GOOD + "    contracts:\n      folder: schemas\n      shipped: false\n      modes: {'pix/*': freeze}\n"
    )
    (delivery,) = load_deliveries(path)
    assert isinstance(delivery, Delivery)
    rules = delivery.settings.contracts
    assert (rules.folder, rules.shipped) == (str(tmp_path / "schemas"), False)
    assert (rules.mode_of("pix/pix_in-1"), rules.mode_of("cards/update-1")) == ("freeze", "evolve")


def test_a_pull_of_a_delivery(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_text(f"{GOOD}    contracts: {{folder: not/yet, pull: {{source: checkout}}}}\n")
    (delivery,) = load_deliveries(path)
    assert isinstance(delivery, Delivery)
    pull = delivery.contracts.pull
    assert pull is not None
    assert (delivery.contracts.folder, pull.source) == (f"{tmp_path}/not/yet", f"{tmp_path}/checkout")
    assert (pull.type_changes, pull.announced) == ("hold", "report")
    assert schema_folders(replace(delivery.contracts, shipped=False)) == []
    path.write_text(f"{GOOD}    contracts: {{folder: 's3://b/x', pull: {{source: 's3://d', conn_id: c}}}}\n")
    (delivery,) = load_deliveries(path)
    assert isinstance(delivery, Delivery)
    assert delivery.contracts.folder == "s3://b/x"
