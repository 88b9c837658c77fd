"""The form that starts a run: whose it is, where it comes from, and what its texts mean."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.lakes import ORG
from tests.page_server import known_dags
from tests.unit.pismo.ui.conftest import ENTRY

from pismo.ui.dag_runs import check_params
from pismo.ui.forms import RunRefusedError, make_token, read_token, require_own_origin
from pismo.ui.params import conf_of, fields_of
from pismo.ui.plain_words import describe
from pismo_lake.errors import ParamsError
from pismo_lake.settings import Delivery, find_delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo.ui.dag_runs import DagToRun

    Forms = tuple[Delivery, Callable[[str], DagToRun]]

HOST = "airflow.example.com"


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Forms:
    """Return a delivery, and a function that finds its DAG of a kind."""
    file = tmp_path_factory.mktemp("forms") / "deliveries.yaml"
    file.write_text("deliveries:" + ENTRY.format(name="test", org=ORG, root=file.parent, ledger="sqlite:///none"))
    find = known_dags(str(file))

    def find_kind(kind: str) -> DagToRun:
        dag = find("pismo_doctor" if kind == "doctor" else f"pismo_{kind}_test")
        assert dag is not None
        return dag

    return find_delivery(str(file), "test"), find_kind


def test_a_token_is_of_one_person_one_dag_and_some_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    token = make_token("1", "a", "manual__1")
    assert read_token(token, "1", "a") == "manual__1"
    for text, user, dag in ((token, "2", "a"), (token, "1", "b"), (token[:-1], "1", "a"), ("", "1", "a")):
        with pytest.raises(RunRefusedError, match="too old, or it was made for somebody else"):
            read_token(text, user, dag)
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(RunRefusedError):
        read_token(token, "1", "a")


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": f"https://{HOST}"}, True),
        ({"origin": "https://evil.example.com"}, False),
        ({"origin": f"https://{HOST}.evil.example.com"}, False),
        ({"origin": "null"}, False),
        ({}, False),
        # a proxy has changed the host
        ({"origin": "https://outside.example.com", "sec-fetch-site": "same-origin"}, True),
        ({"origin": f"https://{HOST}", "sec-fetch-site": "same-site"}, False),
        ({"origin": f"https://{HOST}", "sec-fetch-site": "cross-site"}, False),
        ({"origin": f"https://{HOST}", "sec-fetch-site": "none"}, False),
    ],
)
def test_a_form_comes_from_a_page_of_this_airflow(headers: dict[str, str], own: bool) -> None:
    asked = {"host": HOST, **headers}
    if own:
        require_own_origin(asked)
        return
    with pytest.raises(RunRefusedError, match="not sent by a page of this Airflow"):
        require_own_origin(asked)


def test_behind_a_proxy_the_address_of_the_settings_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://outside.example.com/airflow")
    require_own_origin({"host": "10.0.0.1:8080", "origin": "https://outside.example.com"})


@pytest.mark.parametrize(
    ("kind", "texts", "conf", "sentence"),
    [
        ("close", {"publish_day": "2026-03-04", "relist": "true"}, {"publish_day": "2026-03-04"}, "Wed, 4 March 2026"),
        ("close", {"relist": "false"}, {"relist": False}, "does not contact Pismo"),
        ("close", {"dry_run": "true"}, {"dry_run": True}, "It changes nothing"),
        ("ingest", {"window_start": "", "object_keys": " "}, {}, "hours before now"),
        ("ingest", {"object_keys": " a \r\n\r\nb"}, {"object_keys": ["a", "b"]}, "the files of 2 object(s)"),
        ("ingest", {"event_ids": "x", "retry_failed": "true"}, {"event_ids": ["x"], "retry_failed": True},
         "in quarantine"),
        ("ingest", {"dry_run": "true", "window_end": "2026-03-04T00:00:00Z"},
         {"dry_run": True, "window_end": "2026-03-04T00:00:00Z"}, "hours before 2026-03-04T00:00:00Z"),
        ("doctor", {"object_key": "main_stream/a"}, {"object_key": "main_stream/a"}, "rights, keys and settings"),
    ],
)  # fmt: skip
def test_the_texts_of_a_form_become_params_and_plain_words(
    forms: Forms, kind: str, texts: dict[str, str], conf: dict[str, object], sentence: str
) -> None:
    delivery, find = forms
    dag = find(kind)
    found = conf_of(fields_of(dag.params), texts)
    assert found == conf
    assert sentence in " ".join(describe(kind, check_params(dag, found), delivery))


def test_a_replay_says_whether_it_sends(forms: Forms) -> None:
    delivery, _ = forms
    assert "sends nothing" in " ".join(describe("replay", {"replay_id": None, "dry_run": True}, delivery))
    sent = " ".join(describe("replay", {"replay_id": "incident-7", "dry_run": False}, delivery))
    assert "the rest of the replay incident-7" in sent


@pytest.mark.parametrize("text", ["", "1,5", "2026-13-01", "\x00", "a" * 5000, "[1]", "null", "💥"])
@pytest.mark.parametrize("kind", ["close", "ingest"])
def test_no_text_of_a_form_raises_another_error_than_a_sentence(forms: Forms, kind: str, text: str) -> None:
    delivery, find = forms
    dag, said = find(kind), []
    for name in dag.params:
        try:
            said += describe(kind, check_params(dag, conf_of(fields_of(dag.params), {name: text})), delivery)
        except ParamsError as error:
            said.append(str(error))
    assert not [sentence for sentence in said if not sentence or "\n" in sentence]
