"""Einsums as matrix products, which is all that the 2D array of the attention family multiplies."""

from __future__ import annotations

from typing import NamedTuple

from dovetail.arch.attention import AttentionArray
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Affine, Einsum, Operator

RANKS = frozenset("NGKCPQRSOT")


class Product(NamedTuple):
    """`groups` products of (rows, inner) by (inner, columns)."""

    groups: int
    rows: int
    columns: int
    inner: int


def product_of(network: Network, op: Operator, a: AttentionArray) -> Product:
    """The matrix product that an Einsum is; a convolution whose windows do not overlap is one.

    Raises:
        MappingError: if it is none, or its operands are wider than the design's words.
    """
    einsum = op.einsum
    assert einsum is not None
    names = {name for name, extent in einsum.ranks if extent > 1}
    if len(einsum.operands) != 2 or not names <= RANKS or not _apart(einsum):
        raise MappingError(
            f"operator '{op.name}' ({op.kind}) is no matrix product: the attention family runs "
            "products and elementwise operators; take a systolic or spatial accelerator"
        )
    for access in einsum.operands:
        kind = network.tensor[access.tensor].format
        if kind.kind == "int" and kind.bits > a.operand_bits:
            raise MappingError(
                f"operator '{op.name}' reads '{access.tensor}' of {kind.bits} bit; the PEs of "
                f"'{a.name}' take {a.operand_bits}: set operand_bits = {kind.bits}"
            )
    extent = einsum.extent
    rows = extent("N") * extent("O") * extent("P") * extent("Q")
    inner = extent("C") * extent("T") * extent("R") * extent("S")
    return Product(extent("G"), rows, extent("K"), inner)


def _apart(einsum: Einsum) -> bool:
    """Whether no two windows share an input, and none reaches beyond it."""
    return all(_steps_over(index, einsum) for index in einsum.operands[0].indices)


def _steps_over(index: Affine, einsum: Einsum) -> bool:
    """Whether an index that several ranks make up is one of them after the other."""
    terms = sorted((abs(c), name) for name, c in index.terms if einsum.extent(name) > 1)
    reached = 1
    for coefficient, name in terms:
        if coefficient < reached:
            return False
        reached = coefficient * einsum.extent(name)
    return index.offset == 0
