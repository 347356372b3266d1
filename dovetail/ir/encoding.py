"""The binary form of Programs for the RTL machine: 512-bit entries, one stream per queue.

`LAYOUT` is the one definition of every field; the SystemVerilog package is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

from dovetail.errors import MappingError
from dovetail.ir.isa import (
    LOAD_QUEUE,
    STORE_QUEUE,
    Fill,
    Load,
    Multiply,
    Scratchpad,
    Store,
    Transfer,
    Vector,
    VectorMode,
    Window,
)
from dovetail.ir.program import HardwareLoop, Program

ENTRY_BYTES = 64
QUEUES = 3
MAX_LOOP_DEPTH = 8


class Opcode(IntEnum):
    """Bits 3:0 of an entry."""

    HALT = 0
    LOOP = 1
    END = 2
    LOAD = 3
    MULTIPLY = 4
    VECTOR = 5
    STORE = 6


OPCODE_BITS = 4
_TRANSFER = (
    ("address", 32), ("rows", 16), ("row_stride", 32), ("columns", 16), ("column_stride", 32),
    ("run_beats", 16),
)  # fmt: skip
_FILL = (*_TRANSFER, ("target", 1), ("word", 16), ("word_beats", 10))
_WINDOW = (
    ("p", 16), ("q", 16), ("r", 8), ("s", 8), ("stride_y", 8), ("stride_x", 8),
    ("dilation_y", 16), ("dilation_x", 16), ("origin_y", -16), ("origin_x", -16),
    ("height", 16), ("width", 16), ("blocks", 16), ("pad", -16),
    # Derived, in words, so that the address generator only adds.
    ("pixels", 16), ("row_words", 16), ("stride_y_words", 24), ("stride_x_words", 24),
    ("dilation_y_words", 24), ("dilation_x_words", 24), ("origin_words", -32),
)  # fmt: skip
_FLAGS = (("first", 1), ("last", 1), ("new_input", 1), ("new_weight", 1))

LAYOUT: Mapping[Opcode, tuple[tuple[str, int], ...]] = {
    Opcode.HALT: (),
    Opcode.LOOP: (("count", 32),),
    Opcode.END: (("step_a", -32), ("step_b", -32)),
    Opcode.LOAD: (
        ("fills_input", 1), ("fills_weight", 1),
        *((f"a_{name}", bits) for name, bits in _FILL),
        *((f"b_{name}", bits) for name, bits in _FILL),
    ),
    Opcode.MULTIPLY: (*_FLAGS, *_WINDOW, ("columns", 16)),
    # The flags of a vector instruction are constants, so that both look alike to the queue.
    Opcode.VECTOR: (*_FLAGS, *_WINDOW, ("mode", 1), ("weight_a", -16), ("weight_b", -16)),
    Opcode.STORE: (
        *_TRANSFER, ("blocks", 16), ("pixels", 16), ("word_beats", 10), ("wide", 1),
        ("param", 16), ("param_per_pixel", 1), ("zero_point", -16), ("low", -16), ("high", -16),
    ),
}  # fmt: skip
"""Fields of every opcode from bit 4 up: (name, bits); negative bits mean a signed field."""

HEADER = (("load_entries", 16), ("execute_entries", 16), ("store_entries", 16),
          ("param_words", 16), ("next", 32))  # fmt: skip
"""First 64 bytes of a segment, from bit 0: entries per queue, parameter words, next segment."""

PARAM = (("bias", -32), ("multiplier", 26), ("shift", 6))
"""One lane of a parameter word."""


def pack(layout: tuple[tuple[str, int], ...], values: Mapping[str, int], what: str) -> int:
    """Packs fields, the first one lowest.

    Raises:
        MappingError: naming the field that does not fit.
    """
    word, at = 0, 0
    for name, bits in layout:
        width, value = abs(bits), int(values[name])
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if bits < 0 else (
            0, (1 << width) - 1)  # fmt: skip
        if not low <= value <= high:
            raise MappingError(f"{what}: {name} = {value} must be within {low} to {high}")
        word |= (value & ((1 << width) - 1)) << at
        at += width
    return word


def unpack(layout: tuple[tuple[str, int], ...], word: int) -> dict[str, int]:
    """Inverse of `pack`."""
    values, at = {}, 0
    for name, bits in layout:
        width = abs(bits)
        value = word >> at & ((1 << width) - 1)
        values[name] = value - (1 << width) if bits < 0 and value >> (width - 1) else value
        at += width
    return values


def encode(program: Program) -> tuple[bytes, bytes, bytes]:
    """Entries of the load, execute and store queues, each closed by HALT.

    Raises:
        MappingError: if a field does not fit its bits or loops nest too deep.
    """
    streams = tuple(
        [*_entries(program.body, queue, program.operator, 0), _entry(Opcode.HALT, {}, "halt")]
        for queue in range(QUEUES)
    )
    load, execute, store = (b"".join(e.to_bytes(ENTRY_BYTES, "little") for e in s) for s in streams)
    return load, execute, store


def _entry(opcode: Opcode, values: Mapping[str, int], what: str) -> int:
    return opcode | pack(LAYOUT[opcode], values, what) << OPCODE_BITS


def _entries(body: tuple[object, ...], queue: int, operator: str, depth: int) -> Iterator[int]:
    if depth > MAX_LOOP_DEPTH:
        raise MappingError(f"program of '{operator}': loops nest deeper than {MAX_LOOP_DEPTH}")
    for item in body:
        if isinstance(item, HardwareLoop):
            inner = list(_entries(item.body, queue, operator, depth + 1))
            if inner:
                what = f"loop of '{operator}'"
                step = {LOAD_QUEUE: item.load_step, STORE_QUEUE: item.store_step}.get(queue, (0, 0))
                yield _entry(Opcode.LOOP, {"count": item.count}, what)
                yield from inner
                yield _entry(Opcode.END, {"step_a": step[0], "step_b": step[1]}, what)
        elif isinstance(item, Load | Multiply | Vector | Store) and item.queue == queue:
            yield encode_instruction(item, operator)


def encode_instruction(item: Load | Multiply | Vector | Store, operator: str = "?") -> int:
    """The 512-bit entry of one instruction."""
    what = f"{type(item).__name__.lower()} of '{operator}'"
    match item:
        case Load():
            values = {
                "fills_input": int(item.fills(Scratchpad.INPUT)),
                "fills_weight": int(item.fills(Scratchpad.WEIGHT)),
            }
            for prefix, part in (("a_", item.a), ("b_", item.b)):
                values |= {prefix + k: v for k, v in _transfer(part.transfer).items()}
                values |= {f"{prefix}target": int(part.target), f"{prefix}word": part.word}
                values |= {f"{prefix}word_beats": part.word_beats}
            return _entry(Opcode.LOAD, values, what)
        case Multiply():
            flags = {name: int(getattr(item, name)) for name, _ in _FLAGS}
            return _entry(
                Opcode.MULTIPLY, {**flags, **_window(item.window), "columns": item.columns}, what
            )
        case Vector():
            flags = {"first": 1, "last": 1, "new_input": 1, "new_weight": 0}
            rest = {"mode": int(item.mode), "weight_a": item.weight_a, "weight_b": item.weight_b}
            return _entry(Opcode.VECTOR, {**flags, **_window(item.window), **rest}, what)
        case Store():
            names = ("blocks", "pixels", "word_beats", "wide", "param", "param_per_pixel",
                     "zero_point", "low", "high")  # fmt: skip
            values = {name: int(getattr(item, name)) for name in names}
            return _entry(Opcode.STORE, {**_transfer(item.transfer), **values}, what)


def _transfer(transfer: Transfer) -> dict[str, int]:
    return {name: getattr(transfer, name) for name, _ in _TRANSFER}


def _window(w: Window) -> dict[str, int]:
    row_words = w.width * w.blocks
    return {
        **{name: getattr(w, name) for name, _ in _WINDOW[:14]},
        "pixels": w.pixels,
        "row_words": row_words,
        "stride_y_words": w.stride_y * row_words,
        "stride_x_words": w.stride_x * w.blocks,
        "dilation_y_words": w.dilation_y * row_words,
        "dilation_x_words": w.dilation_x * w.blocks,
        "origin_words": w.origin_y * row_words + w.origin_x * w.blocks,
    }


def decode_instruction(entry: int) -> Load | Multiply | Vector | Store:
    """The instruction of an entry.

    Raises:
        MappingError: if the entry is no instruction.
    """
    opcode = entry & ((1 << OPCODE_BITS) - 1)
    if opcode not in (Opcode.LOAD, Opcode.MULTIPLY, Opcode.VECTOR, Opcode.STORE):
        raise MappingError(f"entry with opcode {opcode} is no instruction")
    v = unpack(LAYOUT[Opcode(opcode)], entry >> OPCODE_BITS)
    if opcode == Opcode.LOAD:
        parts = [
            Fill(
                Transfer(*(v[p + name] for name, _ in _TRANSFER)),
                Scratchpad(v[f"{p}target"]), v[f"{p}word"], v[f"{p}word_beats"],
            )
            for p in ("a_", "b_")
        ]  # fmt: skip
        return Load(*parts)
    if opcode == Opcode.STORE:
        return Store(
            Transfer(*(v[name] for name, _ in _TRANSFER)), v["blocks"], v["pixels"],
            v["word_beats"], bool(v["wide"]), v["param"], bool(v["param_per_pixel"]),
            v["zero_point"], v["low"], v["high"],
        )  # fmt: skip
    window = Window(*(v[name] for name, _ in _WINDOW[:14]))
    if opcode == Opcode.VECTOR:
        return Vector(window, VectorMode(v["mode"]), v["weight_a"], v["weight_b"])
    flags = (bool(v[name]) for name, _ in _FLAGS)
    return Multiply(window, v["columns"], *flags)
