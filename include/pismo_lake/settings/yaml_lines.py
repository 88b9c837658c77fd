"""Load YAML with the line of each key, so that errors can name it.

A value that cannot be read, for example ``!!int x`` or a list that holds itself, is an error of the entry that holds
it. Only an error of YAML's own form (quotes, indents) is an error of the whole file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from yaml.constructor import ConstructorError

from pismo_lake.settings.validate import LINES

if TYPE_CHECKING:
    _Safe = yaml.SafeLoader
else:
    # libyaml reads a file of many deliveries ten times faster
    _Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
# PyYAML raises these for a value that does not have the form of its tag
_NO_VALUE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class _Loader(_Safe):
    """Raise one kind of error, with its line, for each value that cannot be read."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001
        try:
            return super().construct_object(node, deep=deep)
        except _NO_VALUE:
            msg = f"this is no value of the type {node.tag.rpartition(':')[2]}"
            raise ConstructorError(None, None, msg, node.start_mark) from None


class _LineLoader(_Loader):
    """Keep the line of each key of a mapping; refuse a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001
        lines = _lines_of(node)
        for key, _ in node.value:
            # a name is a text, also if YAML reads a number or a truth value in it, as in `on: true`
            key.tag = key.tag if key.tag == _MERGE else _TEXT
        mapping = super().construct_mapping(node, deep=deep)
        merged = {key.value: key.start_mark.line + 1 for key, _ in node.value}
        mapping[LINES] = {key: line for key, line in (merged | lines).items() if key in mapping}
        return mapping


def _lines_of(node: yaml.MappingNode) -> dict[str, int]:
    """Return the line of each key of a mapping, without keys that are merged into it (<<: *defaults).

    Raises:
        yaml.YAMLError: a key is given twice, or is a list or a mapping.
    """
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConstructorError(None, None, "a name is expected, not a list or a mapping", key.start_mark)
        if key.tag != _MERGE and key.value in lines:
            raise ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
        lines[key.value] = key.start_mark.line + 1
    return lines


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a mapping: its value, or the `problem` why it cannot be read, with its line."""

    name: str
    line: int
    value: Any = None
    problem: str | None = None


def load_entries(text: str, section: str) -> list[Entry] | None:
    """Parse YAML, and return the entries of its `section`; None if the section is no mapping.

    Each mapping in an entry has the lines of its keys under `LINES`.

    Raises:
        yaml.YAMLError: the text is not YAML, or an entry is given twice.
    """
    loader = _LineLoader(text)
    try:
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode) or section not in _lines_of(root):
            return None
        entries = next(value for key, value in root.value if key.value == section)
        if not isinstance(entries, yaml.MappingNode):
            return None
        _lines_of(entries)
        loader.flatten_mapping(entries)
        # of an entry that is merged and given, the given one is the last
        return list({key.value: _entry(loader, key, value) for key, value in entries.value}.values())
    finally:
        loader.dispose()


def _entry(loader: _LineLoader, key: yaml.ScalarNode, value: yaml.Node) -> Entry:
    line = key.start_mark.line + 1
    try:
        return Entry(key.value, line, loader.construct_object(value, deep=True))
    except ConstructorError as error:
        loader.recursive_objects.clear()
        mark = error.problem_mark or key.start_mark
        return Entry(key.value, mark.line + 1, problem=error.problem)


def load_plain(text: str) -> Any:
    """Parse YAML without lines.

    Raises:
        yaml.YAMLError: the text is not YAML, or a value cannot be read.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else loader.construct_object(node, deep=True)
    finally:
        loader.dispose()
