"""The masked part of a space as a space of its own."""

from __future__ import annotations

import numpy as np

from dovetail.agents.allowed import Allowed, legal_values
from dovetail.ir.space import BoolArray, Knob, Space
from tests.agents.toy import ToyProblem


class Masked(ToyProblem):
    """Three knobs; of the second only the outer values are lawful, of the third none."""

    def masks(self) -> tuple[BoolArray, ...]:
        return np.ones(2, bool), np.array([True, False, True]), np.zeros(2, bool)


PROBLEM = Masked(
    space=Space((Knob("a", (1, 2)), Knob("b", ("x", "y", "z"), ordered=False), Knob("c", (5, 6))))
)


def test_masked_values_have_no_index() -> None:
    allowed = Allowed(PROBLEM)
    assert [k.values for k in allowed.space.knobs] == [(1, 2), ("x", "z"), (5, 6)]
    assert [k.ordered for k in allowed.space.knobs] == [True, False, True]
    inner = np.array([[0, 0, 0], [1, 1, 1]])
    outer = allowed.outer(inner)
    assert outer.tolist() == [[0, 0, 0], [1, 2, 1]]
    assert np.array_equal(allowed.inner(outer), inner)


def test_legal_values_are_padded() -> None:
    assert legal_values(PROBLEM.space).tolist() == [
        [True, True, False], [True, True, True], [True, True, False],
    ]  # fmt: skip
