"""Cycles of one block operation of an Ethos-U, in closed form.

Blocks go through two stages: dot products (DPU) and output. A stage takes at least a command's
time; stages of successive blocks overlap, so that all but one pass of the faster stage hides.

References:
    The performance model of Arm's open compiler Vela, release 5.2.0; matched on every row of
    6,372 operators that it was run on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dovetail.arch.npu import Port
from dovetail.arch.npu_cores import Core, Shape
from dovetail.sim.npu.work import DEEP, WEIGHTED, Block, FeatureMap, Work, counts, within

BIAS_BYTES = 10
"""Of bias and scale per channel; their port moves 256 bits."""
BIAS_PORT = 256
WRITE_BYTES = 64
"""Longest run of bytes that the output stage writes at once in layout NHWC."""

Ports = Mapping[str, Port]


@dataclass(frozen=True, slots=True)
class Timing:
    """Cycles of an operation.

    Attributes:
        blocks: of results.
        read: until a block's inputs are fetched.
        write: until its results are stored.
        dpu: of its dot products, without waiting for a command.
        output: of its results in the output stage, without waiting.
        command: least time between blocks; 0 of elementwise operations.
        cycles: of the whole operation.
    """

    blocks: int
    read: float
    write: float
    dpu: float
    output: float
    command: float
    cycles: int

    @property
    def stages(self) -> tuple[float, float]:
        """Cycles of a block in both stages, a command's included."""
        return max(self.dpu, self.command), max(self.output, self.command)


def timing(core: Core, ports: Ports, work: Work, block: Block) -> Timing:
    """Cycles of an operation.

    Args:
        core: configuration.
        ports: memories by name.
        work: the operation.
        block: how it is cut.
    """
    read = _read_cycles(ports, work, block)
    write = _write_cycles(core, ports, work, block)
    if work.kind == "elementwise":
        return _elementwise(core, work, block, read, write)
    ofm = within(block.ofm, work.ofm.shape)
    dpu = dot_product_cycles(core, work, block) / core.units
    output: float = math.ceil(cycles_per_element(core, work, block) * math.prod(ofm))
    if work.kind in WEIGHTED:
        latency = ports[work.weights_in].read_latency
        output = max(output, BIAS_BYTES * ofm[2] * latency / BIAS_PORT)
    command = (read + write + output + dpu) / 4
    slow, fast = max(dpu, command), max(output, command)
    blocks = math.prod(counts(work.ofm.shape, ofm))
    total = int(max(slow, fast) * blocks + min(slow, fast))
    return Timing(blocks, read, write, dpu, output, command, total)


def cycles_per_element(core: Core, work: Work, block: Block) -> float:
    """Cycles per result that the output stage takes."""
    rates = core.rates
    after = {"lut": rates.lut, "relu": rates.relu, "none": 0.0}[work.activation]
    return max(_output_rate(core, work, block), after)


def dot_product_cycles(core: Core, work: Work, block: Block) -> int:
    """Cycles of a block's dot products on one unit, all input channels."""
    rows, columns = core.micro_block[:2]
    flat = core.square and work.ofm.shape[0] == 1 and work.kernel[0] == 1
    if flat and work.ofm.shape[1] % 2 == 0:
        rows, columns = 1, 4
    ofm = within(block.ofm, work.ofm.shape)
    grid = counts(ofm, (rows, columns, core.micro_block[2]))
    depth_steps = -(-block.ifm[2] // 8) if block.part_kernel and work.kind == "conv" else 1
    once = sum(
        depth_steps * _sub_kernel_cycles(core, work, block, grid, taps) for taps in work.sub_kernels
    )
    passes = -(-work.ifm.shape[2] // block.ifm[2]) if work.kind in DEEP else 1
    return once * passes


def _sub_kernel_cycles(core: Core, work: Work, block: Block, grid: Shape, taps: int) -> int:
    """Cycles of one part of the kernel: of the micro-blocks, and those that they wait."""
    tall, wide, deep = grid
    steps, cycles = _steps(core, work, block, tall * wide, taps)
    return cycles * deep + _bubbles(core, block, grid, steps)


def _steps(core: Core, work: Work, block: Block, pixels: int, taps: int) -> tuple[int, int]:
    """Passes over a micro-block's pixels, and cycles of all passes per channel group."""
    wide_input = work.ifm.bits == 16
    weight_cycles = 32 * core.micro_block[2] // 8
    if work.kind == "pooling":
        slow = 2 if wide_input and not core.small else 1
        return 1, max(4, taps) * pixels * slow
    if work.kind == "depthwise":
        steps = -(-taps // 4)
        return steps, max(weight_cycles, 4 * pixels * (2 if wide_input else 1)) * steps
    steps = -(-taps // (2 if wide_input else 4)) if block.part_kernel else taps
    return steps, max(weight_cycles, 4 * pixels) * steps


def _bubbles(core: Core, block: Block, grid: Shape, steps: int) -> int:
    """Cycles in which a single micro-block waits for its own sums."""
    tall, wide, deep = grid
    delay = core.bubbles[block.accumulator_bits]
    waiting = 0
    if tall == wide == 1:
        waiting = delay * steps if deep == 1 else delay * (steps - 1) * deep
    if core.small and block.accumulator_bits == 40 and min(tall, wide) == 1 and deep > 1:
        waiting += delay * deep
    return waiting


def _output_rate(core: Core, work: Work, block: Block) -> float:
    rates = core.rates
    if work.kind == "elementwise":
        if work.ifm.bits == 32:
            return rates.unary32 if work.ifm2 is None else rates.binary32
        if work.function == "mul":
            return rates.mul_to32 if work.ofm.bits == 32 else rates.mul
        if work.function in ("add", "sub"):
            return rates.add
    if block.accumulator_bits == 40:
        return rates.mul
    return rates.maxpool if work.function == "max" and work.kind == "pooling" else rates.rest


def _elementwise(core: Core, work: Work, block: Block, read: float, write: float) -> Timing:
    """The output stage alone works, or waits for memory."""
    held = math.prod(block.ofm)
    rate = cycles_per_element(core, work, block)
    rate_moved = max(rate, (read + write + rate * held) / 4 / held)
    height, width, _ = work.ofm.shape
    total = math.ceil(rate_moved * height * width * work.ofm.stored_channels)
    blocks = math.prod(counts(work.ofm.shape, within(block.ofm, work.ofm.shape)))
    return Timing(blocks, read, write, 0.0, rate_moved * held, 0.0, total)


def _read_cycles(ports: Ports, work: Work, block: Block) -> float:
    port = ports[work.ifm.memory]
    elements = math.prod(within(block.ifm, work.ifm.shape))
    moved = elements * burst_factor(port, read_run(work.ifm, block.ifm))
    return port.read_latency + moved / port.bytes_per_cycle


def _write_cycles(core: Core, ports: Ports, work: Work, block: Block) -> float:
    port = ports[work.ofm.memory]
    elements = math.prod(within(block.ofm, work.ofm.shape))
    moved = elements * burst_factor(port, write_run(core, work.ofm, block.ofm))
    return port.write_latency + moved / port.bytes_per_cycle


def burst_factor(port: Port, run: float) -> float:
    """Bytes moved per byte wanted, where `run` bytes lie in a row."""
    return port.burst_bytes / min(port.burst_bytes, run)


def read_run(ifm: FeatureMap, block: Shape) -> float:
    """Bytes in a row of a block that is read."""
    if ifm.bricks:
        return _brick_run(ifm, block) or 16 * ifm.bits * block[1] / 8
    run = ifm.bits * block[2] / 8
    return run * block[1] if ifm.bits / 8 == block[2] else run


def write_run(core: Core, ofm: FeatureMap, block: Shape) -> float:
    """Bytes in a row of a block that is written."""
    if ofm.bricks:
        return _brick_run(ofm, block) or 16 * ofm.bits * block[1] / 8 * core.units
    return min(WRITE_BYTES, 16 * ofm.bits / 8 * core.units, block[2] * ofm.bits / 8)


def _brick_run(feature_map: FeatureMap, block: Shape) -> float:
    """Bytes in a row where whole rows of bricks follow each other; 0 where they do not."""
    if 16 * feature_map.shape[1] * feature_map.bits / 8 != block[2]:
        return 0.0
    return feature_map.bits * block[2] * block[1] / 8
