"""A network's operators as kernels: matrix products and streams."""

from __future__ import annotations

import math

from dovetail.arch.gpu import Gpu
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum
from dovetail.ir.schedule import Placement
from dovetail.ir.tensor import Tensor
from dovetail.mappers.schedule import engine_of, schedule, streamed_elements
from dovetail.sim.gpu.product import Product
from dovetail.sim.gpu.stream import ROWS, Stream


def placements(network: Network, gpu: Gpu) -> tuple[Placement, ...]:
    """Kernels of a network: one of each operator, or with those that follow in its epilogue."""
    if gpu.epilogues:
        return schedule(network).placements
    return tuple(Placement(op, engine_of(op)) for op in network.operators)


def product_of(network: Network, placement: Placement, gpu: Gpu) -> Product:
    """The matrix product of an Einsum: ranks of both factors and the result are groups.

    Raises:
        MappingError: if it has not two factors.
    """
    op = placement.operator
    einsum = op.einsum
    if einsum is None or len(einsum.operands) != 2:
        count = len(einsum.operands) if einsum else 0
        raise MappingError(
            f"operator '{op.name}' has {count} factors: a GPU's kernels multiply two matrices"
        )
    extents = _extents(einsum)
    moving, weight = (network.tensor[access.tensor] for access in einsum.operands)
    last = placement.fused[-1] if placement.fused else op
    result = network.tensor[last.outputs[0]]
    return Product(
        groups=extents["groups"],
        rows=extents["rows"],
        columns=extents["columns"],
        depth=extents["depth"],
        input_bytes=stored_bytes(moving, gpu),
        weight_bytes=stored_bytes(weight, gpu),
        output_bytes=stored_bytes(result, gpu),
        operand_bits=max(_bits(moving, gpu), _bits(weight, gpu)),
        epilogue_ops=sum(fused.vector_ops for fused in placement.fused),
    )


def stream_of(network: Network, placement: Placement, gpu: Gpu) -> Stream:
    """The stream of an operator without an Einsum."""
    op = placement.operator
    read, written = streamed_elements(network, placement)
    last = placement.fused[-1] if placement.fused else op
    first = network.tensor[op.inputs[0]] if op.inputs else None
    row = first.shape[-1] if first and first.shape and op.kind in ROWS else 0
    return Stream(
        kind=op.kind,
        read_bytes=math.ceil(read * _bits(first, gpu) / 8) if first else 0,
        written_bytes=math.ceil(written * _bits(network.tensor[last.outputs[0]], gpu) / 8),
        ops=op.vector_ops + sum(fused.vector_ops for fused in placement.fused),
        row=row,
        rows=first.elements // row if first and row else 0,
    )


def stored_bytes(tensor: Tensor, gpu: Gpu) -> int:
    """Bytes of a tensor in memory: integers have their own width, others the operands'."""
    return -(-tensor.elements * _bits(tensor, gpu) // 8)


def _extents(einsum: Einsum) -> dict[str, int]:
    """Extents of the product: each rank goes by the accesses that depend on it."""
    moving, weight = (access.ranks for access in einsum.operands)
    found = {"groups": 1, "rows": 1, "columns": 1, "depth": 1}
    for rank, extent in einsum.ranks:
        if rank not in einsum.output.ranks:
            role = "depth"
        elif rank in moving and rank in weight:
            role = "groups"
        else:
            role = "rows" if rank in moving else "columns"
        found[role] *= extent
    return found


def _bits(tensor: Tensor, gpu: Gpu) -> int:
    return tensor.format.bits if tensor.format.kind == "int" else gpu.operand_bits
