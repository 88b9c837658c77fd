"""The demo is never silent for long."""

from __future__ import annotations

from queue import SimpleQueue

from pismo_demo.progress import Progress


def test_silence_is_broken_with_the_work_under_way() -> None:
    said: SimpleQueue[str] = SimpleQueue()
    with Progress(said.put, silence=0.01) as progress:
        progress.work("publishing")
        assert said.get().endswith("s  … publishing")
        progress.work("comparing")
        assert any(said.get().endswith("s  … comparing") for _ in range(1000))


def test_a_line_breaks_the_silence_too() -> None:
    said: list[str] = []
    with Progress(said.append, silence=3600) as progress:
        progress.work("publishing")
        progress.say("1/6")
        progress.step("land_event_files running")
    assert said == ["1/6", "     0 s  land_event_files running"]
