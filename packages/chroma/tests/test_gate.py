"""The gate between those who read a collection and those who write it: who is let in, and when."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mastra_chroma.gate import Gate, Gates

SECONDS = 30


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as threads:
        yield threads


class Visitor:
    """A thread that goes in, and stays until it is sent home."""

    def __init__(self, pool, enter):
        self.inside, self.home = threading.Event(), threading.Event()
        self.done = pool.submit(self.visit, enter)

    def visit(self, enter):
        with enter():
            self.inside.set()
            assert self.home.wait(SECONDS)

    def arrived(self):
        return self.inside.wait(SECONDS)

    def leave(self):
        self.home.set()
        self.done.result(SECONDS)


def queued(gate, count):
    """Wait until so many wait before the gate: there is no other sign of it."""
    pause = threading.Event()
    for _ in range(SECONDS * 1000):
        if len(gate._waiting) == count:
            return
        pause.wait(0.001)
    raise AssertionError(f"{len(gate._waiting)} wait, not {count}")


def test_those_who_read_are_inside_together(pool):
    gate = Gate()
    visitors = [Visitor(pool, gate.together) for _ in range(4)]
    assert all(visitor.arrived() for visitor in visitors)
    for visitor in visitors:
        visitor.leave()


@pytest.mark.parametrize("first", ["together", "alone"])
def test_who_writes_is_inside_alone(pool, first):
    gate = Gate()
    one = Visitor(pool, getattr(gate, first))
    assert one.arrived()
    two = Visitor(pool, gate.alone)
    queued(gate, 1)
    assert not two.inside.is_set()
    one.leave()
    assert two.arrived()
    three = Visitor(pool, gate.together)
    queued(gate, 1)
    assert not three.inside.is_set()
    two.leave()
    assert three.arrived()
    three.leave()


def test_all_come_in_in_the_order_in_which_they_came(pool):
    """Nobody waits for ever: no reader overtakes a writer who waits, nor a writer a reader."""
    gate = Gate()
    visitors = [Visitor(pool, gate.together)]
    assert visitors[0].arrived()
    for number, enter in enumerate([gate.alone, gate.together, gate.together, gate.alone], 1):
        visitors.append(Visitor(pool, enter))
        queued(gate, number)
    reading, writing, second, third, last = visitors
    reading.leave()
    assert writing.arrived()
    assert len(gate._waiting) == 3
    writing.leave()
    assert second.arrived()
    assert third.arrived()
    assert not last.inside.is_set()
    second.leave()
    assert not last.inside.is_set()
    third.leave()
    assert last.arrived()
    last.leave()


@pytest.mark.parametrize("enter", ["together", "alone"])
def test_who_fails_inside_leaves(pool, enter):
    gate = Gate()
    with pytest.raises(ValueError, match="inside"), getattr(gate, enter)():
        raise ValueError("inside")
    visitor = Visitor(pool, gate.alone)
    assert visitor.arrived()
    visitor.leave()


def test_no_write_is_lost_among_many(pool):
    """A count that threads change without a lock of their own, and only one at a time may."""
    gate, count = Gate(), [0, 0]

    def work(number):
        for step in range(200):
            if (number + step) % 3:
                with gate.together():
                    assert count[0] == count[1]
            else:
                with gate.alone():
                    count[0] += 1
                    threading.Event().wait(0)
                    count[1] += 1

    for done in [pool.submit(work, number) for number in range(6)]:
        done.result(SECONDS)
    assert count == [400, 400]


def test_a_gate_is_one_for_all_of_a_key_and_forgotten_behind_them():
    gates = Gates()
    gate = gates.at("a")
    assert gates.at("a") is gate
    assert gates.at("b") is not gate
    del gate
    gc.collect()
    assert len(gates._gates) == 0
