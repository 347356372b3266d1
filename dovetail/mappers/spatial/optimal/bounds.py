"""Lower bounds of what remains: exact where nothing but the loop order couples the boundaries."""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.compiled import kernel
from dovetail.mappers.spatial.optimal.lattice import lower_to_multiples

FIRST, MANY, SHIFT = 0, 1, 2  # columns of `slides.listed`


@kernel
def state_count(movable):  # type: ignore[no-untyped-def]
    """How many combinations of boundaries already placed there are per operand (3,)."""
    return (movable[0] + 1) * (movable[1] + 1) * (movable[2] + 1)


@kernel
def remaining(cost, options, option_cost, lattice, movable, result):  # type: ignore[no-untyped-def]
    """Least cost of placing what is not placed yet, outside of a point, per criterion alone.

    Dynamic programming over (boundaries placed, vector of the last cut): place the next boundary of
    an operand here, or move outwards.

    Args:
        cost: of every movable boundary at every point, (boundaries, points), one criterion.
        options: see `slides.listed`; none where nothing slides.
        option_cost: of every option at every point, (options, points), the same criterion.
        lattice: its axes.
        movable: boundaries of each operand, (3,).
        result: written: bounds (states, points); a state is the mixed-radix number of boundaries
            placed.
    """
    count = cost.shape[1]
    states = state_count(movable)
    step1 = movable[2] + 1
    step0 = (movable[1] + 1) * step1
    result[states - 1] = 0.0
    for state in range(states - 2, -1, -1):
        i, w, o = state // step0, state // step1 % (movable[1] + 1), state % step1
        values = result[state]
        values[:] = np.inf
        for operand in range(3):
            if operand == 0:
                placed, offset, step = i, 0, step0
            elif operand == 1:
                placed, offset, step = w, movable[0], step1
            else:
                placed, offset, step = o, movable[0] + movable[1], 1
            if placed == movable[operand]:
                continue
            here, after = cost[offset + placed], result[state + step]
            for n in range(count):
                sum_here = here[n] + after[n]
                values[n] = sum_here if sum_here < values[n] else values[n]
            for option in range(options.shape[0]):
                if options[option, FIRST] != offset + placed:
                    continue
                jump = options[option, SHIFT]
                slid, later = option_cost[option], result[state + options[option, MANY] * step]
                for n in range(count - jump):
                    through = slid[n] + later[n + jump]
                    values[n] = through if through < values[n] else values[n]
        lower_to_multiples(values, lattice)


@kernel
def coarse(cost, axes, where, movable, least, result):  # type: ignore[no-untyped-def]
    """A looser bound of a whole criterion in less time, over cells of points.

    Args:
        cost: of every movable boundary at every point, (boundaries, points), one criterion.
        axes: of the cells, see `lattice.cells`.
        where: cell of every point, (points,).
        movable: boundaries of each operand, (3,).
        least: scratch, (boundaries, cells).
        result: scratch, (states, cells).
    """
    least[:] = np.inf
    for b in range(cost.shape[0]):
        here, row = cost[b], least[b]
        for n in range(where.size):
            cell = where[n]
            row[cell] = here[n] if here[n] < row[cell] else row[cell]
    none = np.empty((0, 5), np.int64)
    remaining(least, none, np.empty((0, 0)), axes, movable, result)
    return result[0, 0]
