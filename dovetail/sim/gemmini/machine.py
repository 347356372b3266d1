"""What is known of the hardware (constants), and what is fitted (parameters)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True)
class Machine:
    """The system around Gemmini, from its sources and Chipyard's defaults; nothing is fitted.

    Attributes:
        array: PEs along each side; also rows of an instruction, channels of a scratchpad row.
        bus_bytes_per_cycle: 128-bit system bus.
        request_bytes: most that one request of the DMA reads or writes.
        line_bytes: of the shared second-level cache.
        cache_bytes: capacity of that cache; it replaces lines at random.
        cache_ways: lines of a set.
        cache_banks: banks, interleaved by line.
        least_rows: fewest rows that an instruction takes in the array.
    """

    array: int = 16
    bus_bytes_per_cycle: float = 16.0
    request_bytes: int = 64
    line_bytes: int = 64
    cache_bytes: int = 512 * 1024
    cache_ways: int = 8
    cache_banks: int = 4
    least_rows: int = 4

    @property
    def cache_sets(self) -> int:
        """Sets of all banks together."""
        return self.cache_bytes // (self.line_bytes * self.cache_ways)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Costs that are fitted: cycles each, `exposed` a share. `PARAMETERS` explains them."""

    request: float = 2.0
    load_command: float = 5.0
    miss: float = 4.0
    bank: float = 6.0
    narrow: float = 20.0
    zero_row: float = 4.0
    issue: float = 8.0
    block: float = 4.0
    write_miss: float = 15.0
    exposed: float = 0.1
    host: float = 250.0
    start: float = 1000.0

    @classmethod
    def from_array(cls, values: Sequence[float] | np.ndarray) -> Parameters:
        """From values in the order of `PARAMETERS`."""
        return cls(*(float(value) for value in values))

    def to_array(self) -> np.ndarray:
        """Values in the order of `PARAMETERS`, (12,)."""
        return np.array([getattr(self, field.name) for field in fields(self)])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A fitted cost: name, range that is physically sane, and what causes it."""

    name: str
    low: float
    high: float
    unit: str
    meaning: str


PARAMETERS = (
    Parameter("request", 0.5, 10, "cycles/request", "DMA issues a read, beyond the bus's time"),
    Parameter("load_command", 0.05, 50, "cycles/command", "a load of up to 16 x 64 bytes starts"),
    Parameter("miss", 0.1, 40, "cycles/line", "line not in the L2 cache, banks in parallel"),
    Parameter("bank", 0.1, 40, "cycles/line", "more, when a stride hits one bank of the L2"),
    Parameter("narrow", 0.5, 60, "cycles/request", "request below 16 B, on the line of the last"),
    Parameter("zero_row", 0.05, 10, "cycles/row", "accumulator row cleared before the first sum"),
    Parameter("issue", 4, 16, "cycles/command", "preload and compute of few rows are issued"),
    Parameter("block", 0.05, 30, "cycles/block", "new 16 x 16 weights enter the array"),
    Parameter("write_miss", 0.1, 60, "cycles/line", "output line not in the L2: fetched, evicted"),
    Parameter("exposed", 0.001, 1, "share", "of the shorter streams that the longest can't hide"),
    Parameter("host", 50, 1000, "cycles/tile", "the host's loops and commands of a tile, at least"),
    Parameter("start", 50, 20000, "cycles", "configuration, first instructions, final fence"),
)
