"""Encrypt a lake with a KMS key: no clear text is left, and nothing works without the key."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd
import pyarrow.parquet as pq
import pytest
from botocore.config import Config
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.cli.main import main
from pismo_lake.errors import ConfigError, LakeError, SourceUnavailable
from pismo_lake.events.erase import erase
from pismo_lake.events.find import find_event
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.storage.encryption import LakeKey, open_parquet
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, REGION, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
ALIAS = "alias/the-lake"
SECRET = b"in-nobody's-sight"


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        kms = sandbox.admin("kms")
        made = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=ALIAS, TargetKeyId=made)
        yield sandbox


@pytest.fixture
def encrypted(server: Sandbox, tmp_path: Path) -> LakeUnderTest:
    """Two hours, one of them with damage and a list apart, built but not closed."""
    rules = ContractRules(shipped=False, child_tables=("items",))
    lake = LakeUnderTest(tmp_path, key=LakeKey(ALIAS, lambda: server.admin("kms")), contracts=rules)
    said = {"note": SECRET.decode(), "items": [{"said": SECRET.decode()}]}
    lake.land({
        key(1): event("e-1", said, timestamp=at(1)) + event("e-2", said, timestamp=at(1)),
        key(2): event("e-3", said, timestamp=at(2)) + b'{"broken": "' + SECRET,
    })  # fmt: skip
    lake.build()
    return lake


def files(lake: LakeUnderTest) -> list[Path]:
    return [path for part in ("events", "items", "rejects") for path in (lake.root / "lake" / part).rglob("*.parquet")]


def rows(lake: LakeUnderTest, part: str = "events") -> list[dict[str, Any]]:
    found = []
    for path in sorted((lake.root / "lake" / part).rglob("*.parquet")):
        with path.open("rb") as source:
            found += open_parquet(source, lake.settings.key).read().to_pylist()
    return found


def test_nothing_stands_in_clear_and_everything_works_with_the_key(encrypted: LakeUnderTest) -> None:
    assert len(files(encrypted)) == 5
    for closed in (False, True):
        if closed:
            encrypted.close("2026-03-01")
        for path in (path for path in (encrypted.root / "lake").rglob("*") if path.is_file()):
            assert SECRET not in path.read_bytes(), path
        assert all(path.read_bytes().startswith(b"PARE") for path in files(encrypted))
        assert sorted(row["event_id"] for row in rows(encrypted)) == ["e-1", "e-2", "e-3"]
        assert {row["data__items__said"] for row in rows(encrypted, "items")} == {SECRET.decode()}
        assert SECRET in rows(encrypted, "rejects")[0]["raw"]
        report = reconcile(encrypted.settings, encrypted.ledger, PublishDay.parse("2026-03-01"))
        assert (report.rows, report.rejects, report.balanced) == (3, 1, True)
        (place,) = find_event(encrypted.settings, encrypted.ledger, "e-2")
        assert place.state == "in the lake"
    assert encrypted.close("2026-03-01").parts_built == 0
    found = find_in_rows(encrypted.settings, [("data__note", SECRET.decode())], ["e-1"])
    assert len(found) == 3
    erase(encrypted.settings, encrypted.ledger, found[:1], "ticket 9")
    assert len(rows(encrypted)) == 2


def test_pandas_reads_with_the_key(encrypted: LakeUnderTest) -> None:
    assert encrypted.settings.key is not None
    path = next(path for path in files(encrypted) if "/events/" in str(path) and "T01" in path.name)
    frame = pd.read_parquet(io.BytesIO(path.read_bytes()), decryption_properties=encrypted.settings.key.reading())
    assert frame["data__note"].tolist() == [SECRET.decode()] * 2
    with pytest.raises(OSError, match=r"no decryption|encrypted"):
        pq.read_table(path)


def test_without_the_key_nothing_is_read_or_written(
    encrypted: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(files(encrypted))
    keyless = replace(encrypted.settings, key=None)
    with open(files(encrypted)[0], "rb") as source, pytest.raises(LakeError, match="encrypted: give the key"):
        open_parquet(source, None)
    encrypted.settings = keyless
    encrypted.land({key(3): event("e-4", timestamp=at(3))})
    with pytest.raises(ConfigError, match=f"is encrypted with {ALIAS}: give the key too"):
        encrypted.build()
    place = ["--lake", keyless.lake, "--landing", keyless.landing, "--ledger", f"sqlite:///{encrypted.root}/ledger.db"]
    assert main(["where-is", "e-1", *place, "--delivery", "test"]) == 1
    assert "encrypted" in capsys.readouterr().err
    assert sorted(files(encrypted)) == before


def test_the_key_of_the_command_line(
    server: Sandbox, encrypted: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL_KMS", server.endpoint), ("AWS_ACCESS_KEY_ID", ADMIN_KEY),
        ("AWS_SECRET_ACCESS_KEY", ADMIN_SECRET), ("AWS_DEFAULT_REGION", REGION), ("PISMO_LAKE_KMS_KEY", ALIAS),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    place = ["--lake", encrypted.settings.lake, "--landing", encrypted.settings.landing, "--delivery", "test"]
    assert main(["where-is", "e-1", *place, "--ledger", f"sqlite:///{encrypted.root}/ledger.db"]) == 0
    assert "in the lake" in capsys.readouterr().out


def test_another_key_is_another_lake(server: Sandbox, encrypted: LakeUnderTest) -> None:
    server.admin("kms").create_alias(
        AliasName="alias/the-next", TargetKeyId=server.admin("kms").create_key()["KeyMetadata"]["KeyId"]
    )
    before = {path.name for path in files(encrypted)}
    encrypted.settings = replace(encrypted.settings, key=LakeKey("alias/the-next", lambda: server.admin("kms")))
    encrypted.build({"2026-03-01T01", "2026-03-01T02"})
    assert not before & {path.name for path in files(encrypted)}
    assert len(rows(encrypted)) == 3


def test_a_key_that_is_not_there_or_does_not_answer(server: Sandbox, tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, key=LakeKey("alias/nobody", lambda: server.admin("kms")))
    lake.land({key(1): event("e-1", timestamp=at(1))})
    with pytest.raises(LakeError, match="KMS key alias/nobody: NotFoundException"):
        lake.build()
    assert not list((tmp_path / "lake").rglob("*.parquet"))
    quick = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    nowhere = boto3.client(
        "kms", endpoint_url="http://127.0.0.1:9", region_name=REGION, aws_access_key_id="a",
        aws_secret_access_key="b", config=quick,
    )  # fmt: skip
    with closing(nowhere), pytest.raises(SourceUnavailable, match="EndpointConnectionError"):
        LakeKey(ALIAS, lambda: nowhere).check()
    assert LakeKey(ALIAS, lambda: server.admin("kms")).check() == ALIAS
