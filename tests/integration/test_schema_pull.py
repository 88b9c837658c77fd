"""Pull schemas from a bucket into a bucket, each with its own connection: alone, at once, and in real Airflow."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.airflow_runs import ROOT, airflow_home, dag_runs
from tests.lakes import LakeUnderTest, event
from tests.published import INT, NUMBER, PIX, TEXT, brief, of

from pismo.__main__ import main
from pismo.connect.schemas import schema_source
from pismo.connect.storage import configure_storage
from pismo_lake import storage
from pismo_lake.contracts.json_schema import SchemaFolder, forget_schemas
from pismo_lake.errors import ConfigError, StorageRefused
from pismo_lake.schemas import pull_schemas
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.deliveries import find_delivery
from pismo_lake.storage import registry
from pismo_sandbox.s3.server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    OWN_BUCKET,
    Sandbox,
    running_sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pismo_lake.settings.deliveries import Delivery

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]
NAME, DAY = "sandbox_s3", "2026-03-01"
PUBLISHED = "docs/published-event-schemas"


class Place:
    """The look-alike with a bucket of documentation, which only Pismo's role may read, and a bucket of our own."""

    def __init__(self, sandbox: Sandbox, root: Path) -> None:
        self.sandbox, self.root, self.s3 = sandbox, root, sandbox.admin("s3")
        body = yaml.safe_load((ROOT / "config" / "deliveries.yaml").read_text())["deliveries"][NAME]
        topic = sandbox.admin("sns").create_topic(Name="schemas")["TopicArn"]
        self.sqs = sandbox.admin("sqs")
        self.queue = self.sqs.create_queue(QueueName="schemas")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sandbox.admin("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        self.body = body | {
            "storage_conn_id": "ours",
            "contracts": {
                "folder": f"s3://{OWN_BUCKET}/schemas",
                "pull": {"source": f"s3://{sandbox.policy.bucket}/docs", "conn_id": "docs", "announced": "apply"},
            },
            "alerts": {
                "topic_arn": topic, "conn_id": "ours", "region": "us-east-1", "events": ["failed", "contract_change"],
            },
        }  # fmt: skip
        self.deliveries = root / "deliveries.yaml"
        self.write(self.body)
        ours = {"endpoint_url": sandbox.endpoint, "region_name": "us-east-1"}
        services = {name: {"endpoint_url": sandbox.endpoint} for name in ("sts", "s3")}
        role = ours | {"role_arn": sandbox.policy.role_arn, "service_config": services}
        self.environment = {
            "AIRFLOW_CONN_PISMO_SANDBOX_S3": _connection(CONSUMER_KEY, CONSUMER_SECRET, {"region_name": "us-east-1"}),
            "AIRFLOW_CONN_DOCS": _connection(CONSUMER_KEY, CONSUMER_SECRET, role),
            "AIRFLOW_CONN_OURS": _connection(ADMIN_KEY, ADMIN_SECRET, ours),
            "PISMO_DELIVERIES": str(self.deliveries),
            "PISMO_ENDPOINT_URL": sandbox.endpoint,
            "PISMO_LANDING": str(root / "landing"),
            "PISMO_LAKE": str(root / "lake"),
            "PISMO_LEDGER_URL": f"sqlite:///{root / 'ledger.db'}",
        }

    @staticmethod
    def pulling(delivery: Delivery, **changed: Any) -> Delivery:
        """Return the delivery with other settings of its pull."""
        assert delivery.contracts.pull is not None
        pull = replace(delivery.contracts.pull, **changed)
        return replace(delivery, contracts=replace(delivery.contracts, pull=pull))

    def write(self, body: dict[str, Any]) -> None:
        self.deliveries.write_text(yaml.safe_dump({"deliveries": {NAME: body}}))

    def publish(self, name: str, content: bytes | dict[str, Any], bucket: str = "") -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.s3.put_object(Bucket=bucket or self.sandbox.policy.bucket, Key=name, Body=body)

    def keys(self, prefix: str) -> set[str]:
        """Return the keys of our own bucket below a prefix, without the prefix."""
        found = self.s3.list_objects_v2(Bucket=OWN_BUCKET, Prefix=f"{prefix}/").get("Contents", ())
        return {item["Key"].removeprefix(f"{prefix}/") for item in found}

    def alerts(self) -> list[str]:
        """Take the alerts from the queue and delete them."""
        found = []
        while got := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"])["Message"])
        return found


def _connection(key: str, secret: str, extra: dict[str, Any]) -> str:
    return json.dumps({"conn_type": "aws", "login": key, "password": secret, "extra": extra})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(registry, "_STORES", dict(registry._STORES))
    with running_sandbox() as sandbox:
        found = Place(sandbox, tmp_path)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found
    forget_schemas()


def test_a_bucket_is_pulled_into_another_by_many_at_once(place: Place) -> None:
    delivery = find_delivery(place.deliveries, NAME)
    configure_storage(delivery)
    for number in range(12):
        place.publish(f"{PUBLISHED}/pix/e{number}-1.json", of(a=TEXT))
    for name in ("pix//x-1.json", "pix/x y-1.json", "pix/x%2F..%2F..-1.json", "pix/", "deep/er/x-1.json"):
        place.publish(f"{PUBLISHED}/{name}", of(a=TEXT))
    place.publish(f"{PUBLISHED}/pix/empty-1.json", b"")
    lake = LakeUnderTest(place.root / "many")
    lake.settings = replace(lake.settings, contracts=delivery.contracts)

    def pull(_: int) -> dict[str, tuple[str, str]]:
        return brief(pull_schemas(lake.settings, lake.ledger, schema_source(delivery)))

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(pull, range(3)))
    wanted = {f"pix/e{number}-1.json" for number in range(12)}
    assert {name for one in done for name, (_, fate) in one.items() if fate == "written"} == wanted
    assert all(one["pix/empty-1.json"] == ("bad", "") for one in done)
    assert {key for key in place.keys("schemas") if not key.startswith("_pulled/")} == wanted
    again = pull_schemas(lake.settings, lake.ledger, schema_source(delivery))
    assert (again.news, again.unchanged) == ((), 12)
    forget_schemas()
    lake.put(event("e-1", {"b": 1}, event_type="e3"))
    assert {"data__a", "data__b"} <= lake.row().keys()
    # each has its own rights: the identity of the lake is not used to read the documentation, nor the other way round
    wrong = place.pulling(delivery, source="s3://no-such-bucket/docs")
    with pytest.raises(StorageRefused, match=r"contracts\.pull\.conn_id"):
        pull_schemas(lake.settings, lake.ledger, schema_source(wrong))
    missing = place.pulling(delivery, conn_id="nowhere")
    with pytest.raises(ConfigError, match=r"conn_id names nowhere, and there is no such connection"):
        schema_source(missing)


def test_the_doctor_reads_the_documentation(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def checks() -> dict[str, tuple[str, str]]:
        assert main(["doctor", NAME, "--deliveries", str(place.deliveries), "--json"]) == 0
        said = capsys.readouterr().out
        assert CONSUMER_SECRET not in said
        return {check["name"]: (check["state"], check["seen"] + check["advice"]) for check in json.loads(said)}

    place.publish("main_stream/2026/3/1/12/a", event("e-1"))
    state, seen = checks()["schema source"]
    assert state == "optional"
    assert "has no file <domain>/<event>-<version>.json" in seen
    place.publish(f"{PUBLISHED}/{PIX}", of(n=INT))
    found = checks()
    bucket = place.sandbox.policy.bucket
    assert found["schema source"][0] == "pass"
    assert found["schema source"][1].startswith(f"1 schema(s) in s3://{bucket}/docs/published-event-schemas")
    assert found["contracts folder writable"][0] == "pass"
    assert place.keys("schemas") == set()


@pytest.mark.slow
def test_the_close_dag_pulls_and_a_failing_pull_fails_no_close(place: Place, airflow_database: Path) -> None:
    home = airflow_home(place.root / "airflow", airflow_database) | place.environment
    announced = {
        "change_type": "INSERT", "schema_domain": "cards", "schema_event_type": "new", "schema_version": "1",
        "schema_name": "cards/new-1", "new_schema": json.dumps(of(a=TEXT)),
    }  # fmt: skip
    place.publish(
        "main_stream/2026/3/1/12/a",
        event("e-1", {"n": 1})
        + event("e-2", announced, domain="dataplatform", event_type="json_schema_change", schema_version=1),
    )
    place.publish(f"{PUBLISHED}/{PIX}", of(n=NUMBER))
    place.publish(f"{PUBLISHED}/account/x-1.json", of(a=TEXT))
    place.publish(f"{PUBLISHED}/account/bad-1.json", b"{")

    def close(**conf: Any) -> Any:
        return runs.run(f"pismo_close_{NAME}", {"publish_day": DAY} | conf, days_ago=900)

    with dag_runs(home, place.root) as runs:
        dry = close(dry_run=True)
        assert (dry.state, set(dry.tasks.values())) == ("success", {"skipped"})
        assert "would pull" in dry.log
        assert place.keys("schemas") == set()

        first = close()
        assert (first.state, first.tasks["pull_schemas[-1]"]) == ("success", "success"), first.log[-3000:]
        written = {key for key in place.keys("schemas") if not key.startswith("_pulled/")}
        assert written == {"account/x-1.json", "cards/new-1.json"}
        (alert,) = (text for text in place.alerts() if "pulled s3://" in text)
        assert "pix/pix_in-1: new, held back (it would change the type of a column)" in alert
        assert "data__n: int64 becomes decimal128(38, 18)" in alert
        assert "account/bad-1: bad" in alert

        # the documentation cannot be listed any more
        place.sandbox.policy.list_allowed = False
        failed = close(relist=False, force=True)
        assert (failed.state, failed.tasks["pull_schemas[-1]"]) == ("success", "failed"), failed.log[-3000:]
        assert failed.tasks["report_publish_day[-1]"] == failed.tasks["close_publish_day[-1]"] == "success"
        assert "contracts.pull.conn_id" in failed.log
        (text,) = place.alerts()
        assert "pulling schemas failed" in text
    report = json.loads((place.root / "lake" / "reports" / f"publish_date={DAY}" / f"{NAME}.json").read_text())
    assert (report["events"], report["rows"]) == (2, 2)


def test_a_lake_reads_its_schemas_from_a_bucket(place: Place) -> None:
    configure_storage(find_delivery(place.deliveries, NAME))
    place.publish("mine/pix/pix_in-1.json", of(n={"$ref": "../common/t.json#/definitions/n"}), OWN_BUCKET)
    place.publish("mine/common/t.json", {"definitions": {"n": NUMBER}}, OWN_BUCKET)
    folder = f"s3://{OWN_BUCKET}/mine"
    assert SchemaFolder.open(folder).names.keys() == {("pix", "pix-in-1"), ("common", "t")}
    lake = LakeUnderTest(place.root / "reads", contracts=ContractRules(folder, shipped=False))
    lake.put(event("e-1", {"n": 1}))
    assert str(lake.row()["data__n"]) == "1.000000000000000000"
    assert storage.read_bytes(f"{folder}/common/t.json").startswith(b"{")
