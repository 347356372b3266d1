"""A failing case becomes small, and still fails in the same way."""

import dataclasses

from dovetail.errors import MappingError
from dovetail.verify.case import Case, LayerSpec
from dovetail.verify.check import Outcome
from dovetail.verify.draw import draw_case, draw_elaboration
from dovetail.verify.shrink import candidates, shrink


def big_case():
    layers = (
        LayerSpec("convolution", 12, (3, 3), (2, 2), (1, 1, 1, 1), (2, 2)),
        LayerSpec("max", kernel=(2, 2)),
        LayerSpec("linear", 7),
    )
    return Case("0-0-0", draw_elaboration(0, 0), (8, 9, 9), layers, 1, 2, 17, 99, 5)


def outcome(case, kind):
    return Outcome(case.name, kind, "", 0, 0)


def test_it_ends_at_the_smallest_case_that_fails():
    def attempt(case):
        fails = any(la.kind == "max" and la.kernel[1] > 1 for la in case.layers)
        return outcome(case, "memory" if fails and case.shape[2] >= 4 else "")

    small, found = shrink(big_case(), "memory", attempt)
    assert found.kind == "memory"
    assert small.shape == (1, 1, 4)
    (layer,) = small.layers
    assert layer == LayerSpec("max", kernel=(1, 2))
    assert (small.latency, small.stalls, small.tiling) == (0, 0, -1)
    assert small.elaboration.design["rows"] < 4
    assert attempt(small) == found


def test_illegal_cases_and_other_failures_are_no_steps():
    def attempt(case):
        if len(case.layers) < 3:
            raise MappingError("illegal")
        return outcome(case, "memory" if case.latency == 17 else "events")

    small, found = shrink(big_case(), "memory", attempt)
    assert len(small.layers) == 3
    assert small.latency == 17
    assert found.kind == "memory"


def test_a_budget_is_kept():
    tried = []

    def attempt(case):
        tried.append(case)
        return outcome(case, "memory")

    shrink(big_case(), "memory", attempt, attempts=5)
    assert len(tried) <= 6


def test_every_step_changes_something_and_ends():
    for number in range(20):
        case = draw_case(1, number % 4, number)
        steps = list(candidates(case))
        assert case not in steps
        assert all(dataclasses.replace(step, name=case.name) == step for step in steps)
