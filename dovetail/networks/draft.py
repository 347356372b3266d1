"""A network while it is made: its tensors, its operators in order, and unique names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import FLOAT32, NumberFormat, Tensor
from dovetail.networks import operators
from dovetail.networks.operators import Window


class Draft:
    """What every builder of networks keeps.

    Args:
        name: name of the network.
        number_format: format of every tensor that is not given another.
    """

    def __init__(self, name: str, number_format: NumberFormat = FLOAT32) -> None:
        self.name = name
        self.number_format = number_format
        self._tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._inputs: list[str] = []
        self._next: dict[str, int] = {}
        self._scopes: list[str] = []

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefixes `name.` to the names of everything made inside."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor.

        Raises:
            NetworkError: if this builder has no such tensor.
        """
        return self._get(tensor).shape

    def input(
        self, name: str, shape: Sequence[int], number_format: NumberFormat | None = None
    ) -> str:
        """Adds an activation that the network is given."""
        self._inputs.append(self._tensor(self._unique(name), shape, number_format).name)
        return self._inputs[-1]

    def parameter(
        self, name: str, shape: Sequence[int], number_format: NumberFormat | None = None
    ) -> str:
        """Adds a weight or another constant."""
        return self._tensor(self._unique(name), shape, number_format, is_parameter=True).name

    def vector(
        self, kind: str, inputs: Sequence[str], shape: Sequence[int], *,
        work_elements: int | None = None, number_format: NumberFormat | None = None,
        name: str | None = None,
    ) -> str:  # fmt: skip
        """Adds an operator without an Einsum that writes one tensor of `shape`."""
        return self._vector(
            self._unique(name or kind), kind, inputs, shape, work_elements, number_format
        )

    def build(self, outputs: Sequence[str]) -> Network:
        """The network that returns `outputs`.

        Raises:
            NetworkError: if it is empty, or returns a tensor that it does not have.
        """
        return Network(
            self.name,
            tuple(self._operators),
            tuple(self._tensors.values()),
            tuple(self._inputs),
            tuple(outputs),
        )

    def _vector(
        self, name: str, kind: str, inputs: Sequence[str], shape: Sequence[int],
        work_elements: int | None = None, number_format: NumberFormat | None = None,
        window: Window | None = None,
    ) -> str:  # fmt: skip
        read = tuple(self._get(x) for x in inputs)
        output = self._tensor(name, shape, number_format)
        return self._append(
            operators.vector(
                name, kind, read, (output,), work_elements=work_elements, window=window
            )
        )

    def _append(self, operator: Operator) -> str:
        self._operators.append(operator)
        return operator.outputs[0]

    def _get(self, tensor: str) -> Tensor:
        if tensor not in self._tensors:
            raise NetworkError(f"network '{self.name}' has no tensor '{tensor}'")
        return self._tensors[tensor]

    def _parameter(self, name: str, shape: Sequence[int]) -> Tensor:
        return self._tensor(name, shape, is_parameter=True)

    def _tensor(
        self, name: str, shape: Sequence[int], number_format: NumberFormat | None = None,
        *, is_parameter: bool = False,
    ) -> Tensor:  # fmt: skip
        if name in self._tensors:
            raise NetworkError(f"network '{self.name}' already has a tensor '{name}'")
        tensor = Tensor(name, tuple(shape), number_format or self.number_format, is_parameter)
        self._tensors[name] = tensor
        return tensor

    def _unique(self, wanted: str) -> str:
        base = ".".join((*self._scopes, wanted))
        name = base
        while name in self._next:
            self._next[base] += 1
            name = f"{base}_{self._next[base]}"
        self._next[name] = 1
        return name
