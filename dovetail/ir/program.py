"""Programs: instructions for a decoupled load / execute / store machine, with hardware loops.

Three in-order queues run one program; each takes only its own instructions. They meet through
tokens: an instruction starts when every token that it waits for is there, and hands out those that
it signals when it ends. Two credits per scratchpad are the two halves of a double buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dovetail.errors import MappingError


class Token(StrEnum):
    """What one queue hands to another."""

    LOAD_CREDIT = "load_credit"
    LOADED = "loaded"
    STORE_CREDIT = "store_credit"
    COMPUTED = "computed"


INITIAL_TOKENS = {Token.LOAD_CREDIT: 2, Token.STORE_CREDIT: 2}
"""Credits before the first instruction: both halves of the operand and output buffers are free."""


def waits_of_product(first: bool) -> tuple[Token, ...]:
    """Tokens that a matrix product needs; the first one of an output tile takes its half, too."""
    return (Token.LOADED, Token.STORE_CREDIT) if first else (Token.LOADED,)


def signals_of_product(last: bool) -> tuple[Token, ...]:
    """Tokens that a matrix product hands out; the last one of an output tile completes it."""
    return (Token.LOAD_CREDIT, Token.COMPUTED) if last else (Token.LOAD_CREDIT,)


@dataclass(frozen=True, slots=True)
class Load:
    """Reads the operands of one step from DRAM; bytes of a stationary operand are 0."""

    input_bytes: int
    weight_bytes: int
    waits = (Token.LOAD_CREDIT,)
    signals = (Token.LOADED,)


@dataclass(frozen=True, slots=True)
class MatrixMultiply:
    """`groups` products (m x k)(k x n), operands passing `passes` times through the array.

    Attributes:
        first: starts the output tile: it takes a free half of the accumulators.
        last: completes it: its half may be stored.
    """

    groups: int
    m: int
    n: int
    k: int
    passes: int
    first: bool
    last: bool

    @property
    def waits(self) -> tuple[Token, ...]:
        """Tokens that it needs before it starts."""
        return waits_of_product(self.first)

    @property
    def signals(self) -> tuple[Token, ...]:
        """Tokens that it hands out when it ends."""
        return signals_of_product(self.last)


@dataclass(frozen=True, slots=True)
class VectorOperate:
    """`ops` scalar operations on the vector unit."""

    ops: int
    waits = (Token.LOADED, Token.STORE_CREDIT)
    signals = (Token.LOAD_CREDIT, Token.COMPUTED)


@dataclass(frozen=True, slots=True)
class Store:
    """Writes one output tile to DRAM, `ops` fused scalar operations streaming along."""

    output_bytes: int
    ops: int
    waits = (Token.COMPUTED,)
    signals = (Token.STORE_CREDIT,)


Instruction = Load | MatrixMultiply | VectorOperate | Store


@dataclass(frozen=True, slots=True)
class HardwareLoop:
    """Repeats its body `count` times.

    Attributes:
        count: iterations.
        body: what is repeated.
        load_step: added to the load queue's address registers A and B before each iteration but
            the first; only instructions with addresses (`dovetail.ir.isa`) use it.
        store_step: likewise for the store queue.
    """

    count: int
    body: tuple[Instruction | HardwareLoop, ...]
    load_step: tuple[int, int] = (0, 0)
    store_step: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.count < 1 or not self.body:
            raise MappingError(f"hardware loop of {self.count} x {len(self.body)} instructions")


@dataclass(frozen=True, slots=True)
class Program:
    """The instructions of one operator."""

    operator: str
    body: tuple[Instruction | HardwareLoop, ...]

    def unrolled(self) -> Iterator[Instruction]:
        """Every executed instruction in program order; only for small programs."""
        yield from _unroll(self.body)


def _unroll(body: tuple[Instruction | HardwareLoop, ...]) -> Iterator[Instruction]:
    for item in body:
        if isinstance(item, HardwareLoop):
            for _ in range(item.count):
                yield from _unroll(item.body)
        else:
            yield item
