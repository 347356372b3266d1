"""What new points add to a Pareto front: compiled, for thousands of candidates per ask.

References:
    While, Bradstreet and Barone, "A Fast Way of Calculating Exact Hypervolumes", IEEE Trans.
    Evolutionary Computation 16(1), 2012 (section III: the limit set of a point).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dovetail.ir.pareto import hypervolume
from dovetail.ir.space import BoolArray, FloatArray

COMPILED = 3
"""Most objectives whose improvements are compiled; beyond, exact hypervolumes of `moocore`."""


def improvements(values: FloatArray, front: FloatArray, reference: FloatArray) -> FloatArray:
    """Hypervolume that each value alone would add to a front.

    Args:
        values: (n, m), minimised.
        front: (k, m), dominated points are allowed.
        reference: (m,) corner of the hypervolume.

    Returns:
        (n,) >= 0.
    """
    if len(reference) <= COMPILED:
        # Objectives that are all 0 below a corner of 1 leave the volume as it is.
        missing = ((0, 0), (0, COMPILED - len(reference)))
        corner = np.append(reference, np.ones(COMPILED - len(reference)))
        return _improvements(np.pad(values, missing), np.pad(front, missing), corner)
    added: FloatArray = np.maximum(reference - values, 0.0).prod(axis=1)
    added[dominated(values, front)] = 0.0
    for i in np.flatnonzero(added):
        added[i] -= hypervolume(np.maximum(front, values[i]), reference)
    return np.maximum(added, 0.0)


@njit(cache=True)
def dominated(values: FloatArray, front: FloatArray) -> BoolArray:
    """Which of values (n, m) a point of a front (k, m) equals or dominates."""
    met = np.zeros(len(values), dtype=np.bool_)
    for i in range(len(values)):
        met[i] = _beaten(values[i], front)
    return met


@njit(cache=True)
def distances(values: FloatArray, front: FloatArray, extent: FloatArray) -> FloatArray:
    """How far values lie behind a front.

    The least that must come off all objectives so that no point of the front is better in all;
    below 0 where none is.

    Args:
        values: (n, m).
        front: (k, m), k >= 1.
        extent: (m,) unit of each objective.

    Returns:
        (n,) in extents.
    """
    far = np.full(len(values), -np.inf)
    for i in range(len(values)):
        for a in range(len(front)):
            least = np.inf
            for j in range(len(extent)):
                gap = (values[i, j] - front[a, j]) / extent[j]
                if gap < least:
                    least = gap
                if least <= far[i]:
                    break
            if least > far[i]:
                far[i] = least
    return far


@njit(cache=True)
def _beaten(value: FloatArray, front: FloatArray) -> bool:
    for a in range(len(front)):
        worse = False
        for j in range(len(value)):
            if front[a, j] > value[j]:
                worse = True
                break
        if not worse:
            return True
    return False


@njit(cache=True)
def _improvements(values: FloatArray, front: FloatArray, corner: FloatArray) -> FloatArray:
    """`improvements` of three objectives."""
    added = np.zeros(len(values))
    for i in range(len(values)):
        value = values[i]
        if (value < corner).all() and not _beaten(value, front):
            added[i] = max((corner - value).prod() - _limited_volume(value, front, corner), 0.0)
    return added


@njit(cache=True)
def _limited_volume(value: FloatArray, front: FloatArray, corner: FloatArray) -> float:
    """Volume that a front (k, 3) dominates of the box between a value (3,) and the corner."""
    limited = np.empty_like(front)
    count = 0
    for a in range(len(front)):
        inside = True
        for j in range(3):
            limited[count, j] = max(front[a, j], value[j])
            inside &= limited[count, j] < corner[j]
        count += inside
    limited = limited[:count]
    order = np.argsort(limited[:, 2])
    # A staircase of the first two objectives grows as the third rises.
    stairs = np.empty((count, 2))
    volume, area, steps = 0.0, 0.0, 0
    for n in range(count):
        x, y, z = limited[order[n]]
        if _on_stairs(stairs, steps, x, y):
            steps = _climb(stairs, steps, x, y)
            area = _area(stairs, steps, corner)
        upper = limited[order[n + 1], 2] if n + 1 < count else corner[2]
        volume += area * (upper - z)
    return volume


@njit(cache=True)
def _on_stairs(stairs: FloatArray, steps: int, x: float, y: float) -> bool:
    """Whether no step dominates (x, y)."""
    clear = True
    for s in range(steps):
        clear &= stairs[s, 0] > x or stairs[s, 1] > y
    return clear


@njit(cache=True)
def _climb(stairs: FloatArray, steps: int, x: float, y: float) -> int:
    """Adds a step, in order of x, and drops those that it dominates; how many there are then."""
    kept = 0
    for s in range(steps):
        if not (x <= stairs[s, 0] and y <= stairs[s, 1]):
            stairs[kept] = stairs[s]
            kept += 1
    place = kept
    while place > 0 and stairs[place - 1, 0] > x:
        stairs[place] = stairs[place - 1]
        place -= 1
    stairs[place, 0], stairs[place, 1] = x, y
    return kept + 1


@njit(cache=True)
def _area(stairs: FloatArray, steps: int, corner: FloatArray) -> float:
    """Area below the corner that the stairs dominate."""
    area = 0.0
    for s in range(steps):
        right = stairs[s + 1, 0] if s + 1 < steps else corner[0]
        area += (right - stairs[s, 0]) * (corner[1] - stairs[s, 1])
    return area


def extents(front: FloatArray) -> FloatArray:
    """Extent (m,) of a front (k, m) in each objective; 1 where it has none."""
    extent = front.max(axis=0) - front.min(axis=0)
    return np.where(extent > 0, extent, 1.0)


def behind(values: FloatArray, front: FloatArray) -> FloatArray:
    """`distances` of values (n, m) in extents of the front (k, m); 0 where it is empty."""
    if not len(front):
        return np.zeros(len(values))
    found: FloatArray = distances(values, front, extents(front))
    return found
