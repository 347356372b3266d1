"""Graph scheduling: an engine for every operator, elementwise operators fused into their producer.

An elementwise operator with one moving operand runs with the operator that alone feeds it, without
traffic of its own. Behind an Einsum it runs in the output path, between accumulators and DRAM, and
the parameters that it reads, one per output channel at most, ride along; behind a vector operator
it runs in the same pass, and its parameters are read with the other inputs.
"""

from __future__ import annotations

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.schedule import Placement, Schedule
from dovetail.ir.space import IntArray
from dovetail.ir.tensor import Tensor
from dovetail.mappers.systolic.planar import DEPTH_RANKS, RANKS, planar
from dovetail.sim.columns import ENGINES, Op

FUSIBLE = frozenset(
    "relu clip leaky_relu prelu hard_sigmoid hard_swish sigmoid tanh silu erf gelu elu softplus "
    "quantize dequantize batchnorm cast add sub mul div neg abs sqrt rsqrt reciprocal exp log "
    "where max min pow".split()
)
"""Elementwise kinds; further operands must be parameters."""

PARTIAL_READERS = frozenset({"gather", "slice", "split"})
"""Operators that read only what they return, not their whole input."""


def schedule(network: Network) -> Schedule:
    """Places every operator of a network, in order.

    Args:
        network: what is computed.

    Returns:
        One placement per operator that is not fused into another.
    """
    host: dict[str, int] = {}
    chains: list[list[Operator]] = []
    for op in network.operators:
        chain = _host_of(network, op, host)
        if chain is not None and _rides_along(network, op, chains[chain][0]):
            chains[chain].append(op)
            host[op.outputs[0]] = chain
            continue
        if engine_of(op) != "none" and len(op.outputs) == 1:
            host[op.outputs[0]] = len(chains)
        chains.append([op])
    placements = (Placement(chain[0], engine_of(chain[0]), tuple(chain[1:])) for chain in chains)
    return Schedule(network.name, tuple(placements))


def engine_of(op: Operator) -> str:
    """`array` for an Einsum, `none` for a view, else `vector`."""
    if op.einsum is not None:
        return "array"
    return "none" if op.is_view else "vector"


def _host_of(network: Network, op: Operator, host: dict[str, int]) -> int | None:
    if op.kind not in FUSIBLE or len(op.outputs) != 1:
        return None
    moving = [name for name in op.inputs if not network.tensor[name].is_parameter]
    if len(moving) != 1 or moving[0] not in host or moving[0] in network.outputs:
        return None
    same_size = network.tensor[op.outputs[0]].elements == network.tensor[moving[0]].elements
    alone = len(network.consumers[moving[0]]) == 1
    return host[moving[0]] if same_size and alone else None


def _rides_along(network: Network, op: Operator, producer: Operator) -> bool:
    """True unless `op` reads parameters larger than a bias beside the Einsum that feeds it.

    Behind a vector operator they are read with its other inputs.
    """
    if producer.einsum is None:
        return True
    channels = producer.einsum.extent("G") * producer.einsum.extent("K")
    read = (network.tensor[name] for name in op.inputs)
    return all(tensor.elements <= channels for tensor in read if tensor.is_parameter)


def op_rows(network: Network, plan: Schedule) -> IntArray:
    """Rows of `Op` columns, one per placement, (placements, len(Op)).

    Raises:
        MappingError: if an Einsum has ranks that no convolution has.
    """
    return np.stack([_row(network, placement) for placement in plan.placements])


def _row(network: Network, placement: Placement) -> IntArray:
    op = placement.operator
    row = np.zeros(len(Op), dtype=np.int64)
    row[Op.ENGINE] = ENGINES.index(placement.engine)
    last = placement.fused[-1] if placement.fused else op
    row[Op.OUTPUT_BITS] = _bits(network.tensor[last.outputs[0]])
    if op.einsum is not None:
        _fill_einsum(network, op, op.einsum, row)
        row[Op.EPILOGUE_OPS] = sum(fused.vector_ops for fused in placement.fused)
    elif placement.engine == "vector":
        row[Op.IN_ELEMENTS], row[Op.OUT_ELEMENTS] = streamed_elements(network, placement)
        row[Op.INPUT_BITS] = _bits(network.tensor[op.inputs[0]]) if op.inputs else 0
        row[Op.VECTOR_OPS] = op.vector_ops + sum(fused.vector_ops for fused in placement.fused)
    return row


def _fill_einsum(network: Network, op: Operator, einsum: Einsum, row: IntArray) -> None:
    strange = [name for name, _ in einsum.ranks if name not in (*RANKS, *DEPTH_RANKS)]
    if strange or len(einsum.operands) != 2:
        raise MappingError(
            f"operator '{op.name}' has {len(einsum.operands)} factors over ranks "
            f"{[name for name, _ in einsum.ranks]}: an array runs two factors over {list(RANKS)} "
            f"and {list(DEPTH_RANKS)}"
        )
    moving, weight = (network.tensor[access.tensor] for access in einsum.operands)
    row[Op.INPUT_BITS], row[Op.WEIGHT_BITS] = _bits(moving), _bits(weight)
    view = planar(einsum, moving)
    for rank, extent in view.extents.items():
        row[Op[rank]] = extent
    axes = (
        (view.rows, Op.STRIDE_H, Op.DILATION_H, Op.PAD_TOP, Op.HEIGHT),
        (view.columns, Op.STRIDE_W, Op.DILATION_W, Op.PAD_LEFT, Op.WIDTH),
    )
    for axis, *columns in axes:
        row[columns] = axis.stride, axis.dilation, axis.padding, axis.size


def streamed_elements(network: Network, placement: Placement) -> tuple[int, int]:
    """Elements that a vector operator and those fused into it read and write."""
    read, written = _moved_elements(network, placement.operator)
    parameters = sum(
        network.tensor[name].elements
        for fused in placement.fused
        for name in dict.fromkeys(fused.inputs)
        if network.tensor[name].is_parameter
    )
    return read + parameters, written


def _moved_elements(network: Network, op: Operator) -> tuple[int, int]:
    """Elements that a vector operator reads and writes."""
    read = sum(network.tensor[name].elements for name in dict.fromkeys(op.inputs))
    written = sum(network.tensor[name].elements for name in op.outputs)
    if op.kind in PARTIAL_READERS:
        return written, written
    kept = network.tensor[op.inputs[0]].elements if _appends(network, op) else 0
    return read - kept, written - kept


def _appends(network: Network, op: Operator) -> bool:
    """True if `op` extends a cache: an input that only it reads, which the network returns longer.

    The cache has room for its new elements, so that the old ones stay where they are.
    """
    return (
        op.kind == "concat"
        and len(set(op.inputs)) > 1
        and op.inputs[0] in network.inputs
        and len(network.consumers[op.inputs[0]]) == 1
        and op.outputs[0] in network.outputs
    )


def _bits(tensor: Tensor) -> int:
    """Width of a quantized tensor; 0, the accelerator's operand width, for floating formats."""
    return tensor.format.bits if tensor.format.kind == "int" else 0
