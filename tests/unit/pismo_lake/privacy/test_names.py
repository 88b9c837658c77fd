"""Test that `strict` knows all spellings of personal fields, and no names of other fields."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.names_page import PAGE, names_page

from pismo_lake.errors import ConfigError
from pismo_lake.privacy.redact import Redactor
from pismo_lake.settings.privacy import STRICT, Privacy, PrivacyKey, load_privacy
from pismo_lake.settings.rules import Action, Rule

KEY = PrivacyKey("k1", b"a secret of some length")
PRIVACY = load_privacy(STRICT, KEY)
EVENT = "cards/anything-1"


def is_redacted(*keys: str) -> bool:
    return PRIVACY.rule(EVENT, keys) is not None


PERSONAL = str.split("""
    surname dob social_security_number cvc pin track2 primary_account_number cardholder fullname fullName full-name
    FULL_NAME Full.Name customerFullName customerfullname CUSTOMERFULLNAME motherMaidenName mothers_maiden_name
    nomeCompleto nomecompleto NOME_COMPLETO nome_da_mae nomeMae dataNascimento data_de_nascimento DT_NASCIMENTO
    fechaNacimiento fecha_de_nacimiento telefoneCelular celular numero_celular cpfCliente CPF cpf_titular clientCpf
    numeroDocumento endereço enderecoEntrega apellidoPaterno apellidos sobrenome cardPin newPin pinBlock pin_code
    encryptedPin CVV2 cvv_2 cvcCode track_2_data TRACK1 trackData cardNumber card_no PAN PANNumber card_pan
    cardExpiry expiry_date exp_month passportNumber passport_no driversLicense drivers_licence driverLicenseNumber
    nationalId national_identity_number taxId tax_payer_id ssn SSNLast4 curp rfc cuit cuil rut dni cedula nit
    ipAddress IPAddress clientIp remoteIp userAgent user-agent device_fingerprint IMEI macAddress lat lng
    geoLocation passwordHash user_password senha contraseña accessToken refreshToken apiKey clientSecret otp
    homePhone phone2 mobile_number telefono eMail e-mail emailAddress customeremail correoElectronico ZIPCODE
    postalCode cep addressLine1 address_line_2 bairro logradouro cidade iban bankAccountNumber account_no chavePix
    pixKey clabe sexo estadoCivil selfie photo fingerprint biometricData salary renda occupation displayName
    cardHolderName CARDHOLDERNAME nameOnCard name_on_card embossingName payerName beneficiaryName senderName
    creditorname note remarks memo observacao message reason firstname lname familyName givenName birthDate
    date_of_birth cliente.nome favorecidoNome clienteNombre nmCliente nm_mae custName filiacao filiação1 nomeGenitora
    dtNascto data_nascto cel cel1 acct_nbr doc_no idNo telNo cel_number contactNo cardNbr
    docId doc_id idDoc filiation noMae noPai nomMae NM_MAE nmPai noCliente no_titular nomCliente nmCompleto
    no_social nmFantasia nmBenef txNome dsNome nrCpf nuCpf NR_CPF numCpf nr_doc nuDoc nrDocto docto numeroDoc
    docIdentidade nuIdentidade nuInscricao dtNasc dta_nasc datNasc fchNac dtObito txEmail dsEmail nuTelefone nrTel
    nuCel dddTel telCasa nmCidade noMunicipio nuCep endResidencial complEnd nuEndereco nuConta nrAgencia nuCartao
    dsLogin dsObs obs observacoes apePat ap_materno estCivil
    placeOfBirth \uff45mail em\u200bail FIRST__NAME
""")
OTHER = str.split("""
    event_name product_name merchant_name program_name file_name bucket_name object_name schema_name server_name
    queue_name nome_produto nome_arquivo nombre_producto pin_type pin_tries pin_status has_pin shipping
    shippingMethod company discriminator expansion panel span spanId parentSpanId lifespan japan spinner opinion
    keynote zipper trip tripId recipe telemetry latency longest geometry card_type card_status cardBrand pan_source
    pan_entry_mode token_type token_id token_requestor account_id customer_id card_id userId recipient_id
    authorization_code response_code reason_code reason_description error_message cardholder_currency_rate
    cardholderbilling_amount merchant_city acquirer_bin mcc entry_mode token_expiration_date due_date created_at
    timestamp amount transaction_type branch bank country status id type processing_code rrn nsu arn stan tid
    installment_number invoice_number operation_description message_type signature_verified tipo_conta cycle balance
    currency tpDoc tipo_documento nrOperacao nmProduto noProduto nmArquivo nuParcela dtTransacao dtVencimento
    noEvento nrLote nuAutorizacao noRede endDate no_show affiliation docUrl idConta tpConta no_data noCard sgUf
    nmRede nrPedido
""")


@pytest.mark.parametrize("key", PERSONAL)
def test_personal_fields_are_known_in_any_spelling(key: str) -> None:
    assert is_redacted(key)
    assert is_redacted("some", key)


@pytest.mark.parametrize("key", OTHER)
def test_other_fields_are_kept(key: str) -> None:
    assert not is_redacted(key)


@pytest.mark.parametrize(
    "path",
    [
        "customer/state", "customer/number", "home/district", "pix/key", "pix/key_value", "contacts/value",
        "debtor/legal",
        "geo/lat", "device/fingerprint", "recipient", "customer/name/first", "payer/full_name/x", "phones/area",
    ],
)  # fmt: skip
def test_ambiguous_names_are_known_below_a_person(path: str) -> None:
    assert is_redacted(*path.split("/"))


@pytest.mark.parametrize(
    "path",
    ["merchant/name", "merchant/city", "program/name", "status/state", "dispute/number", "installment/number",
     "map/key",
     "amount/value", "transaction_type/description", "amount/description", "program/type/description"],
)  # fmt: skip
def test_ambiguous_names_of_things_are_kept(path: str) -> None:
    assert not is_redacted(*path.split("/"))


NAMES = sorted({
    name for rule in PRIVACY.rules if rule.names and not rule.below and not rule.values for name in rule.names
})  # fmt: skip
STYLES = {
    "snake": "_".join, "kebab": "-".join, "dots": ".".join, "blanks": " ".join,
    "camel": lambda words: words[0] + "".join(map(str.capitalize, words[1:])),
    "pascal": lambda words: "".join(map(str.capitalize, words)),
    "capitals": lambda words: "_".join(words).upper(),
    "together": "".join,
    "capitals together": lambda words: "".join(words).upper(),
}  # fmt: skip


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_name_is_known_in_every_style(style: str) -> None:
    written = [STYLES[style](name.split()) for name in NAMES]
    assert [key for key in written if not is_redacted(key)] == []


@pytest.mark.parametrize("style", ["camel", "capitals", "snake"])
def test_new_and_old_change_no_name(style: str) -> None:
    # a word of two letters is a name of its own only if it is separate, so a name in one piece may hide one
    written = [STYLES[style]([before, *name.split()]) for name in NAMES for before in ("new", "old")]
    assert [key for key in written if not is_redacted(key)] == []


def strict(value: Any, *keys: str) -> Any:
    return Redactor(PRIVACY, EVENT).value(value, keys)


def test_json_inside_text_is_redacted_and_else_as_it_was() -> None:
    text = '{ "surname": "Doe",\t"n": 1.50, "ok": [1e3, {"pin_type": "x", "PIN": 1234}],"card":4111111111111111 }'
    left = '{ "surname": null,\t"n": 1.50, "ok": [1e3, {"pin_type": "x", "PIN": null}],"card":null }'
    assert strict(text, "raw_request") == left
    assert strict(f"sent {text} twice: {text}", "raw_request") == f"sent {left} twice: {left}"
    inner = json.dumps({"body": json.dumps({"cpf": "123", "n": 1})})
    assert json.loads(json.loads(strict(inner, "payload"))["body"]) == {"cpf": KEY.digest("123"), "n": 1}
    assert strict(json.dumps(json.dumps({"dob": "1990-02-28"})), "payload") == '"{\\"dob\\": \\"1990\\"}"'


@pytest.mark.parametrize(
    "text",
    ['{"email":"Planted', '[[{"email":"Planted"', '{"a":{"email":"Planted"},', 'x={a: b, "email":"Planted"}',
     '{"email":"Planted","email":"Planted"}', '{"a":"x" "email":"Planted"}', '{"address":{"x":["Planted"',
     '{"a":1}}{"email":"Planted"}',
     'sent {\\"email\\":\\"Planted\\"} twice', 'sent "{\\"email\\":\\"Planted', '{\\\\\\"email\\\\\\":\\\\\\"Planted',
     "{'email': 'Planted'}", "user {'name': {'email': 'Planted", "{\\'email\\': \\'Planted\\'}",
     '{"a":"body={\\"x\\":\\"{\\\\\\"email\\\\\\":\\\\\\"Planted\\\\\\"}\\"}"}',
     '{"a":"{\\"email\\":\\"Planted\\"}"}', '{"e\\u006dail":"Planted"}', "\ufeff" + '{"email":"Planted"}'],
)  # fmt: skip
def test_json_that_is_cut_off_or_damaged_shows_nothing(text: str) -> None:
    assert "Planted" in text
    assert "Planted" not in strict(text, "raw_request")


LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(alphabet='ab{}[]":, \\\n\u00e9', max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None)
@given(VALUES, st.sampled_from([None, 1]), st.text(alphabet="ab{}[]\":, \\'", max_size=8))
def test_text_without_personal_fields_is_written_back_exactly(value: Any, indent: int | None, around: str) -> None:
    text = around + json.dumps(value, indent=indent) + around
    assert strict(text, "raw_request") == text


@settings(deadline=None)
@given(VALUES)
def test_json_inside_text_is_redacted_as_json_is(value: Any) -> None:
    privacy = Privacy("mine", (Rule("**/b", Action.DROP), Rule("**/c", Action.HASH)), card_numbers=True, key=KEY)
    redactor = Redactor(privacy, EVENT)
    text = json.dumps({"root": value, "b": 1})
    assert json.loads(redactor.value(text, ())) == redactor.value({"root": value, "b": 1}, ())


def test_escaped_json_and_pythons_quotes_are_written_back_as_they_were() -> None:
    inner = json.dumps({"n": 1, "cpf": "123", "kind": 'a "b"'})
    left = json.dumps({"n": 1, "cpf": KEY.digest("123"), "kind": 'a "b"'})
    for _ in range(3):
        inner, left = json.dumps(inner)[1:-1], json.dumps(left)[1:-1]
        assert strict(f"sent {inner}, then {inner}", "raw_request") == f"sent {left}, then {left}"
        assert strict(f'sent "{inner}", then', "raw_request") == f'sent "{left}", then'
    assert strict("got {'n': 1, 'ok': [True, 'it\\'s']}", "raw_request") == "got {'n': 1, 'ok': [True, 'it\\'s']}"
    assert strict("got {'n': 1, 'dob': '1990-02-28'}", "raw_request") == "got {'n': 1, 'dob': \"1990\"}"


def test_deep_json_inside_text_needs_no_recursion() -> None:
    text = '{"a":' * 5000 + '{"email":"Planted"}' + "}" * 5000
    assert "Planted" not in strict(text, "raw_request")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [{path: a, names: b, action: drop}]", "rule 1: path and action are expected"),
        ("rules: [{names: '<people> name', action: drop}]", "rule 1: unknown list of words 'people'"),
        ("words: [a]", "words are lists of words"),
        ("rules: [{names: 5, action: drop}]", "path and action are expected"),
        ("rules: [{names: [no, cpf], action: drop}]", "path and action are expected"),
        ("rules: [{names: ' , ', action: drop}]", "path and action are expected"),
        ("rules: [{names: [[cpf]], action: drop}]", "path and action are expected"),
        ("rules: [{names: cpf, below: [1], action: drop}]", "path and action are expected"),
        ("words: {person: [on, holder]}", "words are lists of words"),
    ],
)  # fmt: skip
def test_wrong_names_are_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_privacy(str(tmp_path / "policy.yaml"))


def test_names_in_a_policy_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    rules = "[{names: '<pet> name', action: drop}, {names: [chip], action: hash, below: dog}]"
    file.write_text(f"words: {{pet: [dog, cat]}}\nrules: {rules}")
    privacy = load_privacy(str(file), KEY)
    assert privacy.rule(EVENT, ("myDogName",)) is privacy.rules[0]
    assert privacy.rule(EVENT, ("a", "dogs", "chipNo")) is privacy.rules[1]
    assert privacy.rule(EVENT, ("a", "chipNo")) is None


def test_the_page_of_names_lists_the_policy() -> None:
    page = names_page()
    if os.environ.get("PISMO_WRITE_PAGES"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "run scripts/list-privacy-names"


def test_every_list_of_names_has_a_heading() -> None:
    policy = Path(PAGE.parents[2], "include/pismo_lake/settings/policies/strict.yaml")
    rules = yaml.safe_load(policy.read_text(encoding="utf-8"))["rules"]
    assert all("about" in rule for rule in rules if "names" in rule and rule["action"] != "scan")


@pytest.mark.parametrize("names", ["' cpf, e mail,'", "[cpf, '', e mail]"])
def test_blank_names_are_left_out(tmp_path: Path, names: str) -> None:
    (tmp_path / "policy.yaml").write_text(f"rules: [{{names: {names}, action: drop}}]")
    (rule,) = load_privacy(str(tmp_path / "policy.yaml")).rules
    assert rule.names == ("cpf", "e mail")
