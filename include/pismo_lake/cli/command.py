"""Declare a command: one function, with the options that every command has."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from pismo_lake.cli.options import LAKE_OPTIONS, OUTPUT_OPTIONS, LakeOptions
from pismo_lake.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pismo_lake.ledger import Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

    type_of_command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class OpenLake:
    """The lake that a command works on.

    `json` asks for exactly one JSON document on stdout.
    """

    settings: LakeSettings
    ledger: Ledger
    options: LakeOptions
    json: bool = False
    verbose: bool = False

    def progress(self) -> AbstractContextManager[Progress]:
        """Show how far a step is, until the block ends; print results after it."""
        return show_progress(verbose=self.verbose)


@dataclass(frozen=True, slots=True)
class NamedLake:
    """The options of a command that opens no lake; `json` as in `OpenLake`."""

    options: LakeOptions
    json: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its arguments, ready to run."""

    run: Callable[[], int]
    verbose: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A declared command: its words (`ledger rebuild`), and the function of typer's values."""

    words: tuple[str, ...]
    function: Callable[..., Call]


COMMANDS: list[Command] = []
"""Every declared command, in the order in which the help lists them."""


def command(
    words: str,
    *,
    json: bool = False,
    new: bool = False,
    checked: bool = True,
    options: Sequence[str] = (*LAKE_OPTIONS,),
) -> Callable[[type_of_command], type_of_command]:
    """Declare the function as a command; its first sentence and its parameters are the help.

    A function whose first parameter is an `OpenLake` gets the lake that the options name; one whose first parameter
    is a `NamedLake` gets the options only. Import slow modules inside the function.

    Args:
        words: The words that call it.
        json: It can print one JSON document instead of text.
        new: Create a ledger that does not exist (see `open_lake`).
        checked: Refuse a ledger that is not the lake's present one.
        options: The names of the options about the lake that the command has.
    """

    def declare(function: type_of_command) -> type_of_command:
        own = list(inspect.signature(function, eval_str=True).parameters.values())
        lake = own.pop(0).annotation if own and own[0].annotation in {OpenLake, NamedLake} else None
        names = [parameter.name for parameter in own]

        def parsed(**values: Any) -> Call:
            context: typer.Context = values["context"]
            if _of_any(context, "json") and not json:
                msg = f"{words} cannot print JSON"
                raise typer.BadParameter(msg, ctx=context, param_hint="--json")
            arguments = {name: values[name] for name in names}
            verbose = bool(_of_any(context, "verbose"))
            if lake is None:
                return Call(partial(function, **arguments), verbose)
            given = LakeOptions(**{name: _of_any(context, name) for name in LAKE_OPTIONS})
            as_json = bool(_of_any(context, "json"))
            if lake is NamedLake:
                return Call(partial(function, NamedLake(given, as_json), **arguments), verbose)

            def run() -> int:
                from pismo_lake.cli.lake import open_lake

                with open_lake(given, new=new, checked=checked) as (settings, ledger):
                    return function(OpenLake(settings, ledger, given, as_json, verbose), **arguments)

            return Call(run, verbose)

        shared = {name: OUTPUT_OPTIONS[name] for name in ("verbose", *(["json"] if json else []))}
        _give_signature(parsed, own, shared | ({name: LAKE_OPTIONS[name] for name in options} if lake else {}))
        parsed.__doc__ = function.__doc__
        COMMANDS.append(Command(tuple(words.split()), parsed))
        return function

    return declare


def before_command(help_text: str, options: dict[str, Any]) -> Callable[..., None]:
    """Return the callback of a group of commands, which takes the shared options.

    So these options may precede a command.

    Args:
        help_text: The help of the group.
        options: Options that only this group has.
    """

    def shared_options(**_: Any) -> None:
        pass

    _give_signature(shared_options, [], options | OUTPUT_OPTIONS | LAKE_OPTIONS)
    shared_options.__doc__ = help_text
    return shared_options


def _give_signature(function: Any, own: list[inspect.Parameter], shared: dict[str, Any]) -> None:
    """Give a function the parameters that typer makes options and arguments of."""
    key = inspect.Parameter.KEYWORD_ONLY
    flags = {"verbose", "json", "version"}
    options = [
        inspect.Parameter(name, key, default=False if name in flags else None, annotation=annotation)
        for name, annotation in shared.items()
    ]
    context = inspect.Parameter("context", key, annotation=typer.Context)
    function.__signature__ = inspect.Signature([context, *(item.replace(kind=key) for item in own), *options])
    function.__annotations__ = {}


def _of_any(context: Any, name: str) -> Any:
    """Return an option of the command, or one that precedes it: the nearest to the command wins."""
    while context is not None:
        value = context.params.get(name)
        if value:
            return value
        context = context.parent
    return None
