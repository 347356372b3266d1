"""Foldings of a pipeline: FINN's SetFolding for many targets at once, and the least that fits.

References:
    The FINN compiler's transformation `SetFolding`.
"""

from __future__ import annotations

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


def fit(pipeline: Pipeline, budget: dict[str, float], stream_bits: int = 36) -> Folding:
    """The folding with the least interval of all that SetFolding makes and the budget holds.

    Every target at which some node's folding changes is tried.

    Raises:
        MappingError: if not even the least folding fits.
    """
    steps = [
        node.cycles(pes[None, :], simds[:, None]).ravel()
        for node, pes, simds in zip(
            (pipeline.nodes[i] for i in pipeline.compute),
            pipeline.pe_choices,
            pipeline.simd_choices,
            strict=True,
        )
    ]
    targets = np.unique(np.concatenate(steps)) + 1
    pe, simd = set_folding(pipeline, targets, stream_bits, relax=False)
    both, index = np.unique(np.concatenate([pe, simd], axis=1), axis=0, return_index=True)
    pe, simd = both[:, : pe.shape[1]], both[:, pe.shape[1] :]
    costs = pipeline.costs(pe, simd)
    excess = costs.excess(budget)
    fits = np.flatnonzero(excess <= 0)
    if not len(fits):
        raise MappingError(_too_large(pipeline, costs, budget, int(np.argmin(excess))))
    # Of foldings as fast, the one that uses the fewest LUTs and blocks.
    size = sum(costs.totals[name] / max(budget[name], 1) for name in budget)
    order = np.lexsort((index[fits], np.asarray(size)[fits], costs.interval[fits]))
    best = int(fits[order[0]])
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
