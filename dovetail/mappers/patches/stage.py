"""The stage of a patch schedule: a prefix of a network, and what its patches take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.mappers.patches.arena import Arena, MemoryRule, peak_bytes
from dovetail.mappers.patches.receptive import (
    COLUMNS,
    ROWS,
    Interval,
    Ints,
    fields,
    is_patchable,
    spans,
    split,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a schedule.

    Attributes:
        operator: name.
        patch: index of the patch, row by row; -1 outside of the stage.
        bytes: activations in memory while it runs.
        macs: multiply-accumulates.
    """

    operator: str
    patch: int
    bytes: int
    macs: int


@dataclass(frozen=True, slots=True)
class Patch:
    """What one patch computes.

    Attributes:
        rows: interval of every tensor of the stage.
        columns: likewise.
    """

    rows: Mapping[str, Interval]
    columns: Mapping[str, Interval]

    def shape(self, tensor: str) -> tuple[int, int]:
        """Rows and columns of the patch's part of a tensor."""
        (top, bottom), (left, right) = self.rows[tensor], self.columns[tensor]
        return bottom - top, right - left


def cuts(network: Network) -> tuple[str, ...]:
    """Tensors at which a patch stage may end, in order.

    Before such a tensor stands nothing but patchable operators, and nothing that is computed
    before it is needed after it.
    """
    found: list[str] = []
    alive: dict[str, int] = dict.fromkeys(network.inputs, -1)
    needs = {name: len(ops) for name, ops in network.consumers.items()}
    for name in network.outputs:
        needs[name] += 1
    for op in network.operators:
        if not is_patchable(network, op):
            break
        for name in dict.fromkeys(op.inputs):
            needs[name] -= 1
        alive[op.outputs[0]] = 0
        alive = {name: 0 for name in alive if needs[name]}
        if list(alive) == [op.outputs[0]] and op.outputs[0] not in network.outputs:
            found.append(op.outputs[0])
    whole = Arena(network, network.operators, MemoryRule()).buffers

    def goes_on(name: str) -> bool:
        """Whether nothing but an operator that works in place follows: it belongs to the stage."""
        readers = network.consumers[name]
        return len(readers) == 1 and whole[readers[0].outputs[0]] == whole[name]

    return tuple(name for name in found if not goes_on(name))


class Stage:
    """A prefix of a network that ends in one tensor, one of its `cuts`."""

    def __init__(self, network: Network, cut: str, rule: MemoryRule) -> None:
        self.network, self.cut, self.rule = network, cut, rule
        end = next(i for i, op in enumerate(network.operators, start=1) if cut in op.outputs)
        self.operators, self.rest = network.operators[:end], network.operators[end:]
        self.arena = Arena(network, self.operators, rule)
        shape = network.tensor[cut].shape
        self.result_bytes = -(-network.tensor[cut].elements * rule.bits // 8)
        self.extents = {ROWS: shape[ROWS], COLUMNS: shape[COLUMNS]}

    def parts(self, axis: int, count: int) -> list[dict[str, Interval]]:
        """Intervals of all tensors, of every part of the cut along an axis."""
        extent = self.extents[axis]
        if not 1 <= count <= extent:
            raise MappingError(
                f"{count} patches along an axis of '{self.cut}' of {extent} elements: must be "
                f"within 1 to {extent}"
            )
        return [
            fields(self.network, self.operators, axis, {self.cut: part})
            for part in split(extent, count)
        ]

    def run(self, index: int, patch: Patch) -> list[Step]:
        """Steps of one patch."""
        own = {i for i, _ in self.arena.steps()}

        def image(name: str) -> int:
            rows, columns = patch.shape(name)
            return rows * columns

        return [
            Step(op.name, index, self.result_bytes + int(self.arena.bytes(i, image, self.cut)),
                 self._macs(op) * image(op.outputs[0]))
            for i, op in enumerate(self.operators) if i in own
        ]  # fmt: skip

    def _macs(self, op: Operator) -> int:
        """Multiply-accumulates per element of the output's image."""
        shape = self.network.tensor[op.outputs[0]].shape
        return op.macs // (shape[ROWS] * shape[COLUMNS])

    def grids(self, max_side: int) -> list[tuple[int, int, str, tuple[int, int]]]:
        """Peak bytes, recomputed MACs, cut and grid of every grid.

        Rows and columns are independent, so that sums over patches are products of sums, and the
        bytes of every step are evaluated once for all pairs of distinct parts.
        """
        rows, columns = (
            Lengths(self, axis, min(self.extents[axis], max_side)) for axis in (ROWS, COLUMNS)
        )

        @cache
        def image(name: str) -> Ints:
            return np.multiply.outer(rows.of(name), columns.of(name))

        peak = np.max([self.arena.bytes(i, image, self.cut) for i, _ in self.arena.steps()], axis=0)
        rest = peak_bytes(self.network, self.rest, self.rule)
        base = sum(op.macs for op in self.operators)
        work = [op for op in self.operators if op.macs]
        each = np.array([self._macs(op) for op in work])
        high = np.array([rows.sums(op.outputs[0]) for op in work]).reshape(len(work), -1)
        wide = np.array([columns.sums(op.outputs[0]) for op in work]).reshape(len(work), -1)
        macs = np.einsum("w,wa,wb->ab", each, high, wide)
        result = []
        for a, own in enumerate(rows.index):
            for b, other in enumerate(columns.index):
                most = max(self.result_bytes + int(peak[np.ix_(own, other)].max()), rest)
                result.append((most, int(macs[a, b]) - base, self.cut, (a + 1, b + 1)))
        return result


class Lengths:
    """Lengths of all tensors' intervals for 1, 2, … parts along one axis, equal parts once.

    Args:
        stage: the prefix.
        axis: `ROWS` or `COLUMNS`.
        most: parts at most.

    Attributes:
        index: of each number of parts, the distinct part that each of its parts equals.
    """

    def __init__(self, stage: Stage, axis: int, most: int) -> None:
        bounds = [split(stage.extents[axis], count) for count in range(1, most + 1)]
        parts = np.array([part for one in bounds for part in one], dtype=np.int64)
        found = spans(stage.network, stage.operators, axis, {stage.cut: (parts[:, 0], parts[:, 1])})
        self._columns = {name: i for i, name in enumerate(found)}
        lengths = np.stack([high - low for low, high in found.values()], axis=1)
        self._values, inverse = np.unique(lengths, axis=0, return_inverse=True)
        self.index = np.split(inverse.reshape(-1), np.cumsum([len(one) for one in bounds])[:-1])

    def of(self, name: str) -> Ints:
        """Lengths of a tensor's interval, one per distinct part."""
        return self._values[:, self._columns[name]]

    def sums(self, name: str) -> Ints:
        """Sum of a tensor's lengths over all parts, one per number of parts."""
        return np.array([self.of(name)[own].sum() for own in self.index])
