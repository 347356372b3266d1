"""HAWQ-V3's integer program: bits of every layer that perturb the loss least within limits.

References:
    Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021, section 3.4, equations
    7 to 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.graph.milp import Model

SCALE = 1e7
"""Sum of all perturbations in the solver's units, of which it proves an optimum to within half."""


def assign_bits(
    perturbation: FloatArray,
    costs: Mapping[str, FloatArray],
    limits: Mapping[str, float],
    ties: Iterable[tuple[int, int]] = (),
) -> IntArray:
    """Chooses an option per layer: least perturbation, every sum of costs within its limit.

    Args:
        perturbation: (layers, options), >= 0, finite.
        costs: by name, each (layers, options), >= 0.
        limits: bounds on sums of costs, by name.
        ties: pairs of layers that take the same option.

    Returns:
        (layers,) index of the option of each layer.

    Raises:
        MappingError: if no choice is within the limits.

    References:
        Yao et al., ICML 2021, equations 7 to 11.
    """
    layers, options = perturbation.shape
    least = perturbation - perturbation.min(axis=1, keepdims=True)
    scale = SCALE / max(float(least.max(axis=1).sum()), 1e-300)
    model = Model()
    x = np.array([[model.variable(cost * scale) for cost in row] for row in least])
    for row in x:
        model.add(dict.fromkeys(row.tolist(), 1.0), low=1, high=1)
    for first, second in ties:
        for a, b in zip(x[first].tolist(), x[second].tolist(), strict=True):
            model.add({a: 1.0, b: -1.0}, low=0, high=0)
    for name, limit in limits.items():
        _check_reach(name, costs[name], limit)
        shares = (costs[name] / limit).reshape(-1)
        model.add(dict(zip(x.reshape(-1).tolist(), shares.tolist(), strict=True)), high=1.0)
    answer = model.solve()
    if not answer.found:
        raise MappingError(f"no bits are within {_listed(limits)} together: raise a limit")
    return np.array(answer.values).reshape(layers, options).argmax(axis=1)


def _check_reach(name: str, cost: FloatArray, limit: float) -> None:
    least = float(cost.min(axis=1).sum())
    if least > limit * (1 + 1e-12):
        raise MappingError(
            f"limit {name}<={limit:g}: the fewest bits need {least:.6g}; raise it or allow fewer"
        )


def _listed(limits: Mapping[str, float]) -> str:
    return " and ".join(f"{name}<={limit:g}" for name, limit in limits.items())
