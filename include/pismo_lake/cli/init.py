"""Define the command `init`: write a project for an Airflow that has the wheel."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from pismo_lake.cli.command import command
from pismo_lake.errors import ConfigError
from pismo_lake.paths import root_of

_STARTER = {
    "pismo_dags.txt": "dags/pismo_dags.py",
    "deliveries.yaml": "config/deliveries.yaml",
    "env.example": ".env.example",
}
"""The templates in `starter/`, and the file that each one becomes."""

_DOCTOR = "pismo-lake doctor pismo_sandbox"
_SCHEMA = "config/deliveries.schema.json"


@command("init")
def init(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A new folder, or one that has none of the files.")],
) -> int:
    """Write a project: a DAG file, a deliveries file, an example of .env."""
    root = Path(root_of(folder))
    for path in write_project(root):
        print(path)
    print(f"to try it with a simulated Pismo (extra sandbox), call: python -m pismo_sandbox try {shlex.quote(folder)}")
    print(
        f"for Pismo itself: fill in {root / '.env.example'}, save it as {root / '.env'}, load it, and call: {_DOCTOR}"
    )
    return 0


def write_project(root: Path) -> list[Path]:
    """Write the files of a project below a folder and return their paths.

    Raises:
        ConfigError: One of them is there already. Nothing is written then.
    """
    from pismo_lake.settings.schema import deliveries_schema

    starter = files("pismo_lake.cli") / "starter"
    texts = {root / path: (starter / name).read_text(encoding="utf-8") for name, path in _STARTER.items()}
    texts[root / _SCHEMA] = json.dumps(deliveries_schema(), indent=2) + "\n"
    taken = [str(path) for path in texts if path.exists()]
    if taken:
        msg = f"nothing is written, because there is already: {', '.join(taken)}"
        raise ConfigError(msg)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@root@", str(root)), encoding="utf-8")
    return list(texts)
