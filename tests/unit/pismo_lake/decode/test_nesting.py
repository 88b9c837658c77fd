"""Read deep nesting alike on every version of Python, and from every depth of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.lakes import event

from pismo_lake.decode import salvage
from pismo_lake.decode.nesting import DEEPEST, doomed_places, is_too_deep
from pismo_lake.decode.split import MAX_DEPTH, split

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = event("small")
TORN = b'{"event_id":"torn","domain":"a'


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Return an event with so many levels; the event itself is the first."""
    inner = levels - 1
    return event("deep", 0).replace(b'"data":0', b'"data":' + opening * inner + b"0" + closing * inner)


def spans(data: bytes) -> list[tuple[bytes, str | None]]:
    return [(data[span.start : span.end], span.damage) for span in split(data)]


def deeper_by(frames: int, call: Callable[[], object]) -> object:
    """Call from deeper in the stack."""
    return call() if not frames else deeper_by(frames - 1, call)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, DEEPEST - 1, DEEPEST])
def test_an_event_up_to_the_limit_is_damage_of_its_own(levels: int) -> None:
    deep = nested(levels)
    assert spans(deep + TORN + SMALL) == [(deep, "too_deep"), (TORN, "invalid_json"), (SMALL, None)]


@pytest.mark.parametrize("levels", [DEEPEST + 1, 700, 950, 1_100, 1_600, 5_000, 12_000])
def test_a_deeper_event_is_damage_up_to_the_next_good_one(levels: int) -> None:
    deep = nested(levels)
    assert spans(deep + SMALL) == [(deep, "too_deep"), (SMALL, None)]
    assert spans(deep + TORN + SMALL) == [(deep + TORN, "too_deep"), (SMALL, None)]


@pytest.mark.parametrize("levels", [DEEPEST + 1, 950, 1_100, 1_600, 12_000])
@pytest.mark.parametrize("end", [b"", b"!", b'"', b'{"event_id"'])
def test_levels_count_before_the_damage_behind_them(levels: int, end: bytes) -> None:
    deep = b'{"event_id":"e","domain":"d","data":' + b'{"a":' * levels + end
    assert [damage for _, damage in spans(SMALL + deep)] == [None, "too_deep"]


@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1])
def test_the_callers_stack_makes_no_difference(levels: int) -> None:
    data = nested(levels) + TORN + SMALL
    assert deeper_by(300, lambda: spans(data)) == spans(data)


def test_good_events_after_many_deep_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # less than the attempts at each bracket of these would cost
    monkeypatch.setattr(salvage, "_FREE", 4 << 20)
    data = (nested(1_000, b'{"a":', b"}") + SMALL) * 40
    assert [text for text, damage in spans(data) if damage is None] == [SMALL] * 40


def test_strings_hold_no_levels() -> None:
    assert not is_too_deep('["' + "[" * 2 * DEEPEST + '"]')
    assert is_too_deep("[" * (DEEPEST + 1))
    assert not is_too_deep("[" * DEEPEST + "]" * DEEPEST + "{}" * DEEPEST)


def test_doomed_places_are_those_too_far_above_the_deepest_bracket() -> None:
    side = '{"a":[' + "[]," * 5 + "[]],"
    text = side + '"b":' + "[" * (DEEPEST + 1) + "]"
    first = text.index('"b":') + len('"b":')
    assert doomed_places(text) == {0, first}
