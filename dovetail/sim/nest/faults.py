"""Why a mapping is invalid: what was given, the law it breaks, and what to change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import UnknownNameError
from dovetail.ir.mapping import OPERANDS, Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.batch import MAX_ITERATIONS, MappingBatch, single_path
from dovetail.sim.nest.boundary import accesses
from dovetail.sim.nest.cost import Chain, evaluate


def faults(einsum: Einsum, accelerator: SpatialArray, mapping: Mapping) -> list[str]:
    """Everything that is wrong with a mapping of one operator; empty if it is valid.

    Args:
        einsum: the operator.
        accelerator: that shall run it.
        mapping: of it, with the roles `input`, `weight` and `output` as names of tensors.
    """
    return unlawful(einsum, accelerator, mapping) or list(
        _overflows(einsum, accelerator, single_path(mapping))
    )


def unlawful(einsum: Einsum, accelerator: SpatialArray, mapping: Mapping) -> list[str]:
    """The faults of a mapping but for tiles that do not fit."""
    paths = list(mapping.paths())
    if len(paths) != 1:
        return [f"the mapping holds {len(paths)} operators: one is expected; map each on its own"]
    path = paths[0][1]
    if len(einsum.operands) > 2:
        return [f"the einsum has {len(einsum.operands)} factors: at most 2; split it in products"]
    return path_faults(einsum, accelerator, path)


def path_faults(
    einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node], within: Sequence[str] = ()
) -> list[str]:
    """Faults of the nodes around one operator but for tiles that do not fit.

    Args:
        einsum: the operator.
        accelerator: that shall run it.
        path: nodes from the outermost to the innermost, operands by role.
        within: operands that need no memory outside of the outermost that keeps them.
    """
    return list(_unknown(einsum, accelerator, path)) or [
        *_loops(einsum, accelerator, path),
        *_keeps(einsum, accelerator, path, within),
    ]


def _unknown(einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node]) -> Iterator[str]:
    """Names that neither the operator nor the accelerator has."""
    known = {
        "memory": [store.name for store in accelerator.stores],
        "tensor": list(accesses(einsum)),
        "rank": [rank for rank, _ in einsum.ranks],
        "dimension": [name for name, _ in accelerator.dimensions],
    }
    for node in path:
        names = [("memory", node.memory)] if isinstance(node, Keep) else [("rank", node.rank)]
        if isinstance(node, Keep):
            names += [("tensor", tensor) for tensor in node.tensors]
        elif isinstance(node, Spatial):
            names.append(("dimension", node.dimension))
        for what, name in names:
            if name not in known[what]:
                yield str(UnknownNameError(what, name, known[what]))


def _loops(einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node]) -> Iterator[str]:
    """Loops that do not cover the operator, or that the array has no room for."""
    run = math.prod(node.count for node in path if not isinstance(node, Keep))
    if run > MAX_ITERATIONS:
        yield (
            f"the loops run 2^{run.bit_length() - 1} iterations or more, of {einsum.macs} that the "
            "operator needs: at most 2^53 are counted exactly; lower the counts"
        )
    for rank, extent in einsum.ranks:
        loops = [node for node in path if not isinstance(node, Keep) and node.rank == rank]
        covered = math.prod(node.count for node in loops)
        if covered < extent:
            given = " x ".join(str(node.count) for node in loops) or "no loop"
            yield (
                f"loops over {rank} run {covered} of {extent} iterations ({given}): raise a count "
                f"to at least {-(-extent * (loops[-1].count if loops else 1) // covered)}"
            )
    allowed = dict(accelerator.unrolls)
    for dimension, size in accelerator.dimensions:
        spread = [e for e in path if isinstance(e, Spatial) and e.dimension == dimension]
        used = math.prod(node.count for node in spread)
        if used > size:
            given = " x ".join(f"{node.rank} {node.count}" for node in spread)
            yield (
                f"dimension '{dimension}' has {size} PEs; the spatial loops {given} need {used}: "
                "lower a count or make one of them temporal"
            )
        for node in spread:
            ranks = allowed.get(dimension, ())
            if node.count > 1 and node.rank not in ranks:
                may = ", ".join(ranks) or "nothing"
                yield (
                    f"rank {node.rank} may not be spread over dimension '{dimension}', which takes "
                    f"{may}: make the loop temporal or allow it in the array's unrolls"
                )


def _keeps(
    einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node], within: Sequence[str]
) -> Iterator[str]:
    """Operands without a store, in a store that is not theirs, or in the wrong order."""
    for operand in accesses(einsum):
        kept = [e.memory for e in path if isinstance(e, Keep) and operand in e.tensors]
        chain = [store.name for store in reversed(accelerator.hierarchy(operand))]
        strangers = [name for name in kept if name not in chain]
        for name in strangers:
            yield (
                f"memory '{name}' does not hold the {operand}, which lives in {_list(chain)}: "
                "leave it out there"
            )
        twice = sorted({name for name in kept if kept.count(name) > 1})
        for name in twice:
            yield f"the {operand} is kept twice in memory '{name}': one Keep per memory"
        if not (strangers or twice) and kept != sorted(kept, key=chain.index):
            yield (
                f"the {operand} is kept in {_list(kept)} from the outermost to the innermost, "
                f"against the hierarchy {_list(chain)}: reorder the Keeps"
            )
        if kept:
            yield from _missing(accelerator, operand, kept, operand in within)
        else:
            yield f"the {operand} has no memory: keep it at least in '{chain[0]}'"


def _missing(
    accelerator: SpatialArray, operand: str, kept: Sequence[str], within: bool
) -> Iterator[str]:
    outermost = accelerator.hierarchy(operand)[-1].name
    for store in accelerator.hierarchy(operand):
        if store.name in kept:
            if within and store.name == kept[0]:
                return
            continue
        if operand in store.bypass and store.name != outermost:
            continue
        law = "is its outermost" if store.name == outermost else "it may not bypass"
        yield f"the {operand} is not kept in memory '{store.name}', which {law}: add it to a Keep"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _overflows(einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node]) -> Iterator[str]:
    """Stores that are too small for their tiles."""
    cost, chains = evaluate(einsum, accelerator, _encoded(einsum, accelerator, path))
    for level, store in enumerate(accelerator.stores[:-1]):
        need, room = float(cost.tile_bits[level, 0]) / 8, store.tile_bits / 8
        if need > room:
            yield overflow(store, need, room, _tiles(store, chains)) + _remedy(
                einsum, accelerator, path, level
            )


def overflow(store: Store, need: float, room: float, tiles: str) -> str:
    """Says that tiles of `need` bytes do not fit in the `room` of a store; a remedy follows."""
    half = " (half of it, double buffered)" if store.buffering == "double" else ""
    return (
        f"memory '{store.name}' holds {room:g} B of tiles{half}; these need {need:g} B, "
        f"{need - room:g} B too many ({tiles}): "
    )


def _tiles(store: Store, chains: Sequence[Chain]) -> str:
    return ", ".join(
        f"{chain.operand} {float(bits[0]) / 8:g} B"
        for chain in chains
        for kept, _, bits in chain.tiles()
        if kept is store
    )


def _encoded(einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node]) -> MappingBatch:
    return MappingBatch.of_paths(einsum, accelerator, [path])


def _remedy(einsum: Einsum, accelerator: SpatialArray, path: Sequence[Node], level: int) -> str:
    """Names the rank whose halving inside the store saves most."""
    store = accelerator.stores[level].name
    inside = [i for i, e in enumerate(path) if isinstance(e, Keep) and e.memory == store]
    best, best_bits = "", math.inf
    for rank, _ in einsum.ranks:
        trial = list(path)
        for i, node in enumerate(path):
            if isinstance(node, Keep) or i < inside[0] or node.rank != rank:
                continue
            if node.count > 1:
                half = -(-node.count // 2)
                if isinstance(node, Temporal):
                    trial[i] = Temporal(rank, half)
                else:
                    trial[i] = Spatial(rank, half, node.dimension)
                break
        if trial == list(path):
            continue
        cost, _ = evaluate(einsum, accelerator, _encoded(einsum, accelerator, trial))
        if cost.tile_bits[level, 0] < best_bits:
            best, best_bits = rank, float(cost.tile_bits[level, 0])
    if not best:
        return "a single element is too much; enlarge the memory"
    kept = sorted({t for i in inside for e in [path[i]] if isinstance(e, Keep) for t in e.tensors})
    names = _list([operand for operand in OPERANDS if operand in kept])
    return f"move loops over {best} out of its Keep of {names}"
