"""The deliveries file: what is wrong is named with its line and the allowed values, and breaks no other delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pismo_lake.deliveries import Delivery, InvalidDelivery, load_deliveries
from pismo_lake.errors import ConfigError
from pismo_lake.sources import GcsSource, SftpSource

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
deliveries:
  good:
    organisation: TN-1
    environment: sandbox
    channel: s3
    conn_id: c
    source: {pismo_account_id: "1"}
    landing: l
    lake: l
    ledger_url: sqlite://
"""
TAIL = "    conn_id: c\n    landing: l\n    lake: l\n    ledger_url: sqlite://\n"
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


# the entry `bad:` stands in line 11
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
    "range": (f"{HEAD}    channel: sftp\n    source:\n      connections: 0\n{TAIL}", 15, "must be 1 or more"),
    "truth": (f"{SFTP}    listing: maybe\n{TAIL}", 16, "true or false"),
    "nan": (f"{SFTP}    wait_minutes: .nan\n{TAIL}", 16, "a number is expected"),
    "contract mode": (f"{SFTP}    contracts:\n      mode: melt\n{TAIL}", 16, "allowed: evolve, freeze, discard"),
    "no contracts there": (f"{SFTP}    contracts:\n      folder: nowhere\n{TAIL}", 17, "nowhere is not there"),
    "unknown in contracts": (f"{SFTP}    contracts: {{colour: red}}\n{TAIL}", 16, "contracts.colour"),
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
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_has_its_line(tmp_path: Path, name: str) -> None:
    text, line, says = WRONG[name]
    found = problem(tmp_path, text)
    assert says in found
    assert f"line {line})" in found


def test_a_setting_given_twice_is_no_guess(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_text(GOOD.replace("    conn_id: c\n", "    conn_id: c\n    conn_id: d\n"))
    with pytest.raises(ConfigError, match="conn_id is given twice"):
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
    # what notices name is Pismo's bucket, however the file comes
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
