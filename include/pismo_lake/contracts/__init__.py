"""Learn and keep the columns of each event type."""

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.contract import Contract
from pismo_lake.contracts.store import ContractStore
from pismo_lake.contracts.tree import Kind, Node

__all__ = ["Contract", "ContractStore", "Kind", "Node", "payload_columns"]
