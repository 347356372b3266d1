"""Bounds of spatial choices, so that few of them are searched."""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.bounds import coarse, remaining, state_count
from dovetail.mappers.spatial.optimal.choice import opened, room, served, slide
from dovetail.mappers.spatial.optimal.compiled import kernel
from dovetail.mappers.spatial.optimal.lattice import axes, cells
from dovetail.mappers.spatial.optimal.search import value
from dovetail.mappers.spatial.optimal.tables import (
    ACCESS,
    ENERGY,
    FREE,
    LATENCY,
    LOWER,
    OPERAND,
    PORT,
    READ_PJ,
    READ_RATE,
    UPPER,
    WRITE_PJ,
    WRITE_RATE,
    box,
)  # fmt: skip
from dovetail.mappers.spatial.optimal.workspace import carve

QUICK, COARSE, FINE, EXACT, SOLVED = range(5)


@kernel
def least_crossing(temporal, spatial, terms):  # type: ignore[no-untyped-def]
    """Elements of an operand that cross a boundary at least, per instance above or below.

    Tiles x elements per tile is a product over dimensions. In every rank it is monotone, so that
    the least stands where each rank is either wholly inside or wholly outside.
    """
    total = 1.0
    seen = np.zeros(temporal.size, np.bool_)
    for dim in range(terms.shape[0]):
        used = 0
        while used < terms.shape[1] and terms[dim, used, 1] != 0:
            used += 1
        least = np.inf
        for corner in range(1 << used):
            trips, span = 1.0, 1.0
            for t in range(used):
                rank, step = terms[dim, t, 0], terms[dim, t, 1]
                if seen[rank]:
                    continue
                held = spatial[rank]
                if corner >> t & 1:
                    held *= temporal[rank]
                else:
                    trips *= temporal[rank]
                span += step * (held - 1)
            least = min(least, trips * span)
        for t in range(used):
            seen[terms[dim, t, 0]] = True
        total *= least
    return total


@kernel
def quick_bound(  # type: ignore[no-untyped-def]
    objective, temporal, choice, serves, mac_pj, edges, stores, terms, relevant, bits, sum_bits,
    port_criterion,
):  # fmt: skip
    """A lower bound of a choice from what must cross every boundary once.

    Returns:
        The bound of the objective, and the iterations of all temporal loops.
    """
    spatial, instances, _ = served(choice, serves, ~relevant[2])
    ones = np.ones(temporal.size, np.int64)
    compute = 1.0
    for rank in range(temporal.size):
        compute *= temporal[rank]
    energy = compute * instances[-1] * mac_pj
    stalls = compute
    busy = np.zeros(port_criterion.size)
    for e in range(edges.shape[0]):
        operand, upper, lower = edges[e, OPERAND], edges[e, UPPER], edges[e, LOWER]
        width = float(min(bits[operand], sum_bits) if operand == 2 else bits[operand])
        above_pj = stores[upper, WRITE_PJ if operand == 2 else READ_PJ]
        way = 1 if operand == 2 else 0
        if upper < 0:
            continue
        if lower < 0:
            trips = 1.0
            for rank in range(temporal.size):
                if relevant[operand, rank] or not edges[e, FREE]:
                    trips *= temporal[rank]
            crossing = trips * box(ones, spatial[upper], terms[operand])
        else:
            crossing = least_crossing(temporal, spatial[upper], terms[operand])
            below = least_crossing(temporal, spatial[lower], terms[operand])
            below_pj = stores[lower, READ_PJ if operand == 2 else WRITE_PJ]
            energy += below * width / stores[lower, ACCESS] * instances[lower] * below_pj
            below_rate = stores[lower, READ_RATE if operand == 2 else WRITE_RATE]
            if edges[e, PORT + 3 - way] >= 0:
                busy[edges[e, PORT + 3 - way]] += below * width / below_rate
            first = box(ones, spatial[upper], terms[operand]) * width
            stalls += first / stores[upper, WRITE_RATE if operand == 2 else READ_RATE]
        energy += crossing * width / stores[upper, ACCESS] * instances[upper] * above_pj
        if edges[e, PORT + way] >= 0:
            rate = stores[upper, WRITE_RATE if operand == 2 else READ_RATE]
            busy[edges[e, PORT + way]] += crossing * width / rate
    latency = stalls
    for port in range(busy.size):
        latency = max(latency, busy[port])
    return value(objective, energy, latency), compute


@kernel
def quick_bounds(  # type: ignore[no-untyped-def]
    objective, totals, choices, serves, mac_pj, edges, stores, terms, relevant, bits, sum_bits,
    reads_zeros, port_criterion, criteria, slots, movable,
):  # fmt: skip
    """`quick_bound` and compute cycles of many choices, (choices, 2)."""
    result = np.empty((len(choices), 2))
    for i in range(len(choices)):
        result[i, 0], result[i, 1] = quick_bound(
            objective, totals[i], choices[i], serves, mac_pj, edges, stores, terms, relevant, bits,
            sum_bits, port_criterion,
        )  # fmt: skip
    return result


@kernel
def coarse_bound(  # type: ignore[no-untyped-def]
    objective, temporal, cost, vectors, constants, floor, slots, movable, best, space
):  # fmt: skip
    """A bound over cells of points, see `bounds.coarse`; it may stop early above `best`."""
    axes, count, where = cells(temporal, vectors)
    boundaries = cost.shape[1]
    least, space = carve(space, boundaries * count)
    least = least.reshape((boundaries, count))
    states = state_count(movable)
    result, _ = carve(space, states * count)
    result = result.reshape((states, count))
    energy, latency = 0.0, floor
    if objective != LATENCY:
        energy = constants[0] + coarse(cost[0], axes, where, movable, least, result)
    if objective != ENERGY:
        for k in range(1, constants.size - slots):
            rest = coarse(cost[k], axes, where, movable, least, result)
            latency = max(latency, constants[k] + rest)
            if value(objective, energy, latency) >= best:
                break
    return value(objective, energy, latency)


@kernel
def fine_bound(  # type: ignore[no-untyped-def]
    objective, cost, options, option_cost, constants, floor, slots, lattice, movable, best, space
):  # fmt: skip
    """A bound over all points, see `bounds.remaining`; it may stop early above `best`."""
    count = cost.shape[2]
    states = state_count(movable)
    result, _ = carve(space, states * count)
    result = result.reshape((states, count))
    energy, latency = 0.0, floor
    if objective != LATENCY:
        remaining(cost[0], options, option_cost[0], lattice, movable, result)
        energy = constants[0] + result[0, 0]
    if objective != ENERGY:
        for k in range(1, constants.size - slots):
            remaining(cost[k], options, option_cost[k], lattice, movable, result)
            latency = max(latency, constants[k] + result[0, 0])
            if value(objective, energy, latency) >= best:
                break
    return value(objective, energy, latency)


@kernel
def screened(  # type: ignore[no-untyped-def]
    objective, totals, choices, serves, mac_pj, edges, stores, terms, relevant, bits, sum_bits,
    reads_zeros, port_criterion, criteria, slots, movable, level, quick, best, space, numbers,
):  # fmt: skip
    """Bounds of choices before anything is placed.

    The arguments up to `movable` are those of `choice.opened`, but for `totals` of the loops in
    time, (choices, ranks), and spatial counts, (choices, dimensions, ranks). `level` is COARSE,
    FINE, or EXACT; `quick` holds bounds known so far, (choices,); what reaches `best` is not
    looked at; `space` and `numbers` are workspaces.

    Returns:
        Bounds (choices,), and the two workspaces (they may have grown).
    """
    result = quick.copy()
    for i in range(len(choices)):
        if quick[i] >= best:
            continue
        lattice, count = axes(totals[i])
        tables, slides, bounds, wholes = room(
            lattice, count, edges, stores, terms, totals.shape[1], movable, criteria
        )
        if space.size < tables + slides + bounds:
            space = np.empty(tables + slides + bounds)
        if numbers.size < wholes:
            numbers = np.empty(wholes, np.int64)
        _, vectors, made, sliding = opened(
            objective, totals[i], choices[i], serves, mac_pj, edges, stores, terms, relevant, bits,
            sum_bits, reads_zeros, port_criterion, criteria, slots, movable, space, numbers,
        )  # fmt: skip
        cost, _, _, _, constants, floor, _ = made
        if level == COARSE:
            bound = coarse_bound(
                objective, totals[i], sliding[-1], vectors, constants, floor, slots, movable, best,
                space[tables:],
            )  # fmt: skip
        elif level == FINE:
            bound = fine_bound(
                objective, sliding[-1], np.empty((0, 5), np.int64), np.empty((criteria, 0, 0)),
                constants, floor, slots, lattice, movable, best, space[tables + slides :],
            )  # fmt: skip
        else:
            options, option_cost, _ = slide(
                objective, edges, stores, terms, port_criterion, slots, movable, lattice, vectors,
                made, sliding, space[tables:],
            )  # fmt: skip
            bound = fine_bound(
                objective, cost, options, option_cost, constants, floor, slots, lattice, movable,
                best, space[tables + slides :],
            )  # fmt: skip
        result[i] = max(result[i], bound)
    return result, space, numbers
