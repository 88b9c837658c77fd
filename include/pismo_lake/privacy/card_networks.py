"""Tell whether digits are a card number: by first digits, length and Luhn check."""

from __future__ import annotations

import unicodedata

SHORTEST, LONGEST = 13, 19
"""The lengths of card numbers."""

LEAST_NUMBER = 10 ** (SHORTEST - 1)
"""The smallest number with as many digits as a card number."""

_16_TO_19 = frozenset(range(16, 20))
# RRN and NSU have 12 digits, so Maestro numbers of 12 digits are not searched
_MAESTRO = frozenset(range(13, 20))
# Sources: ISO/IEC 7812-1, the networks' BIN rules, the table "Payment card number" of Wikipedia (July 2024).
# First and last prefix, lengths. Entries may overlap.
_NETWORKS = (
    ("1800", "1800", {15}),  # JCB, old
    ("2131", "2131", {15}),  # JCB, old
    ("2200", "2205", _16_TO_19),  # Mir, Borica
    ("2221", "2720", {16}),  # Mastercard
    ("2869", "2869", {16}),  # Carnet
    ("300", "305", {14, 16, 17, 18, 19}),  # Diners Club
    ("3095", "3095", {14, 16, 17, 18, 19}),  # Diners Club
    ("34", "34", {15}),  # American Express
    ("3528", "3589", _16_TO_19),  # JCB
    ("36", "36", {14, 16, 17, 18, 19}),  # Diners Club
    ("37", "37", {15}),  # American Express
    ("38", "39", {13, 14, 16, 17, 18, 19}),  # Diners Club; Hipercard (3841)
    ("4", "4", {13, 16, 19}),  # Visa, Elo
    ("5018", "5018", _MAESTRO),
    ("5020", "5020", _MAESTRO),
    ("5038", "5038", _MAESTRO),
    ("50", "50", _16_TO_19),  # Maestro, Elo, Aura, Verve, RuPay, Carnet, Dankort
    ("51", "55", {16}),  # Mastercard
    ("5893", "5893", _MAESTRO),
    ("56", "58", _16_TO_19),  # Maestro, Cabal, Naranja
    ("6304", "6304", _MAESTRO),
    ("6759", "6759", _MAESTRO),
    ("6761", "6763", _MAESTRO),
    ("60", "60", _16_TO_19),  # Discover, Hipercard, RuPay, Cabal, Maestro
    ("62", "63", _16_TO_19),  # UnionPay, Elo, Hipercard, InterPayment, Maestro
    ("644", "649", _16_TO_19),  # Discover
    ("65", "65", _16_TO_19),  # Discover, Elo, RuPay, Troy, Verve
    ("67", "67", _16_TO_19),  # Maestro
    ("8100", "8203", _16_TO_19),  # UnionPay, RuPay
    ("8600", "8600", {16}),  # Uzcard
    ("9704", "9704", {16, 19}),  # NAPAS
    ("9792", "9792", {16}),  # Troy
    ("9860", "9860", {16}),  # Humo
)


def is_card_number(digits: str) -> bool:
    """Return whether a network issues such numbers, and the ASCII digits pass the Luhn check."""
    return SHORTEST <= len(digits) <= LONGEST and _is_issued(digits) and _passes_luhn(digits)


def ascii_digits(text: str) -> str:
    """Return the decimal digits of a text, of any script, as ASCII digits."""
    if text.isascii():
        return text if text.isdigit() else "".join(sign for sign in text if sign.isdigit())
    return "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())


def _is_issued(digits: str) -> bool:
    return any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _NETWORKS)


def _passes_luhn(digits: str) -> bool:
    numbers = [ord(digit) - 48 for digit in digits]
    doubled = sum(number * 2 - 9 * (number > 4) for number in numbers[-2::-2])
    return (doubled + sum(numbers[-1::-2])) % 10 == 0
