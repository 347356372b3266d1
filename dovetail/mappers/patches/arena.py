"""How many bytes of activations a run of operators holds, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.mappers.patches.receptive import POINTWISE, activations

Size = Callable[[str], Any]
"""Elements of a tensor's image (rows x columns): a number, or an array over patches."""


@dataclass(frozen=True, slots=True)
class MemoryRule:
    """What counts as memory of a step.

    Pointwise operators always work in place, in the buffer of the operand that was written last.

    Attributes:
        bits: of an element.
        depthwise_in_place: a depthwise convolution writes its output over its input and holds one
            channel of the output beside them; else both count.
        held: tensors that later steps need count too, e.g. the operand of a residual addition.

    References:
        Lin et al., MCUNetV2, NeurIPS 2021 (in-place depthwise: MCUNet, NeurIPS 2020, section 3.2).
    """

    bits: int = 8
    depthwise_in_place: bool = True
    held: bool = False


NAIVE = MemoryRule(depthwise_in_place=False, held=True)
"""Nothing in place but pointwise operators, and everything that is alive counts."""


@dataclass(frozen=True)
class Arena:
    """Buffers of a run of operators.

    Attributes:
        network: that the operators belong to.
        operators: in topological order.
        rule: what counts.
    """

    network: Network
    operators: tuple[Operator, ...]
    rule: MemoryRule

    @cached_property
    def _last_use(self) -> dict[str, int]:
        """Position of the last operator that reads a tensor; the end for what leaves the run."""
        last = {}
        inside = {op.name for op in self.operators}
        for i, op in enumerate(self.operators):
            last.update(dict.fromkeys((*op.inputs, *op.outputs), i))
        for name in last:
            leaves = any(op.name not in inside for op in self.network.consumers[name])
            if leaves or name in self.network.outputs:
                last[name] = len(self.operators)
        return last

    @cached_property
    def buffers(self) -> dict[str, str]:
        """The tensor whose buffer each tensor lies in: itself, unless it is written in place."""
        root: dict[str, str] = {}
        born: dict[str, int] = {}
        for i, op in enumerate(self.operators):
            for name in activations(self.network, op):
                root.setdefault(name, name)
            for name in op.outputs:
                host = self._host(op, i, born)
                root[name] = root[host] if host else name
                born[name] = i
        return root

    def _host(self, op: Operator, step: int, born: dict[str, int]) -> str:
        """The operand whose buffer a pointwise operator may overwrite; "" if none."""
        if op.kind == "concat" or not (op.kind in POINTWISE or op.is_view):
            return ""
        elements = self.network.tensor[op.outputs[0]].elements
        dying = [
            name
            for name in activations(self.network, op)
            if self._last_use[name] == step and self.network.tensor[name].elements == elements
        ]
        return max(dying, key=lambda name: born.get(name, -1), default="")

    def steps(self) -> list[tuple[int, Operator]]:
        """Operators that take a buffer of their own, with their positions."""
        return [(i, op) for i, op in enumerate(self.operators) if op.outputs[0] == self._root(op)]

    def _root(self, op: Operator) -> str:
        return self.buffers[op.outputs[0]]

    @cached_property
    def _ends(self) -> dict[str, int]:
        """Position of the last operator that needs each buffer."""
        ends: dict[str, int] = {}
        for name, root in self.buffers.items():
            ends[root] = max(ends.get(root, -1), self._last_use[name])
        return ends

    def bytes(self, step: int, size: Size, free: str = "") -> Any:
        """Bytes while an operator runs.

        Args:
            step: the operator's position.
            size: rows x columns of a tensor.
            free: a tensor that lies elsewhere, e.g. in the buffer of a stage's result.
        """
        op = self.operators[step]
        own = {self.buffers[name] for name in (*activations(self.network, op), *op.outputs)}
        outside = self.buffers.get(free, "")
        total: Any = 0
        if self._overwrites(op) and outside not in own:
            (read,) = activations(self.network, op)
            a, b = self._elements(self.buffers[read], size), self._elements(op.outputs[0], size)
            total = (a + b + abs(a - b)) // 2 + size(op.outputs[0])  # max, of arrays too
        else:
            total = sum(self._elements(name, size) for name in sorted(own - {outside}))
        if self.rule.held:
            total = total + sum(
                self._elements(name, size) for name in self._held(step) - own - {outside}
            )
        return -(-total * self.rule.bits // 8)

    def _overwrites(self, op: Operator) -> bool:
        if not self.rule.depthwise_in_place or op.kind != "depthwise_conv2d":
            return False
        reads = activations(self.network, op)
        channels = {self.network.tensor[name].shape[1] for name in (*reads, op.outputs[0])}
        step = self.operators.index(op)
        return len(reads) == len(channels) == 1 and self._ends[self.buffers[reads[0]]] == step

    def _held(self, step: int) -> set[str]:
        """Buffers written before a step, or before the run, and needed after it."""
        later = {self.buffers[n] for op in self.operators[step:] for n in op.outputs}
        return {name for name, end in self._ends.items() if name not in later and end > step}

    def _elements(self, name: str, size: Size) -> Any:
        shape = self.network.tensor[name].shape
        if len(shape) != 4:
            return self.network.tensor[name].elements
        return shape[0] * shape[1] * size(name)


def peak_bytes(network: Network, operators: Sequence[Operator], rule: MemoryRule) -> int:
    """Most bytes of a run of operators executed one after the other on whole images."""
    arena = Arena(network, tuple(operators), rule)

    def image(name: str) -> int:
        shape = network.tensor[name].shape
        return shape[2] * shape[3] if len(shape) == 4 else network.tensor[name].elements

    return max((arena.bytes(step, image) for step, _ in arena.steps()), default=0)
