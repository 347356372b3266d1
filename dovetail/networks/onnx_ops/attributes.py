"""Attributes of one ONNX node, checked as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onnx import AttributeProto

from dovetail.errors import NetworkError

COSTLESS_ATTRIBUTES = frozenset({
    "epsilon", "momentum", "alpha", "beta", "gamma", "bias", "lambd", "consumed_inputs", "seed",
    "ratio", "is_test", "spatial", "stash_type", "saturate", "softmax_precision", "fmod",
    "count_include_pad", "storage_order", "largest", "sorted", "select_last_index", "exclusive",
    "reverse", "round_mode", "output_dtype", "precision",
})  # fmt: skip
"""Attributes that change values only: neither shapes nor work."""


@dataclass(slots=True)
class Attributes:
    """Typed access to the attributes of a node.

    Attributes:
        op: operator type.
        name: unique enough to find it in the file.
        attributes: by name.
        asked: names that were read.
    """

    op: str
    name: str
    attributes: dict[str, Any]
    asked: set[str] = field(default_factory=set, kw_only=True)

    def fail(self, message: str) -> NetworkError:
        """An error that names this node."""
        return NetworkError(f"node '{self.name}' ({self.op}): {message}")

    def integer(self, name: str, default: int | None = None) -> int:
        """Integer attribute; required if there is no default."""
        return int(self._attribute(name, AttributeProto.INT, "i", default))

    def real(self, name: str, default: float | None = None) -> float:
        """Floating attribute; required if there is no default."""
        return float(self._attribute(name, AttributeProto.FLOAT, "f", default))

    def text(self, name: str, default: str | None = None) -> str:
        """String attribute; required if there is no default."""
        value = self._attribute(name, AttributeProto.STRING, "s", default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def integers(self, name: str) -> list[int] | None:
        """List of integers, or None."""
        value = self._attribute(name, AttributeProto.INTS, "ints", ())
        return [int(element) for element in value] if name in self.attributes else None

    def reals(self, name: str) -> list[float] | None:
        """List of floats, or None."""
        value = self._attribute(name, AttributeProto.FLOATS, "floats", ())
        return [float(element) for element in value] if name in self.attributes else None

    def flag(self, name: str, default: bool = False) -> bool:
        """Integer attribute as a truth value."""
        return bool(self.integer(name, int(default)))

    def check_attributes(self) -> None:
        """Checks that no attribute was left unread.

        Raises:
            NetworkError: if one was, for it could change the meaning of the node.
        """
        left = sorted(set(self.attributes) - self.asked - COSTLESS_ATTRIBUTES)
        if left:
            raise self.fail(f"attribute '{left[0]}' is not supported")

    def _attribute(self, name: str, kind: int, slot: str, default: Any) -> Any:
        self.asked.add(name)
        attribute = self.attributes.get(name)
        if attribute is None:
            if default is None:
                raise self.fail(f"attribute '{name}' is missing")
            return default
        if attribute.type not in (kind, AttributeProto.UNDEFINED):
            given = AttributeProto.AttributeType.Name(attribute.type)
            raise self.fail(
                f"attribute '{name}' is of type {given}: must be "
                f"{AttributeProto.AttributeType.Name(kind)}"
            )
        return getattr(attribute, slot)
