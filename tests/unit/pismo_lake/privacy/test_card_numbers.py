"""Find card numbers in text and numbers in every printed form; keep ids, times and amounts."""

from __future__ import annotations

import hashlib
import random
import re
import time
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pismo_lake.privacy.card_numbers import SUSPECT, is_card_number, mask_number, mask_text

VISA = "4111111111111111"
NUMBERS = [
    VISA, "4222222222222", "4000000000000000006", "5500000000000004", "2223000048400011", "340000000000009",
    "30569309025904", "38520000023237", "6011000990139424", "3530111333300000", "6200000000000005",
    "6304000000000000", "5067310000000010", "6062826786276634", "5078601870000127985", "2200000000000004",
    "6500000000000002", "9792030394440796",
]  # fmt: skip


def with_check(digits: str) -> str:
    """Return the digits with a check digit, so that they pass the Luhn check."""
    doubled = [int(digit) * 2 for digit in digits[::-2]]
    total = sum(number - 9 * (number > 9) for number in doubled) + sum(map(int, digits[-2::-2]))
    return digits + str(-total % 10)


def grouped(digits: str, sizes: tuple[int, ...], between: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    return between.join(parts)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_every_network_are_masked(number: str) -> None:
    number = with_check(number[:-1])
    assert mask_text(number) == f"****{number[-4:]}"
    assert mask_number(int(number)) == f"****{number[-4:]}"
    assert mask_number(-Decimal(f"{number}.00")) == f"****{number[-4:]}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{VISA} 12/29", "****1111 12/29"),
        ("4111 1111 1111 1111 12/29 123", "****1111 12/29 123"),
        (f"2026-03-01 {VISA}", "2026-03-01 ****1111"),
        (f"{VISA} 5500000000000004", "****1111 ****0004"),
        (f"{VISA},{VISA};{VISA}", "****1111,****1111;****1111"),
        (f"PAN{VISA}", "PAN****1111"), (f"{VISA}X", "****1111X"), (f"x{VISA}", "x****1111"),
        (f"amount 10.00-{VISA}", "amount 10.00-****1111"), (f"1 {VISA}", "1 ****1111"), (f"1-{VISA}", "1-****1111"),
        (f"{VISA}-100", "****1111-100"), (f"card={VISA};exp=1229", "card=****1111;exp=1229"),
        (f"{VISA}\n12/29", "****1111\n12/29"),
        (f"%B{VISA}^DOE/JOHN^29121010000012300000?", "%B****1111^****?"),
        (f";{VISA}=29121010000012300000?", ";****1111=****?"), (f"{VISA}D29121010000012300000", "****1111D****"),
        ("４１１１１１１１１１１１１１１１", "****1111"), ("٤١١١١١١١١١١١١١١١", "****1111"),  # noqa: RUF001
        (f"{VISA}.00", "****1111"),
    ],
)  # fmt: skip
def test_neighbours_do_not_hide_a_number(text: str, left: str) -> None:
    assert mask_text(text) == left


BETWEEN = [" ", "-", ".", "/", "  ", "\u00a0", "\u2009", "\u202f", "\u3000", "\u2013", "\u2014", "\u2011", "\u2212",
           "\u200b", "\u00b7", " - ", "\t", "_", "\uff0f", "\u2044", "\u30fb", "\u2024", "\u301c", "\u2e3a",
           "\u2069 \u2068", "\u061c", "\u200b\u200b \u200b\u200b", "\u3164"]  # fmt: skip


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize(
    ("prefix", "sizes"),
    [
        ("411111111111111", (4, 4, 4, 4)), ("222300004840001", (4, 4, 4, 4)), ("34000000000000", (4, 6, 5)),
        ("3056930902590", (4, 6, 4)), ("600000000000000000", (4, 4, 4, 4, 3)), ("620000000000000000", (6, 13)),
        ("422222222222", (4, 3, 3, 3)), ("422222222222", (4, 4, 4, 1)), ("501800000000", (4, 4, 5)),
        ("411111111111111", (8, 8)), ("411111111111111", (6, 10)), ("411111111111111", (4, 12)),
    ],
)  # fmt: skip
def test_numbers_in_every_grouping_are_masked(prefix: str, sizes: tuple[int, ...], between: str) -> None:
    number = with_check(prefix)
    text = f"paid 3 times with {grouped(number, sizes, between)}, thanks"
    assert mask_text(text) == f"paid 3 times with ****{number[-4:]}, thanks"


SIGNS_OF_LISTS = [
    ",",
    "+",
    "|",
    ";",
    ":",
    "*",
    "=",
    "#",
    "~",
    "&",
    "^",
    "\\",
    ", ",
    " | ",
    "||",
    '","',
    "', '",
    "\uff0c",
]


@pytest.mark.parametrize("between", SIGNS_OF_LISTS)
@pytest.mark.parametrize(
    ("prefix", "sizes"),
    [("411111111111111", (4, 4, 4, 4)), ("34000000000000", (4, 6, 5)), ("3056930902590", (4, 6, 4)),
     ("600000000000000000", (4, 4, 4, 4, 3))],
)  # fmt: skip
def test_numbers_between_the_signs_of_lists_are_masked(prefix: str, sizes: tuple[int, ...], between: str) -> None:
    number = with_check(prefix)
    shown = grouped(number, sizes, between)
    # what follows = or ^ is track data
    beside = (
        []
        if between in {"=", "^"}
        else [f"7{between}{shown}{between}12{between}123", f"{shown}{between}1229{between}123"]
    )
    for text in (shown, f"paid 3 times with {shown}, thanks", *beside):
        assert mask_text(text) == text.replace(shown, f"****{number[-4:]}")
        assert pc.match_substring_regex(pa.array([text]), SUSPECT)[0].as_py()


@pytest.mark.parametrize(
    "escape",
    ["%20", "%2520", "%252520", "%2D", "%2C", "%2B", "%C2%A0", "%E2%80%93", "%09", "%0A", "&nbsp;", "&#32;", "&#xA0;",
     "\\u00a0", "\\u0020", "\\n", "\\\\t"],
)  # fmt: skip
def test_escapes_do_not_hide_a_number(escape: str) -> None:
    for shown in (escape.join(["4111", "1111", "1111", "1111"]), f"3400{escape}000000{escape}00009"):
        for text in (shown, f"card={shown}&exp=1229", f"n%C3%A3o%20{shown}%20x"):
            assert mask_text(text) == text.replace(shown, f"****{shown[-4:]}")
            assert pc.match_substring_regex(pa.array([text]), SUSPECT)[0].as_py()
    assert mask_text("".join(f"%3{digit}" for digit in VISA)) == "****1111"


@pytest.mark.parametrize(
    "text",
    [
        "4111,1111,1111,1112", "4111,1111;1111,1111", "41111111,11111111", "4111,111111111111", "411111,1111111111",
        "4222,222,222,222", "1234,5678", "1.234,56", "4,111,111,111,111,111",
        # pieces of longer lists, and an address in a network
        "5411,4111,1111,1111,1111", "4111,1111,1111,1111,5411", "4111, 1111, 1111, 1111, 5411",
        "5411|4111|1111|1111|1111|5812", "2400:0000:0000:0002:a00b:0000:0000:0001", "2400:0000:0000:0002::200e",
        "2400:0000:0000:0002::1",
    ],
)  # fmt: skip
def test_lists_of_other_numbers_stay(text: str) -> None:
    assert mask_text(text) == text


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9999).map("{:04}".format), min_size=6, max_size=30),
    st.sampled_from([",", ", ", ";", "|", "+"]),
)
def test_long_lists_of_numbers_of_four_digits_stay(numbers: list[str], between: str) -> None:
    # the fifth number may look like the end of the card before it
    assume(not re.fullmatch(r"(?:0[1-9]|1[0-2])[2-4]\d|[2-4]\d(?:0[1-9]|1[0-2])|20[2-4]\d", numbers[4]))
    assert mask_text(between.join(numbers)) == between.join(numbers)


@pytest.mark.parametrize(
    "piece",
    ["4111,", "4111%20", "1,", "%25", "%2525", "&#32;", "\\", "\\\\n1", "4111\u200b%20", "4111||||", ", 1234", "=1="],
)
def test_hostile_text_takes_no_longer_for_each_sign(piece: str) -> None:
    def seconds(signs: int) -> float:
        text = piece * (signs // len(piece))
        start = time.process_time()
        mask_text(text)
        return time.process_time() - start

    assert seconds(200_000) < 20 * seconds(20_000) + 0.5


@pytest.mark.parametrize(
    "sign", ["\u200b", "\u200d", "\u2060", "\ufeff", "\xad", "\u2069", "\ufe0f", "\u034f", "\u3164"]
)
def test_invisible_signs_do_not_hide_a_number(sign: str) -> None:
    for text in (sign.join(VISA), f"41{sign}11 1111 1111 1111", f"{VISA[:5]}{sign}{VISA[5:]}", f"{sign}{VISA}"):
        assert mask_text(f"card {text}.").endswith("****1111.")
        assert pc.match_substring_regex(pa.array([text]), SUSPECT)[0].as_py()
    assert mask_text(f"{VISA}{sign}1229") == f"****1111{sign}1229"
    assert mask_text(f"n\xe3o{sign}12 {sign}") == f"n\xe3o{sign}12 {sign}"


@pytest.mark.parametrize(
    "text", ["4.111111111111111E15", "4.111111111111111e+15", "[4.111111111111111E15]", "a 4.111111111111111E15 b"]
)
def test_numbers_with_an_exponent_are_masked(text: str) -> None:
    assert pc.match_substring_regex(pa.array([text]), SUSPECT)[0].as_py()
    assert "****1111" in mask_text(text)
    assert "4.1" not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "4.111111111111112E15", "4.1E15", "1.7E12", "24.111111111111111E15", "4.111111111111111E150",
        "4111111111111112", f"{VISA}0000", "0.4111111111111111", "651.4111111111111111", "1000000000000008",
        "12345678-1234-1234-1234-123456789012", "2026-03-01T12:04:00.417790545Z", "TN::79227164117::2026-03-01",
        "E18236120202001199999s0123456789012", "709841762429", "74537604221431003881865",
    ],
)  # fmt: skip
def test_other_digits_stay(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize("value", [True, None, VISA, Decimal("4111111111111111.5"), Decimal("1E+999999999"), 1.5, 0])
def test_other_values_are_no_card_numbers(value: Any) -> None:
    assert mask_number(value) is None


def test_ids_times_and_amounts_are_kept() -> None:
    """No id of the kinds that Pismo's events have is taken for a card number."""
    r = random.Random(7)
    digits = lambda count: "".join(r.choices("0123456789", k=count))  # noqa: E731
    for _ in range(3000):
        for text in (
            str(uuid.UUID(int=r.getrandbits(128), version=4)), uuid.UUID(int=r.getrandbits(128)).hex,
            hashlib.sha256(r.randbytes(8)).hexdigest(), str(r.randrange(10**11)), digits(12), f"7{digits(22)}",
            str(r.randrange(15 * 10**11, 19 * 10**11)), str(r.randrange(15 * 10**17, 19 * 10**17)),
            f"2026-03-01T12:04:00.{digits(9)}Z", f"202603011204{digits(2)}", f"{r.randrange(10**11)}.{digits(6)}",
            f"E{digits(8)}202603011204{digits(11)}", f"{digits(3)}.{digits(3)}.{digits(3)}-{digits(2)}",
            f"55119{digits(8)}", repr(r.random() * 1000), digits(44),
        ):  # fmt: skip
            assert mask_text(text) == text
            assert not text.isdecimal() or mask_number(int(text)) is None


@settings(deadline=None)
@given(st.text(alphabet="0123456789 -.=^?/abX\u00a0\u2013", max_size=60), st.sampled_from(NUMBERS), st.data())
def test_a_number_never_comes_through(noise: str, number: str, data: st.DataObject) -> None:
    """Whichever signs are around it, a number that no digit touches does not stay, unless a digest holds it."""
    number = with_check(number[:-1])
    at = data.draw(st.integers(0, len(noise)))
    before, after = noise[:at].rstrip("0123456789"), noise[at:].lstrip("0123456789")
    text = before.removesuffix("0.") + number + after
    # a word of 24, or of 32 to 128 hexadecimal digits with three letters is a digest
    assume(re.search(r"(?<![0-9A-Za-z])(?=(?:[0-9]*[ab]){3})(?:[0-9ab]{24}|[0-9ab]{32,})(?![0-9A-Za-z])", text) is None)
    if mask_text(text) == text:
        # a decimal number as a whole is an amount
        assert Decimal(text) % 1
    else:
        assert number not in mask_text(text)
        assert pc.match_substring_regex(pa.array([text]), SUSPECT)[0].as_py()


@settings(deadline=None)
@given(st.text(max_size=80))
def test_text_without_enough_digits_stays(text: str) -> None:
    if sum(sign.isdecimal() for sign in text) < 13:
        assert mask_text(text) == text


def test_is_card_number_asks_for_network_length_and_check() -> None:
    assert is_card_number(VISA)
    assert not is_card_number("1111111111111117")
    assert not is_card_number("411111111111116")
