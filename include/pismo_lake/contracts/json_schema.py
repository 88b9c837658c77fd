"""Read contracts from JSON Schema (draft-07) files, as ``<domain>/<event>-<version>.json``.

Source: Pismo's page "Access Pismo event schemas on GitHub"; its folder `published-event-schemas` can be used
unchanged. A schema defines columns and their kinds. Its other rules are not enforced; the command `contracts check`
reports events that break them.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import orjson

from pismo_lake import storage
from pismo_lake.contracts.schema_nodes import node_of
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.errors import ConfigError, StorageRefused
from pismo_lake.paths import PULLED, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pismo_lake.settings.contracts import ContractRules

SHIPPED = Path(__file__).parent / "shipped"
"""Contracts of the events that Pismo's public pages show whole."""

# schemas refer to each other by these URIs, wherever their folder is
_URI = "file:///"
_LONGEST = 300
_SHOWN = 100


class SchemaFolder:
    """The schemas below a folder, by their domain and event.

    A schema's name is its path below the folder: ``<domain>/<event>-<version>.json``. After a schema was read as a
    payload, `references` has the other files that it needs.
    """

    def __init__(self, folder: Path | str, names: Iterable[str], read: Callable[[str], bytes]) -> None:
        """Take the names of the files below a folder, and a function that reads one by its name."""
        self.root = root_of(str(folder))
        self._found, self._read = names, read
        self._payloads: dict[str, Node] = {}
        self.references: dict[str, set[str]] = {}
        self._needed: set[str] = set()

    @classmethod
    def open(cls, folder: Path | str) -> SchemaFolder:
        """Open a folder of this machine or of an object store.

        Raises:
            ConfigError: it is a folder of this machine, and does not exist.
        """
        root = root_of(str(folder))
        if _is_missing(root):
            msg = f"contracts folder {folder} does not exist"
            raise ConfigError(msg)
        return cls(root, _list_names(root), lambda name: storage.read_bytes(storage.join(root, name)))

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        """The names of schemas by domain and event with version, folded: Pismo mixes ``-`` and ``_``."""
        split = ((*name.removesuffix(".json").split("/"), name) for name in sorted(self._found) if is_schema(name))
        return {fold_event(domain, event): name for domain, event, name in split}

    def find(self, domain: str, event: str) -> str | None:
        """Return the name of an event type's schema; None if there is none."""
        return self.names.get(fold_event(domain, event))

    def place(self, name: str) -> str:
        """Return the path or URI of a file, for people."""
        return f"{self.root}/{name}"

    def document(self, name: str) -> Any:
        """Return the content of a schema.

        Raises:
            ConfigError: there is no such file, or it is not JSON.
        """
        try:
            return orjson.loads(self._read(name))
        except (OSError, ValueError, StorageRefused) as error:
            msg = f"contract {self.place(name)}: {error}"
            raise ConfigError(msg) from error

    def payload(self, name: str) -> Node:
        """Return a schema's payload; the schema may describe only the payload, or the whole event.

        The node is shared.

        Raises:
            ConfigError: the file is not JSON, or no schema, or refers to a missing file.
        """
        if name not in self._payloads:
            self._payloads[name] = self._payload(name)
        return self._payloads[name]

    def _payload(self, name: str) -> Node:
        from pismo_lake.contracts.references import ERRORS, reason_of_schema, resolver_of

        document = self.document(name)
        self.references[name] = self._needed = set()
        try:
            node = node_of(document, resolver_of(document, uri_of(name), self.retrieve))
        except ERRORS as error:
            msg = f"contract {self.place(name)}: {reason_of_schema(error)}"
            raise ConfigError(msg) from error
        if "data" in node.fields and node.fields.keys() & {"event_id", "domain", "event_type", "org_id"}:
            about, node = node.about, node.fields["data"]
            node.about = node.about or about
        # a payload without properties is still an object
        return node if node.kind is Kind.OBJECT else Node(Kind.OBJECT, about=node.about)

    def retrieve(self, uri: str) -> Any:
        """Return the content of a file that a ``$ref`` names, only from inside the folder, never from a network."""
        name = unquote(uri.removeprefix(_URI))
        is_name = uri.startswith(_URI) and 0 < len(name) <= _LONGEST and name.isprintable()
        if not is_name or storage.leaves(name) or _leads_out(self.root, name):
            msg = f"$ref to {uri[:_SHOWN]}, which is not in {self.root}"
            raise ConfigError(msg)
        # also a file that is missing: a schema that waits for it has the reference
        self._needed.add(name)
        return self.document(name)


def uri_of(name: str) -> str:
    """Return the URI by which other schemas of a folder refer to one; it does not depend on the folder."""
    return f"{_URI}{quote(name)}"


def is_schema(name: str) -> bool:
    """Return whether a file has the name of a schema of an event type; other files may be referred to."""
    return name.endswith(".json") and name.count("/") == 1


def fold_event(domain: str, event: str) -> tuple[str, str]:
    """Return an event type for comparison: Pismo mixes ``-`` and ``_``, and cases."""
    return domain.casefold().replace("_", "-"), event.casefold().replace("_", "-")


def _is_missing(root: str) -> bool:
    return storage.is_local(root) and not storage.local_path(root).is_dir()


def _list_names(root: str) -> list[str]:
    """Return the names of the schemas below a folder, without the records of pulls."""
    if storage.is_local(root):
        names = [path.relative_to(root).as_posix() for path in Path(root).glob("*/*.json") if path.is_file()]
    else:
        names = [uri.removeprefix(f"{root}/") for uri in storage.list_files(root)]
    return [name for name in names if is_schema(name) and not name.startswith(f"{PULLED}/")]


def _leads_out(root: str, name: str) -> bool:
    """Return whether a file of a folder of this machine is a link to a place outside it."""
    return storage.is_local(root) and not Path(root, name).resolve().is_relative_to(Path(root).resolve())


@lru_cache(maxsize=64)
def schema_folder(folder: Path | str) -> SchemaFolder:
    """Return the schemas of a folder; a process reads them once, see `forget_schemas`."""
    return SchemaFolder.open(folder)


def forget_schemas() -> None:
    """Let this process read the schemas of all folders again, because they have changed."""
    schema_folder.cache_clear()


def schema_folders(rules: ContractRules) -> list[SchemaFolder]:
    """Return the folders that rules name, in order; before the first pull, its folder may be missing."""
    own = [rules.folder] if rules.folder and not (rules.pull and _is_missing(rules.folder)) else []
    return [schema_folder(folder) for folder in [*own, *([SHIPPED] if rules.shipped else [])]]


def find_schema(folders: Iterable[SchemaFolder], domain: str, event: str) -> tuple[SchemaFolder, str] | None:
    """Return the first folder with a schema of an event type, and its name; None without any."""
    found = ((folder, folder.find(domain, event)) for folder in folders)
    return next(((folder, name) for folder, name in found if name is not None), None)
