"""Foldings of a pipeline: FINN's SetFolding for many targets at once, and the least that fits.

References:
    The FINN compiler's transformation `SetFolding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dovetail.arch.fpga import FpgaDataflow
from dovetail.errors import MappingError
from dovetail.ir.space import IntArray
from dovetail.sim.fpga.pipeline import Costs, Node, Pipeline

MAPPERS = ("fit", "set_folding")


@dataclass(frozen=True)
class Folding:
    """One folding of a pipeline.

    Attributes:
        pe: of the compute nodes, (compute nodes,).
        simd: alike.
        costs: of all nodes, with n = 1.
    """

    pe: IntArray
    simd: IntArray
    costs: Costs


def set_folding(
    pipeline: Pipeline, targets: IntArray, stream_bits: int = 36, *, relax: bool = True
) -> tuple[IntArray, IntArray]:
    """FINN's folding for targets (n,) of cycles: `pe` and `simd` (n, compute nodes).

    A matrix-vector unit takes more inputs at once until it needs fewer cycles than the target, or
    the weight stream of one output grows wider than `stream_bits`; then more outputs. A
    vector-vector unit takes more channels, and once it has all of them, more taps.

    Args:
        pipeline: what is folded.
        targets: cycles that every node shall stay below.
        stream_bits: widest weight stream of one output.
        relax: where the slowest node, whatever its kind, misses the target, folds all again for
            what it reached, so that the others are no larger than they need be.
    """
    columns = [
        _fold_node(pipeline, i, position, targets, stream_bits)
        for position, i in enumerate(pipeline.compute)
    ]
    pe, simd = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    if relax:
        reached = pipeline.costs(pe, simd).interval
        missed = reached > targets
        if missed.any():
            again = set_folding(pipeline, reached[missed], stream_bits, relax=False)
            pe[missed], simd[missed] = again
    return pe, simd


def _fold_node(
    pipeline: Pipeline, index: int, position: int, targets: IntArray, stream_bits: int
) -> tuple[IntArray, IntArray]:
    node = pipeline.nodes[index]
    pes, simds = pipeline.pe_choices[position], pipeline.simd_choices[position]
    if node.kind == "vector":
        pe = pes[_first_below(node.cycles(pes, 1), targets)]
        short = (pe == node.outputs) & (node.cycles(pe, 1) > targets)
        simd = simds[_first_below(node.cycles(node.outputs, simds), targets)]
        return pe, np.where(short, simd, 1)
    meets = _first_below(node.cycles(1, simds), targets)
    wide = np.flatnonzero(pipeline.numbers.weight_bits * simds > stream_bits)
    last = max(int(wide[0]) - 1, 0) if len(wide) else len(simds) - 1
    # As in FINN, a width that meets the target at one stroke stands although it is too wide.
    reached = node.cycles(1, simds)[meets] < targets
    keeps = reached & (meets <= (int(wide[0]) if len(wide) else len(simds)))
    simd = simds[np.where(keeps, meets, np.minimum(meets, last))]
    pe = _pe_for(node, pes, simd, targets)
    return pe, simd


def _first_below(cycles: IntArray, targets: IntArray) -> IntArray:
    """Place (n,) of the first of falling cycles below each target; the last if none is."""
    found = (cycles[None, :] >= targets[:, None]).sum(axis=1)
    return np.minimum(found, len(cycles) - 1)


def _pe_for(node: Node, pes: IntArray, simd: IntArray, targets: IntArray) -> IntArray:
    times = node.cycles(pes[None, :], simd[:, None])
    found = (times >= targets[:, None]).sum(axis=1)
    return pes[np.minimum(found, len(pes) - 1)]


def cheapest(
    pipeline: Pipeline, targets: IntArray, weights: Mapping[str, float], stream_bits: int = 36
) -> tuple[IntArray, IntArray]:
    """Of each layer the folding that needs no more cycles than a target and is cheapest.

    A layer that no folding brings to a target takes its fastest.

    Args:
        pipeline: what is folded.
        targets: cycles, (n,).
        weights: price of one of each resource.
        stream_bits: widest weight stream of one output.

    Returns:
        `pe` and `simd` (n, compute nodes).
    """
    pe = np.empty((len(targets), len(pipeline.compute)), dtype=np.int64)
    simd = np.empty_like(pe)
    for position, i in enumerate(pipeline.compute):
        node = pipeline.nodes[i]
        grid = np.stack(
            np.meshgrid(
                pipeline.pe_choices[position], pipeline.simd_choices[position], indexing="ij"
            )
        )
        use = pipeline.use_grid(position)
        price = np.sum([weights[name] * use[name] for name in weights], axis=0)
        legal = grid[1] == 1
        if node.kind == "vector":
            legal |= grid[0] == node.outputs
        else:
            legal |= pipeline.numbers.weight_bits * grid[1] <= stream_bits
        cycles = node.cycles(grid[0][legal], grid[1][legal])
        order = np.lexsort((price[legal], cycles))
        cycles, price = cycles[order], price[legal][order]
        # The cheapest of all that are as fast: where the running least of prices was last lowered.
        lowered = np.append(True, price[1:] < np.minimum.accumulate(price)[:-1])
        best = np.maximum.accumulate(np.where(lowered, np.arange(len(price)), 0))
        chosen = best[np.maximum(np.searchsorted(cycles, targets, side="right") - 1, 0)]
        pe[:, position], simd[:, position] = grid[:, legal][:, order][:, chosen]
    return pe, simd


def fit(pipeline: Pipeline, budget: dict[str, float], stream_bits: int = 36) -> Folding:
    """The folding with the least interval that is found within a budget.

    At every target at which some layer's folding changes, SetFolding is tried, and of each layer
    the cheapest folding: by the sum of its shares of the budget, and by every resource alone, so
    that the least interval is found where one resource is short.

    Raises:
        MappingError: if not even the least folding fits.
    """
    places = [pipeline.nodes[i] for i in pipeline.compute]
    steps = [
        node.cycles(pes[:, None], simds[None, :]).ravel()
        for node, pes, simds in zip(places, pipeline.pe_choices, pipeline.simd_choices, strict=True)
    ]
    targets = np.unique(np.concatenate(steps))
    shares = {name: 1 / max(limit, 1) for name, limit in budget.items()}
    prices = [shares]
    for short in budget:  # the others decide between equals
        prices.append({n: share * (1 if n == short else 1e-6) for n, share in shares.items()})
    tried = [set_folding(pipeline, targets + 1, stream_bits, relax=False)]
    tried += [cheapest(pipeline, targets, price, stream_bits) for price in prices]
    both = np.unique(np.concatenate([np.concatenate(t, axis=1) for t in tried]), axis=0)
    pe, simd = np.split(both, 2, axis=1)
    costs = pipeline.costs(pe, simd)
    excess = costs.excess(budget)
    fits = np.flatnonzero(excess <= 0)
    if not len(fits):
        raise MappingError(_too_large(pipeline, costs, budget, int(np.argmin(excess))))
    # Of foldings as fast, the one that uses least.
    size = np.sum([costs.totals[name] * share for name, share in shares.items()], axis=0)
    best = int(fits[np.lexsort((size[fits], costs.interval[fits]))[0]])
    return _single(pipeline, pe[best], simd[best])


def fold(pipeline: Pipeline, accelerator: FpgaDataflow, mapper: str = "fit") -> Folding:
    """Folds a pipeline within an accelerator's budget.

    Args:
        pipeline: what is folded.
        accelerator: its budget, and the interval wanted, if any.
        mapper: `fit`: the least interval that fits, unless one is wanted; `set_folding`: FINN's,
            for the interval wanted (1 if none is: as parallel as it goes).

    Raises:
        MappingError: if it does not fit.
    """
    wanted, bits = accelerator.interval_cycles, accelerator.weight_stream_bits
    if mapper == "fit" and not np.isfinite(wanted):
        return fit(pipeline, accelerator.budget, bits)
    target = int(wanted) if np.isfinite(wanted) else 1
    # FINN stays below its target: an interval of n cycles is below n + 1.
    pe, simd = set_folding(pipeline, np.array([target + 1]), bits)
    found = _single(pipeline, pe[0], simd[0])
    if found.costs.excess(accelerator.budget)[0] > 0:
        raise MappingError(_too_large(pipeline, found.costs, accelerator.budget, 0))
    return found


def _single(pipeline: Pipeline, pe: IntArray, simd: IntArray) -> Folding:
    return Folding(pe, simd, pipeline.costs(pe[None], simd[None]))


def _too_large(pipeline: Pipeline, costs: Costs, budget: dict[str, float], row: int) -> str:
    """What is short, of the folding that comes nearest."""
    totals = {name: int(each[row]) for name, each in costs.totals.items()}
    name = max(totals, key=lambda name: totals[name] / max(budget[name], 1e-9))
    return (
        f"network '{pipeline.network}' needs {totals[name]:,} {name} at {costs.interval[row]:,} "
        f"cycles per inference; the budget has {int(budget[name]):,}: take narrower weights, "
        "another weight_memory, a larger board or more cycles"
    )
