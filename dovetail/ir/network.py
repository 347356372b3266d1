"""Networks: operators and tensors in topological order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dovetail.errors import NetworkError
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import Tensor


@dataclass(frozen=True)
class Network:
    """A directed acyclic graph of operators.

    Attributes:
        name: what reports call it.
        operators: in topological order: every tensor is written before it is read.
        tensors: every tensor that an operator reads or writes.
        inputs: names of the activations that the network is given.
        outputs: names of the activations that it returns.

    Raises:
        NetworkError: if a name is repeated or unknown, a tensor is written twice, or an operator
            reads an activation that nothing wrote before it.
    """

    name: str
    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.operators:
            raise NetworkError(f"network '{self.name}' has no operators")
        _unique(f"network '{self.name}': tensor", (tensor.name for tensor in self.tensors))
        _unique(f"network '{self.name}': operator", (op.name for op in self.operators))
        self._check_order()

    def _check_order(self) -> None:
        written = {t.name for t in self.tensors if t.is_parameter} | set(self.inputs)
        for op in self.operators:
            for name in (*op.inputs, *op.outputs):
                if name not in self.tensor:
                    raise NetworkError(f"operator '{op.name}' names unknown tensor '{name}'")
            for name in op.inputs:
                if name not in written:
                    raise NetworkError(f"operator '{op.name}' reads '{name}' before it is written")
            for name in op.outputs:
                if name in written:
                    raise NetworkError(f"operator '{op.name}' writes '{name}' a second time")
                written.add(name)
        for name in self.outputs:
            if name not in written:
                raise NetworkError(f"network '{self.name}' returns unwritten tensor '{name}'")

    @cached_property
    def tensor(self) -> Mapping[str, Tensor]:
        """Tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Operator, ...]]:
        """Operators that read each tensor, in order."""
        table: dict[str, list[Operator]] = {tensor.name: [] for tensor in self.tensors}
        for op in self.operators:
            for name in dict.fromkeys(op.inputs):
                table[name].append(op)
        return {name: tuple(ops) for name, ops in table.items()}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all operators."""
        return sum(op.macs for op in self.operators)

    @property
    def parameters(self) -> int:
        """Number of parameter elements that operators read."""
        return sum(t.elements for t in self.tensors if t.is_parameter and self.consumers[t.name])


def _unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise NetworkError(f"{what} '{name}' appears twice")
        seen.add(name)
