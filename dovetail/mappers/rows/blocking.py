"""Blockings of the row-stationary loops: which fit, and how often they fetch."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

OPERANDS = ("weight", "input", "output")
LOOPS = 3
"""Input maps, output maps, images: the order of every triple below."""

RELEVANT = {
    "convolution": ((0, 1), (0, 2), (1, 2)),
    "channelwise": ((1,), (1, 2), (1, 2)),
    "pool": ((), (1, 2), (1, 2)),
}
"""Loops that each operand depends on."""


def blockings(counts: tuple[int, int, int]) -> NDArray[np.int64]:
    """All factorizations, (n, level, loop), levels from the outside in."""
    triples = [[(a, b, n // a // b) for a in divisors(n) for b in divisors(n // a)] for n in counts]
    return np.array([tuple(zip(*one, strict=True)) for one in product(*triples)], dtype=np.int64)


def divisors(n: int) -> list[int]:
    """Divisors of a number, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def fits(
    tiles: NDArray[np.int64], own: tuple[tuple[int, ...], ...],
    sizes: tuple[NDArray[np.int64], ...], capacities: tuple[int, int],
) -> NDArray[np.bool_]:  # fmt: skip
    """Which blockings fit both memories.

    Args:
        tiles: iterations, (n, level, loop).
        own: loops that each operand depends on.
        sizes: words of each operand in the buffer and in the registers, for one iteration.
        capacities: words of the buffer and of the registers.
    """
    registers = sum(
        tiles[:, 2, list(loops)].prod(axis=1) * size
        for loops, size in zip(own, sizes[1], strict=True)
    )
    buffer = sum(
        tiles[:, 1:, list(loops)].prod(axis=(1, 2)) * size
        for loops, size in zip(own, sizes[0], strict=True)
    )
    return np.asarray((buffer <= capacities[0]) & (registers <= capacities[1]))


def fetches(
    tiles: NDArray[np.int64], orders: tuple[tuple[int, ...], ...],
    own: tuple[tuple[int, ...], ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """How often each operand is fetched into the buffer and into the registers.

    Args:
        tiles: iterations, (n, level, loop).
        orders: of the two outer levels: the position of each loop, 0 = innermost.
        own: loops that each operand depends on.

    Loops that do not change an operand and stand inside of all that do cost nothing at their
    level; if none at a level changes it, the level fetches as often as the one around it. Every
    fetch of an output but the first reads a partial sum back.
    """
    fetched: list[NDArray[np.float64]] = []
    for level in (0, 1):
        place = np.array(orders[level])
        columns = []
        for operand, loops in enumerate(own):
            others = [loop for loop in range(LOOPS) if loop not in loops]
            counts = tiles[:, level]
            # Position (0 = innermost) of the innermost loop with work that changes the operand.
            spots = np.where(counts[:, list(loops)] > 1, place[list(loops)], LOOPS)
            inner = spots.min(axis=1, initial=LOOPS)
            times = np.ones(len(tiles))
            for loop in others:
                times *= tiles[:, :level, loop].prod(axis=1)
                times *= np.where(place[loop] > inner, counts[:, loop], 1)
            if operand == 2:
                times = 2 * times - 1
            same = fetched[-1][:, operand] if level else np.ones(len(tiles))
            columns.append(np.where(inner == LOOPS, same, times))
        fetched.append(np.stack(columns, axis=1))
    return fetched[0], fetched[1]
