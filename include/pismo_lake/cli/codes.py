"""Define the exit codes of the command line."""

from __future__ import annotations

INTERRUPTED, PIPE_CLOSED = 130, 141

EXIT_CODES = {
    0: "all is well",
    1: "failed, with the reason on stderr",
    2: "wrong call",
    INTERRUPTED: "interrupted by Ctrl-C",
    PIPE_CLOSED: "the reader of the output has gone",
}
"""Each exit code with its meaning."""
