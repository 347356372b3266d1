"""What every mapping of an operator costs at least."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import value_of
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.mappers.spatial.mapspace_factors import Loop


def lower_bound(einsum: Einsum, accelerator: SpatialArray, objective: str) -> float:
    """A value that no mapping beats, from the operator's size alone.

    Every PE is busy or the outermost memory moves each element once; energy is that of the MACs,
    of these elements, and of what PEs read and write at memories that no mapping leaves out.
    """
    space = Mapspace(einsum, accelerator)
    compute = einsum.macs / max(1, accelerator.peak_macs_per_cycle)
    cycles = max(compute, *(_port_cycles(space, store) for store in accelerator.stores[-1:]))
    energy = einsum.macs * accelerator.mac_pj + sum(
        _outer_pj(space, operand) + _inner_pj(space, operand) for operand in range(len(OPERANDS))
    )
    return float(value_of(cycles, energy, objective))


def _port_cycles(space: Mapspace, store: Store) -> float:
    """Cycles that the outermost memory moves every element of its operands once."""
    bits = [
        _elements(space, operand) * _width(space.accelerator, operand)
        if chain[-1] is store
        else 0.0
        for operand, chain in enumerate(space.hierarchies)
    ]
    read, written = bits[0] + bits[1], bits[2]
    if store.write_bits_per_cycle is None:
        return (read + written) / store.read_bits_per_cycle
    return max(read / store.read_bits_per_cycle, written / store.write_bits_per_cycle)


def _outer_pj(space: Mapspace, operand: int) -> float:
    return _elements(space, operand) * _pj(space, operand, space.hierarchies[operand][-1])


def _inner_pj(space: Mapspace, operand: int) -> float:
    """Energy of the PEs' side, where it must be another memory's than the outermost."""
    chain, role = space.hierarchies[operand], OPERANDS[operand]
    innermost = chain[0]
    if len(chain) < 2 or role in innermost.bypass or role in space.accelerator.latched:
        return 0.0
    shared = math.prod(s for name, s in space.accelerator.dimensions if name in innermost.serves)
    return space.einsum.macs / shared * _pj(space, operand, innermost)


def _pj(space: Mapspace, operand: int, store: Store) -> float:
    """Energy of an element, read or (of the output) written, in no more than its bits."""
    cost = store.write_pj if OPERANDS[operand] == "output" else store.read_pj
    return cost * _width(space.accelerator, operand) / store.access_bits


def _width(accelerator: SpatialArray, operand: int) -> int:
    role = OPERANDS[operand]
    return min(accelerator.bits(role), accelerator.bits(role, final=False))


def _elements(space: Mapspace, operand: int) -> int:
    """Elements of a tensor that the operator touches."""
    return math.prod(_touched(dim, space.extents) for dim in space.shapes[operand])


def _touched(terms: Sequence[Loop], extents: Sequence[int]) -> int:
    """Distinct indices along a dimension: holes of a stride beyond the window are not touched."""
    hull = 1 + sum(c * (extents[rank] - 1) for rank, c in terms)
    return min(hull, math.prod(extents[rank] for rank, _ in terms))
