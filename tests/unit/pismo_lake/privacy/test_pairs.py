"""Test that names with values inside text are treated like JSON fields, and other text stays."""

from __future__ import annotations

import time
from urllib.parse import quote, urlencode

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pismo_lake.privacy.redact import Redactor
from pismo_lake.settings.privacy import STRICT, PrivacyKey, load_privacy

KEY = PrivacyKey("k1", b"a secret of some length")
REDACTOR = Redactor(load_privacy(STRICT, KEY), "cards/anything-1")
CPF = "12345678909"
HASHED = KEY.digest(CPF)


def strict(text: str) -> str:
    """Return a text after the policy; the pattern for columns finds it if it is changed."""
    changed = REDACTOR.free_text(text, ("raw",))
    if changed != text:
        assert pc.match_substring_regex(pa.array([text]), REDACTOR.suspect)[0].as_py(), text
    return changed


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"cpf={CPF}&name=Jo%C3%A3o", f"cpf={HASHED}&name=****"),
        (f"cpf: {CPF}; nome: João da Silva; ok: 1", f"cpf: {HASHED}; nome: ****; ok: 1"),
        (f"error cpf={CPF} was rejected", f"error cpf={HASHED} was rejected"),
        (f"nome=João Silva, cpf={CPF}, status=ok", f"nome=****, cpf={HASHED}, status=ok"),
        ("GET /x?name=J%20S&a=1 HTTP/1.1", "GET /x?name=****&a=1 HTTP/1.1"),
        (f"User{{nome=João Silva, cpf={CPF}}}", f"User{{nome=****, cpf={HASHED}}}"),
        (f"[INFO: nome=João Silva cpf={CPF} id=4]", f"[INFO: nome=**** cpf={HASHED} id=4]"),
        (f"to=https%3A%2F%2Fx%3Fcpf%3D{CPF}%26a%3D1", f"to=https%3A%2F%2Fx%3Fcpf%3D{HASHED}%26a%3D1"),
        (f"x%253Fcpf%253D{CPF}%2526a%253D1", f"x%253Fcpf%253D{HASHED}%2526a%253D1"),
        ("email=a%40b.com&x=1", f"email={KEY.digest('a@b.com')}&x=1"),
        ("tel: +55 (11) 99999-9999, next", f"tel: {KEY.digest('+55 (11) 99999-9999')}, next"),
        ("data+de+nascimento=1990-01-02&x=1", "data+de+nascimento=1990&x=1"),
        ("n%C3%BAmero%20do%20documento=12&x=1", f"n%C3%BAmero%20do%20documento={KEY.digest('12')}&x=1"),
        ("nascimento: 28 de fevereiro de 1990", "nascimento: ****"),
        ("Tax ID: 55-1 and", f"Tax ID: {KEY.digest('55-1')} and"),
        ("customer[name]=Jo&merchant[name]=Shop", "customer[name]=****&merchant[name]=Shop"),
        (f'"cpf": "{CPF}", "n": 1', f'"cpf": "{HASHED}", "n": 1'), (f"**CPF**: {CPF}", f"**CPF**: {HASHED}"),
        (f"cpf => '{CPF}'", f"cpf => '{HASHED}'"), (f"a\\ncpf: {CPF}\\nid: 5", f"a\\ncpf: {HASHED}\\nid: 5"),
        ('nomes=["João"] ok', "nomes=null ok"), ('metadata={"a":"s"} ok', "metadata=null ok"),
        ("endereco: Rua X (fundos), 12; id: 4", "endereco: ****; id: 4"), ("senha: abc=def", "senha: ****"),
        (f'{{"q":"cpf={CPF}&x=1"}}', f'{{"q":"cpf={HASHED}&x=1"}}'),
        ("pan=4111,1111,1111,1111&x=4111+1111+1111+1111", "pan=****&x=****1111"),
    ],
)  # fmt: skip
def test_values_of_personal_names_are_changed(text: str, left: str) -> None:
    assert strict(text) == left


@pytest.mark.parametrize(
    "text",
    ["pin_type=x", "TN::79227164117::2026-03-01", "2026-03-01T12:04:00.417Z",
     "https://host/path?id=5&status=ok", "a == b",
     "status: ok, code: 12", "error_message=none", "Zm9vYmFy==", "merchant_name: Shop", "cpf", "cpf=", "cpf: ",
     "cpf\n= 1",
     "C:\\card", "name", "transaction_id=7&account_id=8", "amount: 10.50; currency: BRL", "card:// 5"],
)  # fmt: skip
def test_other_text_stays(text: str) -> None:
    assert strict(text) == text


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["cpf", "email", "nome", "senha", "id", "status"]), st.text(min_size=1), min_size=1)
)
def test_form_data_is_changed_like_fields_of_json(fields: dict[str, str]) -> None:
    changed = strict(urlencode({name: f"Planted{value}" for name, value in fields.items()}, quote_via=quote))
    for pair, (name, value) in zip(changed.split("&"), fields.items(), strict=True):
        if name in {"id", "status"}:
            assert pair.startswith(f"{name}=Planted")
        else:
            assert "Planted" not in pair
        if name == "cpf":
            # a full stop at the end may be of the sentence
            assert pair.rstrip(".") == f"cpf={KEY.digest(f'Planted{value}'.rstrip('.'))}"


@settings(deadline=None)
@given(
    st.sampled_from(["cpf", "nome", "email", "telefone"]),
    st.sampled_from(["=", ": ", " = ", "=>", " : "]),
    st.text(alphabet="ab 1=:&;,()%\n", max_size=12),
    st.text(alphabet="ab 1=:&;,(){}[]'\"%\\\n", max_size=12),
)
def test_the_first_word_of_a_value_never_comes_through(name: str, sign: str, before: str, after: str) -> None:
    text = f"{before} {name}{sign}Planted1 {after}"
    assert "Planted1" not in strict(text)


@pytest.mark.parametrize(
    "piece",
    ["a=", "cpf=", "nome: ", "nome: cpf: ", 'cpf="', "cpf%3D", "a b c=", "nome=[x,", 'x=["', "cpf=1 1", "[a: nome=b] "],
)
def test_hostile_text_takes_no_longer_for_each_sign(piece: str) -> None:
    def seconds(signs: int) -> float:
        started = time.process_time()
        REDACTOR.free_text(piece * (signs // len(piece)), ("raw",))
        return time.process_time() - started

    assert seconds(60_000) < 20 * seconds(6_000) + 0.5
