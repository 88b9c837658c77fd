"""Find the events of a file and their envelopes in its bytes."""

from pismo_lake.decode.container import Plain, uncompress
from pismo_lake.decode.envelope import Envelope, parse, parse_exact
from pismo_lake.decode.fields import ENVELOPE
from pismo_lake.decode.split import recover, split

__all__ = ["ENVELOPE", "Envelope", "Plain", "parse", "parse_exact", "recover", "split", "uncompress"]
