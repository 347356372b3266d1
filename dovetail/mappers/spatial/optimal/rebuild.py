"""From cuts back to a mapping."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import OPERANDS, Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.optimal import tables
from dovetail.mappers.spatial.optimal.problem import Ints, Problem

Cut = tuple[int, int, tuple[int, ...]]
"""Operand, store below (-1: the PEs), and what lies inside of the cut per rank."""


def cuts_of(problem: Problem, vectors: Ints, chain: Ints) -> list[Cut]:
    """The cuts of a solution, from the outside in."""
    free = problem.edges[problem.edges[:, tables.FREE] == 1]
    cuts: list[Cut] = []
    for edge, (point, landing) in zip(free, chain, strict=True):
        store = int(edge[tables.LOWER])
        cuts.append((int(edge[tables.OPERAND]), store, tuple(map(int, vectors[point]))))
        if landing >= 0:  # one loop leads from the tile to here
            cuts.append((int(edge[tables.OPERAND]), -1, tuple(map(int, vectors[landing]))))
    order = sorted(range(len(cuts)), key=lambda i: (math.prod(cuts[i][2]), i), reverse=True)
    return [cuts[i] for i in order]


def mapping_of(
    einsum: Einsum,
    accelerator: SpatialArray,
    levels: Sequence[Sequence[int]],
    totals: Ints,
    choice: Ints,
    cuts: Sequence[Cut],
) -> Mapping:
    """The mapping with given cuts: between two of them one loop per rank."""
    names = [name for name, _ in einsum.ranks]
    inside = tuple(map(int, totals))
    nodes: list[Node] = list(_outermost(accelerator, levels, cuts))
    for operand, store, vector in cuts:
        nodes += _loops(names, inside, vector)
        inside = vector
        if store >= 0:
            nodes.append(Keep(accelerator.stores[store].name, (OPERANDS[operand],)))
    nodes += _loops(names, inside, (1,) * len(names))
    for (dimension, _), counts in zip(accelerator.dimensions, choice, strict=True):
        nodes += [
            Spatial(name, int(count), dimension)
            for name, count in zip(names, counts, strict=True)
            if count > 1
        ]
    return Mapping(tuple(_joined(nodes)), einsum.output.tensor)


def _outermost(
    accelerator: SpatialArray, levels: Sequence[Sequence[int]], cuts: Sequence[Cut]
) -> Iterator[Keep]:
    placed = {(operand, store) for operand, store, _ in cuts}
    for operand, (role, kept) in enumerate(zip(OPERANDS, levels, strict=True)):
        if kept and (operand, kept[-1]) not in placed:
            yield Keep(accelerator.stores[kept[-1]].name, (role,))


def _loops(names: Sequence[str], outer: Sequence[int], inner: Sequence[int]) -> Iterator[Temporal]:
    for name, more, less in zip(names, outer, inner, strict=True):
        if more > less:
            yield Temporal(name, more // less)


def _joined(nodes: Sequence[Node]) -> list[Node]:
    """Joins neighbouring keeps of one memory."""
    result: list[Node] = []
    for node in nodes:
        above = result[-1] if result else None
        if isinstance(node, Keep) and isinstance(above, Keep) and above.memory == node.memory:
            node = Keep(node.memory, above.tensors + node.tensors)
            result.pop()
        result.append(node)
    return result
