"""Define the connection type `pismo`: a feed to check before there is a delivery."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from pismo.provider.info import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

    from pismo.checks.check import Check
    from pismo_lake.settings.deliveries import Delivery

_USUAL_IDENTITY = {"s3": "aws_default", "sftp": "sftp_default", "gcs": "google_cloud_default"}
_OF_SOURCES = {"pismo_account_id", "external_id", "region", "bucket", "endpoint_url"}


class PismoHook(BaseHook):
    """Check access to a feed; deliveries name their feed in their file, not by this connection."""

    conn_name_attr = "pismo_conn_id"
    default_conn_name = "pismo_default"
    conn_type = "pismo"
    hook_name = "Pismo"

    def __init__(self, pismo_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pismo_conn_id = pismo_conn_id

    def get_conn(self) -> Delivery:
        """Return the feed that the connection names, as a delivery that has no place for files.

        Raises:
            ConfigError: A field is missing or wrong.
        """
        from pismo_lake.errors import ConfigError

        try:
            return self._read_feed()
        except ConfigError as error:
            msg = f"connection {self.pismo_conn_id}: {error}"
            raise ConfigError(msg) from None

    def test_connection(self) -> tuple[bool, str]:
        """Run the doctor's checks of a feed for the *Test* button.

        Returns:
            Whether no check failed, and a text: the failures with advice, or else the findings of all checks.
        """
        from airflow.sdk.exceptions import AirflowNotFoundException

        from pismo.checks.doctor import examine_source
        from pismo_lake.errors import ConfigError

        try:
            feed = self._read_feed()
            if feed.conn_id not in _USUAL_IDENTITY.values():
                self.get_connection(feed.conn_id)
        except AirflowNotFoundException:
            # without it, the provider's hook would look for credentials of the machine
            return False, f"{LABELS['conn_id']} {feed.conn_id!r} does not exist."
        except ConfigError as error:
            # Airflow gives the connection a random name for the test
            return False, f"{error}."
        return _describe(examine_source(feed))

    def _read_feed(self) -> Delivery:
        from pydantic import ValidationError

        from pismo_lake.errors import ConfigError
        from pismo_lake.settings.channels import SOURCES, Channel, Environment
        from pismo_lake.settings.deliveries import Delivery

        extra = self.get_connection(self.pismo_conn_id).extra_dejson
        texts = {name: str(value).strip() for name, value in extra.items() if value is not None}
        given = {name: text for name, text in texts.items() if text}
        if "organisation" not in given:
            msg = f"{LABELS['organisation']} is missing"
            raise ConfigError(msg)
        environment = _choose(Environment, "environment", given.get("environment", Environment.SANDBOX))
        channel = _choose(Channel, "channel", given.get("channel", Channel.S3))
        if channel is Channel.S3:
            _check(given, "pismo_account_id", r"[0-9]{12}", "is not 12 digits")
        _check(given, "endpoint_url", r"https?://[^/]+.*", "does not begin with http:// or https:// and a host")
        source = SOURCES[channel]
        wanted = source.__dataclass_fields__.keys() & _OF_SOURCES & given.keys()
        values: dict[str, Any] = {name: given[name] for name in wanted}
        try:
            return Delivery(
                name="connection",
                organisation=given["organisation"],
                environment=environment,
                channel=channel,
                conn_id=given.get("conn_id", _USUAL_IDENTITY[channel]),
                source=source(**values),
                landing="landing",
                lake="lake",
                ledger_url="sqlite://",
            )
        except ValidationError as error:
            # its own text has the values
            raise ConfigError("; ".join(map(_describe_problem, error.errors()))) from None


def _check(given: Mapping[str, str], field: str, pattern: str, problem: str) -> None:
    from pismo_lake.errors import ConfigError

    if field in given and not re.fullmatch(pattern, given[field]):
        msg = f"{LABELS[field]} {given[field]!r} {problem}"
        raise ConfigError(msg)


def _choose(kind: type[StrEnum], field: str, value: str) -> Any:
    from pismo_lake.errors import ConfigError

    try:
        return kind(value)
    except ValueError:
        msg = f"{LABELS[field]} {value!r} is not one of {', '.join(kind)}"
        raise ConfigError(msg) from None


def _describe_problem(problem: Any) -> str:
    field = str(problem["loc"][-1]) if problem["loc"] else ""
    name = LABELS.get(field, field)
    if problem["type"] in {"missing", "missing_argument"}:
        return f"{name} is missing"
    return f"{name}: {problem['msg']}" if name else str(problem["msg"])


def _describe(checks: Iterable[Check]) -> tuple[bool, str]:
    from pismo.checks.check import State

    done = list(checks)
    failed = [check for check in done if check.state is State.FAIL]
    if failed:
        return False, " ".join(_sentence(check) for check in failed)
    skipped = [check.name for check in done if check.state is State.SKIPPED]
    text = " ".join(_sentence(check) for check in done if check.state is not State.SKIPPED)
    return True, text + (f" Not checked: {', '.join(skipped)}." if skipped else "")


def _sentence(check: Check) -> str:
    from pismo.checks.check import State

    advice = f" To do: {check.advice}." if check.advice and check.state is not State.PASS else ""
    return f"{check.name[:1].upper()}{check.name[1:]}: {check.seen.rstrip('.')}.{advice}"
