"""What every accelerator family has, whatever its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

from dovetail.ir.space import Value


class Accelerator(Protocol):
    """A design of one family: frozen parameters that say themselves whether they are legal."""

    family: ClassVar[str]

    @property
    def name(self) -> str:
        """Label in reports."""

    @property
    def clock_mhz(self) -> float:
        """Clock of everything."""

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of all PEs."""

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bandwidth of off-chip memory, both directions; infinite if it has no bound."""

    @property
    def area_mm2(self) -> float:
        """Area without off-chip memory."""

    @property
    def array(self) -> str:
        """What computes, in a few words, e.g. `16 x 16 ws`."""

    @property
    def sram_bytes(self) -> float:
        """Capacity of all memories on chip."""

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Its design space: values by parameter name around this design."""

    @classmethod
    def parameters(cls) -> Iterator[tuple[str, str, str, str]]:
        """(name, default, legal values, meaning) of what `from_dict` and `replace` take."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "parameters") -> Self:
        """Builds a design from what `to_dict` or a file gives."""

    def to_dict(self) -> dict[str, int | float | str]:
        """Parameter values as scalars by name."""

    def replace(self, values: Mapping[str, object], source: str = "--set") -> Self:
        """A copy with some parameters replaced."""

    def validate(self) -> list[str]:
        """Reasons why the design is illegal; empty if it is legal."""
