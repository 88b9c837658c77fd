"""The demo's delivery sends its alerts to a mail server of the demo's own."""

from __future__ import annotations

import json
from smtplib import SMTP
from typing import TYPE_CHECKING

import pytest
from tests.serving import serving
from tests.waiting import PATIENCE

from pismo.notifications import Alert, alert, send_alert
from pismo_demo import alerting
from pismo_demo.alerting import add_alerts, read_mails
from pismo_demo.channels import Feed
from pismo_demo.errors import DemoError
from pismo_demo.options import ROOT
from pismo_demo.report import show_mails
from pismo_lake.settings import Delivery, load_deliveries
from pismo_lake.settings.alerts import AlertEvent, NotifierAlerts
from pismo_sandbox.mail import MailServer

if TYPE_CHECKING:
    from pathlib import Path

CONFIGS = [ROOT / "config" / "deliveries.yaml", *sorted((ROOT / "config" / "demo").glob("*.yaml"))]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_each_channels_delivery_gets_all_alerts_by_mail(tmp_path: Path, config: Path) -> None:
    feed = add_alerts(Feed(config, "pismo_ingest_sandbox", {}, {}, {}), tmp_path, "2525")
    (before,) = load_deliveries(config)
    (delivery,) = load_deliveries(feed.deliveries)
    assert isinstance(before, Delivery)
    assert isinstance(delivery, Delivery)
    assert delivery.name == before.name
    assert not before.alerted
    (wanted,) = delivery.alerted
    assert isinstance(wanted, NotifierAlerts)
    assert set(wanted.events) == set(AlertEvent)
    assert feed.connections["smtp_default"]["port"] == 2525


def test_the_latest_mails_are_read_with_their_text(tmp_path: Path) -> None:
    with serving(MailServer(tmp_path), poll_interval=0.01) as server, SMTP(*server.server_address) as client:
        for number in range(12):
            text = f"Subject: mail {number}\nContent-Type: text/html\n\n<pre>a &lt; b\n\n..{number}</pre>\n"
            client.sendmail("lake@example.com", ["on-call@example.com"], text)
    mails = read_mails(tmp_path)
    assert [mail.subject for mail in mails] == [f"mail {number}" for number in range(12)]
    assert mails[11].lines == ("a < b", "..11")
    assert mails[11].path == tmp_path / "12.eml"


def test_an_alert_of_the_demos_delivery_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert, "ALERT_SECONDS", PATIENCE)
    mails = tmp_path / "mails"
    mails.mkdir()
    sent = Alert(AlertEvent.QUARANTINED, "sandbox_s3", "1 file in quarantine", "main_stream/a\ntruncated & <small>")
    with serving(MailServer(mails), poll_interval=0.01) as server:
        feed = add_alerts(Feed(CONFIGS[0], "pismo_ingest_sandbox", {}, {}, {}), tmp_path, str(server.server_address[1]))
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(feed.connections["smtp_default"]))
        (delivery,) = load_deliveries(feed.deliveries)
        assert isinstance(delivery, Delivery)
        assert [send_alert(delivery, sent) for _ in range(2)] == [1, 1]
    assert show_mails(read_mails(mails)).splitlines() == [
        f"     An alert came by mail: {mails / '1.eml'}, and 1 more",
        "  Subject: sandbox_s3: 1 file in quarantine",
        "  main_stream/a",
        "  truncated & <small>",
    ]
    # the mail server is gone, and its port refuses connections: the work goes on
    assert send_alert(delivery, sent) == 0


def test_an_alert_that_does_not_come_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "_WAIT_SECONDS", 0.0)
    with pytest.raises(DemoError, match="no alert has arrived"):
        read_mails(tmp_path)
