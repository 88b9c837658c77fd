"""Run an AWS account at moto, with the shipped template deployed and IAM policies enforced.

moto's CloudFormation makes roles, policies, topics, queues, keys and buckets. It does not make topic, queue and bucket
policies and subscriptions: `Account.deploy` puts these there by their own calls, from the same template.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import requests
import yaml
from botocore.config import Config

from pismo_sandbox.gcp.storage import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT / "plugins" / "pismo" / "setup" / "aws"
TEMPLATE = KIT / "customer.yaml"
REGION, ACCOUNT = "us-east-1", "123456789012"


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def template() -> dict[str, Any]:
    """Read the shipped template, with functions in their long form."""
    return dict(yaml.load(TEMPLATE.read_text(), _Loader))


def resolved(value: Any, names: Mapping[str, str], conditions: Mapping[str, bool]) -> Any:
    """Replace the functions in a part of the template.

    `names` has the values of Ref, and those of attributes by ``Name.Attribute``.
    """
    if isinstance(value, list):
        found = [resolved(one, names, conditions) for one in value]
        return [one for one in found if one is not None]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, given),) = value.items()
        if function == "Ref":
            return None if given == "AWS::NoValue" else names[given]
        if function == "Fn::GetAtt":
            return names[".".join(given)]
        if function == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda match: names[match[1]], given)
        if function == "Fn::If":
            return resolved(given[1 if conditions[given[0]] else 2], names, conditions)
    found = {key: resolved(one, names, conditions) for key, one in value.items()}
    return {key: one for key, one in found.items() if one is not None}


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of somebody."""

    key: str = "testing"
    secret: str = "testing"
    token: str | None = None


@dataclass(slots=True)
class Account:
    """The running account."""

    endpoint: str
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def client(self, service: str, keys: Keys | None = None) -> Any:
        """Return a client with these keys, or with keys that have all rights until `enforce`."""
        keys = keys or Keys()
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=keys.key,
            aws_secret_access_key=keys.secret, aws_session_token=keys.token,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )  # fmt: skip

    def deploy(self, stack: str, **parameters: str) -> None:
        """Create the stack, and put there what moto does not make."""
        cloud = self.client("cloudformation")
        cloud.create_stack(
            StackName=stack, TemplateBody=TEMPLATE.read_text(), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )  # fmt: skip
        (made,) = cloud.describe_stacks(StackName=stack)["Stacks"]
        assert made["StackStatus"] == "CREATE_COMPLETE"
        self.parameters, self.outputs = parameters, {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
        # moto gives the queue's address at AWS
        for name in ("QueueUrl", "DeadLettersUrl"):
            self.outputs[name] = f"{self.endpoint}/{ACCOUNT}/{self.outputs[name].rsplit('/', 1)[1]}"
        self._complete()

    @property
    def names(self) -> dict[str, str]:
        """Return the values that the functions of the template have in this stack."""
        out, stack = self.outputs, self.outputs["TopicArn"].rsplit(":", 1)[1].removesuffix("-events")
        buckets = {name: out[name].split("/")[2] for name in ("Landing", "Lake")}
        arns = {f"{name}Bucket.Arn": f"arn:aws:s3:::{bucket}" for name, bucket in buckets.items()}
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{stack}-files"
        return {
            "AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": stack,
            **self.parameters, **{f"{name}Bucket": bucket for name, bucket in buckets.items()}, **arns,
            "NoticeTopic": out["TopicArn"], "NoticeQueue": out["QueueUrl"], "NoticeQueue.Arn": queue,
            "DeadLetters.Arn": f"{queue}-dead", "NoticeKey.Arn": out["NoticeKeyArn"], "LakeKey.Arn": out["LakeKeyArn"],
        }  # fmt: skip

    def part(self, name: str) -> Any:
        """Return the properties of a resource of the template, as in this stack."""
        conditions = {
            "HasPrincipal": bool(self.parameters.get("AirflowPrincipalArn")),
            "HasExternalId": bool(self.parameters.get("PublisherExternalId")),
        }
        return resolved(template()["Resources"][name]["Properties"], self.names, conditions)

    def _complete(self) -> None:
        sns, sqs, s3 = (self.client(service) for service in ("sns", "sqs", "s3"))
        topic, queue = self.part("NoticeTopicPolicy"), self.part("NoticeQueuePolicy")
        policy = json.dumps(topic["PolicyDocument"])
        sns.set_topic_attributes(TopicArn=self.outputs["TopicArn"], AttributeName="Policy", AttributeValue=policy)
        attributes = {"Policy": json.dumps(queue["PolicyDocument"])}
        sqs.set_queue_attributes(QueueUrl=self.outputs["QueueUrl"], Attributes=attributes)
        # AWS asks for the right of the single action if a batch is asked for, moto for one of the batch's own name
        batches = ["sqs:DeleteMessageBatch", "sqs:ChangeMessageVisibilityBatch"]
        right = {"Effect": "Allow", "Action": batches, "Resource": self.names["NoticeQueue.Arn"]}
        self.client("iam").put_role_policy(
            RoleName=self.outputs["AirflowRoleArn"].rsplit("/", 1)[1], PolicyName="moto",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [right]}),
        )  # fmt: skip
        subscription = self.part("NoticeSubscription")
        sns.subscribe(
            TopicArn=subscription["TopicArn"], Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"],
            Attributes={
                "FilterPolicyScope": subscription["FilterPolicyScope"],
                "FilterPolicy": json.dumps(subscription["FilterPolicy"]),
            },
        )  # fmt: skip
        for name in ("LandingBucketPolicy", "LakeBucketPolicy"):
            part = self.part(name)
            # moto takes no condition of a bucket's policy into account, and this server has no TLS
            s3.put_bucket_policy(Bucket=part["Bucket"], Policy=json.dumps(part["PolicyDocument"]))
            assert json.loads(s3.get_bucket_policy(Bucket=part["Bucket"])["Policy"]) == part["PolicyDocument"]
            s3.delete_bucket_policy(Bucket=part["Bucket"])

    def user(self, name: str, *statements: dict[str, Any]) -> Keys:
        """Make a user with these rights."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(made["AccessKeyId"], made["SecretAccessKey"])

    def role(self, name: str, *statements: dict[str, Any]) -> None:
        """Make a role with these rights that all may assume.

        moto does not accept a session as one of its role.
        """
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        iam = self.client("iam")
        iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)

    def enforce(self) -> None:
        """Ask for a right and a good signature with each call from now on."""
        requests.post(f"{self.endpoint}/moto-api/reset-auth", data=b"0", timeout=30).raise_for_status()

    def assumed(self, role: str, keys: Keys) -> Keys:
        """Assume a role and return the keys of its session."""
        answer = self.client("sts", keys).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
        return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])


@contextmanager
def running_account(folder: Path) -> Iterator[Account]:
    """Run an empty account until the block ends."""
    port = free_port()
    log = folder / "moto.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    account = Account(f"http://127.0.0.1:{port}")
    try:
        while True:
            assert process.poll() is None, log.read_text()
            try:
                requests.get(f"{account.endpoint}/moto-api/data.json", timeout=30).raise_for_status()
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield account
    finally:
        process.terminate()
        process.wait()
