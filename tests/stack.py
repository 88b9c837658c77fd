"""Run the stack of docker-compose.yaml natively: PostgreSQL, Redis, Airflow's services and Celery workers."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import psycopg
import yaml
from tests.airflow_runs import retry_soon
from tests.composed import ROOT, Composed
from tests.killer import signalled, task_of, task_processes
from tests.postgres import PostgresServer, free_port
from tests.waiting import until

from pismo_demo.airflow_api import AirflowApi, ApiError
from pismo_demo.channels import feed_of, server_of, sink_of
from pismo_demo.errors import DemoError
from pismo_demo.processes import Notes, Started, alive, start, stop
from pismo_demo.servers import Places, start_sandbox
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.feed.publisher import Dials, Publisher
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, OWN_BUCKET, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

DAG = "pismo_ingest_sandbox_s3"


@dataclass(frozen=True, slots=True)
class Options:
    """The feed and the workers of a stack.

    Attributes:
        hours, megabytes: the feed of the last hours.
        workers, concurrency: the number of workers, and of the tasks that each takes at once.
        local: landing and lake are folders, not a bucket of the look-alike.
        settings: more settings of the delivery.
        variables: more environment variables of all services.
    """

    hours: int = 3
    megabytes: int = 45
    workers: int = 2
    concurrency: int = 2
    local: bool = False
    dials: Dials = field(default_factory=Dials.everything)
    settings: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """All services, each in its own session, so that each can be killed or cut alone."""

    def __init__(self, root: Path, options: Options) -> None:
        self.options = options
        self.places = Places(root / "stack")
        self.places.logs.mkdir(parents=True)
        self.notes = Notes(self.places.home / "running.json")
        self.postgres, self.redis_port, self.api_port = PostgresServer(connections=200), free_port(), free_port()
        self._redis_folder = self.places.home / "redis"
        self._redis_folder.mkdir()
        place = start_sandbox(server_of("s3", self.places.home), self.places, self.notes)
        self.endpoint = place["endpoint"]
        # the second and third retry wait longer, while the services come back
        retry_soon(self.places.home, seconds=5)
        self.truth = Truth(self.places.truth)
        publisher = Publisher(sink_of("s3", self.places.home, place), self.truth, seed=21, dials=options.dials)
        # the first scheduled run sees all of it
        end = datetime.now(UTC)
        publisher.publish(end - timedelta(hours=options.hours), end, options.megabytes * 1_000_000)
        self.composed = Composed(self._values(place), self._moved())
        self.services: dict[str, Started] = {}
        self.api = AirflowApi(self.api_port, "admin", "the-admins")

    def _values(self, place: dict[str, str]) -> dict[str, str]:
        """Return the content of an .env file."""
        told = feed_of("s3", self.places.home, place)
        (connection,) = told.connections.values()
        own = {"conn_type": "aws", "login": ADMIN_KEY, "password": ADMIN_SECRET}
        own |= {"extra": {"region_name": REGION, "endpoint_url": self.endpoint}}
        secrets = {
            name: f"{name.lower()}-of-a-test-that-is-long-enough-for-whatever-wants-to-have-sixty-four-letters"
            for name in (
                "POSTGRES_PASSWORD",
                "REDIS_PASSWORD",
                "LEDGER_PASSWORD",
                "AIRFLOW_JWT_SECRET",
                "AIRFLOW_SECRET_KEY",
            )
        }
        local = {"PISMO_LANDING": str(self.places.home / "landing"), "PISMO_LAKE": str(self.places.lake)}
        stored = {"PISMO_LANDING": f"s3://{OWN_BUCKET}/landing", "PISMO_LAKE": f"s3://{OWN_BUCKET}/lake"}
        return told.variables | secrets | (local if self.options.local else stored) | {
            "AIRFLOW_ADMIN_PASSWORD": "the-admins",
            "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW_CONN_PISMO_SANDBOX_S3": json.dumps(connection),
            "AIRFLOW_CONN_PISMO_LAKE": json.dumps(own),
            "PISMO_ORGANISATION": "TN-00000000-1111-4222-8333-444444444444",
            "PISMO_ACCOUNT_ID": "123456789012",
            "PISMO_ENDPOINT_URL": self.endpoint,
            "WORKER_CONCURRENCY": str(self.options.concurrency),
        }  # fmt: skip

    def _moved(self) -> dict[str, str]:
        for name in ("auth", "logs"):
            (self.places.home / name).mkdir(exist_ok=True)
        return {
            "@postgres:5432": f"@127.0.0.1:{self.postgres.port}",
            "@redis:6379": f"@127.0.0.1:{self.redis_port}",
            "http://api-server:8080": f"http://127.0.0.1:{self.api_port}",
            "/opt/airflow/auth": str(self.places.home / "auth"),
            "/opt/airflow/deliveries": str(self._deliveries()),
            "/opt/airflow/include:/opt/airflow/plugins": f"{ROOT}/include:{ROOT}/plugins",
        }

    def _deliveries(self) -> Path:
        """Return the folder of the deliveries file, with the settings of this stack."""
        if not self.options.settings:
            return ROOT / "config"
        folder = self.places.home / "deliveries"
        shutil.copytree(ROOT / "config", folder)
        document = yaml.safe_load((folder / "deliveries.yaml").read_text())
        document["deliveries"]["sandbox_s3"] |= self.options.settings
        (folder / "deliveries.yaml").write_text(yaml.safe_dump(document))
        return folder

    def environment(self, service: str, **more: str) -> dict[str, str]:
        """Return the compose file's environment, with folders and ports of this machine."""
        home = self.places.home
        here = {
            "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"), "AIRFLOW__API__PORT": str(self.api_port),
            "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.api_port}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "tasks"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
            "PISMO_LOOKBACK_HOURS": str(self.options.hours + 1),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        }  # fmt: skip
        return self.composed.environment(service) | here | dict(self.options.variables) | more

    def up(self) -> None:
        """Databases, the init service to its end, then all others."""
        self.postgres.start()
        with psycopg.connect(
            host="127.0.0.1", port=self.postgres.port, user="ledger", dbname="postgres", autocommit=True
        ) as connection:
            for name, user in (("airflow", "airflow"), ("pismo_ledger", "pismo_ledger")):
                connection.execute(f"CREATE USER {user} SUPERUSER")  # type: ignore[arg-type]
                connection.execute(f"CREATE DATABASE {name} OWNER {user}")  # type: ignore[arg-type]
        self.start_redis()
        done = subprocess.run(
            self.composed.command("init"), env=self.environment("init"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        for service in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self.start(service)
        for number in range(self.options.workers):
            self.start_worker(f"worker-{number + 1}")
        self.until(lambda: not self.api.list_unhealthy() and self.api.is_dag_known(DAG), "Airflow is up")

    def start(self, service: str) -> None:
        log = self.places.logs / f"{service}.log"
        self.services[service] = start(
            service, self.composed.command(service), self.environment(service), log, self.notes
        )

    def start_worker(self, name: str) -> None:
        command = [*self.composed.command("airflow-worker"), "--celery-hostname", f"{name}@%h"]
        environment = self.environment("airflow-worker")
        self.services[name] = start(name, command, environment, self.places.logs / f"{name}.log", self.notes)

    def start_redis(self) -> None:
        environment = self.composed.environment("redis")
        shell = self.composed.command("redis")
        # the container has a port and a folder of its own
        shell[-1] += f" --port {self.redis_port} --bind 127.0.0.1 --dir {self._redis_folder}"
        self.services["redis"] = start("redis", shell, environment, self.places.logs / "redis.log", self.notes)

    def end(self, name: str, how: signal.Signals | None = None) -> None:
        """Stop a service, or kill all of its processes at once."""
        started = self.services.pop(name)
        if how is not None:
            victims = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
            for process in victims:
                signalled(process, how)
        stop(started)
        self.notes.remove(started)

    def restart_ended(self) -> None:
        """As ``restart: unless-stopped`` does: a scheduler without its database ends, a worker too."""
        for name, started in list(self.services.items()):
            if not alive(started):
                self.end(name)
                if name.startswith("worker"):
                    self.start_worker(name)
                elif name == "redis":
                    self.start_redis()
                else:
                    self.start(name)

    def down(self) -> None:
        for name in list(self.services):
            self.end(name, signal.SIGKILL)
        for started in self.notes.all():
            stop(started)
        self.postgres.stop()
        self.postgres.remove()
        self.truth.close()

    def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait for a condition, also if Airflow does not answer for a while."""

        def answered() -> Any:
            self.restart_ended()
            try:
                return holds()
            except (ApiError, DemoError):
                return False

        until(answered, lambda: f"waited for: {what}\n{self.said()}", pause=0.3)

    def said(self) -> str:
        """Return the end of every log."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.places.logs.glob("*.log"))
        )

    def at_work(self, task: str) -> str:
        """Return the worker whose processes run a task now; empty if there is none."""
        workers = ((name, started.pid) for name, started in self.services.items() if name.startswith("worker"))
        found = (name for name, pid in workers if any(task_of(process) == task for process in task_processes(pid)))
        return next(found, "")

    def _s3(self) -> Any:
        own = {"endpoint_url": self.endpoint, "region_name": REGION}
        return boto3.client("s3", aws_access_key_id=ADMIN_KEY, aws_secret_access_key=ADMIN_SECRET, **own)

    def has_landed(self) -> bool:
        """Say whether a file is in the landing zone."""
        return bool(self._s3().list_objects_v2(Bucket=OWN_BUCKET, Prefix="landing/", MaxKeys=1)["KeyCount"])

    def lake(self, folder: Path) -> Path:
        """Return the lake; copy its files if they are in a bucket."""
        if self.options.local:
            return self.places.lake
        s3 = self._s3()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=OWN_BUCKET, Prefix="lake/"):
            for item in page.get("Contents", ()):
                path = folder / item["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(OWN_BUCKET, item["Key"], str(path))
        return folder / "lake"


@contextmanager
def running_stack(root: Path, options: Options) -> Iterator[Stack]:
    """Start a stack, and stop all of its services at the end."""
    stack = Stack(root, options)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
