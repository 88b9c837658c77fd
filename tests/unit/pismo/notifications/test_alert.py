"""Alerts go to each notifier that wants them, over SMTP and SNS that are real, and fail nobody."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import BaseNotifier
from tests.mail_server import mail_server
from tests.silent_sink import silent_sink
from tests.unit.pismo_lake.settings.test_deliveries import GOOD
from tests.waiting import PATIENCE

from pismo.notifications import Alert, DeliveryNotifier, send_alert
from pismo.notifications import alert as alert_module
from pismo.wiring import checked_deliveries
from pismo_lake.settings.alerts import USUAL_EVENTS, AlertEvent, Alerts, NotifierAlerts
from pismo_lake.settings.deliveries import Delivery, InvalidDelivery, load_deliveries
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, running_sandbox

if TYPE_CHECKING:
    from pathlib import Path

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
HERE = "tests.unit.pismo.notifications.test_alert"
ALERT = Alert(AlertEvent.FAILED, "good", "ingestion failed", "a <b> & {{ 7 * 7 }}")
TAKEN: list[tuple[str, str]] = []


class Kept(BaseNotifier):
    """Keeps the messages."""

    template_fields = ("message",)

    def __init__(self, message: str = "", *, sign: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message, self.sign = message, sign

    def notify(self, context: Any) -> None:
        TAKEN.append((self.message, self.sign))


class Broken(Kept):
    """Fails with an address in its error."""

    def notify(self, context: Any) -> None:
        msg = "no answer from https://hooks.example.com/secret-token"
        raise RuntimeError(msg)


@pytest.fixture(autouse=True)
def nothing_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    TAKEN.clear()
    # a busy machine needs long to load a hook
    monkeypatch.setattr(alert_module, "ALERT_SECONDS", PATIENCE)


def written(folder: Path, alerts: str) -> Path:
    path = folder / "deliveries.yaml"
    path.write_text(GOOD + "    alerts:\n" + alerts)
    return path


def delivery_with(folder: Path, alerts: str) -> Delivery:
    (found,) = load_deliveries(written(folder, alerts))
    assert isinstance(found, Delivery), found
    return found


def test_a_mail_arrives_with_subject_and_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = delivery_with(tmp_path, f"      - notifier: {SMTP}\n        arguments: {{to: [on-call@example.com]}}\n")
    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(server.connection))
        assert send_alert(delivery, ALERT, {"run_id": "r"}) == 1
    (mail,) = server.mails
    assert (mail["to"], mail["from"], mail["subject"]) == (
        "on-call@example.com", "lake@example.com", "good: ingestion failed",
    )  # fmt: skip
    text = mail.get_body(("html",)).get_content()
    # it is neither a template nor HTML
    assert "a &lt;b&gt; &amp; {{ 7 * 7 }}" in text


def test_a_failed_run_and_a_late_day_are_mailed_as_airflow_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(
        tmp_path,
        f"      - notifier: {SMTP}\n"
        "        arguments: {to: a@example.com, subject: 'late {{ alert.delivery }}'}\n"
        "        events: [late]\n"
        f"      - notifier: {SMTP}\n        arguments: {{to: b@example.com}}\n        events: [failed]\n",
    )
    about = {"delivery_name": "good", "deliveries_file": str(file)}
    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(server.connection))
        DeliveryNotifier(**about, what="ingestion failed")({"dag_run": {"dag_id": "d", "run_id": "r"}})
        DeliveryNotifier(**about, what="closing is late", event="late")({})
    assert [(mail["to"], mail["subject"]) for mail in server.mails] == [
        ("b@example.com", "good: ingestion failed"), ("a@example.com", "late good"),
    ]  # fmt: skip
    assert "DAG d, run r" in server.mails[0].get_body(("html",)).get_content()


def test_a_notifier_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running_sandbox() as sandbox:
        sns, sqs = sandbox.admin("sns"), sandbox.admin("sqs")
        topic = sns.create_topic(Name="alerts")["TopicArn"]
        queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        extra = {"endpoint_url": sandbox.endpoint}
        admin = {"conn_type": "aws", "login": ADMIN_KEY, "password": ADMIN_SECRET, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_ADMIN", json.dumps(admin))
        delivery = delivery_with(
            tmp_path,
            f"      - notifier: {HERE}.Broken\n"
            f"      - notifier: {HERE}.Kept\n        arguments: {{sign: s}}\n"
            f"      - {{topic_arn: '{topic}', conn_id: admin, region: us-east-1}}\n"
            f"      - {{topic_arn: '{topic}', conn_id: no_such_connection, region: us-east-1}}\n"
            f"      - {{topic_arn: '{topic}', conn_id: admin, region: us-east-1, events: [late]}}\n",
        )
        with caplog.at_level(logging.WARNING, "pismo.notifications.alert"):
            assert send_alert(delivery, ALERT) == 2
        (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [(ALERT.text, "s")] == TAKEN
    body = json.loads(message["Body"])
    assert (body["Subject"], body["Message"]) == (ALERT.subject, ALERT.text)
    said = [record.getMessage() for record in caplog.records if record.name == "pismo.notifications.alert"]
    assert len(said) == 2
    assert "secret-token" not in "".join(said)


def test_receivers_that_never_answer_delay_an_alert_by_a_fixed_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_module, "ALERT_SECONDS", 9.0)
    with silent_sink() as sink:
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": sink.port, "login": "", "password": ""}
        smtp["extra"] = {"disable_ssl": True, "disable_tls": True, "from_email": "lake@example.com"}
        aws = {"conn_type": "aws", "login": "a", "password": "b", "extra": {"endpoint_url": sink.url}}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(smtp))
        monkeypatch.setenv("AIRFLOW_CONN_SILENT", json.dumps(aws))
        delivery = delivery_with(
            tmp_path,
            f"      - notifier: {SMTP}\n        arguments: {{to: a@example.com}}\n"
            "      - {topic_arn: 'arn:aws:sns:us-east-1:1:x', conn_id: silent, region: us-east-1}\n"
            f"      - notifier: {HERE}.Kept\n        arguments: {{sign: s}}\n",
        )
        before = time.monotonic()
        with caplog.at_level(logging.WARNING, "pismo.notifications.alert"):
            assert send_alert(delivery, ALERT) == 1
        # without a limit, SMTP waits 30 s for an answer, five times; SNS waits 60 s, and tries again
        assert time.monotonic() - before < 29
    assert [(ALERT.text, "s")] == TAKEN
    said = [record.getMessage() for record in caplog.records if record.name == "pismo.notifications.alert"]
    assert [text.rpartition(": ")[2] for text in said] == ["no answer in time"] * 2


def test_the_form_of_one_topic_stays_valid_and_gets_its_events(tmp_path: Path) -> None:
    delivery = delivery_with(tmp_path, "      topic_arn: arn:aws:sns:x\n      conn_id: c\n")
    assert delivery.alerted == (Alerts("arn:aws:sns:x", "c"),)
    assert delivery.alerted[0].events == USUAL_EVENTS
    assert delivery_with(tmp_path, "").alerted == ()


def test_variables_and_nested_arguments_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "abc")
    (found,) = delivery_with(
        tmp_path,
        "      - notifier: a.b.C\n        events: [late]\n"
        "        arguments: {key: '${PAGER}', more: {deep: [{x: 1}]}}\n",
    ).alerted
    assert found == NotifierAlerts("a.b.C", {"key": "abc", "more": {"deep": [{"x": 1}]}}, (AlertEvent.LATE,))


WRONG = {
    "no class": (f"      - notifier: {HERE}.Nothing\n", "has no Nothing"),
    "no module": ("      - notifier: no_such_module.Notifier\n", "No module named 'no_such_module'"),
    "no notifier": ("      - notifier: subprocess.Popen\n", "is not a subclass of airflow.sdk.BaseNotifier"),
    "the base": ("      - notifier: airflow.sdk.BaseNotifier\n", "is not a subclass"),
    "too few": (f"      - notifier: {SMTP}\n", "missing a required argument: 'to'"),
    "no path": ("      - notifier: Kept\n", "expected the path of a class"),
    "event": (f"      - notifier: {HERE}.Kept\n        events: [early]\n", "alerts[0].events"),
    "neither": ("      - colour: red\n", "alerts[0] has neither notifier nor topic_arn"),
    "unknown": (f"      - notifier: {HERE}.Kept\n        colour: red\n", "unknown setting alerts[0].colour"),
}


class Strict(BaseNotifier):
    """Takes only what it names."""

    def __init__(self, *, sign: str) -> None:
        super().__init__()
        self.sign = sign


WRONG["no argument"] = (f"      - notifier: {HERE}.Strict\n        arguments: {{sing: x}}\n", "'sign'")


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_in_the_place_of_its_delivery(tmp_path: Path, name: str) -> None:
    alerts, says = WRONG[name]
    path = written(tmp_path, alerts)
    path.write_text(path.read_text() + GOOD.removeprefix("deliveries:\n").replace("good:", "other:"))
    bad, other = checked_deliveries(path)
    assert isinstance(bad, InvalidDelivery)
    assert says in bad.problem
    assert isinstance(other, Delivery)


def test_a_delivery_without_alerts_sends_none(tmp_path: Path) -> None:
    delivery = replace(delivery_with(tmp_path, f"      - notifier: {HERE}.Kept\n"), alerts=None)
    assert send_alert(delivery, ALERT) == 0
    assert TAKEN == []
