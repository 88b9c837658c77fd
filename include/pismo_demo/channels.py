"""Set up each channel of the demo: its servers, its sink for events, its Airflow settings."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pismo_demo.airflow_home import write_private
from pismo_demo.errors import DemoError
from pismo_demo.options import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_sandbox.feed.publisher import Sink
    from pismo_sandbox.s3.notices import AnnouncingSink

TWICE = 0.1
"""The share of notices that are sent twice."""


@dataclass(frozen=True, slots=True)
class Server:
    """A process to start, and the pattern of the line that it prints once it is up."""

    title: str
    command: tuple[str, ...]
    up: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Feed:
    """Airflow's settings: deliveries file, DAG, connections by id, variables, slots of pools."""

    deliveries: Path
    dag_id: str
    connections: dict[str, dict[str, Any]]
    variables: dict[str, str]
    pools: dict[str, int]

    @property
    def delivery(self) -> str:
        """The name of the delivery."""
        return self.dag_id.removeprefix("pismo_ingest_")


def server_of(channel: str, home: Path) -> Server:
    """Return the look-alike of a channel; `home` holds its files and its keys."""
    python = (sys.executable, "-m")
    if channel == "sftp":
        served, keys = _sftp_home(home)
        arguments = ("--root", str(served), "--authorized-keys", str(keys))
        up = re.compile(r"sftp://(?P<user>[^@]+)@(?P<host>[^:]+):(?P<port>\d+) hostkey (?P<host_key>\S+ \S+)\n")
        return Server(
            "an OpenSSH server that shows Pismo's folders", (*python, "pismo_sandbox.sftp.openssh", *arguments), up
        )
    if channel == "gcs":
        up = re.compile(r"(?P<storage>http://\S+) bucket \S+ pubsub (?P<pubsub>http://\S+) .*\n")
        return Server("Cloud Storage and Pub/Sub", (*python, "pismo_sandbox", "serve-gcp"), up)
    serve = (*python, "pismo_sandbox", "serve", "--port", "0")
    if channel == "s3-notices":
        up = re.compile(r"(?P<endpoint>http://\S+) bucket .* queue (?P<queue>\S+) topic (?P<topic>\S+)\n")
        title = "Pismo's S3, STS and KMS, without the right to list, with SNS and SQS"
        return Server(title, (*serve, "--get-object-only", "--notices"), up)
    return Server("Pismo's S3, STS and KMS", serve, re.compile(r"(?P<endpoint>http://\S+) bucket .*\n"))


def _sftp_home(home: Path) -> tuple[Path, Path]:
    from pismo_sandbox.sftp.openssh import find_sshd
    from pismo_sandbox.sftp.server import rsa_key_pair

    if find_sshd() is None and subprocess.run([ROOT / "scripts" / "openssh"], check=False).returncode:  # noqa: S603
        msg = "CHANNEL=sftp needs OpenSSH's sshd, and scripts/openssh could not install it"
        raise DemoError(msg)
    served = home / "sftp"
    served.mkdir()
    # two keys, and the server knows only the second, as during a rotation
    old, new = rsa_key_pair(), rsa_key_pair()
    write_private(home / "sftp_keys.pem", f"{old[0]}\n{new[0]}")
    write_private(home / "authorized_keys", f"{new[1]}\n")
    return served, home / "authorized_keys"


def sink_of(channel: str, home: Path, place: dict[str, str]) -> Sink:
    """Return the sink for event files; `place` is the server's own description."""
    from pismo_sandbox.feed.publisher import FolderSink, S3Sink
    from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, Policy, client

    if channel == "sftp":
        return FolderSink(home / "sftp")
    if channel == "gcs":
        from pismo_sandbox.gcp.cloud import GcsSink, PubSubTopic

        return _announcing(GcsSink(place["storage"]), PubSubTopic(place["pubsub"]))
    files = S3Sink(client("s3", place["endpoint"], ADMIN_KEY, ADMIN_SECRET), Policy().bucket)
    if channel == "s3":
        return files
    from pismo_sandbox.s3.notices import SnsTopic

    return _announcing(files, SnsTopic(client("sns", place["endpoint"], ADMIN_KEY, ADMIN_SECRET), place["topic"]))


def _announcing(files: Any, topic: Any) -> AnnouncingSink:
    from pismo_sandbox.feed.events import ORGANISATION
    from pismo_sandbox.s3.notices import AnnouncingSink
    from pismo_sandbox.s3.server import Policy

    return AnnouncingSink(files, topic, Policy().bucket, ORGANISATION, twice=TWICE)


def feed_of(channel: str, home: Path, place: dict[str, str]) -> Feed:
    """Return the settings for Airflow."""
    from pismo_sandbox.feed.events import ORGANISATION
    from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, REGION

    name = f"sandbox_{channel.replace('-', '_')}"
    variables = {"PISMO_ORGANISATION": ORGANISATION}
    connections: dict[str, dict[str, Any]] = {}
    pools: dict[str, int] = {}
    if channel == "sftp":
        variables |= {"PISMO_SFTP_HOST": place["host"], "PISMO_SFTP_PORT": place["port"]}
        extra = {"private_key": (home / "sftp_keys.pem").read_text(), "host_key": place["host_key"]}
        connections["pismo_sandbox_sftp"] = {"conn_type": "sftp", "login": place["user"], "extra": extra}
        pools["pismo_sftp"] = 2
    elif channel == "gcs":
        variables |= {"PISMO_GCS_ENDPOINT": place["storage"], "PISMO_PUBSUB_ENDPOINT": place["pubsub"]}
        extra = {"project": "our-project", "is_anonymous": "true"}
        connections["pismo_sandbox_gcs"] = {"conn_type": "google_cloud_platform", "extra": extra}
    else:
        variables |= {"PISMO_ACCOUNT_ID": ACCOUNT, "PISMO_ENDPOINT_URL": place["endpoint"], "PISMO_REGION": REGION}
        variables |= {"PISMO_QUEUE_URL": place["queue"]} if "queue" in place else {}
        keys = {"login": CONSUMER_KEY, "password": CONSUMER_SECRET, "extra": {"region_name": REGION}}
        connections["pismo_sandbox_s3"] = {"conn_type": "aws", **keys}
    own = ROOT / "config" / "deliveries.yaml"
    deliveries = own if channel == "s3" else ROOT / "config" / "demo" / f"{channel.replace('-', '_')}.yaml"
    return Feed(deliveries, f"pismo_ingest_{name}", connections, variables, pools)


def with_tables(feed: Feed, home: Path) -> Feed:
    """Return the feed with a delivery whose lake has Iceberg tables; their catalog is beside the ledger."""
    deliveries = home / "deliveries.yaml"
    text = feed.deliveries.read_text(encoding="utf-8").rstrip()
    deliveries.write_text(f"{text}\n    table_format: iceberg\n", encoding="utf-8")
    return replace(feed, deliveries=deliveries)
