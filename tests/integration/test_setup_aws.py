"""Deploy the setup kit for AWS on moto with IAM enforced, and run the pipeline with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError
from tests.airflow_runs import airflow_home, dag_runs
from tests.aws_account import ACCOUNT, KIT, REGION, Account, Keys, resolved, running_account, template
from tests.lakes import event

from pismo_demo.airflow_home import plain_environment
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.s3.notices import notice_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

ORG = ORGANISATION.lower()
PISMO_BUCKET = f"pismo-dataplatform-{ORG}"
PISMO_ROLE = f"dataplatform-consumer-{ORG}"
PLACES = {
    "AWS::Partition": "aws", "AWS::Region": "REGION", "AWS::AccountId": "OUR_ACCOUNT", "AWS::StackName": "pismo",
    "OrganisationId": "ORG_ID", "PismoAccountId": "PISMO_ACCOUNT", "AirflowService": "ec2.amazonaws.com",
    "LandingBucket.Arn": "arn:aws:s3:::OUR_LANDING", "LakeBucket.Arn": "arn:aws:s3:::OUR_LAKE",
    "LandingBucket": "OUR_LANDING", "LakeBucket": "OUR_LAKE",
    "NoticeTopic": "arn:aws:sns:REGION:OUR_ACCOUNT:pismo-events",
    "NoticeQueue.Arn": "arn:aws:sqs:REGION:OUR_ACCOUNT:pismo-files",
    "DeadLetters.Arn": "arn:aws:sqs:REGION:OUR_ACCOUNT:pismo-files-dead",
    "NoticeKey.Arn": "arn:aws:kms:REGION:OUR_ACCOUNT:key/NOTICE_KEY",
    "LakeKey.Arn": "arn:aws:kms:REGION:OUR_ACCOUNT:key/LAKE_KEY",
}  # fmt: skip
POLICIES = {
    "airflow-role-trust": ("AirflowRole", "AssumeRolePolicyDocument"),
    "airflow-role-read-pismo": ("ReadPismo", "PolicyDocument"),
    "airflow-role-read-queue": ("ReadQueue", "PolicyDocument"),
    "airflow-role-write-lake": ("WriteLake", "PolicyDocument"),
    "publisher-role-trust": ("PublisherRole", "AssumeRolePolicyDocument"),
    "publisher-role-publish": ("Publish", "PolicyDocument"),
    "topic": ("NoticeTopicPolicy", "PolicyDocument"),
    "queue": ("NoticeQueuePolicy", "PolicyDocument"),
    "queue-redrive": ("NoticeQueue", "RedrivePolicy"),
    "dead-letters-redrive-allow": ("DeadLetters", "RedriveAllowPolicy"),
    "subscription-filter": ("NoticeSubscription", "FilterPolicy"),
    "notice-key": ("NoticeKey", "KeyPolicy"),
    "lake-key": ("LakeKey", "KeyPolicy"),
    "landing-bucket": ("LandingBucketPolicy", "PolicyDocument"),
    "lake-bucket": ("LakeBucketPolicy", "PolicyDocument"),
}
"""Each policy file, and the resource and property of the template that it is the same as."""


def policy(name: str) -> Any:
    """Return the content that a policy file must have by the template."""
    resource, of = POLICIES[name]
    conditions = {"HasPrincipal": False, "HasExternalId": False}
    return resolved(template()["Resources"][resource]["Properties"][of], PLACES, conditions)


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_file_is_the_templates(name: str) -> None:
    assert json.loads((KIT / "policies" / f"{name}.json").read_text()) == policy(name)


def test_every_policy_of_the_template_has_a_file() -> None:
    found = {
        (name, of)
        for name, resource in template()["Resources"].items()
        for of in resource.get("Properties", ())
        if of.endswith(("Policy", "PolicyDocument"))
    }
    assert found == set(POLICIES.values())
    assert {path.stem for path in (KIT / "policies").glob("*.json")} == set(POLICIES)


def test_no_statement_of_a_role_is_wider_than_it_must_be() -> None:
    """Only key policies have `*` as a resource: there it means the key itself."""
    for name, resource in template()["Resources"].items():
        for document in (resource["Properties"].get("PolicyDocument"), resource["Properties"].get("KeyPolicy")):
            for statement in (document or {"Statement": []})["Statement"]:
                if resource["Type"] != "AWS::KMS::Key":
                    assert statement["Resource"] != "*", name
                    assert statement["Effect"] == "Deny" or statement.get("Principal") != "*", name
                if statement["Effect"] == "Allow" and statement.get("Sid") != "ThisAccount":
                    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                    assert not any(action.endswith(":*") for action in actions), name


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running_account(tmp_path_factory.mktemp("moto")) as running:
        me = f"arn:aws:iam::{ACCOUNT}:user/airflow"
        running.deploy("pismo", OrganisationId=ORG, PismoAccountId=ACCOUNT, AirflowPrincipalArn=me)
        yield running


@pytest.fixture(scope="module")
def people(account: Account) -> dict[str, Keys]:
    """Make Pismo's bucket and role, and a user that may only assume the role of Airflow.

    From here on, IAM policies are enforced.
    """
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{PISMO_BUCKET}/*"}
    account.client("s3").create_bucket(Bucket=PISMO_BUCKET)
    account.role(PISMO_ROLE, read)
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": account.outputs["AirflowRoleArn"]}
    found = {
        "airflow": account.user("airflow", assume),
        "pismo": account.user("pismo", {"Effect": "Allow", "Action": "*", "Resource": "*"}),
    }
    account.enforce()
    return found


def test_the_role_of_airflow_has_its_rights_and_no_others(account: Account, people: dict[str, Keys]) -> None:
    landing, queue = account.names["LandingBucket"], account.outputs["QueueUrl"]
    account.client("s3", people["pismo"]).put_object(Bucket=PISMO_BUCKET, Key="reports/x", Body=b"x")
    session = account.assumed(account.outputs["AirflowRoleArn"], people["airflow"])
    s3, sqs, sts, sns = (account.client(service, session) for service in ("s3", "sqs", "sts", "sns"))
    s3.put_object(Bucket=landing, Key="landing/x", Body=b"1", IfNoneMatch="*")
    assert s3.get_object(Bucket=landing, Key="landing/x")["Body"].read() == b"1"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=landing, Prefix="landing/x")["Contents"]] == ["landing/x"]
    s3.delete_object(Bucket=landing, Key="landing/x")
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    pismo = account.assumed(f"arn:aws:iam::{ACCOUNT}:role/{PISMO_ROLE}", session)
    assert account.client("s3", pismo).get_object(Bucket=PISMO_BUCKET, Key="reports/x")["Body"].read() == b"x"
    refused: list[Callable[[], Any]] = [
        lambda: s3.get_object(Bucket=PISMO_BUCKET, Key="reports/x"),
        lambda: s3.delete_bucket(Bucket=landing),
        lambda: s3.delete_bucket_policy(Bucket=landing),
        lambda: s3.list_buckets(),
        lambda: sqs.send_message(QueueUrl=queue, MessageBody="x"),
        lambda: sqs.receive_message(QueueUrl=account.outputs["DeadLettersUrl"]),
        lambda: sns.publish(TopicArn=account.outputs["TopicArn"], Message="x"),
        lambda: sts.assume_role(RoleArn=account.outputs["PublisherRoleArn"], RoleSessionName="session"),
        lambda: account.client("s3", people["airflow"]).list_objects_v2(Bucket=landing),
    ]
    for work in refused:
        with pytest.raises(ClientError, match=r"AccessDenied|\(403\)|Access Denied"):
            work()


def test_the_pipeline_runs_on_what_the_kit_made(
    account: Account, people: dict[str, Keys], tmp_path: Path, airflow_database: Path
) -> None:
    """Land a file by its notice, and build the lake, with the role of the kit alone."""
    now = datetime.now(UTC)
    key, body = f"main_stream/{now.year}/{now.month}/{now.day}/{now.hour}/file", event("a") + event("b")
    account.client("s3", people["pismo"]).put_object(Bucket=PISMO_BUCKET, Key=key, Body=body)
    publish = account.client("sns", people["pismo"]).publish
    # the filter of the subscription keeps out notices of other files
    for name in (key, "reports/x.parquet"):
        notice = json.dumps(notice_event(PISMO_BUCKET, ORGANISATION, name, len(body)))
        publish(TopicArn=account.outputs["TopicArn"], Message=notice)
    delivery = {
        "organisation": ORGANISATION, "environment": "sandbox", "channel": "s3", "conn_id": "kit", "listing": False,
        "source": {"pismo_account_id": ACCOUNT, "region": REGION, "endpoint_url": account.endpoint},
        "notices": {
            "channel": "sqs", "conn_id": "kit", "queue": account.outputs["QueueUrl"], "region": REGION,
            "endpoint_url": account.endpoint,
        },
        "landing": account.outputs["Landing"], "lake": account.outputs["Lake"], "storage_conn_id": "kit",
        "ledger_url": f"sqlite:///{tmp_path}/ledger.db",
    }  # fmt: skip
    (tmp_path / "deliveries.yaml").write_text(yaml.safe_dump({"deliveries": {"kit": delivery}}))
    endpoints = {service: {"endpoint_url": account.endpoint} for service in ("s3", "sqs", "sts")}
    # as a machine that runs with the role has it
    mine = account.assumed(account.outputs["AirflowRoleArn"], people["airflow"])
    extra = {
        "region_name": REGION, "aws_session_token": mine.token, "service_config": endpoints,
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }  # fmt: skip
    connection = {"conn_type": "aws", "login": mine.key, "password": mine.secret, "extra": extra}
    own = {"AIRFLOW_CONN_KIT": json.dumps(connection), "PISMO_DELIVERIES": str(tmp_path / "deliveries.yaml")}
    settings = airflow_home(tmp_path / "airflow", airflow_database)
    with dag_runs(settings | plain_environment({}) | own, tmp_path) as runs:
        run = runs.run("pismo_ingest_kit", {})
    assert run.failed_tasks() == {}, run.log[-5000:]
    admin = account.client("s3", people["pismo"])
    landed = [one["Key"] for one in admin.list_objects_v2(Bucket=account.names["LandingBucket"])["Contents"]]
    (raw,) = [name for name in landed if "/_index/" not in name]
    assert admin.get_object(Bucket=account.names["LandingBucket"], Key=raw)["Body"].read() == body
    lake = [one["Key"] for one in admin.list_objects_v2(Bucket=account.names["LakeBucket"])["Contents"]]
    assert len([name for name in lake if name.startswith("lake/events/")]) == 1
    # the notice of the file was taken and deleted, and the other notice never came
    queue = account.client("sqs", people["pismo"])
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = queue.get_queue_attributes(QueueUrl=account.outputs["QueueUrl"], AttributeNames=counts)["Attributes"]
    assert [found[name] for name in counts] == ["0", "0"]
