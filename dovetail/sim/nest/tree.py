"""The analysis of fused operators: a tree of loops with an operator at every leaf.

Every operator is analysed along the path of nodes around it. Three things differ from an operator
on its own. A tensor that passes from one operator to another may stay in an inner memory: then
nothing of it crosses the memories outside. A tile that is kept inside a branch is gone when the
next branch has run: loops around both cannot keep it stationary. And tiles that are kept around
several branches take room in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError, UnknownNameError
from dovetail.ir.mapping import OPERANDS, Keep, Node, Temporal
from dovetail.ir.mapping import Mapping as Tree
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.analysis import nest_cost
from dovetail.sim.nest.batch import MappingBatch
from dovetail.sim.nest.boundary import accesses
from dovetail.sim.nest.cost import NestCost, evaluate
from dovetail.sim.nest.faults import overflow, path_faults

Place = tuple[int, ...]
"""A node in a tree: the children on the way to it, then its position in their nodes."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An operator and what stands around it.

    Attributes:
        operator: its name.
        nodes: around it, from the outermost to the innermost, with names of tensors.
        places: of the nodes.
        splits: per node how many temporal loops stand outside of the innermost branch around it.
        branch: the same for the operator itself.
    """

    operator: str
    nodes: tuple[Node, ...]
    places: tuple[Place, ...]
    splits: tuple[int, ...]
    branch: int


def leaves(
    tree: Tree, place: Place = (), loops: int = 0, split: int = 0, around: Leaf | None = None
) -> Iterator[Leaf]:
    """Operators of a tree in the order in which they run."""
    nodes, places, splits = (around.nodes, around.places, around.splits) if around else ((), (), ())
    here = Leaf(
        tree.operator,
        nodes + tree.nodes,
        places + tuple((*place, -1, i) for i in range(len(tree.nodes))),
        splits + (split,) * len(tree.nodes),
        split,
    )
    loops += sum(isinstance(node, Temporal) for node in tree.nodes)
    if tree.operator:
        yield here
    if len(tree.children) > 1:
        split = loops
    for i, child in enumerate(tree.children):
        yield from leaves(child, (*place, i), loops, split, here)


def analyse_tree(
    einsums: Mapping[str, Einsum], accelerator: SpatialArray, tree: Tree
) -> dict[str, NestCost]:
    """What every operator of a tree of fused operators costs.

    They run one after the other: cycles and energies add up.

    Args:
        einsums: the operators by name; tensors with the same name are the same.
        accelerator: that runs them.
        tree: their mapping, with names of tensors.

    Raises:
        MappingError: if the mapping is invalid (see `tree_faults`).
    """
    wrong = tree_faults(einsums, accelerator, tree)
    if wrong:
        raise MappingError(wrong[0])
    result = {}
    for leaf in leaves(tree):
        einsum = einsums[leaf.operator]
        batch = _encoded(einsum, accelerator, leaf)
        result[leaf.operator] = nest_cost(einsum, *evaluate(einsum, accelerator, batch))
    return result


def tree_faults(einsums: Mapping[str, Einsum], accelerator: SpatialArray, tree: Tree) -> list[str]:
    """Everything that is wrong with a mapping of fused operators; empty if it is valid."""
    parts = list(leaves(tree))
    names = [leaf.operator for leaf in parts]
    wrong = [
        str(UnknownNameError("operator", name, einsums)) for name in names if name not in einsums
    ]
    wrong += [f"operator '{e}' stands twice in the tree" for e in names if names.count(e) > 1]
    wrong = wrong or list(_strangers(einsums, parts))
    for leaf in parts if not wrong else ():
        einsum = einsums[leaf.operator]
        within = [
            role for role, name in _tensors(einsum).items() if name in _passed(einsums, parts)
        ]
        path = role_path(einsum, leaf.nodes)
        found = path_faults(einsum, accelerator, path, within)
        wrong += [f"operator '{leaf.operator}': {text}" for text in found]
    wrong = wrong or list(_handovers(einsums, parts))
    return wrong or list(_overflows(einsums, accelerator, parts))


def role_path(einsum: Einsum, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Nodes with the roles of one operator's tensors in place of all tensors' names."""
    tensors = _tensors(einsum)
    path: list[Node] = []
    for node in nodes:
        if isinstance(node, Keep):
            roles = tuple(role for role, name in tensors.items() if name in node.tensors)
            if roles:
                path.append(Keep(node.memory, roles))
        else:
            path.append(node)
    return tuple(path)


def _tensors(einsum: Einsum) -> dict[str, str]:
    return {role: access.tensor for role, access in accesses(einsum).items()}


def _passed(einsums: Mapping[str, Einsum], parts: Sequence[Leaf]) -> dict[str, tuple[Leaf, Leaf]]:
    """Tensors that one operator of the tree writes and another reads; the last that reads."""
    writers = {einsums[leaf.operator].output.tensor: leaf for leaf in parts}
    return {
        access.tensor: (writers[access.tensor], leaf)
        for leaf in parts
        for access in einsums[leaf.operator].operands
        if access.tensor in writers
    }


def _strangers(einsums: Mapping[str, Einsum], parts: Sequence[Leaf]) -> Iterator[str]:
    """Kept tensors that no operator inside has."""
    inside: dict[Place, set[str]] = {}
    for leaf in parts:
        for place in leaf.places:
            inside.setdefault(place, set()).update(_tensors(einsums[leaf.operator]).values())
    seen = {
        place: node
        for leaf in parts
        for place, node in zip(leaf.places, leaf.nodes, strict=True)
        if isinstance(node, Keep)
    }
    for place, node in seen.items():
        for tensor in node.tensors:
            if tensor not in inside[place]:
                yield str(UnknownNameError("tensor", tensor, inside[place]))


def _outermost(leaf: Leaf, tensor: str) -> int:
    """Position of the outermost Keep of a tensor."""
    return next(
        i for i, node in enumerate(leaf.nodes) if isinstance(node, Keep) and tensor in node.tensors
    )


def _handovers(einsums: Mapping[str, Einsum], parts: Sequence[Leaf]) -> Iterator[str]:
    """Tensors that cannot pass from the operator that writes them to one that reads them."""
    order = [leaf.operator for leaf in parts]
    for tensor, (writer, reader) in _passed(einsums, parts).items():
        said = f"tensor '{tensor}' passes from '{writer.operator}' to '{reader.operator}'"
        if order.index(writer.operator) > order.index(reader.operator):
            yield f"{said}, which runs first: swap the branches"
            continue
        held = writer.places[_outermost(writer, tensor)]
        if held != reader.places[_outermost(reader, tensor)]:
            yield f"{said}, but no Keep around both of them holds it: add it to one"
            continue
        summed = {rank for rank, _ in einsums[writer.operator].ranks}
        summed -= einsums[writer.operator].output.ranks
        for place, node in zip(writer.places, writer.nodes, strict=True):
            if isinstance(node, Keep) or place not in reader.places:
                continue
            if node.count > 1 and node.rank in summed:
                yield (
                    f"{said} before it is finished: the loop over {node.rank} around both of them "
                    f"sums it up; move the loop into '{writer.operator}'"
                )


def _encoded(einsum: Einsum, accelerator: SpatialArray, leaf: Leaf) -> MappingBatch:
    """A leaf's path with the loops that tiles of its branch cannot outlive."""
    batch = MappingBatch.of_paths(einsum, accelerator, [role_path(einsum, leaf.nodes)])
    level = {store.name: i for i, store in enumerate(accelerator.stores)}
    floors = np.full((1, len(OPERANDS), len(level) + 1), leaf.branch, np.int64)
    for node, split in zip(leaf.nodes, leaf.splits, strict=True):
        if isinstance(node, Keep):
            for role, name in _tensors(einsum).items():
                if name in node.tensors:
                    floors[0, OPERANDS.index(role), level[node.memory]] = split
    return MappingBatch(batch.ranks, batch.counts, batch.spatial, batch.keeps, floors)


def _overflows(
    einsums: Mapping[str, Einsum], accelerator: SpatialArray, parts: Sequence[Leaf]
) -> Iterator[str]:
    """Memories that are too small for all tiles that are alive while an operator runs."""
    bits: dict[tuple[Place, str], float] = {}
    for leaf in parts:
        for key, size in _tiles(einsums[leaf.operator], accelerator, leaf):
            bits[key] = max(size, bits.get(key, 0.0))
    for leaf in parts:
        for store in accelerator.stores[:-1]:
            alive = {
                tensor: bits[place, tensor] / 8
                for place, node in zip(leaf.places, leaf.nodes, strict=True)
                if isinstance(node, Keep) and node.memory == store.name
                for tensor in node.tensors
            }
            need, room = sum(alive.values()), store.tile_bits / 8
            if need > room:
                tiles = ", ".join(f"{tensor} {size:g} B" for tensor, size in alive.items())
                yield (
                    f"operator '{leaf.operator}': {overflow(store, need, room, tiles)}"
                    "move loops out of its Keeps"
                )


def _tiles(
    einsum: Einsum, accelerator: SpatialArray, leaf: Leaf
) -> Iterator[tuple[tuple[Place, str], float]]:
    """Bits of the tiles of an operator's tensors by the place of their Keep."""
    _, chains = evaluate(einsum, accelerator, _encoded(einsum, accelerator, leaf))
    sizes = {
        (store.name, chain.operand): float(bits[0])
        for chain in chains
        for store, _, bits in chain.tiles()
    }
    for place, node in zip(leaf.places, leaf.nodes, strict=True):
        if isinstance(node, Keep):
            for role, name in _tensors(einsum).items():
                if name in node.tensors:
                    yield (place, name), sizes[node.memory, role]
