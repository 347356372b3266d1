"""What mappers that improve step by step share: the best so far, budgets, and Ctrl-C."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.space import FloatArray
from dovetail.mappers.found import Found, check_objective, value_of
from dovetail.mappers.spatial.compulsory import lower_bound
from dovetail.mappers.spatial.mapspace import Mapspace, Point
from dovetail.mappers.stopping import stop_requested
from dovetail.sim.nest import analyse, analyse_batch


class Incumbent:
    """The best of the mappings of one operator that were looked at.

    Args:
        space: the operator and what it is laid onto.
        objective: `latency`, `energy` or `edp`.
        time_limit_s: after which `expired` holds; None for no limit.

    Attributes:
        best: the best mapping, None before a valid one was seen; of mappings with equal cycles
            the one of least energy.
        value: of `best`; infinite without one.
        looked_at: mappings that were evaluated.
    """

    def __init__(self, space: Mapspace, objective: str, time_limit_s: float | None = None) -> None:
        self._space = space
        self._objective = check_objective(objective)
        self._end = math.inf if time_limit_s is None else time.monotonic() + time_limit_s
        self.best: Point | None = None
        self.value = math.inf
        self._other = math.inf
        self.looked_at = 0

    @property
    def expired(self) -> bool:
        """Whether the time limit is over, or the user wants an end."""
        return stop_requested() or time.monotonic() >= self._end

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the time limit, None without one."""
        return None if math.isinf(self._end) else max(0.0, self._end - time.monotonic())

    def evaluate(self, points: Sequence[Point]) -> FloatArray:
        """Values of mappings, infinite where one is invalid; keeps the best.

        Args:
            points: of the mapspace.

        Returns:
            (n,) values of the objective.
        """
        space = self._space
        batch = analyse_batch(space.einsum, space.accelerator, space.encode(points))
        values: FloatArray = value_of(batch.cycles, batch.energy_pj, self._objective)
        values = np.where(batch.valid, values, np.inf)
        self.looked_at += len(points)
        # At equal cycles the least energy, else at equal values the fewest cycles.
        other = batch.energy_pj if self._objective == "latency" else batch.cycles
        for i in np.lexsort((other, values))[:1].tolist():
            if np.isfinite(values[i]) and (values[i], other[i]) < (self.value, self._other):
                self.value, self._other = float(values[i]), float(other[i])
                self.best = points[i]
        return values

    def found(self, *, interrupted: bool = False) -> Found:
        """The best so far.

        Raises:
            MappingError: if none of the mappings was valid, with the fault of the last.
        """
        einsum, accelerator = self._space.einsum, self._space.accelerator
        if self.best is None:
            raise MappingError(
                f"none of {self.looked_at} mappings is valid on '{accelerator.name}': enlarge its "
                "memories, or take another mapper"
            )
        mapping = self._space.mapping(self.best)
        cost = analyse(einsum, accelerator, mapping)
        value = float(value_of(cost.cycles, cost.energy_pj, self._objective))
        bound = min(value, lower_bound(einsum, accelerator, self._objective))
        return Found(mapping, cost, bound, value, bound == value, self.looked_at, interrupted)
