"""Give columns, tables and views short names that differ."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pismo_lake.contracts.names import column_path
from pismo_lake.rows.schema import COUNT, ENVELOPE_SCHEMA, SOURCE_SCHEMA, TYPED
from pismo_lake.spelling import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def short_names(columns: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the shortest name of each column: its last keys, as many as make it unique.

    Columns that were `given` a name keep it; the others get one that no column has, or had.

    >>> short_names(["event_id", "data__amount", "data__payer__id", "data__event_id"])
    {'event_id': 'event_id', 'data__amount': 'amount', 'data__payer__id': 'id', 'data__event_id': 'data_event_id'}
    >>> short_names(["data__payer__id", "data__payee__id"], {"data__payer__id": "id"})
    {'data__payer__id': 'id', 'data__payee__id': 'payee_id'}
    """
    given = given or {}
    # names of counts and of typed values come from these columns
    after = {name: f"data__{name.removeprefix(COUNT)}" for name in columns if name.startswith(COUNT)}
    after |= {name: f"data__{name.removeprefix(TYPED)}" for name in columns if name.startswith(TYPED)}
    counted = [after.get(name, name) for name in columns if not name.startswith(TYPED)]
    plain = _shortest([name for name in counted if name not in given], set(given.values()))
    plain |= {name: given[name] for name in counted if name in given}
    names: dict[str, str] = {}
    taken = {name.lower() for name in given.values()}
    for name in columns:
        if name in given:
            names[name] = given[name]
            continue
        suffix = "_count" if name.startswith(COUNT) else "_typed" if name.startswith(TYPED) else ""
        short = f"{plain[after.get(name, name)]}{suffix}"
        if short.lower() in taken:
            short = name
        number = 1
        while short.lower() in taken:
            number += 1
            short = f"{name}__{number}"
        names[name] = short
        taken.add(short.lower())
    return names


def _shortest(columns: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Return short names that differ from each other and from those `taken`, if keys allow."""
    own = {*ENVELOPE_SCHEMA.names, *SOURCE_SCHEMA.names, "_rescued", "event_date"}
    paths = {name: (name,) if name in own else column_path(name) for name in columns}
    depth = dict.fromkeys(columns, 1)
    while True:
        names = {name: identifier("_".join(path[-depth[name] :])) for name, path in paths.items()}
        count = Counter(names.values())
        crowded = [
            name
            for name in columns
            if name not in own and (count[names[name]] > 1 or names[name] in own or names[name] in taken)
        ]
        grown = [name for name in crowded if depth[name] < len(paths[name])]
        if not grown:
            # names that differ only in signs keep the whole column name
            return {name: name if name in crowded else short for name, short in names.items()}
        for name in grown:
            depth[name] += 1


def view_name(domain: str, event: str, version: str | None = None, item: str = "") -> str:
    """Return the short name of a view: of all versions of an event type, or of one.

    The name begins with the domain, unless the event type begins so. A single word could be a word of SQL, so it always
    has an underscore. `version` is empty for an event type without one.

    >>> view_name("pix", "pix_in"), view_name("account", "status-change", "2"), view_name("pix", "pix_in", "", "lines")
    ('pix_in', 'account_status_change_2', 'pix_in_unversioned_lines')
    """
    own, name = identifier(domain), identifier(event)
    parts = [name if name.startswith(f"{own}_") else f"{own}_{name}"]
    if version is not None:
        parts.append(version or "unversioned")
    if item:
        parts.append(identifier(item))
    return "_".join(parts)
