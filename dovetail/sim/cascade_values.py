"""The values of a cascade, computed Einsum by Einsum with numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.cascade import (
    Apply,
    Cascade,
    CascadeEinsum,
    Expression,
    Extent,
    Index,
    Number,
    Read,
)

Values = NDArray[np.float64]

MAPS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum,
    "min": np.minimum, "neg": np.negative, "exp": np.exp, "sqrt": np.sqrt,
}  # fmt: skip
REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": np.sum, "max": np.max, "min": np.min}


def evaluate(
    cascade: Cascade, inputs: Mapping[str, Values], extents: Mapping[str, int] | None = None
) -> dict[str, Values]:
    """All tensors of a cascade in double precision.

    Args:
        cascade: what is computed.
        inputs: one array per input, whole ranks; an axis of a partitioned rank is one axis.
        extents: of the inner parts of partitioned ranks.

    Returns:
        Arrays by tensor, axes in the order of its indices; carried tensors have one element more
        along that rank, where they start.

    Raises:
        NetworkError: if an input is missing, extents do not fit each other, or several ranks
            carry tensors.
    """
    run = _Run(cascade, dict(extents or {}))
    for name in cascade.inputs:
        if name not in inputs:
            raise NetworkError(f"cascade '{cascade.name}' needs input '{name}'")
        run.take(name, np.asarray(inputs[name], dtype=np.float64))
    loop = _loop(cascade)
    ahead = [e for e in cascade.steps if e.name not in loop and not _needs(cascade, e, loop)]
    for einsum in ahead:
        run.write(einsum, {})
    inside = [e for e in cascade.steps if e.name in loop]
    rank = next((e.carried for e in inside if e.carried), "")
    if any(e.carried not in ("", rank) for e in inside):
        raise NetworkError(f"cascade '{cascade.name}' carries tensors along several ranks")
    run.start(inside, rank)
    for step in range(run.extents[rank] if rank else 0):
        for einsum in inside:
            run.write(einsum, {rank: step})
    for einsum in cascade.steps:
        if einsum.name not in run.values:
            run.write(einsum, {})
    return {name: run.values[name] for name in (*cascade.inputs, *(e.name for e in cascade.steps))}


def _loop(cascade: Cascade) -> set[str]:
    """Tensors that are computed iteration by iteration: carried ones, and what follows there."""
    carried = {e.name: e.carried for e in cascade.steps if e.carried}
    ranks = set(carried.values())
    found = set(carried)
    while True:
        more = {
            e.name
            for e in cascade.steps
            if ranks.intersection(e.output.ranks)
            and any(r.tensor in found and ranks.intersection(r.ranks) for r in e.reads)
        }
        if more <= found:
            return found
        found |= more


def _needs(cascade: Cascade, einsum: CascadeEinsum, loop: set[str]) -> bool:
    """True if an Einsum needs, by whatever way, what the loop computes."""
    made = {e.name: e for e in cascade.steps}
    pending, seen = [einsum], set()
    while pending:
        for read in pending.pop().reads:
            if read.tensor in loop:
                return True
            if read.tensor in made and read.tensor not in seen:
                seen.add(read.tensor)
                pending.append(made[read.tensor])
    return False


@dataclass
class _Run:
    """Tensors and extents so far."""

    cascade: Cascade
    extents: dict[str, int]
    values: dict[str, Values] = field(default_factory=dict)

    def take(self, name: str, array: Values) -> None:
        """An input: its axes give extents; those of partitioned ranks are split."""
        reads = (r for e in self.cascade.einsums for r in e.reads if r.tensor == name)
        indices = next(reads).indices
        shape: list[int] = []
        axis = position = 0
        while position < len(indices):
            if axis >= array.ndim:
                raise self._misfit(name, array)
            parts = self._parts(indices, position)
            shape += self._split(name, parts, array.shape[axis])
            position, axis = position + len(parts), axis + 1
        if axis != array.ndim:
            raise self._misfit(name, array)
        for index, extent in zip(indices, shape, strict=True):
            if self.extents.setdefault(index.variable, extent) != extent:
                raise NetworkError(
                    f"input '{name}' has {extent} along {index.variable}, another "
                    f"{self.extents[index.variable]}"
                )
        self.values[name] = array.reshape(shape)

    @staticmethod
    def _misfit(name: str, array: Values) -> NetworkError:
        return NetworkError(f"input '{name}' has shape {list(array.shape)}: one axis per rank")

    def _parts(self, indices: tuple[Index, ...], position: int) -> tuple[str, ...]:
        here = tuple(index.variable for index in indices[position : position + 2])
        return here if here in self.cascade.partitions.values() else here[:1]

    def _split(self, name: str, parts: tuple[str, ...], extent: int) -> list[int]:
        if len(parts) == 1:
            return [extent]
        inner = self.extents.get(parts[1], extent)
        if inner < 1 or extent % inner:
            raise NetworkError(
                f"input '{name}': {extent} is no multiple of {parts[1].upper()} = {inner}"
            )
        return [extent // inner, inner]

    def start(self, inside: list[CascadeEinsum], rank: str) -> None:
        """Room for what the loop writes, and the start of what it carries."""
        starts = {e.name: e for e in self.cascade.einsums if e.is_start}
        for einsum in inside:
            shape = [self.extents[i.variable] + bool(i.shift) for i in einsum.output.indices]
            self.values[einsum.name] = np.empty(shape)
            if einsum.carried:
                first = self._value(starts[einsum.name].expression, (), {})
                axis = [i.rank for i in einsum.output.indices].index(rank)
                np.moveaxis(self.values[einsum.name], axis, 0)[0] = first

    def write(self, einsum: CascadeEinsum, at: Mapping[str, int]) -> None:
        """Computes an Einsum, whole or at one iteration of a rank."""
        ranks = tuple(rank for rank in einsum.ranks if rank not in at)
        kept = tuple(rank for rank in einsum.output.ranks if rank not in at)
        found = self._reduced(einsum, ranks, kept, at)
        found = np.broadcast_to(found, [self.extents[rank] for rank in kept])
        if not at:
            self.values[einsum.name] = np.array(found)
            return
        where = tuple(
            at[i.variable] + i.shift if i.variable in at else slice(None)
            for i in einsum.output.indices
        )
        self.values[einsum.name][where] = found

    def _reduced(
        self, einsum: CascadeEinsum, ranks: tuple[str, ...], kept: tuple[str, ...],
        at: Mapping[str, int],
    ) -> Values:  # fmt: skip
        match einsum.expression:
            case Apply("mul", (Read() as a, Read() as b)) if einsum.reduction == "sum":
                number = {rank: i for i, rank in enumerate(ranks)}
                operands: list[Any] = []
                for read in (a, b):
                    operands += [
                        self._slice(read, at), [number[r] for r in read.ranks if r not in at],
                    ]  # fmt: skip
                product: Values = np.einsum(*operands, [number[r] for r in kept], optimize=True)
                return product
        values = self._value(einsum.expression, ranks, at)
        if not einsum.reduction:
            return values
        axes = tuple(ranks.index(rank) for rank in einsum.reduced)
        whole = np.broadcast_to(values, [self.extents[rank] for rank in ranks])
        reduced: Values = REDUCTIONS[einsum.reduction](whole, axis=axes)
        return reduced

    def _value(
        self, expression: Expression, ranks: tuple[str, ...], at: Mapping[str, int]
    ) -> Values:
        """An expression over the axes `ranks`, those that it lacks of extent 1."""
        match expression:
            case Number(value):
                return np.full((1,) * len(ranks), value)
            case Extent(rank):
                return np.full((1,) * len(ranks), float(self._extent(rank)))
            case Read():
                array = self._slice(expression, at)
                own = [rank for rank in expression.ranks if rank not in at]
                order = sorted(range(len(own)), key=lambda axis: ranks.index(own[axis]))
                missing = tuple(i for i, rank in enumerate(ranks) if rank not in own)
                return np.expand_dims(array.transpose(order), missing)
            case Apply(function, arguments):
                found: Values = MAPS[function](*(self._value(a, ranks, at) for a in arguments))
                return found

    def _extent(self, rank: str) -> int:
        return math.prod(self.extents[part] for part in self.cascade.parts(rank))

    def _slice(self, read: Read, at: Mapping[str, int]) -> Values:
        """The part of a tensor that is read, one axis for each rank that is not fixed."""
        where: list[int | slice] = []
        for index in read.indices:
            if index.last:
                where.append(self.extents[index.rank])
            elif not index.rank:
                where.append(index.shift)
            elif index.rank in at:
                where.append(at[index.rank] + index.shift)
            else:
                where.append(slice(index.shift, self.extents[index.rank] + index.shift))
        return self.values[read.tensor][tuple(where)]
