"""Free ports: the usual one where nobody has it, else any."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one Airflow: its two log servers listen too, and would fail on another Airflow's."""

    api: int
    worker_log: int
    trigger_log: int


USUAL = Ports(api=8080, worker_log=8793, trigger_log=8794)
# above what services use, below what systems hand out to outgoing connections
_UNUSUAL = range(20_000, 32_000)


def free_ports(usual: Ports = USUAL) -> Ports:
    """Ports that are free now; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        chosen = {name: _hold(getattr(usual, name), held) for name in ("api", "worker_log", "trigger_log")}
    return Ports(**chosen)


def unusual_ports() -> Ports:
    """Free ports that nobody else is likely to take before Airflow, which is slow to start, listens on them."""
    # the system's randomness: a seed shared by processes would have them all choose the same
    return free_ports(Ports(*random.SystemRandom().sample(_UNUSUAL, 3)))


def _hold(usual: int, held: ExitStack) -> int:
    for port in (usual, 0):
        listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        # a connection that has just been closed does not make a port busy; a listener on any address does
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
            listener.listen()
        except OSError:
            continue
        return int(listener.getsockname()[1])
    msg = "no free port"
    raise OSError(msg)
