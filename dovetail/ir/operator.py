"""Operators: Einsums with affine accesses, and named operators without an Einsum."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dovetail.errors import NetworkError
from dovetail.ir.window import Window

VIEW_KINDS = frozenset({"reshape", "flatten", "squeeze", "unsqueeze", "identity", "dropout"})
"""Operators that rename data without moving it: they cost nothing on any engine."""


MAX_MACS = 2**50
"""Bound of one operator's work, so that the models' 64-bit counts cannot overflow."""


@dataclass(frozen=True, slots=True)
class Affine:
    """An index of one tensor dimension: sum of coefficient x rank, plus an offset.

    Attributes:
        terms: (rank name, coefficient) pairs.
        offset: constant; negative for padding before the first element.
    """

    terms: tuple[tuple[str, int], ...]
    offset: int = 0

    def coefficient(self, rank: str) -> int:
        """Coefficient of `rank`, 0 if the index does not depend on it."""
        return dict(self.terms).get(rank, 0)


@dataclass(frozen=True, slots=True)
class Access:
    """A tensor read or written by an Einsum, with one affine index per dimension."""

    tensor: str
    indices: tuple[Affine, ...]

    @property
    def ranks(self) -> frozenset[str]:
        """Ranks that the access depends on."""
        return frozenset(rank for index in self.indices for rank, _ in index.terms)


@dataclass(frozen=True, slots=True)
class Einsum:
    """output[...] += product of operands[...], over the whole iteration space of the ranks.

    Rank names are the field's: N batch, G groups, K output channels, C input channels,
    P Q output rows and columns, R S kernel rows and columns; O output depth and T kernel depth of
    a 3-D convolution. A matrix product M x N x K is P = M, K = N, C = K. Other names are legal for
    operators that no convolution can express.

    Attributes:
        ranks: (name, extent) pairs, outer to inner.
        operands: accesses of the factors; the first is the moving input, the second the weight.
        output: access of the result.
    """

    ranks: tuple[tuple[str, int], ...]
    operands: tuple[Access, ...]
    output: Access

    def __post_init__(self) -> None:
        known = {name for name, _ in self.ranks}
        if len(known) != len(self.ranks):
            raise NetworkError(f"einsum names a rank twice: {[name for name, _ in self.ranks]}")
        for name, extent in self.ranks:
            if extent < 1:
                raise NetworkError(f"einsum rank {name} = {extent}: must be >= 1")
        if self.macs > MAX_MACS:
            raise NetworkError(
                f"einsum of {self.macs} multiply-accumulates: at most 2^50 are legal"
            )
        used = self.output.ranks.union(*(access.ranks for access in self.operands))
        if not used <= known:
            raise NetworkError(f"einsum uses undeclared ranks {sorted(used - known)}")

    @property
    def macs(self) -> int:
        """Multiply-accumulates: the product of all rank extents (zero padding included)."""
        return math.prod(extent for _, extent in self.ranks)

    def extent(self, rank: str) -> int:
        """Extent of `rank`; 1 if the Einsum does not have it."""
        return dict(self.ranks).get(rank, 1)


@dataclass(frozen=True, slots=True)
class Operator:
    """One node of a network.

    Attributes:
        name: unique within its network.
        kind: lower-case name, e.g. `conv2d`, `matmul`, `softmax`, `add`, `reshape`.
        inputs: names of the tensors it reads: activations and parameters.
        outputs: names of the tensors it writes.
        einsum: its contraction, or None for a named non-Einsum operator.
        vector_ops: scalar operations of a non-Einsum operator on a vector unit; 0 for an Einsum,
            and for operators that only move data.
        window: of a pooling over two spatial dimensions; None where nothing is known of it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    einsum: Einsum | None = None
    vector_ops: int = 0
    window: Window | None = None

    def __post_init__(self) -> None:
        if not self.outputs:
            raise NetworkError(f"operator '{self.name}' ({self.kind}) writes no tensor")
        if self.vector_ops < 0:
            raise NetworkError(f"operator '{self.name}': vector_ops {self.vector_ops} < 0")
        if self.vector_ops > MAX_MACS:
            raise NetworkError(
                f"operator '{self.name}' of {self.vector_ops} scalar operations: at most 2^50 are "
                "legal"
            )

    @property
    def macs(self) -> int:
        """Multiply-accumulates; 0 for operators without an Einsum."""
        return self.einsum.macs if self.einsum else 0

    @property
    def is_view(self) -> bool:
        """True if the operator only renames data."""
        return self.kind in VIEW_KINDS
