"""Depth-first branch and bound over the cuts of one spatial choice, from the inside out.

A node has placed some boundaries at points that are multiples of one another. Its bound per
criterion is what the placed ones cost plus `bounds.remaining` of the others.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.compiled import kernel
from dovetail.mappers.spatial.optimal.tables import CAPPED, ENERGY, LATENCY

# Columns of a node's whole numbers and of its reals; criteria follow in the latter.
POINT, STATE, LAST, DEPTH, FINISHED, BOUNDARY, PLACED, TOGETHER = range(8)
NODE_COLUMNS = 8
BOUND, OWN, SUMS = 0, 1, 2


@kernel
def value(objective, energy, latency):  # type: ignore[no-untyped-def]
    """The objective of one mapping, or its bound."""
    if objective == LATENCY:
        return latency
    if objective == ENERGY:
        return energy
    if objective == CAPPED:
        return energy if latency <= 1.0 else np.inf
    return energy * latency


@kernel
def root_bound(objective, constants, floor, limits, slots, rest):  # type: ignore[no-untyped-def]
    """Bound before anything is placed; infinite if nothing fits."""
    criteria = constants.size
    energy, latency = 0.0, floor
    if objective != LATENCY:
        energy = constants[0] + rest[0, 0, 0]
    if objective != ENERGY:
        for k in range(1, criteria - slots):
            latency = max(latency, constants[k] + rest[k, 0, 0])
    for k in range(criteria - slots, criteria):
        if rest[k, 0, 0] > limits[k - criteria + slots]:
            return np.inf
    return value(objective, energy, latency)


@kernel
def grown(array, needed):  # type: ignore[no-untyped-def]
    """An array with room for at least so many rows."""
    if needed <= array.shape[0]:
        return array
    larger = np.empty((max(needed, 2 * array.shape[0]), array.shape[1]), array.dtype)
    larger[: array.shape[0]] = array
    return larger


@kernel
def dominated(  # type: ignore[no-untyped-def]
    label, labels, links, sums, busiest, last, done, needs_energy, energy_only
):  # fmt: skip
    """Whether a node that was expanded at the same state and point is as good in everything."""
    criteria = sums.size
    first = 0 if needs_energy else 1
    while label >= 0:
        worse = labels[label, criteria] > busiest and not energy_only
        worse = worse or labels[label, criteria + 1] > last or labels[label, criteria + 2] < done
        k = first
        while k < criteria and not worse:
            worse = labels[label, k] > sums[k]
            k += 1
        if not worse:
            return True
        label = links[label]
    return False


@kernel
def search(  # type: ignore[no-untyped-def]
    objective, cost, own, tiles, constants, floor, limits, slots, slot_of, finished, widths,
    sum_bits, rest, lattice, movable, best, target, whole, reals, used, path, chain, budget,
    capacity, heads, labels, links, stored, options, option_cost, option_own, least,
):  # fmt: skip
    """Runs the search on, until its stack is empty or the budget is spent.

    `objective` is LATENCY, ENERGY or EDP; `cost`, `own`, `tiles`, `widths`, `constants` and `floor`
    come from `tables.fill`, `finished` from `lattice.points`, `options`, `option_cost`,
    `option_own` and `least` from `slides`. The others:

    - limits: bits of the shared stores, (slots,).
    - slots: how many of the criteria are bits of shared stores.
    - slot_of: shared store that keeps the tile below a boundary, (boundaries,); -1 if none.
    - capacity: bits of the store below a boundary, (boundaries,).
    - sum_bits: width of a partial sum.
    - rest: bounds of `bounds.remaining` per criterion, (criteria, states, points).
    - lattice: axes.
    - movable: boundaries of each operand, (3,).
    - best: value to undercut.
    - target: leave out nodes whose bound lies above, for now.
    - whole: stack of nodes, whole numbers.
    - reals: stack of nodes, reals.
    - used: nodes on the stack.
    - path: the node's ancestors, (boundaries, 3): boundary, point, and where the walk goes on.
    - chain: written: point of every boundary of the best solution, and where the loop directly
      above lands that slides it, -1 if none does, (boundaries, 2).
    - budget: nodes to expand at most.
    - heads: last label of every (state, point), -1 if there is none, (states x points,); empty:
      no labels are kept.
    - labels: sums of expanded nodes, (labels, criteria + 3).
    - links: label before a label at the same state and point, (labels,).
    - stored: labels so far.

    Returns:
        The best value, the least bound that was left out by `target`, nodes on the stack, nodes
        expanded, labels, and the two stacks (they may have moved).
    """
    criteria = constants.size
    costs = criteria - slots
    boundaries = cost.shape[1]
    axes = lattice.shape[0]
    left_out = np.inf
    expanded = 0
    step1 = movable[2] + 1
    step0 = (movable[1] + 1) * step1
    steps = np.array([step0, step1, 1])
    offsets = np.array([0, movable[0], movable[0] + movable[1]])
    digits = np.zeros(axes, np.int64)
    sums = np.zeros(criteria)
    energy_only = objective == ENERGY
    needs_energy = objective != LATENCY
    need = 0 if needs_energy else 1
    while used and expanded < budget:
        used -= 1
        bound = reals[used, BOUND]
        if bound >= best:
            continue
        point, state = whole[used, POINT], whole[used, STATE]
        last, depth, done = whole[used, LAST], whole[used, DEPTH], whole[used, FINISHED]
        for i in range(whole[used, TOGETHER]):
            row = depth - whole[used, TOGETHER] + i
            path[row, 0], path[row, 1] = whole[used, BOUNDARY] + i, whole[used, PLACED]
            path[row, 2] = point
        if depth == boundaries:
            best = bound
            for b in range(boundaries):
                chain[path[b, 0], 0] = path[b, 1]
                chain[path[b, 0], 1] = path[b, 2] if path[b, 2] != path[b, 1] else -1
            continue
        busiest = reals[used, OWN]
        for k in range(criteria):
            sums[k] = reals[used, SUMS + k]
        if heads.size:
            place = state * cost.shape[2] + point
            if dominated(
                heads[place], labels, links, sums, busiest, last, done, needs_energy, energy_only
            ):
                continue
            if stored < links.size:
                labels[stored, :criteria] = sums
                labels[stored, criteria] = busiest
                labels[stored, criteria + 1] = last
                labels[stored, criteria + 2] = done
                links[stored] = heads[place]
                heads[place] = stored
                stored += 1
        expanded += 1
        first = used
        for operand in range(3):
            placed = state // steps[operand] % (movable[operand] + 1)
            if placed == movable[operand]:
                continue
            b = offsets[operand] + placed
            after = state + steps[operand]
            slot = slot_of[b]
            # Walk over all multiples of the point.
            for a in range(axes):
                digits[a] = point // lattice[a, 3] % (lattice[a, 2] + 1)
            n = point
            fixed = digits.copy()
            while True:
                good = not (n == point and operand < last)
                if good:
                    energy = 0.0
                    if needs_energy:
                        energy = sums[0] + cost[0, b, n] + rest[0, after, n]
                        good = energy < np.inf
                    else:
                        good = cost[1, b, n] < np.inf
                if good and energy_only:
                    good = energy < best
                if good:
                    latency = 0.0
                    if not energy_only:
                        latency = max(max(busiest, own[b, n]), floor)
                        for k in range(1, costs):
                            latency = max(latency, sums[k] + cost[k, b, n] + rest[k, after, n])
                    here = value(objective, energy, latency)
                    good = here < best
                    if good and here > target:
                        left_out = min(left_out, here)
                        good = False
                if good:
                    needed = 0.0
                    if operand == 2 and capacity[b] < np.inf:
                        needed = tiles[b, n] * (widths[b] if done else sum_bits)
                        good = needed <= capacity[b]
                    for s in range(slots):
                        k = costs + s
                        taken = cost[k, b, n]
                        if s == slot and operand == 2:
                            taken = needed
                        if sums[k] + taken + rest[k, after, n] > limits[s]:
                            good = False
                if good:
                    if used + 1 > whole.shape[0]:
                        whole = grown(whole, used + 1)
                        reals = grown(reals, used + 1)
                    whole[used, POINT], whole[used, STATE] = n, after
                    whole[used, LAST], whole[used, DEPTH] = operand, depth + 1
                    whole[used, FINISHED] = finished[n] if operand == 2 else done
                    whole[used, BOUNDARY], whole[used, PLACED] = b, n
                    whole[used, TOGETHER] = 1
                    reals[used, BOUND] = here
                    reals[used, OWN] = max(busiest, own[b, n])
                    for k in range(criteria):
                        reals[used, SUMS + k] = sums[k] + cost[k, b, n]
                    if operand == 2 and slot >= 0:
                        k = costs + slot
                        reals[used, SUMS + k] = sums[k] + needed
                    used += 1
                slides = options.shape[0]
                if slides:
                    # However it slides, it costs this at least.
                    energy, latency = 0.0, max(busiest, floor)
                    if needs_energy:
                        energy = sums[0] + least[0, b, n] + rest[0, after, n]
                    if not energy_only:
                        for k in range(1, costs):
                            latency = max(latency, sums[k] + least[k, b, n] + rest[k, after, n])
                    here = value(objective, energy, latency)
                    if not here < best:
                        slides = 0
                    elif here > target:
                        left_out = min(left_out, here)
                        slides = 0
                for option in range(slides):
                    if options[option, 0] != b:
                        continue
                    landing = n + options[option, 2]
                    if landing >= cost.shape[2] or option_cost[need, option, n] == np.inf:
                        continue
                    beyond = state + options[option, 1] * steps[operand]
                    energy, latency = 0.0, floor
                    if needs_energy:
                        energy = sums[0] + option_cost[0, option, n] + rest[0, beyond, landing]
                    if not energy_only:
                        latency = max(max(busiest, option_own[option, n]), floor)
                        for k in range(1, costs):
                            more = option_cost[k, option, n] + rest[k, beyond, landing]
                            latency = max(latency, sums[k] + more)
                    here = value(objective, energy, latency)
                    if not here < best:
                        continue
                    if here > target:
                        left_out = min(left_out, here)
                        continue
                    fits = True
                    for s in range(slots):
                        k = costs + s
                        more = option_cost[k, option, n] + rest[k, beyond, landing]
                        fits = fits and sums[k] + more <= limits[s]
                    if not fits:
                        continue
                    whole = grown(whole, used + 1)
                    reals = grown(reals, used + 1)
                    whole[used, POINT], whole[used, STATE] = landing, beyond
                    whole[used, LAST], whole[used, DEPTH] = 0, depth + options[option, 1]
                    whole[used, FINISHED] = done
                    whole[used, BOUNDARY], whole[used, PLACED] = b, n
                    whole[used, TOGETHER] = options[option, 1]
                    reals[used, BOUND] = here
                    reals[used, OWN] = max(busiest, option_own[option, n])
                    for k in range(criteria):
                        reals[used, SUMS + k] = sums[k] + option_cost[k, option, n]
                    used += 1
                # The next multiple.
                a = axes - 1
                while a >= 0:
                    if digits[a] < lattice[a, 2]:
                        digits[a] += 1
                        n += lattice[a, 3]
                        break
                    n -= (digits[a] - fixed[a]) * lattice[a, 3]
                    digits[a] = fixed[a]
                    a -= 1
                if a < 0:
                    break
        # The most promising child on top; of equals the outermost cut.
        order = np.argsort(-reals[first:used, BOUND], kind="mergesort")
        whole[first:used] = whole[first:used][order]
        reals[first:used] = reals[first:used][order]
    return best, left_out, used, expanded, stored, whole, reals
