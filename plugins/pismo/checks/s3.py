"""Check S3: our identity, Pismo's role, its bucket and key, and the clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pismo.checks.check import Check, State, attempt, skip
from pismo.checks.reading import examine_reading
from pismo_lake.errors import AccessDenied, SourceUnavailable
from pismo_lake.faults import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings.deliveries import Delivery

_DRIFT, _MOST_DRIFT = 60, 300


def examine_s3(delivery: Delivery, key: str | None) -> Iterator[Check]:
    """Check the path from the connection's identity to the first byte of an event file."""
    from pismo.hooks.s3 import PismoS3Hook

    answer: dict[str, Any] = {}

    def identity() -> str:
        answer.update(_own_identity(delivery))
        return f"{answer['Arn']} (Pismo must trust this identity)"

    own = attempt("own identity", identity, f"see the connection {delivery.conn_id}: keys, or the machine's role")
    yield own
    later = ("role", "listing", "reading an event file")
    if own.state is State.FAIL:
        yield from skip(*later, "clock", because="own identity")
        return
    yield _clock(answer)
    hook = PismoS3Hook(delivery)

    def assume_role() -> str:
        try:
            hook.get_credentials()
        except (ClientError, BotoCoreError) as error:
            raise hook.convert_error(error, "") from error
        return hook.role

    role = attempt(
        "role", assume_role, f"ask Pismo to let {answer.get('Arn')} assume it; if Pismo gave an external id, set it"
    )
    # other failures contain their own advice
    yield role if "refused" in role.seen else replace(role, advice="")
    if role.state is State.FAIL:
        yield from skip(*later[1:], because="role")
        return
    yield from examine_reading(hook, delivery, key, f"ask Pismo for s3:GetObject and kms:Decrypt for {hook.role}")


def _own_identity(delivery: Delivery) -> dict[str, Any]:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    from pismo.hooks.s3 import s3_source

    source = s3_source(delivery)
    hook = AwsBaseHook(aws_conn_id=delivery.conn_id, client_type="sts", region_name=source.region)
    if source.endpoint_url:
        hook.conn_config.endpoint_url = source.endpoint_url
    try:
        return dict(hook.get_conn().get_caller_identity())
    except (ClientError, BotoCoreError) as error:
        reason = reason_of(error)
        msg = f"connection {delivery.conn_id}: sts:GetCallerIdentity failed: {reason}"
        raise (AccessDenied if reason.fault.permanent else SourceUnavailable)(msg) from error


def _clock(answer: dict[str, Any]) -> Check:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return Check("clock", State.SKIPPED, "the answer had no date")
    drift = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    state = State.FAIL if drift > _MOST_DRIFT else State.OPTIONAL if drift > _DRIFT else State.PASS
    return Check(
        "clock",
        state,
        f"{drift:.0f} s from AWS's",
        "synchronise it by NTP: AWS refuses requests that are 15 minutes off",
    )
