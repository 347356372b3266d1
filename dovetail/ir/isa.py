"""The instruction set of the RTL machine: what the gates execute, with addresses and shapes.

A Program for that machine holds these instructions in hardware loops. `dovetail.ir.encoding` turns
it into the binary form that the RTL fetches; docs/rtl.md describes the machine.

Units: a *beat* is one bus word; a *word* is one line of a scratchpad (`rows` inputs, `cols`
weights, `cols` accumulators); a *block* is the channels of one word. DRAM addresses and strides are
bytes, multiples of the bus width.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from dovetail.ir.program import Token, signals_of_product, waits_of_product

LOAD_QUEUE, EXECUTE_QUEUE, STORE_QUEUE = range(3)


class Scratchpad(IntEnum):
    """Where a load writes."""

    INPUT = 0
    WEIGHT = 1


class VectorMode(IntEnum):
    """How a vector instruction reduces the taps of a window."""

    MAX = 0
    SUM = 1


@dataclass(frozen=True, slots=True)
class Transfer:
    """Runs of beats in DRAM: `rows` x `columns` of them, columns innermost.

    Attributes:
        address: of the first run, relative to the queue's address register.
        rows: outer count; 0 means: nothing moves.
        row_stride: bytes from one row's first run to the next row's.
        columns: runs per row.
        column_stride: bytes from one run to the next.
        run_beats: consecutive beats of one run.
    """

    address: int
    rows: int
    row_stride: int
    columns: int
    column_stride: int
    run_beats: int

    @property
    def beats(self) -> int:
        """All beats."""
        return self.rows * self.columns * self.run_beats


NOTHING = Transfer(0, 0, 0, 1, 0, 1)


@dataclass(frozen=True, slots=True)
class Fill:
    """One part of a load: beats fill consecutive words of a scratchpad's half.

    Attributes:
        transfer: what is read.
        target: scratchpad.
        word: first word written, from the half's start.
        word_beats: beats of one word; fewer than a whole word holds if only the low lanes matter.
    """

    transfer: Transfer
    target: Scratchpad
    word: int
    word_beats: int


NO_FILL = Fill(NOTHING, Scratchpad.INPUT, 0, 1)


@dataclass(frozen=True, slots=True)
class Load:
    """Reads the operands of one step: part `a`, then part `b`.

    A scratchpad's half that is filled is the other one than at the load before that filled it.
    Address register A is added to the address of part a, B to that of part b.
    """

    a: Fill
    b: Fill = NO_FILL
    queue: ClassVar[int] = LOAD_QUEUE
    waits: ClassVar[tuple[Token, ...]] = (Token.LOAD_CREDIT,)
    signals: ClassVar[tuple[Token, ...]] = (Token.LOADED,)

    @property
    def beats(self) -> int:
        """All beats."""
        return self.a.transfer.beats + self.b.transfer.beats

    def fills(self, target: Scratchpad) -> bool:
        """Whether a part writes to `target`."""
        return any(p.transfer.rows > 0 and p.target == target for p in (self.a, self.b))


@dataclass(frozen=True, slots=True)
class Window:
    """Implicit im2col: which input word an output pixel's tap reads.

    The input tile lies in the scratchpad as [height][width][blocks] words. Output (p, q), tap
    (r, s) reads row p stride_y + r dilation_y + origin_y and column q stride_x + s dilation_x +
    origin_x; outside of the tile it reads `pad` in every lane.

    Attributes:
        p: output rows. q: output columns. r: kernel rows. s: kernel columns.
        stride_y, stride_x, dilation_y, dilation_x: in pixels.
        origin_y, origin_x: of output 0, tap 0, relative to the stored tile; negative in padding.
        height, width: pixels of the stored tile.
        blocks: words per pixel.
        pad: value of padding.
    """

    p: int
    q: int
    r: int
    s: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    origin_y: int
    origin_x: int
    height: int
    width: int
    blocks: int
    pad: int

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.p * self.q

    @property
    def taps(self) -> int:
        """Kernel taps."""
        return self.r * self.s


@dataclass(frozen=True, slots=True)
class Multiply:
    """Window x weights into accumulators [columns][pixels] (one word each).

    Weights lie in their scratchpad as [columns][taps][blocks][rows] words.

    Attributes:
        window: the moving operand.
        columns: blocks of output channels.
        first: starts an output tile: takes the other half of the accumulators, and overwrites.
        last: completes it.
        new_input: the input scratchpad's other half holds this step's input.
        new_weight: likewise for weights.
    """

    window: Window
    columns: int
    first: bool
    last: bool
    new_input: bool
    new_weight: bool
    queue: ClassVar[int] = EXECUTE_QUEUE

    @property
    def waits(self) -> tuple[Token, ...]:
        """Tokens that it needs before it starts."""
        return waits_of_product(self.first)

    @property
    def signals(self) -> tuple[Token, ...]:
        """Tokens that it hands out when it ends."""
        return signals_of_product(self.last)


@dataclass(frozen=True, slots=True)
class Vector:
    """Reduces windows lane by lane into accumulators [blocks][pixels]: pooling and addition.

    SUM adds input x weight, weight_a for taps of kernel row 0 and weight_b for all others; MAX
    ignores the weights. Takes the other half of the input scratchpad and of the accumulators.
    """

    window: Window
    mode: VectorMode
    weight_a: int
    weight_b: int
    queue: ClassVar[int] = EXECUTE_QUEUE
    waits: ClassVar[tuple[Token, ...]] = (Token.LOADED, Token.STORE_CREDIT)
    signals: ClassVar[tuple[Token, ...]] = (Token.LOAD_CREDIT, Token.COMPUTED)


@dataclass(frozen=True, slots=True)
class Store:
    """Requantizes accumulators [blocks][pixels] and writes them, blocks innermost.

    Narrow: clip(round((acc + bias) multiplier / 2^shift) + zero_point) to low..high, of the input
    operand's width, rounding half up. Wide: acc + bias as it is. acc + bias wraps around.

    Attributes:
        transfer: where to; address register A is added.
        blocks: words per pixel.
        pixels: output pixels.
        word_beats: beats written per word; low lanes first.
        wide: store accumulators.
        param: first parameter word; address register B is added.
        param_per_pixel: the parameter word follows the pixel, not the block.
        zero_point, low, high: see above.
    """

    transfer: Transfer
    blocks: int
    pixels: int
    word_beats: int
    wide: bool
    param: int
    param_per_pixel: bool
    zero_point: int
    low: int
    high: int
    queue: ClassVar[int] = STORE_QUEUE
    waits: ClassVar[tuple[Token, ...]] = (Token.COMPUTED,)
    signals: ClassVar[tuple[Token, ...]] = (Token.STORE_CREDIT,)


Instruction = Load | Multiply | Vector | Store
