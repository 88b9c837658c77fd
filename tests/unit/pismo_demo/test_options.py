"""`make demo NAME=value` sets options."""

from __future__ import annotations

import pytest

from pismo_demo.errors import DemoError
from pismo_demo.options import Options


def test_nothing_set_gives_the_defaults() -> None:
    assert Options.from_environment({}) == Options()


def test_everything_set() -> None:
    options = Options.from_environment({"HOURS": "5", "MB": "12.5", "SEED": "0", "KEEP": "1"})
    assert (options.hours, options.megabytes, options.seed, options.keep) == (5, 12.5, 0, True)


@pytest.mark.parametrize("text", ["", "0", "no", "False"])
def test_keep_can_be_said_off(text: str) -> None:
    assert not Options.from_environment({"KEEP": text}).keep


@pytest.mark.parametrize(
    ("name", "text"), [("HOURS", "x"), ("HOURS", "1.5"), ("HOURS", "0"), ("MB", "-1"), ("MB", "nan"), ("SEED", "1e3")]
)
def test_a_wrong_value_is_named(name: str, text: str) -> None:
    with pytest.raises(DemoError, match=f"{name}={text}"):
        Options.from_environment({name: text})


def test_tables_are_iceberg_or_none() -> None:
    assert Options.from_environment({"TABLES": "iceberg"}).tables
    assert not Options.from_environment({"TABLES": ""}).tables
    with pytest.raises(DemoError, match="TABLES=delta"):
        Options.from_environment({"TABLES": "delta"})
