"""Trust the forms of our own pages only: a token that the page has, and a browser that says it comes from there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from airflow.configuration import conf
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

TOKEN = "token"  # noqa: S105 - the name of a field
_HOURS = 12
_LARGEST = 256 * 1024
_MOST_FIELDS = 200
_FOREIGN = "The form was not sent by a page of this Airflow. Open the page again, and press its button."
_OLD = "The form is too old, or it was made for somebody else. Open the page again, and press its button."


class RunRefusedError(HTTPException):
    """A person may not start a run, for a reason that the page names."""

    def __init__(self, reason: str) -> None:
        super().__init__(403, reason)


def make_token(user_id: str, dag_id: str, run_id: str) -> str:
    """Return the token of a form that starts one run of a DAG, for one person."""
    return str(_signer().dumps([user_id, dag_id, run_id]))


def read_token(token: str, user_id: str, dag_id: str) -> str:
    """Return the id of the run that a token is for.

    Raises:
        RunRefusedError: no page has made this token for this person and DAG in the last hours.
    """
    try:
        found_user, found_dag, run_id = _signer().loads(token, max_age=_HOURS * 3600)
    except (BadData, ValueError):
        raise RunRefusedError(_OLD) from None
    if (found_user, found_dag) != (user_id, dag_id):
        raise RunRefusedError(_OLD)
    return str(run_id)


def require_own_origin(headers: Mapping[str, str]) -> None:
    """Refuse a form that a page of another address has sent.

    Behind a proxy, the host of the request may be another one than that of the browser: then the browser's own word
    counts, and Airflow's `[api] base_url`.

    Raises:
        RunRefusedError: the form is from elsewhere, or the browser does not say from where.
    """
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
    hosts = {headers.get("host", ""), urlsplit(conf.get("api", "base_url", fallback="")).netloc} - {""}
    if site not in {"", "same-origin"} or not (site or urlsplit(origin).netloc in hosts):
        raise RunRefusedError(_FOREIGN)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent; of two fields of one name, the last.

    Raises:
        HTTPException: 400: it is no form, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(400, "this address takes a form only")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise HTTPException(400, f"the form is larger than {_LARGEST // 1024} KiB")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, "the form cannot be read") from None


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="pismo-lake-run")
