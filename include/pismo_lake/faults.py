"""Find the other side's reason for an error: the kind of fault, its text, and advice.

AWS and the stores that speak its protocol answer with an error code and a message; Google and Azure also with a status.
Their libraries have errors of their own for failures before an answer. All are judged here, once for each caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 400
_MOST_READ = 4000
_DEEPEST = 8


class Fault(Enum):
    """Kinds of faults; all but `EXPIRED`, `CONFLICT` and `PASSING` stay until a person acts."""

    MISSING = auto()
    DENIED = auto()
    IDENTITY = auto()
    KEY = auto()
    ARCHIVED = auto()
    CLOCK = auto()
    SETUP = auto()
    EXPIRED = auto()
    CONFLICT = auto()
    PASSING = auto()

    @property
    def permanent(self) -> bool:
        """Whether a retry cannot help."""
        return self not in {Fault.EXPIRED, Fault.CONFLICT, Fault.PASSING}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a call failed: `answer` is the other side's text, `advice` is our sentence or empty."""

    fault: Fault
    answer: str
    advice: str = ""
    code: str = ""
    operation: str = ""
    status: int = 0

    def __str__(self) -> str:
        return f"{self.answer}; {self.advice}" if self.advice else self.answer


_CODES: dict[Fault, str] = {
    Fault.MISSING: "NoSuchKey 404 NotFound NoSuchVersion",
    Fault.DENIED: "AccessDenied AccessDeniedException 403 Forbidden AllAccessDisabled UnauthorizedOperation"
    " UserSuspended",
    Fault.IDENTITY: "InvalidAccessKeyId InvalidClientTokenId UnrecognizedClientException SignatureDoesNotMatch"
    " InvalidSignatureException InvalidSignature IncompleteSignature MissingAuthenticationToken"
    " MissingAuthenticationTokenException MissingSecurityHeader InvalidToken TokenRefreshRequired AuthFailure"
    " NotSignedUp OptInRequired AccountProblem InvalidSecurity InvalidPayer Unauthorized UnauthorizedAccess 401"
    " InvalidIdentityToken IDPRejectedClaim ExpiredIdentityToken",
    Fault.KEY: "DisabledException KMSInvalidStateException InvalidKeyUsageException IncorrectKeyException"
    " InvalidCiphertextException KMSAccessDeniedException NotFoundException",
    Fault.ARCHIVED: "InvalidObjectState",
    Fault.CLOCK: "RequestTimeTooSkewed",
    Fault.SETUP: "NoSuchBucket InvalidBucketName PermanentRedirect 301 AuthorizationHeaderMalformed"
    " IllegalLocationConstraintException RegionDisabledException ValidationError ValidationException InvalidArgument"
    " InvalidRequest MalformedPolicyDocument PackedPolicyTooLarge MethodNotAllowed 405 NotImplemented 501"
    " InvalidStorageClass InvalidBucketState KeyTooLongError EntityTooLarge QuotaExceeded"
    " XMinioAdminBucketQuotaExceeded XMinioStorageFull",
    Fault.EXPIRED: "ExpiredToken ExpiredTokenException RequestExpired",
    Fault.PASSING: "KMS.ThrottlingException KMS.KMSInternalException KMS.InternalException KMS.LimitExceededException"
    " KMS.KeyUnavailableException KMS.DependencyTimeoutException 307 TemporaryRedirect IDPCommunicationError",
    Fault.CONFLICT: "PreconditionFailed 412 ConditionalRequestConflict OperationAborted Conflict 409",
}
_FAULTS = {code: fault for fault, codes in _CODES.items() for code in codes.split()}

_CLOCK_WORDS = re.compile(r"signature (?:expired|not yet current)|is now (?:earlier|later) than|skewed", re.IGNORECASE)
_KEY_WORDS = re.compile(r"\bkms\b|customer master key|ciphertext refers", re.IGNORECASE)
_REGION = re.compile(r"expecting '?([a-z]{2}(?:-[a-z]+)+-\d)")

_CHECKSUMS = '{"request_checksum_calculation": "when_required"}'
_ADVICE: tuple[tuple[str, str], ...] = (
    # the first pattern found in "code: message" gives the advice
    (r"1 hour session|role chaining", "a role that was assumed by a role gets one hour: set session_seconds to 3600"),
    (r"DurationSeconds|MaxSessionDuration", "set session_seconds to no more than the role allows: 3600 always works"),
    (r"^NoSuchBucket|^InvalidBucketName", "check the bucket's name, and that it is at this endpoint"),
    (r"^RegionDisabled", "the owner of the account must activate STS in this region"),
    (r"checksum|header you provided implies", f"a store without checksum headers needs config_kwargs {_CHECKSUMS}"),
    (r"NotFoundException|key that does not exist", "the KMS key does not exist any more, or is in another region"),
    (r"KMS\.Disabled|^DisabledException|is disabled", "the owner of the KMS key must enable it again"),
    (r"InvalidState|pending deletion", "the owner of the KMS key must cancel its deletion, or import its material"),
    (r"Quota|StorageFull", "make room there, or raise the quota"),
)
_ADVICE_OF = {
    Fault.IDENTITY: "check the credentials of the connection: key, secret, and a session token if they have one",
    Fault.ARCHIVED: "the object is archived: ask its owner to restore it, then ask for its key again",
    Fault.CLOCK: "this machine's clock is wrong: set it by NTP",
}
_BEFORE_AN_ANSWER: dict[str, tuple[Fault, str]] = {
    "NoCredentialsError": (Fault.IDENTITY, "the connection gives no credentials"),
    "PartialCredentialsError": (Fault.IDENTITY, "the connection gives a part of the credentials"),
    "ProfileNotFound": (Fault.SETUP, "the connection names a profile that this machine does not have"),
    "SSOTokenLoadError": (Fault.IDENTITY, "log in again: aws sso login"),
    "UnauthorizedSSOTokenError": (Fault.IDENTITY, "log in again: aws sso login"),
    "NoRegionError": (Fault.SETUP, "name the region in the connection"),
    "InvalidRegionError": (Fault.SETUP, "correct the region in the connection"),
    "InvalidConfigError": (Fault.SETUP, "correct config_kwargs of the connection"),
    "ParamValidationError": (Fault.SETUP, ""),
    "UnknownServiceError": (Fault.SETUP, ""),
}
_CERTIFICATE = re.compile(r"certificate.?verify.?failed|self.signed certificate|local issuer", re.IGNORECASE)
_PLAIN_HTTP = re.compile(r"wrong.?version.?number|record.?layer.?failure", re.IGNORECASE)

_STATUS = {
    401: Fault.IDENTITY, 403: Fault.DENIED, 404: Fault.MISSING, 409: Fault.CONFLICT, 412: Fault.CONFLICT,
    408: Fault.PASSING, 416: Fault.PASSING, 429: Fault.PASSING, 499: Fault.PASSING,
}  # fmt: skip
_TOO_MANY = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_NO_BUCKET = re.compile(r"\bbucket\b.*(?:not exist|not found)|no such bucket", re.IGNORECASE)
_ASKED = re.compile(r"^[A-Z]+ https?://\S+: ")
_EXPECTED = re.compile(r"\s*:?\s*\('Request failed with status code'.*$", re.DOTALL)
_GOOGLE_ADVICE = {
    Fault.SETUP: "check the bucket's name, and that it is at this endpoint",
    Fault.KEY: "ask the bucket's owner to enable the key and let Cloud Storage use it",
    Fault.IDENTITY: "check the credentials of the connection, or of this machine if it names none",
    Fault.CLOCK: "this machine's clock is wrong: set it by NTP",
}

_AZURE_CODES = {
    "ContainerNotFound": Fault.SETUP, "AuthenticationFailed": Fault.IDENTITY, "BlobArchived": Fault.ARCHIVED,
    "InvalidAuthenticationInfo": Fault.IDENTITY, "AccountIsDisabled": Fault.SETUP,
    "ContainerBeingDeleted": Fault.PASSING,
    "KeyVaultAccessTokenCannotBeAcquired": Fault.KEY, "KeyVaultEncryptionKeyNotFound": Fault.KEY,
    "BlobImmutableDueToPolicy": Fault.SETUP,
}  # fmt: skip
_AZURE_ADVICE = {"BlobImmutableDueToPolicy": "take the immutability policy off the container: builds replace files"}

_TELLING_NAMES = (
    r"(?:x-amz-)?(?:security-token|signature|credential)|sig|\w*passw(?:or)?d|pwd|passphrase|\w*secret\w*|\w*token"
    r"|authorization|(?:aws)?access_?key_?id|\w*(?:account|access|private|api)[_-]?key"
)
_HIDDEN: tuple[tuple[str, str], ...] = (
    # credentials in URLs: in those of databases and servers, a password may have an @ or a slash
    (r"\b(?!https?:|s3:|gs:|abfss:)([a-z][a-z0-9+.-]{0,30})://[^\s\"'<>]{0,500}@", r"\1://***@"),
    (r"//[^/\s@]+@", "//***@"),
    # values with the name of a secret: in quotes with all their words, in XML up to the next tag
    (rf"(?i)\b({_TELLING_NAMES})([\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*')", r"\1\2***"),
    (
        rf"(?i)\b({_TELLING_NAMES})([\"']?\s*(?:[=:]\s*[\"']?|>))(?:(?:bearer|basic)\s+)?[^\s&,;\"'<>]+",
        r"\1\2***",
    ),
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b", "***"),
    # a word that contains "secret"
    (r"(?i)(?<!\S)\S*secret[-_]\S*", "***"),
    # a long run of letters with upper case, lower case and a digit is not a name
    (r"(?<![\w/+.:-])(?=[a-zA-Z/+]*\d)(?=[a-z0-9/+]*[A-Z])(?=[A-Z0-9/+]*[a-z])[A-Za-z0-9/+=]{32,}", "***"),
    (r"(?s)-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|$)", "***"),
)


def remove_secrets(text: str) -> str:
    """Make a foreign text fit for a message: one line of bounded length, without secrets."""
    if len(text) > _MOST_READ:
        # the patterns need much more time for a long text, e.g. the page of a proxy; a cut word may be half a secret
        text = text[:_MOST_READ].rsplit(maxsplit=1)[0]
    for pattern, instead in _HIDDEN:
        text = re.sub(pattern, instead, text)
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def reason_of(error: BaseException) -> Reason:
    """Judge an error of a cloud's libraries, or one that such an error caused."""
    for one in _chain(error):
        # a `RetryError` says only that it gave up: the error that it came from has the reason
        if type(one).__module__.partition(".")[0] == "google" and type(one).__name__ != "RetryError":
            return _of_google(one)
        if type(one).__module__.partition(".")[0] == "azure":
            return _of_azure(one)
        response = getattr(one, "response", None)
        if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
            return _of_answer(response, str(getattr(one, "operation_name", "")))
    for one in _chain(error):
        for name in (kind.__name__ for kind in type(one).__mro__):
            if name in _BEFORE_AN_ANSWER:
                fault, advice = _BEFORE_AN_ANSWER[name]
                return Reason(fault, _describe(one), advice)
    every = " ".join(str(one) for one in _chain(error))
    if _CERTIFICATE.search(every):
        advice = 'name the file of the CA that signed it: "verify": "/path/ca.pem" in the connection'
        return Reason(Fault.SETUP, _describe(error), advice)
    if _PLAIN_HTTP.search(every):
        return Reason(Fault.SETUP, _describe(error), "the endpoint does not speak TLS: is it http:// and not https://?")
    return Reason(Fault.PASSING, _describe(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    one: BaseException | None = error
    for _ in range(_DEEPEST):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__


def _describe(error: BaseException) -> str:
    # the text of SQLAlchemy has the statement's values; the driver's own text has none
    text = remove_secrets(str(getattr(error, "orig", None) or error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _of_answer(response: Mapping[str, Any], operation: str) -> Reason:
    """Judge an answer by its code, and by its message if the code is too general."""
    about, meta = response["Error"], response.get("ResponseMetadata") or {}
    code, message = str(about.get("Code") or ""), remove_secrets(str(about.get("Message") or ""))
    status = int(meta.get("HTTPStatusCode") or 0)
    answer = f"{code}: {message}" if message and message != code else code or "an error without a code"
    fault = _fault(code, message)
    advice = next((text for pattern, text in _ADVICE if re.search(pattern, answer)), "") if fault.permanent else ""
    if fault in _ADVICE_OF:
        advice = _ADVICE_OF[fault]
    if code in {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}:
        advice = _region_advice(about, meta, message)
    return Reason(fault, answer, advice, code, operation, status)


def _of_google(error: BaseException) -> Reason:
    """Judge an error of Google's libraries by its status, reason and message."""
    reason, text = _words_of_google(error)
    kind = type(error).__name__
    answer = ": ".join(part for part in (kind, reason, remove_secrets(text)) if part)
    status = getattr(error, "code", None)
    if isinstance(status, int):
        fault = _STATUS.get(int(status), Fault.SETUP if 400 <= int(status) < 500 else Fault.PASSING)
        if reason in _TOO_MANY:
            fault = Fault.PASSING
        elif fault.permanent and _KEY_WORDS.search(text):
            fault = Fault.KEY
        elif _NO_BUCKET.search(text) and fault is Fault.MISSING:
            fault = Fault.SETUP
        advice = _GOOGLE_ADVICE.get(fault, "") if fault is not Fault.SETUP or _NO_BUCKET.search(text) else ""
        return Reason(fault, answer, advice, reason or kind, status=int(status))
    # before an answer: the credentials were not found, or were refused
    refused = error.__class__.__module__.startswith("google.auth") and kind != "TransportError"
    if not refused or getattr(error, "retryable", False):
        return Reason(Fault.PASSING, answer)
    fault = Fault.CLOCK if "short-lived token" in text else Fault.IDENTITY
    return Reason(fault, answer, _GOOGLE_ADVICE[fault])


def _of_azure(error: BaseException) -> Reason:
    """Judge an error of Azure's libraries by its status and code."""
    code = getattr(error, "error_code", "") or ""
    code = str(getattr(code, "value", code))
    text = remove_secrets(re.split(r"\n(?:RequestId|ErrorCode):", str(getattr(error, "message", "") or error))[0])
    answer = ": ".join(part for part in (code or type(error).__name__, text) if part)
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        # before an answer: an identity that cannot be had, or no way to the store
        refused = type(error).__name__ in {"ClientAuthenticationError", "CredentialUnavailableError"}
        fault = Fault.IDENTITY if refused else Fault.PASSING
        return Reason(fault, answer, _GOOGLE_ADVICE.get(fault, ""))
    fault = _AZURE_CODES.get(code) or _STATUS.get(status, Fault.SETUP if 400 <= status < 500 else Fault.PASSING)
    advice = "check the container's name, and the account's" if code == "ContainerNotFound" else ""
    advice = advice or _ADVICE_OF.get(fault, "") or _AZURE_ADVICE.get(code, "")
    return Reason(fault, answer, advice, code, status=status)


def _words_of_google(error: BaseException) -> tuple[str, str]:
    """Return the reason and the message of an error, without the address that was asked."""
    text = _EXPECTED.sub("", _ASKED.sub("", str(getattr(error, "message", "") or error)))
    answers = list(getattr(error, "errors", ()) or ())
    try:
        # uploads and downloads give the answer as it came
        body = json.loads(text)["error"]
        text, answers = str(body.get("message", "")), list(body.get("errors", ()))
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    reasons = [str(one["reason"]) for one in answers if isinstance(one, Mapping) and "reason" in one]
    return (reasons[0] if reasons else ""), text


def _fault(code: str, message: str) -> Fault:
    if _CLOCK_WORDS.search(message):
        return Fault.CLOCK
    fault = _FAULTS.get(code, Fault.KEY if code.startswith("KMS.") else Fault.PASSING)
    return Fault.KEY if fault is Fault.DENIED and _KEY_WORDS.search(message) else fault


def _region_advice(about: Mapping[str, Any], meta: Mapping[str, Any], message: str) -> str:
    headers = meta.get("HTTPHeaders") or {}
    found = _REGION.search(message)
    region = headers.get("x-amz-bucket-region") or about.get("Region") or (found.group(1) if found else None)
    return f"the bucket is in {region or 'another region'}: set the region of the connection or of the delivery to it"
