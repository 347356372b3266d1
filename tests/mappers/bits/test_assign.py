"""The integer program against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dovetail.errors import MappingError
from dovetail.mappers.bits.assign import assign_bits


def instance(seed, layers=7, options=3):
    rng = np.random.default_rng(seed)
    cost = np.sort(rng.uniform(0.5, 9, (layers, options)), axis=1)
    other = np.sort(rng.uniform(0.5, 9, (layers, options)), axis=1)
    return -np.sort(-rng.lognormal(0, 2, (layers, options)), axis=1), {"a": cost, "b": other}


def enumerated(perturbation, costs, limits, ties=()):
    """Least perturbation of any choice within the limits."""
    layers, options = perturbation.shape
    choices = np.array(list(itertools.product(range(options), repeat=layers)))
    rows = np.arange(layers)
    legal = np.ones(len(choices), dtype=bool)
    for name, limit in limits.items():
        legal &= costs[name][rows, choices].sum(axis=1) <= limit * (1 + 1e-9)
    for first, second in ties:
        legal &= choices[:, first] == choices[:, second]
    return perturbation[rows, choices].sum(axis=1)[legal].min()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [(), ((0, 3), (1, 6))])
def test_no_choice_within_the_limits_perturbs_less(seed, ties):
    perturbation, costs = instance(seed)
    limits = {name: 0.4 * c[:, 0].sum() + 0.6 * c[:, -1].sum() for name, c in costs.items()}
    chosen = assign_bits(perturbation, costs, limits, ties)
    rows = np.arange(len(chosen))
    for name, limit in limits.items():
        assert costs[name][rows, chosen].sum() <= limit * (1 + 1e-9)
    assert all(chosen[first] == chosen[second] for first, second in ties)
    best = enumerated(perturbation, costs, limits, ties)
    assert perturbation[rows, chosen].sum() == pytest.approx(best, rel=1e-6)


def test_without_limits_every_layer_takes_its_best():
    perturbation, costs = instance(0)
    assert assign_bits(perturbation, costs, {}).tolist() == perturbation.argmin(axis=1).tolist()


def test_limits_out_of_reach_are_refused():
    perturbation, costs = instance(0)
    least = {name: cost.min(axis=1).sum() for name, cost in costs.items()}
    with pytest.raises(MappingError, match="fewest bits need"):
        assign_bits(perturbation, costs, {"a": 0.99 * least["a"]})
    opposed = {"a": costs["a"], "b": costs["b"][:, ::-1]}
    with pytest.raises(MappingError, match="together"):
        assign_bits(perturbation, opposed, {k: 1.01 * v for k, v in least.items()})
