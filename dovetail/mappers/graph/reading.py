"""Reads the scheduling problem of a network.

Which operators count: every one that moves or makes data. A view (reshape, flatten, dropout, …)
shares its operand's bytes. A batchnorm that alone reads a contraction is folded into it, as every
deployed int8 network has it; one before its convolution (DenseNet) stays. Activations stay
operators of their own and write a tensor of their own, as the frameworks' graphs list them.
"""

from __future__ import annotations

from collections.abc import Mapping

from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.mappers.graph.problem import Item, Problem

VECTOR_PARAMETER_BYTES = 4
"""Per element of a bias or scale: int32, as int8 accelerators add it to their accumulators."""


def read_problem(network: Network, *, with_parameters: bool = False, bits: int = 8) -> Problem:
    """Operators and tensors of a network, all elements of one width.

    Args:
        network: what runs.
        with_parameters: whether weights and biases pass through the scratchpad too.
        bits: of an element; biases and scales keep theirs.

    References:
        COSMA (arXiv 2311.18246), section V-A: data of 8 bits, with and without parameters.
    """
    folded = _folded(network)
    name_of = _names(network, folded)
    operators = [op for op in network.operators if not op.is_view and op.name not in folded]
    producer = {name_of[t]: i for i, op in enumerate(operators) for t in op.outputs}
    readers: dict[str, list[int]] = {}
    for i, op in enumerate(operators):
        for tensor in dict.fromkeys(_read_by(network, op, folded)):
            if with_parameters or not network.tensor[tensor].is_parameter:
                readers.setdefault(name_of[tensor], []).append(i)
    names = [n for n in dict.fromkeys(name_of.values()) if n in producer or n in readers]
    items = tuple(
        Item(
            n,
            _size(network, n, bits),
            producer.get(n),
            tuple(dict.fromkeys(readers.get(n, ()))),
            backed=n not in producer,
        )
        for n in names
    )
    number = {n: i for i, n in enumerate(names)}
    stands_for = tuple((t, number[n]) for t, n in name_of.items() if n in number)
    return Problem(network.name, tuple(op.name for op in operators), items, stands_for)


def _folded(network: Network) -> dict[str, Operator]:
    """Batchnorms that vanish in the contraction whose result they alone read, by name."""
    producer = {t: op for op in network.operators for t in op.outputs}
    found = {}
    for op in network.operators:
        source = producer.get(op.inputs[0]) if op.kind == "batchnorm" else None
        if (
            source is not None
            and source.einsum is not None
            and len(network.consumers[op.inputs[0]]) == 1
            and op.inputs[0] not in network.outputs
        ):
            found[op.name] = op
    return found


def _names(network: Network, folded: Mapping[str, Operator]) -> dict[str, str]:
    """The tensor in whose bytes each tensor lives."""
    names = {tensor.name: tensor.name for tensor in network.tensors}
    for op in network.operators:
        if op.is_view:
            for tensor in op.outputs:
                names[tensor] = names[op.inputs[0]]
    for op in folded.values():
        names[op.inputs[0]] = op.outputs[0]
    return names


def _read_by(network: Network, op: Operator, folded: Mapping[str, Operator]) -> list[str]:
    """What an operator reads; after folding, one bias in place of its batchnorm's scale."""
    read = list(op.inputs)
    for norm in network.consumers[op.outputs[0]]:
        if norm.name in folded and len(read) < 3:
            read += norm.inputs[1:][-1:]
    return read


def _size(network: Network, name: str, bits: int) -> int:
    tensor = network.tensor[name]
    if tensor.is_parameter and len([e for e in tensor.shape if e > 1]) < 2:
        return tensor.elements * VECTOR_PARAMETER_BYTES
    return -(-tensor.elements * bits // 8)
