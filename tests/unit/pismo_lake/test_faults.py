"""Faults of AWS and its client are permanent or not; messages show no secrets."""

from __future__ import annotations

import ssl
import time
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from pismo_lake.faults import Fault, reason_of, remove_secrets


def answer(code: str, message: str = "", operation: str = "GetObject", **headers: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPHeaders": headers}}
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("code", "message", "fault", "advice"),
    [
        ("InvalidObjectState", "not valid for the object's storage class", Fault.ARCHIVED, "restore it"),
        ("RequestTimeTooSkewed", "too large", Fault.CLOCK, "NTP"),
        ("SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2", Fault.CLOCK, "NTP"),
        ("InvalidSignatureException", "Signature not yet current: 2 is still later", Fault.CLOCK, "NTP"),
        ("SignatureDoesNotMatch", "it does not match", Fault.IDENTITY, "check the credentials"),
        ("InvalidAccessKeyId", "no such key", Fault.IDENTITY, "check the credentials"),
        ("InvalidClientTokenId", "the token is invalid", Fault.IDENTITY, "check the credentials"),
        ("UnrecognizedClientException", "the token is invalid", Fault.IDENTITY, "check the credentials"),
        ("InvalidToken", "malformed", Fault.IDENTITY, "check the credentials"),
        ("NoSuchBucket", "no such bucket", Fault.SETUP, "check the bucket's name"),
        ("PermanentRedirect", "use another endpoint", Fault.SETUP, "the bucket is in another region"),
        ("AuthorizationHeaderMalformed", "'us-east-1' is wrong; expecting 'sa-east-1'", Fault.SETUP, "sa-east-1"),
        ("RegionDisabledException", "STS is not activated in this region", Fault.SETUP, "activate STS"),
        ("ValidationError", "exceeds the MaxSessionDuration set for this role", Fault.SETUP, "session_seconds"),
        ("ValidationError", "exceeds the 1 hour session limit for role chaining", Fault.SETUP, "one hour"),
        ("NotImplemented", "A header you provided implies functionality", Fault.SETUP, "when_required"),
        ("KMS.DisabledException", "arn:aws:kms:1 is disabled", Fault.KEY, "enable it"),
        ("KMS.NotFoundException", "no such key", Fault.KEY, "does not exist any more"),
        ("KMS.KMSInvalidStateException", "arn:aws:kms:1 is pending deletion", Fault.KEY, "cancel its deletion"),
        ("AccessDenied", "not authorized to perform: kms:Decrypt", Fault.KEY, ""),
        ("AccessDenied", "The ciphertext refers to a customer master key that does not exist", Fault.KEY, "any more"),
        ("AccessDenied", "explicit deny", Fault.DENIED, ""),
        ("403", "Forbidden", Fault.DENIED, ""),
        ("NoSuchKey", "no such key", Fault.MISSING, ""),
        ("404", "Not Found", Fault.MISSING, ""),
        ("ExpiredToken", "expired", Fault.EXPIRED, ""),
        ("SlowDown", "reduce your rate", Fault.PASSING, ""),
        ("KMS.ThrottlingException", "rate exceeded", Fault.PASSING, ""),
        ("InternalError", "try again", Fault.PASSING, ""),
        ("OfTomorrow", "nobody knows", Fault.PASSING, ""),
        ("ConditionalRequestConflict", "conflicting operation", Fault.CONFLICT, ""),
    ],
)  # fmt: skip
def test_answers(code: str, message: str, fault: Fault, advice: str) -> None:
    reason = reason_of(answer(code, message))
    assert reason.fault is fault
    assert reason.answer == f"{code}: {message}"
    assert advice in reason.advice if advice else not reason.advice
    assert str(reason) == (f"{reason.answer}; {reason.advice}" if advice else reason.answer)
    assert fault.permanent is (fault not in {Fault.PASSING, Fault.EXPIRED, Fault.CONFLICT})
    # one sentence
    assert ". " not in reason.advice


def test_the_region_of_the_bucket_is_named() -> None:
    assert "is in eu-west-1:" in reason_of(answer("301", "Moved", **{"x-amz-bucket-region": "eu-west-1"})).advice


@pytest.mark.parametrize(
    ("error", "fault", "says"),
    [
        (NoCredentialsError(), Fault.IDENTITY, "gives no credentials"),
        (PartialCredentialsError(provider="env", cred_var="secret"), Fault.IDENTITY, "a part of the credentials"),
        (ProfileNotFound(profile="work"), Fault.SETUP, "work"),
        (EndpointConnectionError(endpoint_url="https://s3.example.org/"), Fault.PASSING, "s3.example.org"),
        (
            SSLError(endpoint_url="https://x/", error=ssl.SSLCertVerificationError("certificate verify failed")),
            Fault.SETUP, '"verify"',
        ),
        (SSLError(endpoint_url="https://x/", error=ssl.SSLError("WRONG_VERSION_NUMBER")), Fault.SETUP, "http://"),
        (SSLError(endpoint_url="https://x/", error=ssl.SSLEOFError("EOF occurred")), Fault.PASSING, "EOF"),
        (TimeoutError(), Fault.PASSING, "TimeoutError"),
    ],
)  # fmt: skip
def test_faults_before_an_answer(error: Exception, fault: Fault, says: str) -> None:
    reason = reason_of(error)
    assert reason.fault is fault
    assert says in str(reason)
    assert type(error).__name__ in reason.answer


def test_a_client_that_is_set_up_wrongly() -> None:
    session = botocore.session.Session()
    with pytest.raises(BotoCoreError) as raised:
        session.create_client("s3", config=Config(s3={"addressing_style": "sideways"}), region_name="us-east-1")
    assert reason_of(raised.value).answer.startswith(type(raised.value).__name__)


def test_the_cause_of_an_error_is_looked_for() -> None:
    def less() -> None:
        try:
            raise answer("InvalidObjectState", "archived")
        except ClientError as error:
            raise PermissionError("s3fs says less") from error

    with pytest.raises(PermissionError) as raised:
        less()
    assert reason_of(raised.value).fault is Fault.ARCHIVED


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "sandbox-consumer-secret-not-a-real-one",
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
    ],
)
@pytest.mark.parametrize("around", ["{}", "key {} is wrong", "key={}", "'{}'", "({})"])
def test_secrets_are_masked(secret: str, around: str) -> None:
    assert secret not in remove_secrets(around.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2", "password: hunter2", "Password='hunter2'", "https://user:hunter2@proxy:3128/",
        "https://b/k?X-Amz-Signature=hunter2&x=1", "https://b/k?X-Amz-Security-Token=hunter2",
        "Authorization: Bearer hunter2",
        '{"aws_session_token": "hunter2"}', "aws_secret_access_key=hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2",
        "https://a.blob.core.windows.net/c/b?sv=2022&sig=hunter2%2Bx%3D&se=2026", "sv=2022&sig=hunter2",
        "AccountName=a;AccountKey=hunter2==;EndpointSuffix=core.windows.net", "account_key='hunter2'",
        "client_secret=hunter2", "api_key: hunter2", "api-key=hunter2", "private_key: hunter2", "passphrase=hunter2",
        "pwd=hunter2", "db_password=hunter2", 'password="two hunter2"', "'password': 'two, hunter2'",
        "<SessionToken>hunter2</SessionToken>", "<AWSAccessKeyId>hunter2</AWSAccessKeyId>",
        "postgresql+psycopg2://user:p@hunter2@db/x", "postgresql://user:p/hunter2@db/x", "sftp://user:hunter2@host/x",
    ],
)  # fmt: skip
def test_values_of_secret_names_are_masked(text: str) -> None:
    assert "hunter2" not in remove_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:role/dataplatform-consumer-tn-1234abcd",
        "arn:aws:kms:us-east-1:123456789012:key/8f2b9c1e-1111-2222-3333-444455556666 is disabled",
        "s3://pismo-dataplatform-tn/main_stream/2026/03/01/09/3f2b9c1e7f6a4b5c8d9e0f1a2b3c4d5e",
        "User: arn:aws:sts::123456789012:assumed-role/Admin/someone is not authorized to perform: sts:AssumeRole",
        "The provided token has expired.",
        "could not connect to postgresql://db.example.com:5432/lake",
        "https://host:443/a/b@c/d",
        "a design of a signal: x",
    ],
)
def test_names_stay(text: str) -> None:
    assert remove_secrets(text) == text


def test_a_text_is_one_line_of_bounded_length() -> None:
    assert remove_secrets("a\nb\x1b[31m\tc") == "a b [31m c"
    assert len(remove_secrets("word " * 10_000)) < 500


@pytest.mark.parametrize("word", ["a.", "a://", "//a", "secret", "<p>", "key=", "'"])
def test_a_long_text_costs_little(word: str) -> None:
    begin = time.process_time()
    remove_secrets(word * 100_000)
    assert time.process_time() - begin < 3


def test_the_cut_of_a_long_text_shows_no_half_of_a_secret() -> None:
    pem = f"-----BEGIN PRIVATE KEY-----{'x' * 3900}-----END PRIVATE KEY-----"
    assert "wJalr" not in remove_secrets(f"{pem} wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY end")


@pytest.mark.parametrize(
    ("error", "fault", "says"),
    [
        (google.Forbidden("no storage.objects.get"), Fault.DENIED, "Forbidden: no storage.objects.get"),
        (google.NotFound("No such object: b/o"), Fault.MISSING, "NotFound: No such object: b/o"),
        (google.NotFound("The specified bucket does not exist."), Fault.SETUP, "check the bucket's name"),
        (google.PreconditionFailed("At least one"), Fault.CONFLICT, "PreconditionFailed"),
        (google.TooManyRequests("slow down"), Fault.PASSING, "slow down"),
        (google.ServiceUnavailable("Backend Error"), Fault.PASSING, "Backend Error"),
        (google.BadRequest("Invalid argument"), Fault.SETUP, "Invalid argument"),
        (google.Forbidden("Permission denied on Cloud KMS key"), Fault.KEY, "let Cloud Storage use it"),
        (
            google.Forbidden("too many", errors=[{"reason": "userRateLimitExceeded"}]),
            Fault.PASSING, "userRateLimitExceeded: too many",
        ),
        (
            google.Forbidden('POST http://h/upload?token=x: {"error": {"message": "no", "errors": [{"reason": "f"}]}}'),
            Fault.DENIED, "Forbidden: f: no",
        ),
        (DefaultCredentialsError("none found"), Fault.IDENTITY, "check the credentials"),
        (RefreshError("invalid_grant: Token must be a short-lived token"), Fault.CLOCK, "NTP"),
        (RefreshError("invalid_grant"), Fault.IDENTITY, "invalid_grant"),
        (RefreshError("try later", retryable=True), Fault.PASSING, "try later"),
        (TransportError("no route"), Fault.PASSING, "no route"),
    ],
)  # fmt: skip
def test_answers_of_google(error: Exception, fault: Fault, says: str) -> None:
    reason = reason_of(error)
    assert reason.fault is fault
    assert says in str(reason)
    assert "http://h" not in str(reason)
    # an error that gave up has the reason of the one that it came from
    gave_up = google.RetryError("Timeout of 60s exceeded", error)
    gave_up.__cause__ = error
    assert reason_of(gave_up) == reason
