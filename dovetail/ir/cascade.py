"""Cascades: Einsums in sequence whose maps and reductions may be other than product and sum.

`GM[p] = max[m](QK[m,p])` reduces by maximum; `SN[m,p] = exp(QK[m,p] - GM[p])` maps. A rank may be
partitioned (`m = m1 * M0 + m0`), and a tensor may be carried along a rank from one iteration to the
next (`RM[m1+1,p] = max(RM[m1,p], LM[m1,p])`).

References:
    Odemuyiwa et al., EDGE, arXiv 2404.11591; Nayak et al., FuseMax, MICRO 2024, section III.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from dovetail.errors import NetworkError

REDUCTIONS = ("sum", "max", "min")
MAPS = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "max": 2, "min": 2, "neg": 1, "exp": 1, "sqrt": 1,
}  # fmt: skip
"""Functions by number of arguments."""

COSTS = {
    "add": "add", "sub": "add", "mul": "mac", "div": "divide", "max": "max", "min": "max",
    "exp": "exp", "sqrt": "sqrt",
}  # fmt: skip
"""What a map takes of a PE; a sign takes nothing."""


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a tensor.

    Attributes:
        rank: variable; "" if the index is constant.
        shift: added to the variable, or the constant itself.
        last: the constant is the extent of `rank`: where what it carries stands in the end.
    """

    rank: str
    shift: int = 0
    last: bool = False

    @property
    def variable(self) -> str:
        """The rank that it walks, or ""."""
        return "" if self.last else self.rank


@dataclass(frozen=True, slots=True)
class Read:
    """An element of a tensor."""

    tensor: str
    indices: tuple[Index, ...]

    @property
    def ranks(self) -> tuple[str, ...]:
        """Ranks that it walks."""
        return tuple(index.variable for index in self.indices if index.variable)


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Extent:
    """The extent of a rank, as a number."""

    rank: str


@dataclass(frozen=True, slots=True)
class Apply:
    """A map, one of `MAPS`, of its arguments."""

    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Read | Number | Extent | Apply


@dataclass(frozen=True, slots=True)
class CascadeEinsum:
    """One step: output[...] = reduction over ranks of an expression.

    Attributes:
        output: what it writes; an index with shift 1 carries it to the next iteration.
        expression: what it computes at each point.
        reduction: of `REDUCTIONS`, or "" if no rank is reduced.
        reduced: ranks that only the expression has.
    """

    output: Read
    expression: Expression
    reduction: str = ""
    reduced: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """That of its output."""
        return self.output.tensor

    @property
    def ranks(self) -> tuple[str, ...]:
        """Ranks of its iteration space: the output's, then those reduced."""
        return (*self.output.ranks, *self.reduced)

    @property
    def reads(self) -> tuple[Read, ...]:
        """Tensor elements that it reads, in order."""
        return tuple(reads_of(self.expression))

    @property
    def carried(self) -> str:
        """Rank along which its output is carried, or ""."""
        return next((i.rank for i in self.output.indices if i.variable and i.shift), "")

    @property
    def is_start(self) -> bool:
        """True if it only sets where a carried tensor starts."""
        return any(not index.variable for index in self.output.indices)

    def operations(self, extents: Mapping[str, int]) -> Counter[str]:
        """Operations per point of the ranks that `extents` lacks.

        A sum of products is made of multiply-accumulates; any other reduction takes one more
        operation at each point.
        """
        times = 1
        for rank in self.ranks:
            times *= extents.get(rank, 1)
        count = Counter(_operations(self.expression))
        product = isinstance(self.expression, Apply) and self.expression.function == "mul"
        if self.reduction and not (self.reduction == "sum" and product):
            count[COSTS["add" if self.reduction == "sum" else self.reduction]] += 1
        return Counter({name: number * times for name, number in count.items()})


def reads_of(expression: Expression) -> Iterator[Read]:
    """Tensor elements that an expression reads, in order."""
    if isinstance(expression, Read):
        yield expression
    elif isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from reads_of(argument)


def _operations(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Apply):
        if expression.function in COSTS:
            yield COSTS[expression.function]
        for argument in expression.arguments:
            yield from _operations(argument)


@dataclass(frozen=True)
class Cascade:
    """Einsums in order.

    Attributes:
        name: what reports call it.
        einsums: every tensor is written before it is read, but for what is carried.
        partitions: (outer, inner) ranks by the rank that they make up.

    Raises:
        NetworkError: if a tensor is written twice, read before it is written, or has another
            number of indices elsewhere.
    """

    name: str
    einsums: tuple[CascadeEinsum, ...]
    partitions: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.steps:
            raise NetworkError(f"cascade '{self.name}' has no Einsums")
        dimensions: dict[str, int] = {}
        for einsum in self.einsums:
            for read in (einsum.output, *einsum.reads):
                if dimensions.setdefault(read.tensor, len(read.indices)) != len(read.indices):
                    raise NetworkError(
                        f"cascade '{self.name}': tensor '{read.tensor}' has "
                        f"{dimensions[read.tensor]} indices in one place and "
                        f"{len(read.indices)} in another"
                    )
        self._check_order()

    def _check_order(self) -> None:
        later = {einsum.name for einsum in self.steps}
        started = {einsum.name for einsum in self.einsums if einsum.is_start}
        for einsum in self.steps:
            for read in einsum.reads:
                if read.tensor in later and read.tensor not in started:
                    raise NetworkError(
                        f"cascade '{self.name}': '{einsum.name}' reads '{read.tensor}' before it "
                        f"is written; what is carried needs a start, e.g. {read.tensor}[0] = 0"
                    )
            if einsum.name not in later:
                raise NetworkError(f"cascade '{self.name}' writes '{einsum.name}' twice")
            later.remove(einsum.name)
            if einsum.carried and einsum.name not in started:
                raise NetworkError(
                    f"cascade '{self.name}': '{einsum.name}' is carried along "
                    f"{einsum.carried}: say where it starts, e.g. {einsum.name}[0] = 0"
                )

    @cached_property
    def steps(self) -> tuple[CascadeEinsum, ...]:
        """The Einsums without those that only start a carried tensor."""
        return tuple(einsum for einsum in self.einsums if not einsum.is_start)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that no Einsum writes, in the order of their first use."""
        written = {einsum.name for einsum in self.einsums}
        reads = (read.tensor for einsum in self.einsums for read in einsum.reads)
        return tuple(dict.fromkeys(name for name in reads if name not in written))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Tensors that no other Einsum reads."""
        read = {r.tensor for einsum in self.steps for r in einsum.reads if r.tensor != einsum.name}
        return tuple(einsum.name for einsum in self.steps if einsum.name not in read)

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        """Ranks in the order of their first use; a partitioned one stands for its parts."""
        parent = {part: rank for rank, parts in self.partitions.items() for part in parts}
        every = (rank for einsum in self.steps for rank in (*einsum.ranks, *_read_ranks(einsum)))
        return tuple(dict.fromkeys(parent.get(rank, rank) for rank in every))

    def parts(self, rank: str) -> tuple[str, ...]:
        """The ranks that make up a rank: itself if it is not partitioned."""
        return self.partitions.get(rank, (rank,))


def _read_ranks(einsum: CascadeEinsum) -> Iterator[str]:
    for read in einsum.reads:
        yield from read.ranks
