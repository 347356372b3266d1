"""Matrix products as images, so that what cuts images cuts rows of tokens too."""

from __future__ import annotations

from dataclasses import replace

from dovetail.ir.network import Network
from dovetail.ir.operator import Access, Affine, Einsum, Operator
from dovetail.ir.tensor import Tensor


def tokens_as_images(network: Network) -> Network:
    """The network with activations (..., D) of two or three dimensions as images of one column.

    A tensor of T rows of D features becomes (1, D, T, 1), and a product with one weight matrix a
    1 x 1 convolution of it: names, operators, elements and multiply-accumulates stay as they are.
    Functions of a whole row of features, as norms and softmax, are no part of this view.
    """
    tensors = tuple(_image(tensor) for tensor in network.tensors)
    operators = tuple(_convolution(network, op) for op in network.operators)
    return replace(network, tensors=tensors, operators=operators)


def _is_rows(tensor: Tensor) -> bool:
    return not tensor.is_parameter and len(tensor.shape) in (2, 3)


def _image(tensor: Tensor) -> Tensor:
    if not _is_rows(tensor):
        return tensor
    features = tensor.shape[-1]
    return tensor.seen_as((1, features, tensor.elements // features, 1))


def _convolution(network: Network, op: Operator) -> Operator:
    """A product of rows with a weight matrix as a 1 x 1 convolution; others as they are."""
    einsum = op.einsum
    if einsum is None or len(einsum.operands) != 2 or {n for n, _ in einsum.ranks} != set("GPKC"):
        return op
    moving, weight = einsum.operands
    source, result = network.tensor[moving.tensor], network.tensor[einsum.output.tensor]
    matrix = network.tensor[weight.tensor]
    rows, inner, outer = (einsum.extent(rank) for rank in "PCK")
    shared = einsum.extent("G") == 1 and matrix.is_parameter
    plain = (source.shape[-1], result.shape[-1]) == (inner, outer)
    if not (shared and plain and _is_rows(source) and _is_rows(result)):
        return op
    one = {name: Affine(((name, 1),)) for name in "NKCPQRS"}
    across = Affine((("P", 1), ("R", 1))), Affine((("Q", 1), ("S", 1)))
    extents = (("N", 1), ("G", 1), ("K", outer), ("C", inner), ("P", rows), ("Q", 1), ("R", 1),
               ("S", 1))  # fmt: skip
    view = Einsum(
        extents,
        (
            Access(moving.tensor, (one["N"], one["C"], *across)),
            Access(weight.tensor, (one["K"], one["C"], one["R"], one["S"])),
        ),
        Access(einsum.output.tensor, (one["N"], one["K"], one["P"], one["Q"])),
    )
    return replace(op, einsum=view)
