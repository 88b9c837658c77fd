"""A consumer loses its queue, finds what it lacks, and gets it back, in real Airflow (`dag.test`) with moto's SQS."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.airflow_runs import ROOT, DagRuns, airflow_home, dag_runs
from tests.command_line import start
from tests.lakes import LakeUnderTest, event, key
from tests.narrow_queue import NarrowQueue
from tests.serving import serving
from tests.waiting import PATIENCE

from pismo_lake.cli.main import main
from pismo_lake.events.erase import erase
from pismo_lake.events.find_rows import find_copies
from pismo_lake.ledger.replays import ReplayLedger
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
HOURS = range(10, 14)
CUT_OFF = 12
"""The publish hour in which the consumer is cut off."""
RANGE = {"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T14:00:00Z"}
LARGE = 270_000


class Home:
    """An Airflow home with a lake, and the consumer's FIFO queue behind an endpoint that is narrow at times."""

    runs: DagRuns

    def __init__(self, root: Path, sandbox: Sandbox, narrow: NarrowQueue, database: Path) -> None:
        self.root, self.sqs, self.narrow = root, sandbox.admin("sqs"), narrow
        own = {"FifoQueue": "true", "MaximumMessageSize": str(256 << 10)}
        self.queue = self.sqs.create_queue(QueueName="consumer.fifo", Attributes=own)["QueueUrl"]
        self.lake = LakeUnderTest(root)
        text = (ROOT / "config" / "deliveries.yaml").read_text().replace("sandbox_s3:", "test:").rstrip()
        target = f"target: sqs, address: '{self.queue}', conn_id: consumer, region: us-east-1"
        (root / "deliveries.yaml").write_text(f"{text}\n    replay: {{{target}, endpoint_url: '{narrow.url}'}}\n")
        consumer = {"conn_type": "aws", "login": ADMIN_KEY, "password": ADMIN_SECRET}
        self.environment = airflow_home(root / "airflow", database) | {
            "AIRFLOW_CONN_CONSUMER": json.dumps(consumer),
            "PISMO_DELIVERIES": str(root / "deliveries.yaml"),
            "PISMO_ENDPOINT_URL": sandbox.endpoint,
            "PISMO_LANDING": self.lake.settings.landing,
            "PISMO_LAKE": self.lake.settings.lake,
            "PISMO_LEDGER_URL": f"sqlite:///{root / 'ledger.db'}",
        }

    @property
    def words(self) -> list[str]:
        """The options that name the lake."""
        lake, landing = self.lake.settings.lake, self.lake.settings.landing
        ledger = f"sqlite:///{self.root / 'ledger.db'}"
        return ["--lake", lake, "--landing", landing, "--delivery", "test", "--ledger", ledger]

    def run(self, **conf: Any) -> Any:
        return self.runs.run("pismo_replay_test", conf, days_ago=900)

    def receive(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while got := self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in got:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            found += got
        return found

    def missing(self, seen: Path, capsys: pytest.CaptureFixture[str]) -> Any:
        times = ["--from", RANGE["from"], "--to", RANGE["to"]]
        capsys.readouterr()
        assert main(["missing", "--seen", str(seen), *times, *self.words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("replay")
    with running_sandbox() as sandbox, serving(NarrowQueue(sandbox.endpoint, []), 0.05) as narrow:
        found = Home(root, sandbox, narrow, airflow_database)
        with dag_runs(found.environment, root) as found.runs:
            yield found


def publish(home: Home) -> dict[str, bytes]:
    """Land four hours of events with copies, and return the bytes of each event by its id."""
    made = {
        f"{hour}-{number:02}": event(
            f"{hour}-{number:02}",
            {"account_id": number % 3, "text": 'ä }{ "'},
            timestamp=f"2026-03-01T{hour}:{number:02}:00Z",
        )
        for hour in HOURS
        for number in range(20)
    }
    made[f"{CUT_OFF}-large"] = event(f"{CUT_OFF}-large", {"text": "x" * LARGE}, timestamp="2026-03-01T12:30:00Z")
    files = {
        key(hour): b"".join(body for name, body in reversed(made.items()) if name.startswith(f"{hour}-"))
        for hour in HOURS
    }
    # a copy in the next hour, and another one in the same file
    files[key(13)] += made["12-03"] + made["13-04"] + made["13-04"]
    home.lake.land(files)
    home.lake.build()
    return made


def test_a_consumer_that_was_cut_off_gets_exactly_what_it_lacks(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = publish(home)
    # the consumer has read the other hours, and notes the ids; ids of elsewhere do no harm
    seen = tmp_path / "seen.csv"
    lacks = [name for name in made if name.startswith(f"{CUT_OFF}-")]
    seen.write_text("when,event_id\n" + "".join(f"x,{name}\n" for name in [*made, "else"] if name not in lacks))
    erase(home.lake.settings, home.lake.ledger, find_copies(home.lake.settings, home.lake.ledger, ["12-07"]), "ticket")
    lacks.remove("12-07")

    found = home.missing(seen, capsys)
    (group,) = [group for group in found["groups"] if group["missing"]]
    assert (group["hour"], sorted(group["event_ids"])) == ("2026-03-01T12", sorted(lacks))

    # the form begins with a dry run
    dry = home.run(**RANGE, seen=str(seen))
    assert set(dry.tasks.values()) == {"skipped"}, dry.log[-3000:]
    assert "DRY RUN: nothing is sent" in dry.log
    assert "20 event(s), 0.3 MB; 60 more are seen" in dry.log
    assert "2026-03-01T12  pix/pix_in-1: 20" in dry.log
    assert "20 message(s) with raw bytes to sqs" in dry.log
    assert home.receive() == []

    # throttled, half taken, an answer lost; at the end no request is taken for longer than one task tries
    home.narrow.plan += ["half", "throttle", "lose", "take"]
    run = home.run(**RANGE, seen=str(seen), dry_run=False)
    assert run.tasks == {"plan_replay[-1]": "success", "send_events[-1]": "failed"}, run.log[-3000:]
    assert "1 event(s) were not sent, all others were: 12-large" in run.log
    sent = [name for name in lacks if name != "12-large"]
    got = home.receive()
    bodies = [message["Body"].encode() for message in got]
    assert sorted(bodies) == sorted(made[name] for name in sent)
    for account in range(3):
        mine = [body for body in bodies if json.loads(body)["data"]["account_id"] == account]
        assert mine == [made[name] for name in sent if json.loads(made[name])["data"]["account_id"] == account]
    book = ReplayLedger(home.lake.ledger, home.lake.settings.lake, "test")
    # the other test of this home has a replay of its own
    (record,) = [record for record in book.list_newest() if record.events == 20]
    assert (record.state, record.sent, record.refused, record.left) == ("done", 19, 1, 0)
    assert record.run is not None
    assert record.run.startswith("pismo_replay_test ")
    assert {message["MessageAttributes"]["replay_id"]["StringValue"] for message in got} == {record.replay_id}

    # with these ids, the consumer lacks only the event that its queue cannot take
    with seen.open("a") as file:
        file.writelines(f"y,{json.loads(body)['event_id']}\n" for body in bodies)
    assert [event_id for group in home.missing(seen, capsys)["groups"] for event_id in group["event_ids"]] == [
        "12-large"
    ]


@pytest.mark.slow
def test_a_replay_whose_process_is_killed_continues_in_airflow(home: Home) -> None:
    """The process dies without a word; a run that names the replay sends the rest."""
    made = [
        event(
            f"e-{number:04}",
            {"account_id": number % 40},
            timestamp=f"2026-03-02T12:{number // 60:02}:{number % 60:02}Z",
        )
        for number in range(800)
    ]
    home.lake.land({key(12, day=2): b"".join(made[400:]), key(13, day=2): b"".join(made[:400])})
    home.narrow.plan += ["take"] * 60 + ["kill"]
    own = {"AWS_ACCESS_KEY_ID": ADMIN_KEY, "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    to = ["--target", "sqs", "--address", home.queue, "--region", "us-east-1", "--endpoint-url", home.narrow.url]
    times = ["--from", "2026-03-02", "--to", "2026-03-03"]
    with start("replay", *home.words, *times, *to, stdout=subprocess.DEVNULL, env=own) as process:
        home.narrow.kill = process.kill
        assert process.wait(PATIENCE) == -signal.SIGKILL
    book = ReplayLedger(home.lake.ledger, home.lake.settings.lake, "test")
    (killed,) = [record for record in book.list_newest() if record.events == len(made)]
    # 61 requests of ten messages were taken, and the last one is not recorded
    assert (killed.state, killed.events) == ("sending", 800)
    assert 0 < killed.sent <= 600
    assert killed.left == 800 - killed.sent

    run = home.run(replay_id=killed.replay_id)
    assert set(run.tasks.values()) == {"success"}, run.log[-3000:]
    assert f"continues replay {killed.replay_id}: {killed.left} event(s) are left" in run.log
    record = book.find(killed.replay_id)
    assert (record.state, record.sent, record.left) == ("done", 800, 0)
    bodies = [message["Body"].encode() for message in home.receive()]
    # the queue drops messages that it has had a moment ago
    assert sorted(bodies) == sorted(made)
    for account in range(40):
        assert [body for body in bodies if json.loads(body)["data"]["account_id"] == account] == made[account::40]
