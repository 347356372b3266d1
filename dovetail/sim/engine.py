"""The RTL machine's memories, and what each instruction does to them, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.ir.encoding import Opcode
from dovetail.ir.executable import Bytes, Machine, pack_lanes, unpack_lanes
from dovetail.ir.isa import EXECUTE_QUEUE, LOAD_QUEUE, STORE_QUEUE, Scratchpad, VectorMode
from dovetail.ir.space import IntArray
from dovetail.sim.values import EXACT_IN_DOUBLE, wrap

Fields = dict[str, int]


class Engine:
    """The state of one segment's run.

    Args:
        machine: sizes and widths.
        memory: DRAM, changed by stores.
        params: (words, cols) parameter lanes.
    """

    def __init__(self, machine: Machine, memory: Bytes, params: NDArray[np.uint64]) -> None:
        self.machine, self.memory, self.params = machine, memory, params
        m, halves = machine, range(2)
        self.operands = {
            Scratchpad.INPUT: [np.zeros((m.input_words, m.rows), np.int32) for _ in halves],
            Scratchpad.WEIGHT: [np.zeros((m.weight_words, m.cols), np.int32) for _ in halves],
        }
        self.sums = [np.zeros((m.accumulator_words, m.cols), np.int64) for _ in halves]
        # The first toggle leads to half 0.
        self.filled = {Scratchpad.INPUT: 1, Scratchpad.WEIGHT: 1}
        self.used = {Scratchpad.INPUT: 1, Scratchpad.WEIGHT: 1}
        self.computing, self.storing = 1, 1

    def run(self, queue: int, opcode: Opcode, f: Fields, registers: list[int]) -> None:
        """Executes one instruction.

        Args:
            queue: that it stands in.
            opcode: of it.
            f: its fields.
            registers: the queue's address registers A and B.

        Raises:
            MappingError: if it leaves a memory, or stands in the wrong queue.
        """
        legal: dict[Opcode, tuple[int, Callable[[], None]]] = {
            Opcode.LOAD: (LOAD_QUEUE, lambda: self._load(f, registers)),
            Opcode.MULTIPLY: (EXECUTE_QUEUE, lambda: self._compute(f, self._multiply)),
            Opcode.VECTOR: (EXECUTE_QUEUE, lambda: self._compute(f, self._vector)),
            Opcode.STORE: (STORE_QUEUE, lambda: self._store(f, registers)),
        }
        if legal[opcode][0] != queue:
            raise MappingError(f"{opcode.name} in queue {queue}")
        legal[opcode][1]()

    def _beats(self, f: Fields, prefix: str, register: int) -> NDArray[np.int64]:
        """Indices of a transfer's bus words, in order."""
        bus = self.machine.bus_bits // 8
        base = (f[prefix + "address"] + register) % 2**32
        rows = np.arange(f[prefix + "rows"]) * f[prefix + "row_stride"]
        columns = np.arange(f[prefix + "columns"]) * f[prefix + "column_stride"]
        starts = base + (rows[:, None] + columns).reshape(-1)
        if (starts % bus).any():
            raise MappingError(f"transfer at {base:#x} is not aligned to {bus} B")
        beats: NDArray[np.int64] = starts[:, None] // bus + np.arange(f[prefix + "run_beats"])
        if beats.size and (beats.min() < 0 or (int(beats.max()) + 1) * bus > len(self.memory)):
            raise MappingError(f"transfer at {base:#x} leaves the memory")
        return beats.reshape(-1)

    def _words(self) -> NDArray[Any]:
        """The memory as bus words."""
        bus = self.machine.bus_bits // 8
        return self.memory[: len(self.memory) // bus * bus].view(f"V{bus}")

    def _load(self, f: Fields, registers: list[int]) -> None:
        for target, name in ((Scratchpad.INPUT, "input"), (Scratchpad.WEIGHT, "weight")):
            self.filled[target] ^= f[f"fills_{name}"]
        for prefix, register in zip(("a_", "b_"), registers, strict=True):
            if not f[prefix + "rows"]:
                continue
            target = Scratchpad(f[prefix + "target"])
            weight = target == Scratchpad.WEIGHT
            if not f["fills_weight" if weight else "fills_input"]:
                raise MappingError("load writes to a scratchpad that it does not fill")
            bits = self.machine.weight_bits if weight else self.machine.input_bits
            data = self._words()[self._beats(f, prefix, register)].view(np.uint8)
            data = data.reshape(-1, f[prefix + "word_beats"] * self.machine.bus_bits // 8)
            values = unpack_lanes(data.reshape(-1), bits).reshape(len(data), -1)
            first, half = f[prefix + "word"], self.operands[target][self.filled[target]]
            if first + len(values) > len(half) or values.shape[1] > half.shape[1]:
                raise MappingError(f"load of {values.shape} words leaves the {target.name} half")
            half[first : first + len(values), : values.shape[1]] = values

    def _compute(self, f: Fields, law: Callable[[Fields], IntArray]) -> None:
        """Adds the (words, pixels, lanes) result of an instruction to its accumulators."""
        self.used[Scratchpad.INPUT] ^= f["new_input"]
        self.used[Scratchpad.WEIGHT] ^= f["new_weight"]
        self.computing ^= f["first"]
        result = law(f)
        size = len(result) * f["pixels"]
        half = self.sums[self.computing]
        if size > len(half):
            raise MappingError(f"{size} accumulator words: the half holds {len(half)}")
        result = result.reshape(size, -1)
        before = 0 if f["first"] else half[:size, : result.shape[1]]
        half[:size, : result.shape[1]] = wrap(before + result, self.machine.accumulator_bits)

    def _windows(self, f: Fields) -> NDArray[np.int32]:
        """(pixels, taps, blocks, rows) inputs of a window."""
        y = np.arange(f["p"])[:, None] * f["stride_y"] + np.arange(f["r"]) * f["dilation_y"]
        x = np.arange(f["q"])[:, None] * f["stride_x"] + np.arange(f["s"]) * f["dilation_x"]
        y, x = y + f["origin_y"], x + f["origin_x"]
        inside_y, inside_x = (y >= 0) & (y < f["height"]), (x >= 0) & (x < f["width"])
        down = (
            np.arange(f["p"])[:, None] * f["stride_y_words"]
            + np.arange(f["r"]) * f["dilation_y_words"]
        )
        across = (
            np.arange(f["q"])[:, None] * f["stride_x_words"]
            + np.arange(f["s"]) * f["dilation_x_words"]
        )
        inside = inside_y[:, None, :, None] & inside_x[None, :, None, :]
        words = down[:, None, :, None] + across[None, :, None, :] + f["origin_words"]
        words = np.where(inside, words, 0)[..., None] + np.arange(f["blocks"])
        half = self.operands[Scratchpad.INPUT][self.used[Scratchpad.INPUT]]
        if words.min() < 0 or (inside[..., None] & (words >= len(half))).any():
            raise MappingError("window leaves the input half")
        values = half[np.minimum(words, len(half) - 1)]
        if not inside.all():
            values[~inside] = f["pad"]
        return values.reshape(f["pixels"], f["r"] * f["s"], f["blocks"], -1)

    def _multiply(self, f: Fields) -> IntArray:
        inputs = self._windows(f).reshape(f["pixels"], -1)
        depth, cols = inputs.shape[1], self.machine.cols
        half = self.operands[Scratchpad.WEIGHT][self.used[Scratchpad.WEIGHT]]
        if f["columns"] * depth > len(half):
            raise MappingError(f"{f['columns'] * depth} weight words: the half holds {len(half)}")
        weights = half[: f["columns"] * depth].reshape(f["columns"], depth, cols)
        assert depth << (self.machine.input_bits + self.machine.weight_bits) < EXACT_IN_DOUBLE
        result = np.matmul(inputs.astype(np.float64), weights.astype(np.float64))
        return result.astype(np.int64)

    def _vector(self, f: Fields) -> IntArray:
        values = self._windows(f)[..., : self.machine.lanes].astype(np.int64)
        if f["mode"] == VectorMode.MAX:
            result = values.max(axis=1)
        else:
            weights = np.full(values.shape[1], f["weight_b"])
            weights[: f["s"]] = f["weight_a"]
            result = np.tensordot(weights, values, axes=(0, 1))
        return np.ascontiguousarray(result.transpose(1, 0, 2))

    def _store(self, f: Fields, registers: list[int]) -> None:
        self.storing ^= 1
        blocks, pixels, bits = f["blocks"], f["pixels"], self.machine.accumulator_bits
        if blocks * pixels > self.machine.accumulator_words:
            raise MappingError("store leaves the accumulators")
        acc = self.sums[self.storing][: blocks * pixels].reshape(blocks, pixels, -1)
        per = np.arange(pixels)[None, :] if f["param_per_pixel"] else np.arange(blocks)[:, None]
        index = (f["param"] + registers[1] + per) % 2**16
        if index.max() >= len(self.params):
            raise MappingError(f"store reads parameter word {index.max()} of {len(self.params)}")
        param = self.params[index]
        total = wrap(acc + _signed32(param), bits)
        result = total if f["wide"] else _narrow(total, param, f)
        width = bits if f["wide"] else self.machine.input_bits
        lanes = f["word_beats"] * self.machine.bus_bits // width
        data = pack_lanes(result.transpose(1, 0, 2)[:, :, :lanes], width)
        beats = self._beats(f, "", registers[0])
        if data.size != beats.size * self.machine.bus_bits // 8:
            raise MappingError(f"store of {data.size} B in {beats.size} beats")
        self._words()[beats] = data.view(f"V{self.machine.bus_bits // 8}")


def _signed32(param: NDArray[np.uint64]) -> IntArray:
    return wrap((param & np.uint64(0xFFFFFFFF)).astype(np.int64), 32)


def _narrow(total: IntArray, param: NDArray[np.uint64], f: Fields) -> IntArray:
    multiplier = (param >> np.uint64(32) & np.uint64(2**26 - 1)).astype(np.int64)
    shift = (param >> np.uint64(58)).astype(np.int64)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    scaled = (total * multiplier + half) >> shift
    return np.clip(scaled + f["zero_point"], f["low"], f["high"])
