"""Load YAML with the line of each key, so that errors can name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pismo_lake.settings.validate import LINES

if TYPE_CHECKING:
    _Safe = yaml.SafeLoader
else:
    # libyaml reads a file of many deliveries ten times faster
    _Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MERGE = "tag:yaml.org,2002:merge"


class _LineLoader(_Safe):
    """Keep the line of each key of a mapping; refuse a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001
        lines: dict[Any, int] = {}
        # before merged keys (<<: *defaults) are added: these may be repeated
        for key, _ in node.value:
            if key.tag != _MERGE and key.value in lines:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        mapping = super().construct_mapping(node, deep=deep)
        merged = {key.value: key.start_mark.line + 1 for key, _ in node.value}
        mapping[LINES] = {key: line for key, line in (merged | lines).items() if key in mapping}
        return mapping


def load_with_lines(text: str) -> Any:
    """Parse YAML; each mapping has the lines of its keys under `LINES`.

    Raises:
        yaml.YAMLError: the text is not YAML, or a key is given twice.
    """
    return yaml.load(text, Loader=_LineLoader)  # noqa: S506 - a SafeLoader
