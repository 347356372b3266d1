import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dovetail.rtl
from dovetail.errors import MappingError
from dovetail.ir.encoding import (
    ENTRY_BYTES,
    HEADER,
    LAYOUT,
    OPCODE_BITS,
    PARAM,
    Opcode,
    decode_instruction,
    encode,
    encode_instruction,
    pack,
    unpack,
)
from dovetail.ir.isa import (
    NO_FILL,
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
from dovetail.rtl.package import text

short = st.integers(0, 2**16 - 1)
signed = st.integers(-(2**15), 2**15 - 1)
long = st.integers(0, 2**32 - 1)
byte = st.integers(0, 255)
transfers = st.builds(Transfer, long, short, long, short, long, short)
fills = st.builds(Fill, transfers, st.sampled_from(Scratchpad), short, st.integers(0, 1023))
windows = st.builds(
    Window, st.integers(1, 255), st.integers(1, 255), byte, byte, byte, byte, byte, byte, signed,
    signed, byte, byte, st.integers(0, 200), signed,
)  # fmt: skip
loads = st.builds(Load, fills, fills)
multiplies = st.builds(Multiply, windows, short, *[st.booleans()] * 4)
vectors = st.builds(Vector, windows, st.sampled_from(VectorMode), signed, signed)
stores = st.builds(
    Store, transfers, short, short, st.integers(0, 1023), st.booleans(), short, st.booleans(),
    signed, signed, signed,
)  # fmt: skip
WINDOW = Window(2, 3, 1, 1, 1, 1, 1, 1, 0, 0, 4, 4, 2, 0)
STORE = Store(Transfer(0, 1, 0, 1, 0, 1), 1, 1, 1, False, 0, False, 0, -128, 127)


@given(st.one_of(loads, multiplies, vectors, stores))
def test_instructions_survive_the_binary_form(instruction: Any) -> None:
    entry = encode_instruction(instruction)
    assert 0 <= entry < 1 << (8 * ENTRY_BYTES)
    assert decode_instruction(entry) == instruction


@given(windows)
def test_derived_fields_are_the_window_in_words(window: Window) -> None:
    entry = encode_instruction(Multiply(window, 1, True, True, True, True))
    fields = unpack(LAYOUT[Opcode.MULTIPLY], entry >> OPCODE_BITS)
    for p, r, q, s in ((0, 0, 0, 0), (1, 2, 3, 4), (5, 1, 0, 7)):
        row = p * window.stride_y + r * window.dilation_y + window.origin_y
        column = q * window.stride_x + s * window.dilation_x + window.origin_x
        word = (
            fields["origin_words"] + p * fields["stride_y_words"] + r * fields["dilation_y_words"]
            + q * fields["stride_x_words"] + s * fields["dilation_x_words"]
        )  # fmt: skip
        assert word == (row * window.width + column) * window.blocks
    assert fields["pixels"] == window.p * window.q


@pytest.mark.parametrize("layout", [*LAYOUT.values(), HEADER, PARAM])
def test_layouts_fit_their_words(layout: tuple[tuple[str, int], ...]) -> None:
    room = 64 if layout is PARAM else 8 * ENTRY_BYTES - OPCODE_BITS
    assert sum(abs(bits) for _, bits in layout) <= room
    assert len({name for name, _ in layout}) == len(layout)


@given(st.data())
def test_signed_and_unsigned_fields_survive(data: st.DataObject) -> None:
    for layout in (*LAYOUT.values(), HEADER, PARAM):
        values = {}
        for name, bits in layout:
            low, high = (-(1 << (-bits - 1)), -bits - 1) if bits < 0 else (0, bits)
            values[name] = data.draw(st.integers(low, (1 << high) - 1))
        assert unpack(layout, pack(layout, values, "test")) == values


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        (dataclasses.replace(STORE, pixels=2**16), "store of 'conv': pixels = 65536 must be with"),
        (dataclasses.replace(STORE, low=-(2**15) - 1), "low = -32769"),
        (dataclasses.replace(STORE, word_beats=1024), "word_beats = 1024"),
        (Load(Fill(Transfer(-1, 1, 0, 1, 0, 1), Scratchpad.INPUT, 0, 1)), "a_address = -1"),
        (Load(NO_FILL, Fill(Transfer(0, 1, 0, 1, 0, 2**16), Scratchpad.INPUT, 0, 1)), "b_run_bea"),
        (Vector(WINDOW, VectorMode.SUM, 2**15, 0), "weight_a = 32768"),
        (Multiply(dataclasses.replace(WINDOW, p=256, q=256), 1, True, True, True, True), "pixels"),
        (Multiply(dataclasses.replace(WINDOW, stride_y=256), 1, True, True, True, True), "stride"),
    ],
)
def test_fields_that_overflow_are_named(instruction: Any, reason: str) -> None:
    with pytest.raises(MappingError, match=reason):
        encode_instruction(instruction, "conv")


def test_queues_hold_their_own_instructions_and_the_loops_around_them() -> None:
    multiply = Multiply(WINDOW, 1, True, True, True, True)
    inner = HardwareLoop(3, (Load(NO_FILL), multiply), (64, -8))
    program = Program("conv", (HardwareLoop(5, (inner, STORE), (1, 2), (3, -4)),))
    opcodes = []
    for stream in encode(program):
        words = [stream[i : i + ENTRY_BYTES] for i in range(0, len(stream), ENTRY_BYTES)]
        entries = [int.from_bytes(word, "little") for word in words]
        opcodes.append([Opcode(e & 15).name for e in entries])
        ends = [unpack(LAYOUT[Opcode.END], e >> OPCODE_BITS) for e in entries if e & 15 == 2]
        steps = [(end["step_a"], end["step_b"]) for end in ends]
        if "LOAD" in opcodes[-1]:
            assert steps == [(64, -8), (1, 2)]
        elif "STORE" in opcodes[-1]:
            assert steps == [(3, -4)]
    assert opcodes == [
        ["LOOP", "LOOP", "LOAD", "END", "END", "HALT"],
        ["LOOP", "LOOP", "MULTIPLY", "END", "END", "HALT"],
        ["LOOP", "STORE", "END", "HALT"],
    ]


def test_nine_nested_loops_are_an_error() -> None:
    body: Any = (STORE,)
    for _ in range(8):
        body = (HardwareLoop(2, body),)
    encode(Program("deep", body))
    with pytest.raises(MappingError, match="nest deeper than 8"):
        encode(Program("deep", (HardwareLoop(2, body),)))


def test_marks_are_no_instructions() -> None:
    for opcode in (Opcode.HALT, Opcode.LOOP, Opcode.END):
        with pytest.raises(MappingError, match="is no instruction"):
            decode_instruction(int(opcode))


def test_the_systemverilog_package_is_what_the_layout_says() -> None:
    package = Path(dovetail.rtl.__file__).with_name("dovetail_isa_pkg.sv")
    assert package.read_text() == text()
