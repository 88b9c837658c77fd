"""Serve S3, STS and KMS with Pismo's set-up: moto's server behind a policy check.

moto can enforce IAM policies only after a number of calls, and for identities that it has created. This project needs
one rule set, so a WSGI layer applies it: the consumer's own keys may only assume the one role, and only a live session
of that role may read. Callers are recognised by access key id; signatures are not verified.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.s3.queues import make_queues_quick

ACCOUNT = "123456789012"
ADMIN_KEY, ADMIN_SECRET = "AKIAPISMOSANDBOXADMIN", "sandbox-admin-secret-not-a-real-one"
CONSUMER_KEY, CONSUMER_SECRET = "AKIAPISMOSANDBOXUSER0", "sandbox-consumer-secret-not-a-real-one"
REGION = "us-east-1"
OWN_BUCKET = "our-own-lake"

_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_ISSUED = re.compile(rb"<AccessKeyId>([^<]+)</AccessKeyId>")
_WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(slots=True)
class Policy:
    """The rights that the look-alike grants; change it while it runs to simulate a fault."""

    organisation: str = ORGANISATION
    external_id: str | None = None
    list_allowed: bool = True
    kms_allowed: bool = True
    role_allowed: bool = True
    session_seconds: float | None = None
    longest_session: float = 43_200
    vanished: set[str] = field(default_factory=set)
    cut_after: int | None = None
    throttled: int = 0
    queue_allowed: bool = True
    sessions: dict[str, float] = field(default_factory=dict)
    log: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def bucket(self) -> str:
        """The organisation's bucket, with Pismo's name for it."""
        return f"pismo-dataplatform-{self.organisation.lower()}"

    @property
    def role_arn(self) -> str:
        """The role that a consumer assumes."""
        return f"arn:aws:iam::{ACCOUNT}:role/dataplatform-consumer-{self.organisation.lower()}"


class PolicyCheck:
    """WSGI layer that passes the requests that `Policy` allows, and answers others like AWS."""

    def __init__(self, app: _WSGI, policy: Policy) -> None:
        self._app, self.policy = app, policy
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Allow or refuse one request."""
        caller = self._caller(environ)
        if caller == ADMIN_KEY or environ["PATH_INFO"].startswith("/moto-api"):
            return self._app(environ, start_response)
        if "/sts/" in environ.get("HTTP_AUTHORIZATION", ""):
            return self._sts(environ, start_response, caller)
        if "/sqs/" in environ.get("HTTP_AUTHORIZATION", ""):
            # the queue is the customer's own, in the customer's own account
            allowed = caller == CONSUMER_KEY and self.policy.queue_allowed
            return self._app(environ, start_response) if allowed else _sqs_denied(start_response)
        fault = self._s3_fault(environ, caller)
        self.policy.log.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], 403 if fault else 200))
        if fault:
            return _xml(start_response, *fault)
        answer = self._app(environ, start_response)
        return _cut(answer, self.policy.cut_after) if self.policy.cut_after is not None else answer

    @staticmethod
    def _caller(environ: dict[str, Any]) -> str:
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        return found.group(1) if found else ""

    def _sts(self, environ: dict[str, Any], start_response: Callable[..., Any], caller: str) -> Iterable[bytes]:
        import io

        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        policy = self.policy
        known = caller == CONSUMER_KEY or caller in policy.sessions
        if fields.get("Action") != "AssumeRole":
            return self._app(environ, start_response) if known else _sts_denied(start_response, "unknown caller")
        allowed = (
            known
            and policy.role_allowed
            and fields.get("RoleArn") == policy.role_arn
            and fields.get("ExternalId") == policy.external_id
        )
        if not allowed:
            return _sts_denied(start_response, f"not authorized to perform: sts:AssumeRole on {fields.get('RoleArn')}")
        if float(fields.get("DurationSeconds", 3600)) > policy.longest_session:
            longer = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            return _sts_denied(start_response, longer, code="ValidationError", status=400)
        answer = b"".join(self._app(environ, start_response))
        lasts = policy.session_seconds or float(fields.get("DurationSeconds", 3600))
        with self._lock:
            policy.sessions.update({key.decode(): time.time() + lasts for key in _ISSUED.findall(answer)})
        return [answer]

    def _s3_fault(self, environ: dict[str, Any], caller: str) -> tuple[int, str, str] | None:
        policy, path, method = self.policy, environ["PATH_INFO"].lstrip("/"), environ["REQUEST_METHOD"]
        bucket, _, key = path.partition("/")
        expiry = policy.sessions.get(caller)
        if expiry is None or bucket != policy.bucket:
            return 403, "AccessDenied", "Access Denied"
        if expiry < time.time():
            return 400, "ExpiredToken", "The provided token has expired."
        if policy.throttled > 0:
            policy.throttled -= 1
            return 503, "SlowDown", "Please reduce your request rate."
        if not key:
            listing = method == "GET" and policy.list_allowed
            return None if listing else (403, "AccessDenied", "not authorized to perform: s3:ListBucket")
        if method not in {"GET", "HEAD"}:
            return 403, "AccessDenied", f"not authorized to perform: {method}"
        if not policy.kms_allowed:
            return 403, "AccessDenied", "not authorized to perform: kms:Decrypt on the resource"
        if key in policy.vanished:
            return _missing(policy)
        return None


def _missing(policy: Policy) -> tuple[int, str, str]:
    # without s3:ListBucket, AWS does not say that a key is missing
    if policy.list_allowed:
        return 404, "NoSuchKey", "The specified key does not exist."
    return 403, "AccessDenied", "Access Denied"


def _cut(answer: Iterable[bytes], after: int) -> Iterator[bytes]:
    sent = 0
    for chunk in answer:
        yield chunk[: after - sent]
        sent += len(chunk)
        if sent >= after:
            return


_RUNNING: set[str] = set()
_STATUS = {400: "400 Bad Request", 403: "403 Forbidden", 404: "404 Not Found", 503: "503 Slow Down"}


def _xml(start_response: Callable[..., Any], status: int, code: str, message: str) -> list[bytes]:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    start_response(_STATUS[status], headers)
    return [body]


def _sts_denied(
    start_response: Callable[..., Any], message: str, *, code: str = "AccessDenied", status: int = 403
) -> list[bytes]:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>".encode()
    start_response(_STATUS[status], [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _sqs_denied(start_response: Callable[..., Any]) -> list[bytes]:
    body = b'{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not authorized"}'
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))]
    start_response(_STATUS[400], headers)
    return [body]


@dataclass(slots=True)
class Sandbox:
    """A running look-alike: its address, and its policy."""

    endpoint: str
    policy: Policy

    def admin(self, service: str) -> Any:
        """Return a boto3 client with every right, for the publisher and the user's own bucket."""
        return client(service, self.endpoint, ADMIN_KEY, ADMIN_SECRET)

    def consumer(self, service: str) -> Any:
        """Return a boto3 client with the user's own keys, which may only assume the role."""
        return client(service, self.endpoint, CONSUMER_KEY, CONSUMER_SECRET)


def client(service: str, endpoint: str, key: str, secret: str) -> Any:
    """Return a boto3 client for the sandbox, path-style."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


@contextmanager
def running_sandbox(policy: Policy | None = None, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Sandbox]:
    """Run the look-alike in this process on a loopback port, with its bucket and keys.

    Its content is deleted when the last look-alike in this process ends: moto keeps one state for all servers of a
    process.
    """
    from moto.server import (  # type: ignore[attr-defined]
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import WSGIRequestHandler, make_server
    from werkzeug.test import Client

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's own signature
            """Say nothing: the policy keeps its own log."""

    make_queues_quick()
    policy = policy or Policy()
    moto = DomainDispatcherApplication(create_backend_app)
    app = PolicyCheck(moto, policy)
    server = make_server(host, port, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, name="pismo-sandbox", daemon=True)
    thread.start()
    sandbox = Sandbox(f"http://{host}:{server.server_port}", policy)
    _RUNNING.add(sandbox.endpoint)
    try:
        _furnish(sandbox)
        yield sandbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        _RUNNING.discard(sandbox.endpoint)
        if not _RUNNING:
            Client(moto).post("/moto-api/reset")


def _furnish(sandbox: Sandbox) -> None:
    """Make the KMS key, the organisation's encrypted bucket and the user's own bucket."""
    key = sandbox.admin("kms").create_key()["KeyMetadata"]["Arn"]
    s3 = sandbox.admin("s3")
    for bucket in (sandbox.policy.bucket, OWN_BUCKET):
        s3.create_bucket(Bucket=bucket)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=sandbox.policy.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
