"""Einsums as matrix products, which is all that the 2D array of the attention family multiplies."""

from __future__ import annotations

from typing import NamedTuple

from dovetail.arch.attention import AttentionArray
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator

RANKS = frozenset("NGKCPQRSOT")


class Product(NamedTuple):
    """`groups` products of (rows, inner) by (inner, columns)."""

    groups: int
    rows: int
    columns: int
    inner: int


def product_of(network: Network, op: Operator, a: AttentionArray) -> Product:
    """The matrix product that an Einsum is; a convolution is that of its unrolled windows.

    Raises:
        MappingError: if it is none, or its operands are wider than the design's words.
    """
    einsum = op.einsum
    assert einsum is not None
    strange = [name for name, extent in einsum.ranks if extent > 1 and name not in RANKS]
    if strange or len(einsum.operands) != 2:
        raise MappingError(
            f"operator '{op.name}' ({op.kind}) has {len(einsum.operands)} factors over ranks "
            f"{[name for name, _ in einsum.ranks]}: the attention family multiplies two matrices"
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
