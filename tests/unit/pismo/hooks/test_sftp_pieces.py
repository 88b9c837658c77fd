"""For any lengths and order of answers, the bytes are right, and none is requested twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pismo.hooks.sftp_pieces import Pieces


@given(st.data(), st.binary(max_size=200), st.integers(1, 40), st.integers(1, 9))
def test_answers_of_any_length_in_any_order(data: Any, file: bytes, block: int, reads: int) -> None:
    exact = data.draw(st.booleans(), "exact")
    hint = len(file) if exact else data.draw(st.integers(0, 300), "hint")
    reached = data.draw(st.integers(0, len(file)), "reached")
    pieces = Pieces(bytearray(file[:reached]), hint=hint, exact=exact, block=block)
    under_way: list[tuple[int, int]] = []
    served = bytearray(len(file))
    while True:
        while len(under_way) < reads and (piece := pieces.take()) is not None:
            under_way.append(piece)
        if not under_way:
            break
        offset, length = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        assert length >= 1
        there = file[offset : offset + length]
        answer = there[: data.draw(st.integers(1, len(there)))] if there else b""
        for at in range(offset, offset + len(answer)):
            served[at] += 1
        pieces.take_answer(offset, length, answer)
    assert pieces.whole
    assert bytes(pieces.data) == file
    assert set(served[reached:]) <= {1}
    assert not any(served[:reached])


@given(st.integers(1, 50), st.integers(0, 100))
def test_an_exact_end_is_checked_by_one_byte(block: int, size: int) -> None:
    pieces, asked = Pieces(bytearray(), hint=size, exact=True, block=block), []
    while (piece := pieces.take()) is not None:
        asked.append(piece)
    assert sum(length for _, length in asked) == size + 1
    assert asked[-1] == (size, 1)


def test_bytes_behind_an_end_are_a_contradiction() -> None:
    pieces = Pieces(bytearray(), hint=30, exact=False, block=10)
    first, second, third = pieces.take(), pieces.take(), pieces.take()
    assert (first, second, third) == ((0, 10), (10, 10), (20, 10))
    pieces.take_answer(20, 10, b"c" * 10)
    pieces.take_answer(10, 10, b"")
    pieces.take_answer(0, 10, b"a" * 10)
    assert pieces.end == 10
    assert not pieces.whole


def test_an_end_that_is_taken_back_asks_for_all_behind_it() -> None:
    pieces = Pieces(bytearray(), hint=30, exact=False, block=10)
    for _ in range(3):
        pieces.take()
    pieces.take_answer(0, 10, b"a" * 10)
    pieces.take_answer(20, 10, b"c" * 10)
    pieces.end_at(10)
    pieces.go_on(b"bb")
    assert pieces.take() == (12, 10)
    assert bytes(pieces.data) == b"a" * 10 + b"bb"
