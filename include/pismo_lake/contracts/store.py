"""Keep contracts in the ledger, one for each lake and event type, and as JSON in the lake.

Several runs may learn at once. A contract is saved only over the version that was read. Otherwise the run reads the
newer version and learns from its file again. So a saved kind never changes. A widening reopens, in the same
transaction, every part with the event type, and a build that began before it is not recorded.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from pismo_lake import storage
from pismo_lake.contracts.contract import Contract
from pismo_lake.contracts.json_schema import find_schema, schema_folders
from pismo_lake.ledger.builds import reopen_parts
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.tables import contract_changes, contracts
from pismo_lake.paths import CONTRACTS, safe_segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from pismo_lake.contracts.contract import Change
    from pismo_lake.contracts.tree import Node
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import Privacy

    Key = tuple[str, str]

_EARLIER = 20
"""How many earlier versions of a contract are kept in memory."""
_WRITERS = 8


class _NewerContractError(Exception):
    """Another run has saved the contract since it was read."""


class ContractStore:
    """Reads contracts on demand, lets them learn, and saves those that changed."""

    def __init__(self, ledger: Ledger, settings: LakeSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self.schemas = schema_folders(settings.contracts)
        self._loaded: dict[Key, tuple[Contract, int]] = {}
        # the saved trees of the last versions that this store has loaded or saved
        self._trees: dict[Key, dict[int, dict[str, Any]]] = defaultdict(dict)

    def get(self, domain: str, event_type: str) -> Contract:
        """Return the contract of an event type (name with version); a new type has an empty one."""
        # with the keys of the lake's partitions, which allow names of any length and content
        return self._of((safe_segment(domain), safe_segment(event_type)))

    def names(self) -> list[tuple[str, str]]:
        """Return (domain, event type with version) of each contract as path segments, in order."""
        query = select(contracts.c.domain, contracts.c.event_type).where(contracts.c.lake == self._settings.lake)
        with self._ledger.engine.connect() as connection:
            return sorted((domain, event_type) for domain, event_type in connection.execute(query))

    def of(self, domain: str, event_type: str) -> Contract:
        """Return a contract by its path segments, as `names` returns them."""
        return self._of((domain, event_type))

    @property
    def privacy(self) -> Privacy | None:
        """The privacy policy of the lake; None if it has none."""
        return self._settings.privacy

    def version(self, domain: str, event_type: str) -> int:
        """Return how often a contract was saved, by its path segments; 0 if never."""
        self._of((domain, event_type))
        return self._loaded[domain, event_type][1]

    def extends(self, key: Key, version: int) -> bool:
        """Return whether a contract has all of an earlier version unchanged, as far as this store knows.

        An event that taught the earlier version nothing then has the same index under the present one.
        """
        if self.version(*key) == version:
            return True
        earlier = self._earlier(key, version)
        return earlier is not None and self._of(key).extends(earlier)

    def knows(self, key: Key, version: int, learned: Contract) -> bool:
        """Return whether a contract has all that another one learned from a file since an earlier version.

        The events of the file then teach the present contract nothing, and have the same index. This is not so for a
        new list: an event with an empty list fits only if an event before it had an item.
        """
        earlier = self._earlier(key, version)
        return (
            earlier is not None
            and learned.extends(earlier)
            and self._of(key).extends(learned)
            and not learned.has_new_lists(earlier)
        )

    def refresh(self) -> None:
        """Forget contracts that others have saved since; the next use reads them again."""
        query = select(contracts.c.domain, contracts.c.event_type, contracts.c.version)
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query.where(contracts.c.lake == self._settings.lake))
            now = {(domain, event_type): version for domain, event_type, version in rows}
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if loaded[1] == now.get(key, 0)}

    def forget_learned(self) -> dict[Key, Contract]:
        """Forget contracts that learned and were not saved, and return them."""
        learned = {key: contract for key, (contract, _) in self._loaded.items() if contract.changes}
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if key not in learned}
        return learned

    def adopt(self, learned: Mapping[Key, Contract]) -> None:
        """Take over contracts that another process let learn from the present versions; `save` saves them."""
        for key, contract in learned.items():
            self._loaded[key] = (contract, self.version(*key))

    def _of(self, key: tuple[str, str]) -> Contract:
        if key not in self._loaded:
            self._loaded[key] = self._load(key)
        return self._loaded[key][0]

    def find_widened(self, name: str) -> tuple[str, ...]:
        """Return an event type's widened paths; it is named ``<domain>/<event type>``, as segments."""
        domain, event_type = name.split("/", 1)
        return self._of((domain, event_type)).find_widened()

    def has_widened_since(self, connection: Connection) -> bool:
        """Return whether a contract was widened after it was read here.

        The rows stay locked against a widening until the transaction ends.
        """
        for key, (contract, version) in self._loaded.items():
            query = select(contracts.c.tree, contracts.c.version).where(*self._where(key)).with_for_update(read=True)
            row = connection.execute(query).first()
            if (
                row is not None
                and row.version != version
                and self._parse(key, row.tree).find_widened() != contract.find_widened()
            ):
                return True
        return False

    def save(self, first_file: str) -> bool:
        """Save the changed contracts; return False if another run was first.

        Then all contracts are forgotten, and the caller must learn again.
        """
        changed = sorted(key for key, (contract, _) in self._loaded.items() if contract.changes)
        new = [key for key in changed if not self._loaded[key][1]]
        # each known one alone: it may wait for a build that has locked it, and must then hold no other lock
        known = [[key] for key in changed if self._loaded[key][1]]
        for keys in filter(None, (new, *known)):
            if not self._save({key: self._loaded[key] for key in keys}, first_file):
                self._loaded.clear()
                return False
            for key in keys:
                contract, version = self._loaded[key]
                self._loaded[key] = (contract, version + 1)
                contract.changes.clear()
        return True

    def _load(self, key: tuple[str, str]) -> tuple[Contract, int]:
        query = select(contracts.c.tree, contracts.c.version).where(*self._where(key))
        with self._ledger.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            return self._parse(key, None), 0
        self._note_tree(key, row.version, row.tree)
        return self._parse(key, row.tree), row.version

    def _earlier(self, key: Key, version: int) -> Contract | None:
        """Return an earlier version of a contract; None if this store does not know it."""
        tree = self._trees[key].get(version)
        return None if tree is None else self._parse(key, tree)

    def _note_tree(self, key: Key, version: int, tree: dict[str, Any]) -> None:
        trees = self._trees[key]
        trees[version] = tree
        if len(trees) > _EARLIER:
            del trees[min(trees)]

    def _parse(self, key: tuple[str, str], tree: dict[str, Any] | None) -> Contract:
        """Return a saved contract, with the additions of the present schemas."""
        settings = self._settings
        contract = Contract.from_json(
            tree or {}, free_form=settings.free_form, decimals=settings.decimal_names, rules=settings.contracts,
            event="/".join(key),
        )  # fmt: skip
        declared = self.find_declared(*key)
        if declared is not None:
            contract.declare(declared)
        return contract

    def find_declared(self, domain: str, event_type: str) -> Node | None:
        """Return the schema's node of an event type, by its path segments; None without a schema."""
        found = find_schema(self.schemas, domain, event_type)
        if found is None:
            return None
        folder, name = found
        return folder.payload(name)

    def _where(self, key: tuple[str, str]) -> tuple[ColumnElement[bool], ...]:
        domain, event_type = key
        same = (contracts.c.lake == self._settings.lake, contracts.c.domain == domain)
        return (*same, contracts.c.event_type == event_type)

    def _save(self, changed: Mapping[Key, tuple[Contract, int]], first_file: str) -> bool:
        trees = {key: contract.to_json() for key, (contract, _) in changed.items()}
        try:
            with self._ledger.transaction() as connection, ThreadPoolExecutor(_WRITERS) as writers:
                for key, (contract, version) in changed.items():
                    self._record(connection, key, trees[key], version, contract.changes, first_file)
                # before the commit, so that a killed process never leaves a document that is older than the ledger
                list(writers.map(lambda key: self.write_document(key, changed[key][1] + 1, trees[key]), changed))
        except (IntegrityError, _NewerContractError):
            return False
        for key, tree in trees.items():
            self._note_tree(key, changed[key][1] + 1, tree)
        return True

    def _record(
        self, connection: Connection, key: Key, tree: dict[str, Any], version: int, changes: Sequence[Change],
        first_file: str,
    ) -> None:  # fmt: skip
        place = {"lake": self._settings.lake, "domain": key[0], "event_type": key[1], "version": version + 1}
        if version == 0:
            connection.execute(contracts.insert().values(**place, tree=tree))
        else:
            same = (*self._where(key), contracts.c.version == version)
            values = {"version": version + 1, "tree": tree}
            if not connection.execute(update(contracts).where(*same).values(values)).rowcount:
                raise _NewerContractError
        seen = {"first_file": first_file, "seen_at": now_text()}
        rows = [
            {**place, **seen, "path": c.path, "before": c.before, "after": c.after, "first_offset": c.offset}
            for c in changes
        ]
        connection.execute(contract_changes.insert(), rows)
        if any(change.widens for change in changes):
            # after the contract's own row: a build that is being recorded holds its lock, or waits for it
            reopen_parts(connection, self._settings.lake, "/".join(key))

    def write_document(self, key: tuple[str, str], version: int, tree: dict[str, Any]) -> None:
        """Write the JSON document of a contract, from which a lost ledger gets it back."""
        storage.write_atomic(self.uri_of(key), orjson.dumps({"version": version, **tree}, option=orjson.OPT_INDENT_2))

    def uri_of(self, key: tuple[str, str]) -> str:
        """Return the URI of the JSON document of a contract."""
        return storage.join(self._settings.lake, CONTRACTS, *contract_path(*key))

    def read_saved(self) -> dict[tuple[str, str], tuple[int, dict[str, Any]]]:
        """Return the version and the tree of every contract of the lake, as the ledger has them."""
        table = contracts.c
        query = select(table.domain, table.event_type, table.version, table.tree)
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query.where(table.lake == self._settings.lake)).all()
        return {(domain, event_type): (version, tree) for domain, event_type, version, tree in rows}

    def restore(self) -> int:
        """Load contracts of the lake that the ledger lacks or has older; return their number."""
        documents = {}
        for uri in storage.list_files(storage.join(self._settings.lake, CONTRACTS)):
            domain, event_type = uri.rsplit("/", 2)[-2:]
            documents[domain, event_type.removesuffix(".json")] = storage.read_json(uri)
        count = 0
        with self._ledger.transaction() as connection:
            for key, document in sorted(documents.items()):
                tree: dict[str, Any] = {
                    part: document[part] for part in ("data", "envelope", "noted") if part in document
                }
                count += self._restore(connection, key, document["version"], tree)
        self._loaded.clear()
        return count

    def _restore(self, connection: Connection, key: tuple[str, str], version: int, tree: dict[str, Any]) -> bool:
        same = self._where(key)
        known = connection.execute(select(contracts.c.version).where(*same).with_for_update()).scalar()
        if known is None:
            place = {"lake": self._settings.lake, "domain": key[0], "event_type": key[1]}
            connection.execute(contracts.insert().values(**place, version=version, tree=tree))
            return True
        if known >= version:
            return False
        connection.execute(update(contracts).where(*same).values(version=version, tree=tree))
        # a column may have been widened since
        reopen_parts(connection, self._settings.lake, "/".join(key))
        return True


def contract_path(domain: str, event_type: str) -> tuple[str, str]:
    """Return the path of a contract below `<lake>/_contracts`."""
    return domain, f"{event_type}.json"
