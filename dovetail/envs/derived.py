"""Figures of merit that other packages make of a design's metrics: cost, carbon, energy x delay^2.

A package names a `DerivedMetric` under the entry point group `dovetail.objectives`; every problem
that has the metrics it is made of then takes its name as an objective or in a constraint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import numpy as np

from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray

GROUP = "dovetail.objectives"


@dataclass(frozen=True, slots=True)
class DerivedMetric:
    """A metric that is a formula of others.

    Attributes:
        name: with its unit, e.g. `cost_usd`; the entry point has the same name.
        of: names of the metrics that the formula takes, in its order.
        formula: arrays (n,), one per name of `of`, in the metrics' units, to values (n,).
        scale: `log` for what counts in decades, or `linear`.
        reference: value that normalises to 0 (log) or 1 (linear) where no base design gives one.
        corner: of the hypervolume, in normalised values: 1 is ten times the reference (log).
    """

    name: str
    of: tuple[str, ...]
    formula: Callable[..., FloatArray]
    scale: str = "log"
    reference: float = 1.0
    corner: float = 1.0

    def values(self, metrics: Mapping[str, FloatArray]) -> FloatArray:
        """Values (n,) of n designs; NaN where what it is made of is.

        Raises:
            ProblemError: if the formula fails, or gives something else than n numbers.
        """
        given = [np.asarray(metrics[name], dtype=np.float64) for name in self.of]
        try:
            values = np.asarray(self.formula(*given), dtype=np.float64)
        except Exception as error:
            raise ProblemError(
                f"objective '{self.name}' fails: {type(error).__name__}: {error}"
            ) from error
        if values.shape != given[0].shape:
            raise ProblemError(
                f"objective '{self.name}' gives shape {values.shape} for {given[0].shape}: "
                "it must give one value per design"
            )
        known = np.isfinite(np.stack(given)).all(axis=0)
        return np.where(known, values, np.nan)


@cache
def derived_metrics() -> Mapping[str, DerivedMetric]:
    """By name, what installed packages offer.

    Raises:
        ProblemError: if an entry point cannot be loaded or is no `DerivedMetric` of its name.
    """
    return {point.name: _load(point) for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> DerivedMetric:
    name = point.name
    where = f"objective '{name}' from {point.value}"
    try:
        metric = point.load()
    except Exception as error:
        raise ProblemError(f"{where} fails: {type(error).__name__}: {error}") from error
    if not isinstance(metric, DerivedMetric) or metric.name != name or not metric.of:
        raise ProblemError(
            f"{where} is no DerivedMetric named '{name}' that is made of some metric"
        )
    return metric


def offered(available: Collection[str]) -> tuple[str, ...]:
    """Names of the derived metrics whose parts are all `available`."""
    return tuple(n for n, metric in derived_metrics().items() if set(metric.of) <= set(available))


def completed(metrics: Mapping[str, FloatArray], names: Collection[str]) -> dict[str, FloatArray]:
    """Metrics (n,) by name, and those of `names` that are derived and not there yet."""
    known = derived_metrics()
    added = {n: known[n].values(metrics) for n in names if n not in metrics and n in known}
    return {**metrics, **added}
