"""Elements that one block operation of an Ethos-U moves, and the bytes of them per memory.

References:
    The performance model of Arm's open compiler Vela, release 5.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dovetail.arch.npu_cores import Core
from dovetail.sim.npu.timing import BIAS_BYTES, Ports, burst_factor, read_run, write_run
from dovetail.sim.npu.work import DEEP, WEIGHTED, Block, FeatureMap, Work, counts, within


@dataclass(frozen=True, slots=True)
class Accesses:
    """Elements that an operation reads and writes.

    Attributes:
        ifm: of the first input, repeats for every block included.
        ifm2: of the second input.
        ofm: of the output.
        weights: before they are encoded.
        biases: with their scales.
    """

    ifm: int
    ifm2: int
    ofm: int
    weights: int
    biases: int


def accesses(work: Work, block: Block) -> Accesses:
    """Elements that an operation moves."""
    ofm = _whole(work.ofm)
    if work.kind == "elementwise":
        return Accesses(*_inputs(work), ofm, 0, 0)
    held = within(block.ofm, work.ofm.shape)
    rows, columns, deep = counts(work.ofm.shape, held)
    height, width, _ = within(block.ifm, work.ifm.shape)
    passes = rows * columns * len(work.sub_kernels)
    read = height * width * work.ifm.stored_channels * passes
    if work.kind in DEEP:
        read *= deep
    if work.kind not in WEIGHTED:
        return Accesses(read, 0, ofm, 0, 0)
    channels = work.ofm.shape[2]
    fetched = channels if work.kind == "depthwise" else work.ifm.shape[2] * held[2] * deep
    return Accesses(read, 0, ofm, work.taps * fetched * rows * columns, channels)


def memory_bytes(
    core: Core, ports: Ports, work: Work, block: Block, encoded: float
) -> dict[str, dict[str, float]]:
    """Bytes that an operation moves over each port, what bursts waste included.

    Args:
        core: configuration.
        ports: memories by name.
        work: the operation.
        block: how it is cut.
        encoded: bytes of its weights and biases where it reads them from their own place; 0 where
            a transfer has brought them.

    Returns:
        By memory and operand (`input`, `weight`, `output`).
    """
    counted = accesses(work, block)
    moved: dict[str, dict[str, float]] = {
        name: {"input": 0.0, "weight": 0.0, "output": 0.0} for name in ports
    }
    for ifm, count in ((work.ifm, counted.ifm), (work.ifm2, counted.ifm2)):
        if ifm is not None:
            factor = burst_factor(ports[ifm.memory], read_run(ifm, block.ifm))
            moved[ifm.memory]["input"] += count * ifm.bits / 8 * factor
    run = write_run(core, work.ofm, block.ofm)
    factor = burst_factor(ports[work.ofm.memory], run)
    moved[work.ofm.memory]["output"] += counted.ofm * work.ofm.bits / 8 * factor
    if encoded:
        biases = BIAS_BYTES * counted.biases
        repeats = counted.weights / work.weights
        moved[work.weights_in]["weight"] += (encoded - biases) * repeats + biases
    return moved


def _inputs(work: Work) -> tuple[int, int]:
    """Elements of both inputs of an elementwise operation, as many of either per stored pixel.

    Single bytes are part of the command.
    """
    if work.ifm2 is None:
        return _whole(work.ifm), 0
    second = replace(work.ifm2, bricks=work.ifm.bricks)
    first, other = (0 if _in_command(each) else _whole(each) for each in (work.ifm, second))
    return first, other


def _in_command(feature_map: FeatureMap) -> bool:
    return feature_map.elements == 1 and feature_map.bits == 8


def _whole(feature_map: FeatureMap) -> int:
    height, width, _ = feature_map.shape
    return height * width * feature_map.stored_channels
