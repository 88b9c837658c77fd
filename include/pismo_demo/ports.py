"""Find free ports: the usual ones, or any."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one Airflow; its two log servers would fail on ports of another Airflow."""

    api: int
    worker_log: int
    trigger_log: int


USUAL = Ports(api=8080, worker_log=8793, trigger_log=8794)
# above the ports of services, below the ports of outgoing connections
_UNUSUAL = range(20_000, 32_000)


def free_ports(usual: Ports = USUAL) -> Ports:
    """Return three different ports that are free now."""
    with ExitStack() as stack:
        chosen = {name: _hold(getattr(usual, name), stack) for name in ("api", "worker_log", "trigger_log")}
    return Ports(**chosen)


def unusual_ports() -> Ports:
    """Return free ports that no other process is likely to take while Airflow starts."""
    # the system's random numbers: with a shared seed, all processes would choose the same ports
    return free_ports(Ports(*random.SystemRandom().sample(_UNUSUAL, 3)))


def _hold(usual: int, stack: ExitStack) -> int:
    for port in (usual, 0):
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        # with this, a connection closed just now does not block the port, but a listener on any address does
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
            listener.listen()
        except OSError:
            continue
        return int(listener.getsockname()[1])
    msg = "no free port"
    raise OSError(msg)
