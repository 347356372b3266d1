"""One call of an exported torch program while it is imported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.errors import NetworkError
from dovetail.ir.tensor import BFLOAT16, INT8, NumberFormat
from dovetail.ir.window import Window
from dovetail.networks.assembly import Assembler, Value
from dovetail.networks.shapes import Shape


def format_of_dtype(dtype: Any) -> NumberFormat:
    """Number format of a torch element type.

    Raises:
        NetworkError: if it is complex or unknown.
    """
    name = str(dtype).removeprefix("torch.")
    if name == "bfloat16":
        return BFLOAT16
    if name == "bool":
        return INT8
    for prefix, kind in (("float8", "float"), ("float", "float"), ("uint", "int"), ("int", "int")):
        digits = "8" if prefix == "float8" else name.removeprefix(prefix)
        if name.startswith(prefix) and digits.isdigit():
            return NumberFormat(kind, int(digits))
    raise NetworkError(f"torch element type {name} cannot be imported: only real numbers can")


@dataclass(slots=True)
class Call:
    """A call of a torch operator.

    Attributes:
        graph: collects operators.
        name: name of the call, unique in its program.
        op: operator without namespace, overload and in-place mark, e.g. `conv2d`.
        overload: e.g. `default`, `Tensor`.
        arguments: by name of the schema; tensors are values.
        outputs: what the call returns, shaped by torch.
        where: path of the module that it belongs to.
    """

    graph: Assembler
    name: str
    op: str
    overload: str
    arguments: dict[str, Any]
    outputs: list[Value]
    where: str = ""

    def fail(self, message: str) -> NetworkError:
        """An error that names this call."""
        place = f" in module '{self.where}'" if self.where else ""
        return NetworkError(f"torch call '{self.name}' ({self.op}){place}: {message}")

    def tensor(self, *names: str) -> Value:
        """The first of these arguments that the operator has; it must be a tensor."""
        for name in names:
            value = self.arguments.get(name)
            if isinstance(value, Value):
                return value
        raise self.fail(f"argument '{names[0]}' must be a tensor")

    def optional(self, *names: str) -> Value | None:
        """The first of these arguments that is a tensor, or None."""
        found = (self.arguments.get(name) for name in names)
        return next((value for value in found if isinstance(value, Value)), None)

    def tensors(self) -> list[Value]:
        """All tensors among the arguments, lists included."""
        result: list[Value] = []
        for value in self.arguments.values():
            listed = value if isinstance(value, list | tuple) else [value]
            result += [entry for entry in listed if isinstance(entry, Value)]
        return result

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that is not a tensor."""
        value = self.arguments.get(name)
        return default if value is None else value

    def spatial(self, name: str, rank: int, default: int) -> tuple[int, ...]:
        """An argument with one entry per spatial dimension; one entry serves all."""
        value = self.get(name, default)
        entries = [int(e) for e in value] if isinstance(value, list | tuple) else [int(value)]
        if not entries:
            entries = [default]
        return tuple(entries * rank if len(entries) == 1 else entries)

    @property
    def output(self) -> Value:
        """The first result."""
        if not self.outputs:
            raise self.fail("returns no tensor")
        return self.outputs[0]

    def emit(
        self, kind: str, inputs: Sequence[Value], work: int | None = None,
        window: Window | None = None,
    ) -> None:  # fmt: skip
        """Adds an operator without an Einsum that writes the results that are used."""
        read = [value for value in inputs if not value.is_immediate]
        self.graph.vector(self.name, kind, read, self.outputs, work, window)

    def made(self, suffix: str, shape: Shape, form: NumberFormat | None = None) -> Value:
        """A value between two operators of this call."""
        return Value(f"{self.name}.{suffix}", shape, form or self.output.format)

    @property
    def elements(self) -> int:
        """Elements of the first result."""
        return math.prod(self.output.shape)
