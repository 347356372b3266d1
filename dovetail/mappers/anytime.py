"""What mappers that improve step by step share: the best so far, budgets, and Ctrl-C."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir.mapping import Mapping
from dovetail.ir.operator import Einsum
from dovetail.ir.space import FloatArray
from dovetail.mappers.found import Found, check_objective, value_of
from dovetail.sim.nest import analyse, analyse_batch, faults


class Incumbent:
    """The best of the mappings of one operator that were looked at.

    Args:
        einsum: the operator.
        accelerator: what it is laid onto.
        objective: `latency`, `energy` or `edp`.
        time_limit_s: after which `expired` holds; None for no limit.

    Attributes:
        best: the best mapping, None before a valid one was seen.
        value: of `best`; infinite without one.
        looked_at: mappings that were evaluated.
    """

    def __init__(
        self, einsum: Einsum, accelerator: SpatialArray, objective: str,
        time_limit_s: float | None = None,
    ) -> None:  # fmt: skip
        self._einsum, self._accelerator = einsum, accelerator
        self._objective = check_objective(objective)
        self._end = math.inf if time_limit_s is None else time.monotonic() + time_limit_s
        self.best: Mapping | None = None
        self.value = math.inf
        self.looked_at = 0

    @property
    def expired(self) -> bool:
        """Whether the time limit is over."""
        return time.monotonic() >= self._end

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the time limit, None without one."""
        return None if math.isinf(self._end) else max(0.0, self._end - time.monotonic())

    def evaluate(self, mappings: Sequence[Mapping]) -> FloatArray:
        """Values of mappings, infinite where one is invalid; keeps the best.

        Args:
            mappings: of the operator.

        Returns:
            (n,) values of the objective.
        """
        batch = analyse_batch(self._einsum, self._accelerator, mappings)
        values = value_of(batch.cycles, batch.energy_pj, self._objective)
        values = np.where(batch.valid, values, np.inf)
        self.looked_at += len(mappings)
        if len(values) and values.min() < self.value:
            self.value = float(values.min())
            self.best = mappings[int(values.argmin())]
        return np.asarray(values, dtype=np.float64)

    def found(self, *, interrupted: bool = False) -> Found:
        """The best so far.

        Raises:
            MappingError: if none of the mappings was valid, with the fault of the last.
        """
        if self.best is None:
            raise MappingError(
                f"none of {self.looked_at} mappings is valid on '{self._accelerator.name}': "
                "enlarge its memories, or take another mapper"
            )
        cost = analyse(self._einsum, self._accelerator, self.best)
        value = float(value_of(cost.cycles, cost.energy_pj, self._objective))
        bound = min(value, lower_bound(self._einsum, self._accelerator, self._objective))
        return Found(
            self.best, cost, bound, value, bound == value, self.looked_at, interrupted
        )  # fmt: skip

    def faults(self, mapping: Mapping) -> list[str]:
        """Why a mapping is invalid; empty if it is valid."""
        return faults(self._einsum, self._accelerator, mapping)


def lower_bound(einsum: Einsum, accelerator: SpatialArray, objective: str) -> float:
    """A value that no mapping beats: every PE busy, and no energy but the MACs'."""
    cycles = -(-einsum.macs // max(1, accelerator.peak_macs_per_cycle))
    return float(value_of(cycles, einsum.macs * accelerator.mac_pj, objective))
