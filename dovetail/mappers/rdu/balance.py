"""Shares of PCUs that make a section's slowest stage as fast as possible, exactly."""

from __future__ import annotations

import numpy as np

from dovetail.ir.space import BoolArray, FloatArray, IntArray


def balance(quanta: IntArray, quantum: IntArray, computing: BoolArray, units: int) -> IntArray:
    """The least PCUs per stage that reach the least possible cycles of the slowest one.

    n PCUs take ceil(quanta / n) x quantum cycles; to stay within c cycles a stage needs
    ceil(quanta / floor(c / quantum)) of them. That falls as c grows, so that halving finds the
    least c whose sum fits.

    Args:
        quanta: of a tile (s, t).
        quantum: cycles of one (s,).
        computing: stages that take PCUs (s,).
        units: PCUs there are.

    Returns:
        PCUs (s, t), at least 1 of computing stages; where these are more than there are PCUs, 1 of
        each.
    """
    q, c = quanta[computing], quantum[computing][:, None]
    shares = np.zeros_like(quanta)
    if not len(q):
        return shares
    # No split beats the mean; and so much over it leaves room to round every share up.
    load, spare = (q * c).sum(axis=0), units - len(q)
    low = np.maximum(-(-load // units), c.max())
    high = -(-load // spare) + c.max() if spare > 0 else np.maximum((q * c).max(axis=0), low)
    while (low < high).any():
        middle = (low + high) // 2
        fits = _needed(q, c, middle).sum(axis=0) <= units
        high = np.where(fits, middle, high)
        low = np.where(fits, low, np.minimum(middle + 1, high))
    shares[computing] = _needed(q, c, high)
    return shares


def _needed(quanta: IntArray, quantum: IntArray, cycles: IntArray) -> IntArray:
    needed: IntArray = np.maximum(-(-quanta // np.maximum(cycles // quantum, 1)), 1)
    return needed


def proportional(
    quanta: IntArray, quantum: IntArray, computing: BoolArray, units: int, weights: FloatArray
) -> IntArray:
    """PCUs in proportion to the work, times a weight of each stage (s,); at least 1, at most all.

    The remainder of rounding down is left idle.
    """
    load = np.where(computing[:, None], quanta * quantum[:, None] * weights[:, None], 0.0)
    spare = units - int(computing.sum())
    shares = np.floor(max(spare, 0) * load / np.maximum(load.sum(axis=0), 1e-300))
    found: IntArray = np.where(computing[:, None], 1 + shares, 0).astype(np.int64)
    return found
