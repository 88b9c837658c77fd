"""Print help in sections, and answer an unknown command with the commands there are."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from pismo_lake.cli.added import load_added_commands
from pismo_lake.spelling import rank_names


class PlainCommand(TyperCommand):
    """A command whose help lists arguments, its own options, and the options about the lake."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name: options, and the arguments by their names."""
        return ["[OPTIONS]", *(_usage(param) for param in self.get_params(ctx) if _is_argument(param))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        write_sections(self, ctx, formatter)


class PlainGroup(TyperGroup):
    """A group of commands whose help has sections, as `PlainCommand` has."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before a command; without any word print the help."""
        if not args and not ctx.resilient_parsing:
            sys.stderr.write(f"{ctx.get_help()}\n")
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command by its name, or name the ones there are, the closest first."""
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            known = [name for name, command in self.commands.items() if not command.hidden]
            added = load_added_commands() if ctx.parent is None else []
            if name in added:
                ctx.fail(f"{name} takes its own options: give {name} first")
            known += added
            ctx.fail(f"there is no command {name!r}: the commands are {', '.join(rank_names(name, known))}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, each with its first sentence, then the sections."""
        commands = [(name, command) for name, command in self.commands.items() if not command.hidden]
        rows = [(name, (command.help or "").partition("\n")[0]) for name, command in commands]
        if ctx.parent is None:
            rows += [(name, f"Installed by another package; see {name} --help.") for name in load_added_commands()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        write_sections(self, ctx, formatter)


def write_sections(command: Any, ctx: Any, formatter: Any) -> None:
    """Write arguments and options, each under its heading."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if _is_argument(param):
            sections["Arguments"].append((param.metavar or param.name.upper(), param.help or ""))
        elif (record := param.get_help_record(ctx)) is not None:
            sections.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(record)
    for heading, records in sections.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _usage(param: Any) -> str:
    name = (param.metavar or param.name.upper()) + ("..." if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"
