"""Networks as chains of blocks, laid onto two sub-accelerators, for whole batches of designs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dovetail.envs.multitask_costs import BLOCKS, Part, operator_costs, operators
from dovetail.ir.space import IntArray
from dovetail.mappers import chains
from dovetail.mappers.chains import Assignment, Sums, least_energy, solve
from dovetail.sim.kernel import compiled, folder_of

UNBOUNDED = 2**62
"""A deadline that every schedule meets."""


def block_costs(dataset: str, codes: IntArray, costs: IntArray, index: IntArray) -> IntArray:
    """What the blocks of networks cost.

    Args:
        dataset: that the networks are for.
        codes: of their cells, (n,).
        costs: cycles and pJ of operators on each sub-accelerator, (parts, 2, kinds).
        index: sub-accelerators of each design, (n, 2).

    Returns:
        Sums of cycles and pJ before each block and of all, (n, 2, blocks + 1, 2 sub-accelerators).
    """
    known = operators(dataset)
    sums: IntArray = _block_sums(
        known.slots[codes], known.kind, known.block, costs, index, len(BLOCKS)
    )
    return sums


def costs_of(
    datasets: Sequence[str], codes: IntArray, parts: Sequence[Part], index: IntArray, mapping: str,
    deadline: int,
) -> tuple[IntArray, IntArray]:  # fmt: skip
    """Makespan in cycles and energy in pJ of n designs, each (n,).

    Args:
        datasets: that the networks are for, one or two.
        codes: of the networks' cells, (n, networks).
        parts: sub-accelerators.
        index: the two of each design, (n, 2).
        mapping: what each operator's mapping minimises.
        deadline: cycles; see `dovetail.mappers.chains`.
    """
    sums = [_sums(name, codes[:, i], parts, index, mapping) for i, name in enumerate(datasets)]
    if len(sums) == 1:
        sums.append(np.zeros((len(codes), 2, 1, 2), dtype=np.int64))
    found: IntArray = _solved(sums[0], sums[1], deadline)
    return found[:, 0], found[:, 1]


def laid_out(
    datasets: Sequence[str], codes: IntArray, parts: Sequence[Part], mapping: str, deadline: int
) -> Assignment:
    """Sub-accelerator and time of every block of one design's networks; codes (networks,)."""
    index = np.array([[0, 1]])
    blocks = [
        np.diff(_sums(name, codes[[i]], parts, index, mapping)[0], axis=1)
        for i, name in enumerate(datasets)
    ]
    return least_energy(
        [cycles for cycles, _ in blocks], [energy for _, energy in blocks], deadline
    )


def _sums(
    dataset: str, codes: IntArray, parts: Sequence[Part], index: IntArray, mapping: str
) -> IntArray:
    costs = np.stack([operator_costs(dataset, part, mapping) for part in parts])
    return block_costs(dataset, codes, costs, index)


_FOLDER = folder_of([Path(__file__), Path(chains.__file__)])


def _solve_each(first: IntArray, second: IntArray, deadline: int) -> IntArray:
    """Makespan and energy (n, 2) of designs whose networks cost (n, 2, blocks + 1, 2) each."""
    found = np.zeros((len(first), 2), dtype=np.int64)
    for design in range(len(first)):
        a, b = first[design], second[design]
        found[design, 0], found[design, 1], _ = solve(Sums(a[0], b[0], a[1], b[1]), deadline)
    return found


def _sum_blocks(
    slots: NDArray[np.int16], kind: IntArray, block: IntArray, costs: IntArray, index: IntArray,
    blocks: int,
) -> IntArray:  # fmt: skip
    """What `block_costs` returns; slots (n, slots) hold rows of kind and block, or -1."""
    sums = np.zeros((len(slots), 2, blocks + 1, 2), dtype=np.int64)
    for design in range(len(slots)):
        for row in slots[design]:
            if row >= 0:
                for part in range(2):
                    at = costs[index[design, part]]
                    sums[design, 0, block[row] + 1, part] += at[0, kind[row]]
                    sums[design, 1, block[row] + 1, part] += at[1, kind[row]]
        for place in range(blocks):
            sums[design, :, place + 1] += sums[design, :, place]
    return sums


_solved, _block_sums = (compiled(function, _FOLDER) for function in (_solve_each, _sum_blocks))
