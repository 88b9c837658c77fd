"""Define one delivery: an organisation in an environment over a channel, with all settings."""

from __future__ import annotations

import re
from typing import Annotated

from croniter import croniter
from pydantic import Field
from pydantic.dataclasses import dataclass

from pismo_lake.paths import SCHEMES, explain_wrong_places
from pismo_lake.settings.alerts import Alerts, NotifierAlerts  # noqa: TC001 - pydantic reads the types when it runs
from pismo_lake.settings.channels import (
    SOURCES,
    Channel,
    Environment,
    Expected,
    Notices,
    Source,
    bucket_name,
)
from pismo_lake.settings.contracts import EVOLVING, ContractRules
from pismo_lake.settings.fields import NO_TRUTH, STRICT_MODEL, AtLeastOne, Truth, Whole
from pismo_lake.settings.lake import LakeSettings
from pismo_lake.settings.privacy import load_privacy
from pismo_lake.settings.replay import FILES, Replay, TargetKind
from pismo_lake.settings.tables import (
    KEY_REFUSED,
    SNAPSHOTS_KEPT_HOURS,
    Catalog,
    FileRemoval,
    TableFormat,
    Tables,
    why_no_tables,
)

CONTINUOUS = "@continuous"
"""The schedule that begins the next run as soon as one is over."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MONTH_HOURS = 31 * 24


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class Delivery:
    """One feed: an organisation in an environment over a channel."""

    name: str
    """Its name in the deliveries file: lower-case letters, digits and _, and a letter first."""
    organisation: str
    """The organisation's id at Pismo, for example TN-376a4170-0000-0000-0000-000000000000."""
    environment: Environment
    """sandbox or production. Credentials of one do not work in the other."""
    channel: Channel
    """The way the files are fetched: s3, sftp or gcs."""
    conn_id: str
    """The Airflow connection that may read the files."""
    landing: str
    """The folder for raw files: a path, s3://<bucket>/<folder>, gs://… or abfss://<container>@<account>.dfs.core.windows.net/<folder>."""
    lake: str
    """The folder for Parquet files: a path, s3://<bucket>/<folder>, gs://… or abfss://<container>@<account>.dfs.core.windows.net/<folder>."""
    source: Source
    """The settings of the channel."""
    notices: Notices | None = None
    """A queue of notices about new files, if there is one."""
    alerts: Alerts | tuple[Alerts | NotifierAlerts, ...] | None = None
    """An SNS topic for alerts, or a list of topics and notifiers."""
    listing: Truth = True
    """If false, files are never listed, because s3:ListBucket is not granted. Notices are then needed."""
    pool: str = "default_pool"
    """The Airflow pool of the tasks that connect to Pismo."""
    ledger_conn_id: str | None = None
    """The Airflow connection of the ledger's database."""
    ledger_url: str | None = None
    """The SQLAlchemy URL of the ledger, without a password. Give this or `ledger_conn_id`."""
    storage_conn_id: str | None = None
    """The Airflow connection of landing and lake, of type aws, google_cloud_platform or wasb."""
    schedule: str = "*/15 * * * *"
    """The cron expression of the ingest DAG; @continuous begins the next run as soon as one is over."""
    lookback_hours: Annotated[int, Field(ge=0, le=900), NO_TRUTH] = 3
    """How many hours before its data interval a scheduled run looks for files."""
    parallel_downloads: Annotated[int, Field(ge=1, le=256), NO_TRUTH] = 8
    """How many files a task downloads side by side."""
    chunk_bytes: Whole = 256 << 20
    """The raw bytes that one landing task takes to the lake. A run with more has several of these tasks."""
    parallel_tasks: AtLeastOne = 4
    """How many tasks of one step of an ingest run are at work at once. Raise it with the number of workers."""
    quarantine_after: AtLeastOne = 5
    """In how many runs a file may fail to land before it is quarantined: tried by its day's close, or on demand."""
    wait_minutes: Annotated[float, Field(ge=0, le=24 * 60), NO_TRUTH] = 5.0
    """How long a run waits, deferred, if there is no file yet; then it ends as skipped. A backfill does not wait."""
    poll_seconds: Annotated[float, Field(ge=1, le=3_600), NO_TRUTH] = 30.0
    """The pause between two looks at the source while a run waits for files."""
    horizon_days: Whole = 7
    """How many days back copies of an event are looked for."""
    part_bytes: Whole = 64 << 20
    """The raw bytes of a part of a publish hour. They bound the memory of a build."""
    target_bytes: Whole = 256 << 20
    """The size from which on a closed day starts another file in a partition."""
    max_plain_bytes: Whole = 128 << 20
    """The most bytes that a compressed event file may hold. A file with more is kept and refused, by name."""
    event_date_zone: str = "UTC"
    """The IANA time zone of the `event_date` partitions."""
    close_after_hours: Annotated[float, Field(ge=0, le=_MONTH_HOURS), NO_TRUTH] = 4.0
    """How many hours after its end a publish day is closed."""
    close_deadline_hours: Annotated[float, Field(ge=0, le=_MONTH_HOURS), NO_TRUTH] = 4.0
    """How many hours later a day that is not closed is late."""
    close_tasks: Annotated[int, Field(ge=1, le=64), NO_TRUTH] = 1
    """The most tasks that write the files of a large closing day side by side; with 1, one task closes each day."""
    close_task_bytes: AtLeastOne = 1 << 30
    """The raw bytes for which a closing day gets one more task."""
    fail_incomplete: Truth = True
    """If true, the closing run of a day that is not complete fails; if false, the log and an alert say so."""
    accounting_reports: Truth = False
    """If true, a closed day is compared with Pismo's own daily accounting report."""
    contracts: ContractRules = EVOLVING
    """The rules by which event types get their columns."""
    privacy: str | None = None
    """A privacy policy: strict, or the path of a YAML file, relative to the deliveries file."""
    privacy_key_conn_id: str | None = None
    """The Airflow connection of the key that the policy hashes with: login is the key's id, password the secret."""
    privacy_earlier_key_conn_ids: tuple[str, ...] = ()
    """The Airflow connections of the keys that older rows of the lake are hashed with. Erasures need them."""
    lake_kms_key: str | None = None
    """A KMS key (id, ARN or alias) that encrypts the lake's files. It is used through `storage_conn_id`."""
    table_format: TableFormat | None = None
    """The table format over the lake's files: iceberg, or none."""
    catalog: Catalog | None = None
    """The catalog of the tables; by default an SQLite file beside the ledger, or the ledger's own database."""
    replay: Replay | None = None
    """The consumer that missed events are sent to again. With it, the delivery has a DAG for that."""
    snapshots_kept_hours: Annotated[float, Field(ge=0, le=_MONTH_HOURS), NO_TRUTH] = SNAPSHOTS_KEPT_HOURS
    """How many hours a table keeps a snapshot after the next one; the close of a day forgets older ones."""
    remove_files: FileRemoval = FileRemoval.AT_ONCE
    """When replaced files are removed: at_once, or after_snapshots (then read the lake through its catalog alone)."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"delivery name {self.name!r}: lower-case letters, digits and _, starting with a letter"
            raise ValueError(msg)
        if not self.organisation.lower().startswith("tn-"):
            msg = f"{self.name}: organisation {self.organisation!r} should be an Org ID such as TN-376a4170-…"
            raise ValueError(msg)
        if not (self.ledger_conn_id or self.ledger_url):
            msg = f"{self.name}: give ledger_conn_id (an Airflow connection) or ledger_url"
            raise ValueError(msg)
        self._check_schedule()
        self._check_places()
        if not isinstance(self.source, SOURCES[self.channel]):
            msg = f"{self.name}: channel {self.channel} with a {type(self.source).__name__}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic takes a ValueError
        if not self.listing and self.notices is None:
            msg = f"{self.name}: listing is false and there are no notices: nothing would announce new files"
            raise ValueError(msg)
        if self.lake_kms_key is not None and self.schemes - {"s3"}:
            msg = f"{self.name}: lake_kms_key is a key of AWS: on another cloud, give the bucket a key"
            raise ValueError(msg)
        self._check_tables()
        if self.replay is not None and self.replay.target not in FILES | {TargetKind.HTTP} and not self.replay.conn_id:
            msg = f"{self.name}: replay.conn_id (an Airflow connection) is missing: {self.replay.target} needs one"
            raise ValueError(msg)
        policy = self.settings.privacy
        if policy is not None and policy.hashes and self.privacy_key_conn_id is None:
            msg = f"{self.name}: privacy {self.privacy} hashes: privacy_key_conn_id (an Airflow connection) is missing"
            raise ValueError(msg)

    def _check_tables(self) -> None:
        if self.table_format is None:
            if self.catalog is not None:
                msg = f"{self.name}: catalog is set and table_format is not: give table_format: iceberg"
                raise ValueError(msg)
            if self.remove_files is not FileRemoval.AT_ONCE:
                msg = (
                    f"{self.name}: remove_files is set and table_format is not: files are kept for snapshots of tables"
                )
                raise ValueError(msg)
            return
        if self.lake_kms_key is not None:
            raise ValueError(KEY_REFUSED.format(self.name))
        if reason := why_no_tables(self.name, self.lake):
            raise ValueError(reason)

    def _check_schedule(self) -> None:
        if self.schedule == CONTINUOUS:
            if self.notices is not None:
                msg = f"{self.name}: schedule {CONTINUOUS} and notices: give one of them, both begin runs by themselves"
                raise ValueError(msg)
            if self.wait_minutes <= 0:
                msg = f"{self.name}: schedule {CONTINUOUS} needs wait_minutes, or runs would follow without a pause"
                raise ValueError(msg)
        elif not croniter.is_valid(self.schedule):
            msg = f"{self.name}: schedule {self.schedule!r} is not a cron expression such as */15 * * * *"
            raise ValueError(msg)

    def _check_places(self) -> None:
        if (why := explain_wrong_places(self.landing, self.lake)) is not None:
            msg = f"{self.name}: {why}"
            raise ValueError(msg)

    @property
    def schemes(self) -> set[str]:
        """Return the schemes of landing and lake that are in an object store."""
        return {place.partition("://")[0] for place in (self.landing, self.lake)} & set(SCHEMES)

    @property
    def alerted(self) -> tuple[Alerts | NotifierAlerts, ...]:
        """Return every topic and notifier for alerts."""
        if self.alerts is None:
            return ()
        return self.alerts if isinstance(self.alerts, tuple) else (self.alerts,)

    @property
    def expected(self) -> Expected:
        """The source that notices may name: the organisation's bucket at Pismo, for any channel."""
        own = getattr(self.source, "bucket", None) if self.channel is Channel.S3 else None
        announced = self.notices.bucket if self.notices else None
        return Expected(self.organisation, announced or own or bucket_name(self.organisation))

    @property
    def settings(self) -> LakeSettings:
        """The settings for landing and building; the caller adds keys from connections."""
        return LakeSettings(
            delivery=self.name,
            landing=self.landing,
            lake=self.lake,
            horizon_days=self.horizon_days,
            part_bytes=self.part_bytes,
            target_bytes=self.target_bytes,
            max_plain_bytes=self.max_plain_bytes,
            event_date_zone=self.event_date_zone,
            contracts=self.contracts,
            privacy=load_privacy(self.privacy) if self.privacy else None,
            tables=self._tables,
        )

    @property
    def _tables(self) -> Tables | None:
        if self.table_format is None:
            return None
        catalog = self.catalog or Catalog()
        kept = self.snapshots_kept_hours
        return Tables(self.table_format, catalog, snapshots_kept_hours=kept, remove_files=self.remove_files)
