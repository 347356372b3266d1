"""Independent categorical distributions, one per knob, for whole groups of designs at once."""

from __future__ import annotations

import numpy as np

from dovetail.agents.allowed import legal_values
from dovetail.ir.space import FloatArray, IntArray, Space


def uniform(space: Space) -> FloatArray:
    """Uniform distribution (knobs, values) of each knob; 0 beyond its values."""
    legal = legal_values(space)
    return legal / legal.sum(axis=1, keepdims=True)


def draw(rng: np.random.Generator, odds: FloatArray, count: int) -> IntArray:
    """Draws designs by inverting each knob's cumulative distribution.

    Args:
        rng: source of randomness.
        odds: (groups, knobs, values), each row sums to 1.
        count: designs per group.

    Returns:
        (groups, count, knobs) indices; a value of probability 0 is never drawn.
    """
    groups, knobs, values = odds.shape
    cumulative = np.cumsum(odds, axis=2)
    # Rounding may end a row below 1: scaled, the last value with odds closes at exactly 1.
    cumulative /= cumulative[:, :, -1:]
    point = rng.random((groups, count, knobs))
    designs = np.zeros((groups, count, knobs), dtype=np.int64)
    for value in range(values - 1):
        designs += point >= cumulative[:, None, :, value]
    return designs


def frequencies(designs: IntArray, values: int) -> FloatArray:
    """Share of each value among designs (groups, n, knobs): (groups, knobs, values)."""
    return weighted_counts(designs, np.ones(designs.shape[:2]), values) / designs.shape[1]


def weighted_counts(designs: IntArray, weights: FloatArray, values: int) -> FloatArray:
    """Sum of weights (groups, n) by value of designs (groups, n, knobs).

    Returns:
        (groups, knobs, values).
    """
    groups, _, knobs = designs.shape
    cell = np.arange(groups)[:, None, None] * knobs + np.arange(knobs)
    flat = cell * values + designs
    spread = np.broadcast_to(weights[:, :, None], designs.shape)
    counts = np.bincount(flat.ravel(), spread.ravel(), groups * knobs * values)
    return counts.astype(np.float64, copy=False).reshape(groups, knobs, values)
