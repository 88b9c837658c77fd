"""Write a delivery's settings as a Markdown table, for the doc tab of its DAGs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pismo.names import CLOSE, DOCTOR, INGEST, REPLAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings import Delivery

_PASSWORD = re.compile(r"(://[^:@/]*):[^@]*@")


def facts_of(delivery: Delivery) -> str:
    """Return a table of the settings that people on call ask for, and links to the other DAGs.

    Connections are given by their names. The links are relative: an Airflow may be below a path.
    """
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in _facts(delivery))
    links = f"[ingest](dags/{INGEST}{delivery.name}), [close](dags/{CLOSE}{delivery.name})"
    links += f", [replay](dags/{REPLAY}{delivery.name})" if delivery.replay else ""
    return f"| setting | value |\n|---|---|\n{rows}\n\nDAGs: {links}, [checks of rights and keys](dags/{DOCTOR})."


def _facts(delivery: Delivery) -> Iterator[tuple[str, str]]:
    yield "organisation", f"{delivery.organisation} ({delivery.environment})"
    yield "channel", f"{delivery.channel}, connection `{delivery.conn_id}`"
    ways = (["listing"] if delivery.listing else []) + (["notices"] if delivery.notices else [])
    yield "new files are found by", " and ".join(ways)
    yield "landing", f"`{delivery.landing}`"
    yield "lake", f"`{delivery.lake}`"
    if delivery.storage_conn_id:
        yield "storage", f"connection `{delivery.storage_conn_id}`"
    if delivery.ledger_conn_id:
        yield "ledger", f"connection `{delivery.ledger_conn_id}`"
    elif delivery.ledger_url:
        url = _PASSWORD.sub(r"\1:***@", delivery.ledger_url)
        yield "ledger", f"`{url}`"
    yield (
        "schedule",
        (
            f"`{delivery.schedule}`, looks back {delivery.lookback_hours} h, "
            + (
                f"and at the queue every {delivery.notices.pause_seconds:g} s"
                if delivery.notices
                else f"waits {delivery.wait_minutes:g} min with a look every {delivery.poll_seconds:g} s"
            )
        ),
    )
    yield (
        "closing",
        f"{delivery.close_after_hours:g} h after the day; late {delivery.close_deadline_hours:g} h after that",
    )
    yield "privacy", f"`{delivery.privacy}`" if delivery.privacy else "none: columns hold the values that Pismo sends"
    if delivery.replay:
        from pismo_lake.replay.targets.connect import target_name

        conn_id = f", connection `{delivery.replay.conn_id}`" if delivery.replay.conn_id else ""
        yield "replays go to", f"`{target_name(delivery.replay)}`{conn_id}"
    if delivery.contracts.folder:
        pull = delivery.contracts.pull
        pulled = f", pulled from `{pull.source or 'events'}`" if pull else ""
        yield "schemas", f"`{delivery.contracts.folder}`{pulled}"
    yield "pool", f"`{delivery.pool}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
