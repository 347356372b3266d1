"""A mapping as people read it: memories with their tiles, and the loops between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Einsum
from dovetail.sim.nest import MappingBatch, NestCost, analyse, analyse_batch

UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Tile:
    """What a memory keeps from some place of the nest inwards.

    Attributes:
        store: the memory.
        operands: (role, bytes of its tile in one instance) pairs.
        instances: of the memory that are in use.
        room_bytes: for tiles in one instance, all operands together; infinite off-chip.
    """

    store: str
    operands: tuple[tuple[str, float], ...]
    instances: int
    room_bytes: float

    @property
    def share(self) -> float:
        """Of the room, that these tiles take; 0 off-chip."""
        return sum(size for _, size in self.operands) / self.room_bytes


@dataclass(frozen=True, slots=True)
class NestView:
    """A mapping with the sizes of its tiles.

    Attributes:
        steps: tiles, loops in time, and the loops over the array between two memories together;
            from the outermost to the innermost.
        cost: of the mapping.
    """

    steps: tuple[Tile | Temporal | tuple[Spatial, ...], ...]
    cost: NestCost


def placed(nodes: Sequence[Node], accelerator: SpatialArray) -> list[Node]:
    """Nodes with every spatial loop where its instances part.

    That is right outside the first memory that does not serve its dimension. A mapping costs the
    same wherever its spatial loops stand.
    """
    serves = {store.name: store.serves for store in accelerator.stores}
    waiting = [node for node in nodes if isinstance(node, Spatial)]
    result: list[Node] = []
    for node in nodes:
        if isinstance(node, Spatial):
            continue
        if isinstance(node, Keep):
            here = serves.get(node.memory, ())
            result += [spread for spread in waiting if spread.dimension not in here]
            waiting = [spread for spread in waiting if spread.dimension in here]
        result.append(node)
    return result + waiting


def nest_view(einsum: Einsum, accelerator: SpatialArray, mapping: Mapping) -> NestView:
    """Sizes of all tiles of a valid mapping of one operator.

    Args:
        einsum: the operator.
        accelerator: what it is laid onto.
        mapping: of it.

    Raises:
        MappingError: if the mapping is invalid.
    """
    cost = analyse(einsum, accelerator, mapping)
    ((_, nodes),) = mapping.paths()
    sizes = _tile_bytes(einsum, accelerator, mapping, cost)
    stores = {store.name: store for store in accelerator.stores}
    steps: list[Tile | Temporal | tuple[Spatial, ...]] = []
    for node in placed(nodes, accelerator):
        if isinstance(node, Keep):
            steps.append(_tile(node, stores[node.memory], sizes, cost))
        elif isinstance(node, Temporal):
            steps.append(node)
        elif steps and isinstance(steps[-1], tuple):
            steps[-1] = (*steps[-1], node)
        else:
            steps.append((node,))
    return NestView(tuple(steps), cost)


def _tile(node: Keep, store: Store, sizes: dict[tuple[str, str], float], cost: NestCost) -> Tile:
    operands = tuple((role, sizes[store.name, role]) for role in node.tensors)
    instances = cost.level(store.name, node.tensors[0]).instances
    return Tile(store.name, operands, instances, store.tile_bits / 8)


def _tile_bytes(
    einsum: Einsum, accelerator: SpatialArray, mapping: Mapping, cost: NestCost
) -> dict[tuple[str, str], float]:
    """Bytes of a tile in one instance by memory and operand."""
    batch = MappingBatch.of(einsum, accelerator, [mapping])
    total = analyse_batch(einsum, accelerator, batch).tile_bits[:, 0] / 8
    sizes = {
        (level.store, level.operand): level.tile_elements * accelerator.bits(level.operand) / 8
        for level in cost.levels
        if level.operand != "output"
    }
    for store, used in zip(accelerator.stores, total.tolist(), strict=True):
        # Whether sums are finished, and so their width, shows in what they leave of the total.
        others = sum(size for (name, _), size in sizes.items() if name == store.name)
        sizes[store.name, "output"] = used - others
    return sizes


def nest_lines(view: NestView, operator: str) -> list[str]:
    """The nest as indented text: memories with their tiles, loops inside them."""
    lines: list[str] = []
    depth = 0
    for step in view.steps:
        indent = "  " * depth
        if isinstance(step, Tile):
            lines.append(f"{indent}{tile_text(step)}")
        elif isinstance(step, Temporal):
            lines.append(f"{indent}for {step.rank} in 0..{step.count - 1}")
            depth += 1
        else:
            lines.append(f"{indent}spread {spread_text(step)}")
            depth += 1
    lines.append(f"{'  ' * depth}{operator}: multiply, accumulate")
    return lines


def tile_text(tile: Tile) -> str:
    """`[glb] input 12 kB, output 3 kB: 14 % of 108 kB`."""
    kept = ", ".join(f"{role} {byte_text(size)}" for role, size in tile.operands)
    count = f" x{tile.instances}" if tile.instances > 1 else ""
    room = (
        "" if math.isinf(tile.room_bytes) else f": {tile.share:.0%} of {byte_text(tile.room_bytes)}"
    )
    return f"[{tile.store}{count}] {kept}{room}"


def spread_text(loops: Sequence[Spatial]) -> str:
    """`K 16 along x, C 12 along y`."""
    return ", ".join(f"{loop.rank} {loop.count} along {loop.dimension}" for loop in loops)


def byte_text(size: float) -> str:
    """A size with a unit, three significant digits."""
    power = 0
    while size >= 1000 and power < len(UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {UNITS[power]}"
