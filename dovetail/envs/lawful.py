"""Which values a knob may take so that a lawful design remains, given the knobs before it.

Laws couple knobs: a scratchpad must hold a tile of rows x cols at the operands' width. A mask per
knob cannot say so; one that knows the values already set can. The knobs that laws speak of are
few, so all of their combinations are checked once, and kept as one boolean table per knob: which
beginnings of a design have a lawful end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from dovetail.envs.design_env import lawful
from dovetail.envs.problem import DesignProblem
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray

SMALL = 2**14
"""Designs of a problem that does not tell its laws which are evaluated to find them out."""

CHUNK = 2**17


@runtime_checkable
class Lawgiver(Protocol):
    """What a problem has, too, if it can tell its laws apart from its costs."""

    @property
    def bound(self) -> tuple[int, ...]:
        """Knobs, by position, that laws speak of; any value of the others is lawful."""

    @property
    def enumerable(self) -> int:
        """Designs for which `excess` takes some seconds."""

    def excess(self, designs: IntArray) -> FloatArray:
        """How far designs (n, knobs) are from the laws, (n,); 0 where lawful."""


class Lawful:
    """Masks of a problem's knobs, each given the values of the knobs before.

    Laws here are those that hold before anything is mapped or simulated, of problems that tell
    them (`Lawgiver`), and all laws of problems with at most `SMALL` designs. Of other problems,
    or where too many combinations of bound knobs exist, the masks are `DesignProblem.masks()`,
    whatever was set before: then `exact` is False, and a design may turn out to be unlawful.

    Attributes:
        exact: a value is allowed exactly if some lawful design has it and the values before.

    Raises:
        ProblemError: if no design is lawful, or every value of a knob is masked.
    """

    def __init__(self, problem: DesignProblem) -> None:
        self._free = [np.ones(len(knob.values), dtype=np.bool_) for knob in problem.space.knobs]
        self._bound: tuple[int, ...] = ()
        self._tables: list[BoolArray] = []
        self.exact = True
        bound, most, law = _laws(problem)
        sizes = problem.space.cardinalities[list(bound)]
        if np.prod(sizes, dtype=np.float64) > most:
            self.exact = False
            self._free = list(problem.masks())
            for knob, mask in zip(problem.space.knobs, self._free, strict=True):
                if not mask.any():
                    raise ProblemError(f"no value of knob '{knob.name}' is lawful: widen it")
        else:
            self._bound = bound
            self._tables = _tables(law, sizes, bound, len(self._free))
            if not self._tables[0].any():
                raise ProblemError(f"no design of '{problem.name}' is lawful: widen its knobs")

    def masks(self, begun: IntArray) -> BoolArray:
        """Allowed values of the next knob.

        Args:
            begun: (n, k) values of the first k knobs, allowed ones.

        Returns:
            (n, values) of knob k; all True for values that no lawful design begins with.
        """
        knob = begun.shape[1]
        if knob not in self._bound:
            return np.repeat(self._free[knob][None], len(begun), axis=0)
        place = self._bound.index(knob)
        before = tuple(begun[:, k] for k in self._bound[:place])
        table = self._tables[place]
        mask: BoolArray = table[before] if before else np.repeat(table[None], len(begun), axis=0)
        return mask | ~mask.any(axis=1, keepdims=True)


def _laws(problem: DesignProblem) -> tuple[tuple[int, ...], int, Callable[[IntArray], BoolArray]]:
    """Bound knobs, combinations of them that may be checked, and the check (n, knobs) -> (n,)."""
    if isinstance(problem, Lawgiver):
        teller = problem
        return tuple(sorted(problem.bound)), problem.enumerable, lambda d: teller.excess(d) <= 0
    everything = tuple(range(len(problem.space.knobs)))
    return everything, SMALL, lambda d: lawful(problem.evaluate(d))


def _tables(
    law: Callable[[IntArray], BoolArray], sizes: IntArray, bound: tuple[int, ...], knobs: int
) -> list[BoolArray]:
    """Per bound knob, shape of the bound knobs up to it: True where a lawful design begins so."""
    count = int(np.prod(sizes))
    found = np.empty(count, dtype=np.bool_)
    for start in range(0, count, CHUNK):
        rows = np.arange(start, min(start + CHUNK, count))
        designs = np.zeros((len(rows), knobs), dtype=np.int64)
        if bound:
            designs[:, list(bound)] = np.stack(np.unravel_index(rows, tuple(sizes)), axis=1)
        found[rows] = law(designs)
    tables = [found.reshape(tuple(sizes))]
    while tables[0].ndim > 1:
        tables.insert(0, np.asarray(tables[0].any(axis=-1)))
    return tables
