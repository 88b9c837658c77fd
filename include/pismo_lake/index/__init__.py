"""Find each event of a landed file, and decide which of its copies wins."""

from pismo_lake.index.dedupe import Verdict, judge_all
from pismo_lake.index.files import read_index
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.index.run import index_landed

__all__ = ["Verdict", "index_landed", "judge_all", "read_index", "rebuild_ledger"]
