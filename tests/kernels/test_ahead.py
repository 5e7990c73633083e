"""What a kernel needs besides its own code is made while it is compiled: in other threads, and never longer."""

from __future__ import annotations

import threading

import pytest

from relaxdsl.ir.loops import Buffer, PrimFunc, Seq
from relaxdsl.kernels import ahead
from relaxdsl.kernels.ahead import has_free_processor, making_besides

EMPTY = PrimFunc("empty", (Buffer("x", (), "float32"),), 1, (), Seq(()))


@pytest.fixture(autouse=True)
def idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(ahead.os, "getloadavg", lambda: (0.5, 3.0, 3.0))


def test_others_are_made_in_threads_that_end_with_the_block():
    goes_on, made = threading.Event(), []

    def make() -> None:
        goes_on.wait()
        made.append(threading.current_thread())

    with making_besides(EMPTY, (make, make)):
        assert not made
        goes_on.set()
    assert len(set(made)) == 2
    assert threading.current_thread() not in made
    assert not any(each.is_alive() for each in made)


def test_what_fails_is_left_to_those_who_need_it(capfd):
    def fail() -> None:
        raise OSError("no such thing")

    with making_besides(EMPTY, (fail,)):
        pass
    assert capfd.readouterr() == ("", "")


def test_threads_end_where_the_block_raises():
    made = []
    with pytest.raises(ValueError, match=r"^wrong$"), making_besides(EMPTY, (lambda: made.append(True),)):
        raise ValueError("wrong")
    assert made == [True]


def test_a_busy_machine_leaves_it_to_those_who_need_it(monkeypatch):
    made = []
    monkeypatch.setattr(ahead.os, "getloadavg", lambda: (1.75, 0.0, 0.0))
    with making_besides(EMPTY, (lambda: made.append(True),)):
        pass
    assert made == []


@pytest.mark.parametrize("error", [AttributeError, OSError])
def test_a_machine_that_does_not_say_counts_as_busy(monkeypatch, error):
    def fail() -> None:
        raise error

    assert has_free_processor()
    monkeypatch.setattr(ahead.os, "getloadavg", fail)
    assert not has_free_processor()
