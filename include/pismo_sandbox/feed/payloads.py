"""Make payloads (`data`) of documented Pismo event types, with invented values.

Field names and types follow the event pages of Pismo's documentation; gaps are filled from the nearest documented
event type. Money is `decimal.Decimal`, so its digits are written unchanged.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Payload: TypeAlias = "Callable[[random.Random], Any]"
Entry: TypeAlias = tuple[str, str, int, int, Payload]

_NAMES = ("José da Silva", "Renée Zoë", "李小龍", "Анна К.", "Müller 🙂", "O'Brien \\ Sons", 'Ana "Mia" }{ Souza')
_CURRENCIES = ("BRL", "USD", "EUR", None)


def money(r: random.Random, places: int | None = None) -> Decimal | int:
    """Return an amount with 0 to 6 decimals; some are whole or negative."""
    digits = r.choice((0, 1, 2, 2, 2, 4, 6)) if places is None else places
    whole = r.randrange(-500, 250_000)
    if digits == 0 and r.random() < 0.7:
        return whole
    return Decimal(f"{whole}.{r.randrange(10**digits):0{digits}d}") if digits else Decimal(f"{whole}.0")


def _id(r: random.Random) -> int:
    return r.randrange(10_000_000, 99_999_999_999)


def _uuid(r: random.Random) -> str:
    return str(uuid.UUID(int=r.getrandbits(128), version=4))


def _maybe(r: random.Random, value: Any, share: float = 0.3) -> Any:
    return None if r.random() < share else value


def _date(r: random.Random) -> str:
    return f"2026-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d}"


def _free_form(r: random.Random) -> Any:
    return _maybe(
        r,
        {
            f"key_{r.randrange(500)}": r.choice((1, "x", None, True, Decimal("1.50"))),
            "nested": {"score": r.randrange(999), "tags": ["web", "}{"], "": {}},
            "note": r.choice(_NAMES),
        },
    )


def onboarding_succeeded(r: random.Random) -> Any:
    program = {"id": 5001, "type": {"id": 3, "description": "CREDITO", "pci": r.random() < 0.5}}
    personal = {
        "externalId": _maybe(r, f"crm-{r.randrange(10**6):06d}"), "name": r.choice(_NAMES),
        "email": "customer@example.com", "gender": r.choice(("M", "F", None)), "printedName": "J SILVA",
        "nickname": None,
    }  # fmt: skip
    applicant = {
        "documentNumber": f"{r.randrange(10**11):011d}",
        "birthDate": _maybe(r, "1990-02-28"),
        "personal": personal,
    }
    return {"acquisitionChannel": 31, "dueDate": r.randrange(1, 29), "metadata": _free_form(r), "program": program,
            "applicant": applicant, "account": {"id": _id(r), "customerId": _id(r)}}  # fmt: skip


def customer_succeeded(r: random.Random) -> Any:
    entity = {"id": _id(r), "name": r.choice(_NAMES), "document_number": f"{r.randrange(10**11):011d}",
              "registration": None, "birth_date": _maybe(r, "1985-11-03"), "mothers_name": None}  # fmt: skip
    return {"entity": entity, "customer": {"id": _id(r), "social_name": None}}


def account_change(r: random.Random) -> Any:
    def account() -> Any:
        return {"custom_fields": _free_form(r), "division_id": r.randrange(9999),
                "account_name": _maybe(r, r.choice(_NAMES)), "parent_account_id": _maybe(r, _id(r))}  # fmt: skip

    return {"account_id": _id(r), "old_account": account(), "new_account": account()}


def status_change(r: random.Random) -> Any:
    def status(name: str) -> Any:
        return {"reason_description": "COMMERCIAL", "reason_id": r.randrange(99), "status": name, "reason_code": "07"}

    return {"account_id": _id(r), "new_status": status("BLOCK"), "old_status": status("NORMAL")}


def status_change_failure(r: random.Random) -> Any:
    return {"account_id": _id(r), "error_message": 'limit \\ "reached"\n\t\u00e9'}


def owner_change(r: random.Random) -> Any:
    owner = {"nickname": None, "printed_name": "MARIA M", "social_name": r.choice(_NAMES),
             "email": "maria@example.com", "is_active": True}  # fmt: skip
    return {"account_id": _id(r), "old_account_owner": owner, "new_account_owner": {**owner, "nickname": "Mia"}}


def limit_changed(r: random.Random) -> Any:
    def limit() -> Any:
        return {"total_credit_limit": money(r), "max_credit_limit": money(r), "percentage_over_limit": money(r, 2)}

    return {"account_id": _id(r), "old_limit": limit(), "new_limit": limit()}


def change_available(r: random.Random) -> Any:
    return {"account_id": _id(r), "amount": money(r), "id": _uuid(r), "operation_type": r.choice(("CREDIT", "DEBIT")),
            "tracking_id": _uuid(r), "updated_at": "2026-03-01T09:07:34.123456",
            "available_credit_limit": money(r)}  # fmt: skip


def balance_change(r: random.Random) -> Any:
    names = ("ledger_balance", "value_dated_balance", "available_balance", "uncleared_funds", "credit_balance")
    return {"id": _uuid(r), **{name: money(r) for name in names}, "debit_balance": 0}


def _amounts(r: random.Random) -> Any:
    kinds = ("TRANSACTION_AMOUNT", "LOCAL_AMOUNT", "SETTLEMENT_CURRENCY_AMOUNT", None)
    return [{"currency": r.choice(_CURRENCIES), "value": money(r), "description": r.choice(kinds)}
            for _ in range(r.randrange(4))]  # fmt: skip


def transaction_creation(r: random.Random) -> Any:
    authorization = {"type": r.choice(("VISA", "MASTERCARD", None)), "id": _maybe(r, _id(r)), "tid": None,
                     "card_id": str(_id(r)), "card_hash": _uuid(r), "authorization_code": "0A07"}  # fmt: skip
    return {"account_id": _id(r), "accounting_date": _date(r), "amount": _amounts(r),
            "authorization": authorization,
            "installment": _maybe(r, {"number": 1, "of": r.randrange(12), "interest_rate": money(r, 4)})}  # fmt: skip


def transaction_update(r: random.Random) -> Any:
    kind = {"id": 101, "description": "COMPRA A VISTA", "is_credit": False, "statement_post": True}
    return {"id": _id(r), "account_id": _id(r), "customer_id": None, "transaction_type": kind,
            "program": {"id": 5001, "name": "Black Card", "type": "CREDIT"}, "amount": _amounts(r)}  # fmt: skip


def transaction_type(r: random.Random) -> Any:
    return {
        "transaction_type_id": r.randrange(9999),
        "description": "TYPE",
        "credit": True,
        "posted_transaction": False,
    }


def entry_creation(r: random.Random) -> Any:
    return {"transaction_id": _id(r), "account_id": _id(r), "created_at": "2026-03-01T12:07:33Z",
            "event_date": _date(r), "amount": money(r), "program_id": 5001, "debit_account": "1000002",
            "credit_account": "1000003", "description": "ENCARGOS ROTATIVO", "entry_type_id": 2020,
            "accounting_event_id": r.randrange(10**6)}  # fmt: skip


def cycle(r: random.Random) -> Any:
    return {"account_id": _id(r), "statement_id": r.randrange(10**6), "program_id": 5001, "cycle": 7,
            "cycle_closing_date": _date(r), "due_date": _date(r), "real_due_date": _date(r),
            "opening_date": _date(r), "credits": money(r), "debits": money(r), "balance": money(r),
            "minimum_payment": money(r)}  # fmt: skip


def network_authorization(r: random.Random) -> Any:
    merchant = {"mcc": f"{r.randrange(10000):04d}", "name": r.choice(_NAMES), "city": "São Paulo", "country": "076"}
    return {"authorization_category": r.choice(("AUTHORIZATION", "CONFIRMATION", "DECLINED")),
            "authorization_type": "NETWORK", "account_id": _maybe(r, _id(r)), "acquirer_bin": "012345",
            "merchant": merchant, "contract_amount": money(r, 6), "processing_code": "007700",
            "advice_detail_code": None, "entry_mode": "05", "rrn": f"{r.randrange(10**12):012d}"}  # fmt: skip


def network_message(r: random.Random) -> Any:
    return {"mti": r.choice(("0100", "0110", "0200")), "network": "VISA", "account_type": "30",
            "acquirer_id": f"{r.randrange(10**9):09d}"}  # fmt: skip


def authorization_event(r: random.Random) -> Any:
    authorization = {"id": _id(r), "code": "143726", "descriptor": "P2P", "processing_code": "007700",
                     "balance_impact": r.choice((-1, 1, None)), "destination_currency": "BRL"}  # fmt: skip
    return {"amount": r.choice((50, Decimal("20.1"), Decimal("100.0"))), "authorization": authorization}


def overlimit(r: random.Random) -> Any:
    return {"account_id": _id(r), "over_limit_operation_amount": money(r),
            "over_limit_available_credit_limit_amount": -abs(int(money(r))),
            "authorization": {"id": _id(r), "type": "NETWORK"}}  # fmt: skip


def platform_authorization(r: random.Random) -> Any:
    return {"authorization_id": _id(r), "category": "AUTHORIZATION", "clearing_type": "ONLINE", "code": "143ABC",
            "contract_amount": money(r), "event_datetime": "2026-03-01T12:05:00.000Z", "operation": "CASH_IN",
            "original_authorization_id": _maybe(r, _id(r)), "processing_code": "007700"}  # fmt: skip


def authorization_authorize(r: random.Random) -> Any:
    installments = [
        {"amount": money(r), "date": _date(r), "interest_rate": money(r, 4)} for _ in range(r.randrange(11))
    ]
    return {"id": _id(r), "account_id": _id(r), "card_name": "JOSE E SILVA", "card_type": "VIRTUAL", "card_id": _id(r),
            "cardholder_currency_rate": Decimal("0.1933263"), "cardholderbilling_amount": money(r, 6),
            "contract_amount": money(r, 6), "currency_code": "840", "currency_literal": "USD", "entry_mode": "01",
            "installments": installments}  # fmt: skip


def timeline_events(r: random.Random) -> Any:
    return {"tenant_account_timestamp": f"TN::{_id(r)}::2026-03-01T12:04:00.417790545Z", "account_id": _id(r),
            "type": "CONFIRMATION", "category": "AUTHORIZE", "timestamp": "2026-03-01T12:04:00.417790545Z",
            "data": '{"amount":1.10,"text":"}{ \\"quoted\\" \\\\"}'}  # fmt: skip


def card_update(r: random.Random) -> Any:
    return {"account_id": _id(r), "activation_date": _maybe(r, "2026-03-01T12:00:00.000Z"), "card_hash": _uuid(r),
            "card_id": 9_007_199_254_740_993 + r.randrange(10**6),
            "card_last_four_numbers": f"{r.randrange(10000):04d}",
            "card_name": r.choice(_NAMES), "card_previous_status": "PENDING"}  # fmt: skip


def token_resync(r: random.Random) -> Any:
    detail = {"token_unique_reference": _uuid(r), "token_expiration_date": "2029-09", "status": "ACTIVE",
              "token_activation_date": "2026-03-01T12:03:00.000Z", "device_id": "DEV-1"}  # fmt: skip
    return {"account_id": _id(r), "card_id": _id(r), "token_id": _id(r), "network": "vts", "detail": detail}


def pix_in(r: random.Random) -> Any:
    payer = {"account_number": "98765432", "bank": "00000000", "branch": "0001", "document_number": "00666777889"}
    return {
        "account_id": _id(r),
        "amount": money(r, 2),
        "end_to_end_id": f"E{r.randrange(10**30):031d}",
        "payer": payer,
    }


def phone_creation(r: random.Random) -> Any:
    phone = {"account_id": _id(r), "customer_id": None, "area_code": "011", "number": "900000000", "active": True}
    return {"method": "POST", "uri": "/v1/accounts/:accountId/phones", "email": "operator@example.com",
            "roles": ["crm-operator", "treasury-operator"][: r.randrange(3)],
            "origin": "CRM", "object": phone}  # fmt: skip


def dispute_creation(r: random.Random) -> Any:
    dispute = {"authorization_id": _id(r), "modality": "00123", "amount": money(r), "comment": None,
               "reason_code": 4855, "created_at": "2026-03-01T12:00:00.000000000Z"}  # fmt: skip
    return {"method": "POST", "uri": "/v1/authorization-disputes", "email": None, "object": dispute}


def health_check(_: random.Random) -> Any:
    return {"status_summary": "OK"}


def brand_new(r: random.Random) -> Any:
    """Return the payload of an undocumented event type, in shapes that fit no column."""
    shapes: tuple[Any, ...] = (
        {
            "a": {"b": [1, 2, {"c": None}]},
            "big_id": 9_223_372_036_854_775_807 + r.randrange(9),
            "Mixed": 1,
            "mixed": "x",
        },
        {"a": "was an object", "big_id": "text", "": [], "dots.and spaces": [[1], []], "x__y": Decimal("1E+3")},
        {"a": {}, "late": {"deep": {"deeper": [{"amount": Decimal("0.000001")}]}}, "tiny": Decimal("1E-30")},
        {},
    )
    return r.choice(shapes)


CATALOGUE: tuple[Entry, ...] = (
    # domain, event type, schema version, weight, payload
    ("networktransactions", "network-authorization", 1, 20, network_authorization),
    ("networktransactions", "network-message", 1, 12, network_message),
    ("timeline", "authorization_authorize", 1, 12, authorization_authorize),
    ("timeline", "events", 1, 6, timeline_events),
    ("transaction", "creation", 1, 18, transaction_creation),
    ("transaction", "update", 1, 6, transaction_update),
    ("transaction-types", "creation", 1, 1, transaction_type),
    ("accounting", "entry_creation", 1, 14, entry_creation),
    ("availables", "change_available", 1, 12, change_available),
    ("account-balances", "balance_change", 1, 8, balance_change),
    ("authorization", "authorization-event", 1, 5, authorization_event),
    ("authorization", "overlimit_creation", 1, 1, overlimit),
    ("platform-authorization", "platform-authorization", 1, 4, platform_authorization),
    ("pix", "pix_in", 1, 6, pix_in),
    ("statements", "cycle_opening", 1, 2, cycle),
    ("statements", "cycle_due_date", 1, 2, cycle),
    ("ledger", "limit_changed", 1, 2, limit_changed),
    ("cards", "update", 1, 3, card_update),
    ("cards-tokenization", "token_resync", 1, 1, token_resync),
    ("account", "status-change", 2, 2, status_change),
    ("account", "status_change_failure", 1, 1, status_change_failure),
    ("account", "account_change", 2, 1, account_change),
    ("account", "account_owner_change", 1, 1, owner_change),
    ("onboarding", "succeeded", 1, 2, onboarding_succeeded),
    ("onboarding", "customer_succeeded", 1, 1, customer_succeeded),
    ("audit", "phone_creation", 1, 1, phone_creation),
    ("audit", "dispute_creation", 2, 1, dispute_creation),
    ("dataplatform", "health_check", 1, 1, health_check),
    ("future-domain", "brand_new_thing", 3, 1, brand_new),
)
