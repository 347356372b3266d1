import dataclasses

import numpy as np
import pytest

from dovetail.errors import MappingError
from dovetail.ir.encoding import ENTRY_BYTES, LAYOUT, OPCODE_BITS, Opcode, encode_instruction
from dovetail.ir.executable import Executable, Machine, pack_lanes, unpack_lanes
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
from dovetail.sim.interpreter import execute

MACHINE = Machine(
    rows=2, cols=2, input_bits=8, weight_bits=8, accumulator_bits=16, bus_bits=16,
    input_words=8, weight_words=8, accumulator_words=4,
)  # fmt: skip
DATA = 1024
WEIGHTS = 1088
RESULT = 1152
SIZE = 1280
POINT = Window(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0)
LOOP_END = {"step_a": 2, "step_b": 0}


def _mark(opcode: Opcode, **fields: int) -> int:
    word, at = int(opcode), OPCODE_BITS
    for name, bits in LAYOUT[opcode]:
        word |= (fields[name] & ((1 << abs(bits)) - 1)) << at
        at += abs(bits)
    return word


def _input(address: int, words: int = 1) -> Fill:
    return Fill(Transfer(address, 1, 0, 1, 0, words), Scratchpad.INPUT, 0, 1)


def _store(address: int, wide: bool, beats: int = 1, **changes: int) -> Store:
    word = 2 if wide else 1
    store = Store(
        Transfer(address, 1, 0, 1, 0, beats * word), 1, 1, word, wide, 0, False, 0, -128, 127
    )
    return dataclasses.replace(store, **changes)


def _run(
    load: list[object], compute: list[object], store: list[object],
    params: list[tuple[int, int, int]], inputs: list[int], weights: list[int],
) -> np.ndarray:  # fmt: skip
    """The memory behind the entries of one segment; everything is two lanes wide."""
    streams = []
    for items in (load, compute, store):
        words = [i if isinstance(i, int) else encode_instruction(i) for i in items]
        streams.append([*words, _mark(Opcode.HALT)])
    header = sum(len(s) << (16 * i) for i, s in enumerate(streams)) | len(params) // 2 << 48
    words = [header, *(word for stream in streams for word in stream)]
    lanes = b"".join(
        ((b & 0xFFFFFFFF) | m << 32 | s << 58).to_bytes(8, "little") for b, m, s in params
    )
    image = b"".join(w.to_bytes(ENTRY_BYTES, "little") for w in words) + lanes
    memory = np.zeros(SIZE, dtype=np.uint8)
    start = SIZE
    memory = np.concatenate([memory, np.frombuffer(image, dtype=np.uint8)])
    memory[DATA : DATA + len(inputs)] = np.array(inputs, dtype=np.int8).view(np.uint8)
    memory[WEIGHTS : WEIGHTS + len(weights)] = np.array(weights, dtype=np.int8).view(np.uint8)
    execute(Executable("test", MACHINE, image, start, (), (), "", "", len(memory)), memory)
    return memory


def _codes(memory: np.ndarray, count: int) -> list[int]:
    return memory[RESULT : RESULT + count].view(np.int8).tolist()


@pytest.mark.parametrize("bits", range(2, 33))
def test_lanes_survive_packing(bits: int) -> None:
    values = np.random.default_rng(bits).integers(-(1 << (bits - 1)), 1 << (bits - 1), 64)
    data = pack_lanes(values, bits)
    assert data.size == 8 * bits
    np.testing.assert_array_equal(unpack_lanes(data, bits), values)


def test_matrix_product_by_hand() -> None:
    weights = Fill(Transfer(WEIGHTS, 1, 0, 1, 0, 2), Scratchpad.WEIGHT, 0, 1)
    memory = _run(
        [Load(_input(DATA), weights)],
        [Multiply(POINT, 1, True, True, True, True)],
        [_store(RESULT, wide=True)],
        [(10, 0, 0), (-10, 0, 0)],
        [3, -4],
        [5, 6, 7, 8],
    )
    # 3 x 5 - 4 x 7 + 10 and 3 x 6 - 4 x 8 - 10
    assert memory[RESULT : RESULT + 4].view("<i2").tolist() == [-3, -24]


@pytest.mark.parametrize(
    ("total", "multiplier", "shift", "code"),
    [
        (5, 1, 1, 3), (-5, 1, 1, -2), (3, 1, 1, 2), (-3, 1, 1, -1), (7, 1, 0, 7),
        (120, 2, 0, 127), (-120, 2, 0, -128), (1, 2**25, 26, 1), (-1, 2**25, 26, 0),
    ],
)  # fmt: skip
def test_requantization_rounds_half_up_and_saturates(
    total: int, multiplier: int, shift: int, code: int
) -> None:
    memory = _run(
        [Load(_input(DATA))],
        [Vector(POINT, VectorMode.SUM, 1, 1)],
        [_store(RESULT, wide=False)],
        [(0, multiplier, shift)] * 2,
        [total, total],
        [],
    )
    assert _codes(memory, 2) == [code, code]


def test_sums_wrap_around_in_the_accumulator() -> None:
    memory = _run(
        [Load(_input(DATA))],
        [Vector(POINT, VectorMode.SUM, 2**14, 0)],
        [_store(RESULT, wide=True)],
        [(0, 0, 0), (-1, 0, 0)],
        [2, -2],
        [],
    )
    assert memory[RESULT : RESULT + 4].view("<i2").tolist() == [-(2**15), 2**15 - 1]


def test_loops_step_the_registers_of_load_and_store() -> None:
    end = _mark(Opcode.END, **LOOP_END)
    loop = _mark(Opcode.LOOP, count=3)
    memory = _run(
        [loop, Load(_input(DATA)), end],
        [loop, Vector(POINT, VectorMode.MAX, 0, 0), end],
        [loop, _store(RESULT, wide=False), end],
        [(1, 1, 0)] * 2,
        [1, 2, 3, 4, 5, 6],
        [],
    )
    assert _codes(memory, 6) == [2, 3, 4, 5, 6, 7]


def test_padding_replaces_what_lies_outside() -> None:
    window = dataclasses.replace(POINT, q=2, s=3, origin_x=-1, width=2, pad=9)
    memory = _run(
        [Load(_input(DATA, 2))],
        [Vector(window, VectorMode.SUM, 1, 0)],
        [_store(RESULT, wide=False, beats=2, pixels=2)],
        [(0, 1, 0)] * 2,
        [1, 10, 2, 20],
        [],
    )
    assert _codes(memory, 4) == [12, 39, 12, 39]


def test_parameters_may_follow_the_pixel() -> None:
    window = dataclasses.replace(POINT, q=2, width=2)
    memory = _run(
        [Load(_input(DATA, 2))],
        [Vector(window, VectorMode.SUM, 1, 0)],
        [_store(RESULT, wide=False, beats=2, pixels=2, param_per_pixel=True)],
        [(1, 1, 0), (2, 1, 0), (30, 1, 0), (40, 1, 0)],
        [0, 0, 0, 0],
        [],
    )
    assert _codes(memory, 4) == [1, 2, 30, 40]


def test_depth_tiles_add_up_in_one_half() -> None:
    fill = Fill(Transfer(WEIGHTS, 1, 0, 1, 0, 2), Scratchpad.WEIGHT, 0, 1)
    memory = _run(
        [Load(_input(DATA), fill), Load(_input(DATA + 2))],
        [
            Multiply(POINT, 1, True, False, True, True),
            Multiply(POINT, 1, False, True, True, False),
        ],
        [_store(RESULT, wide=False)],
        [(0, 1, 0)] * 2,
        [1, 2, 10, 20],
        [1, 0, 0, 1],
    )
    assert _codes(memory, 2) == [11, 22]


@pytest.mark.parametrize(
    ("load", "compute", "store", "reason"),
    [
        (_input(2**20), POINT, RESULT, "leaves the memory"),
        (_input(DATA + 1), POINT, RESULT, "not aligned"),
        (_input(DATA, 9), POINT, RESULT, "leaves the INPUT half"),
        (_input(DATA), dataclasses.replace(POINT, p=9, height=9), RESULT, "leaves the input half"),
        (_input(DATA), dataclasses.replace(POINT, p=5), RESULT, "accumulator words"),
        (_input(DATA), POINT, 2**20, "leaves the memory"),
    ],
)
def test_what_leaves_a_memory_is_an_error(
    load: Fill, compute: Window, store: int, reason: str
) -> None:
    with pytest.raises(MappingError, match=reason):
        _run(
            [Load(load)],
            [Vector(compute, VectorMode.MAX, 0, 0)],
            [_store(store, wide=False)],
            [(0, 1, 0)] * 2,
            [1, 2],
            [],
        )


def test_queues_that_wait_for_each_other_are_an_error() -> None:
    with pytest.raises(MappingError, match="wait for each other"):
        _run([Load(NO_FILL)], [], [_store(RESULT, wide=False)], [(0, 1, 0)] * 2, [], [])
