"""The demo finds free ports."""

from __future__ import annotations

import socket
from dataclasses import astuple

import pytest

from pismo_demo.ports import Ports, free_ports, unusual_ports


@pytest.fixture
def busy() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_busy_port_is_passed_over(busy: int) -> None:
    chosen = free_ports(Ports(api=busy, worker_log=busy, trigger_log=busy))
    assert busy not in astuple(chosen)


def test_all_are_different() -> None:
    assert len(set(astuple(free_ports(Ports(0, 0, 0))))) == 3


def test_the_usual_port_is_taken_where_it_is_free(busy: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        usual = probe.getsockname()[1]
    assert free_ports(Ports(usual, busy, busy)).api == usual


def test_ports_of_several_airflows_on_one_machine_differ() -> None:
    chosen = [port for _ in range(20) for port in astuple(unusual_ports())]
    assert len(set(chosen)) > 50
    assert all(20_000 <= port < 32_000 for port in chosen)
