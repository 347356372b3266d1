"""What accelerators have in common whose parameters are a flat list of scalars."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from dovetail.arch.laws import checked, short
from dovetail.arch.systolic import shorten
from dovetail.errors import AcceleratorError
from dovetail.ir.space import Value


class Parameters:
    """Base of frozen dataclasses whose fields come from `dovetail.arch.laws`.

    Construction checks nothing: an illegal design is a value, and `validate()` says why.
    """

    __slots__ = ()

    family: ClassVar[str]
    name: str

    @classmethod
    def parameters(cls) -> Iterator[tuple[str, str, str, str]]:
        """(name, default, legal values, meaning) of what `from_dict` and `replace` take."""
        for name, field in _fields(cls).items():
            law = field.metadata
            yield name, str(_scalar(field.default, law)), short(law), law["doc"]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "parameters") -> Self:
        """Builds a design from parameters by name.

        Raises:
            AcceleratorError: naming source, key, value and legal range.
        """
        laws = {name: field.metadata for name, field in _fields(cls).items()}
        given = {key: value for key, value in values.items() if key != "family"}
        for key in given:
            if key not in laws:
                raise AcceleratorError(
                    f"{source}: unknown key {shorten(key)}; legal keys: {', '.join(laws)}"
                )
        return cls(**{k: checked(f"{source}: {k}", laws[k], v) for k, v in given.items()})

    def to_dict(self) -> dict[str, int | float | str]:
        """Parameter values as scalars by name."""
        fields = _fields(type(self)).items()
        named = {name: _scalar(getattr(self, name), field.metadata) for name, field in fields}
        return {"family": self.family, **named}

    def replace(self, values: Mapping[str, object], source: str = "--set") -> Self:
        """A copy with some parameters replaced; raises as `from_dict` does."""
        return self.from_dict({**self.to_dict(), **values}, source)

    def validate(self) -> list[str]:
        """Reasons why the design is illegal; empty if it is legal."""
        try:
            for name, field in _fields(type(self)).items():
                checked(f"{self.name}: {name}", field.metadata, getattr(self, name))
        except AcceleratorError as error:
            return [str(error)]
        return self.faults()

    def faults(self) -> list[str]:
        """Laws between parameters that a design with legal values breaks; none by default."""
        return []


def scaled(value: float, *factors: float) -> tuple[Value, ...]:
    """Values of a knob around a base's, whole if the base's is."""
    kind = type(value)
    return tuple(sorted({kind(value * factor) for factor in factors} - {kind(0)}))


def _fields(cls: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls)}


def _scalar(value: Any, law: Mapping[str, Any]) -> int | float | str:
    """A value as a file writes it."""
    for word, stands_for in law.get("words", {}).items():
        if value == stands_for:
            return str(word)
    if law["kind"] == "names":
        return " ".join(value)
    if law["kind"] == "flag":
        return str(value).lower()
    found: int | float | str = value
    return found
