"""Ctrl-C asks searches to end; only the second one breaks off."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from dovetail.mappers.spatial import mapper as spatial
from dovetail.mappers.spatial.mapper import find_mapping
from dovetail.mappers.stopping import ending_on_interrupt, stop_requested
from dovetail.sim.nest import faults
from tests.mappers.spatial.spatial_cases import array, layer


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)


def test_the_first_is_a_wish_and_the_second_an_exception() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ending_on_interrupt():
        assert not stop_requested()
        press()
        assert stop_requested()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert not stop_requested()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_get_no_signals() -> None:
    seen = []

    def work() -> None:
        with ending_on_interrupt():
            seen.append(stop_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.parametrize("mapper", ["random", "genetic", "milp"])
def test_searches_end_with_the_best_so_far_and_are_not_remembered(mapper: str) -> None:
    spatial.forget()
    with ending_on_interrupt():
        press()
        found = find_mapping(layer(), array(), "energy", mapper)
    assert found.interrupted
    assert not faults(layer(), array(), found.mapping)
    assert not find_mapping(layer(), array(), "energy", mapper).interrupted
