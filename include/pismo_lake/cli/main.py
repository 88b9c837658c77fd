"""Run a command: parse the call, print errors as one line, and return the exit code."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pismo_lake.cli.codes import INTERRUPTED, PIPE_CLOSED
from pismo_lake.errors import PismoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.cli.command import Call

# errors of the environment; those of a library can only come if it is loaded
_EXPECTED = (PismoError, OSError, ValueError, ImportError)
_OF_LIBRARIES = {
    "sqlalchemy.exc": ("SQLAlchemyError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "pyarrow": ("ArrowException",),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Raises:
        SystemExit: the call asks for help, or is wrong.
    """
    call = _parse(sys.argv[1:] if argv is None else list(argv))
    logging.basicConfig(
        level=logging.INFO if call.verbose else logging.WARNING, format="%(levelname)s %(message)s",
        handlers=[_StderrHandler()],
    )  # fmt: skip
    try:
        code = call.run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Interrupted: finished work is kept, the same call does the rest.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of the output has ended, for example `| head`
        _close_stdout()
        return PIPE_CLOSED
    except Exception as error:
        if not isinstance(error, _expected_errors()):
            raise
        print(f"{type(error).__name__}: {_one_line(error)}", file=sys.stderr)
        return 1
    return code


def program_name(argv: Sequence[str]) -> str:
    """Return the name that help and messages call the program by."""
    from pismo_lake.cli.app import PROGRAM

    # a shell completes a command, not a module
    completion = any("completion" in word for word in argv)
    script = os.path.basename(sys.argv[0]) == PROGRAM  # noqa: PTH119 - a path object has no advantage here
    return PROGRAM if script or completion else "python -m pismo_lake"


def _parse(argv: Sequence[str]) -> Call:
    from pismo_lake.cli.app import build_app

    name = program_name(argv)
    try:
        parsed = build_app().main(argv, prog_name=name, complete_var="_PISMO_LAKE_COMPLETE", standalone_mode=False)
    except Exception as error:
        # the base class of typer's errors has another name in each version
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        print(f"{context.command_path if context else name}: {_one_line(error.format_message())}", file=sys.stderr)
        raise SystemExit(getattr(error, "exit_code", 2)) from None
    except SystemExit as ended:
        # typer has noticed that the reader of the help has ended
        raise SystemExit(PIPE_CLOSED if isinstance(ended.__context__, BrokenPipeError) else ended.code) from None
    if isinstance(parsed, int):
        # help, or the completion of a shell
        raise SystemExit(parsed)
    result: Call = parsed
    return result


def _expected_errors() -> tuple[type[BaseException], ...]:
    loaded = ((sys.modules[name], kinds) for name, kinds in _OF_LIBRARIES.items() if name in sys.modules)
    return (*_EXPECTED, *(getattr(module, kind) for module, kinds in loaded for kind in kinds))


def _one_line(error: Exception | str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if type(error).__module__.startswith("sqlalchemy."):
        # after the first line, a database's error shows the statement and its values
        del lines[1:]
    return " ".join(lines)


def _close_stdout() -> None:
    """Discard the last output of the interpreter."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to the present `sys.stderr`, because a progress bar replaces it for a while."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr
