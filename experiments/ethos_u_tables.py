"""Rows of tables that Arm's compiler Vela printed, as block operations of Dovetail's Ethos-U.

Two tables: operators (one line per operation, configuration and data type) and layers (one line per
operation of a whole network). `experiments/ethos_u.py` says how to make them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from dovetail.arch import presets
from dovetail.arch.npu import EthosU
from dovetail.mappers.npu.blocks import find_block
from dovetail.sim.npu.accesses import accesses
from dovetail.sim.npu.cost import Transfer, cost, transfer_cycles
from dovetail.sim.npu.timing import timing
from dovetail.sim.npu.work import Block, FeatureMap, Work, round_up

Row = Mapping[str, str]

OPERATOR_COLUMNS = (
    "ofm_blk_h ofm_blk_w ofm_blk_c ifm_blk_h ifm_blk_w ifm_blk_c partkernel acc_bits op_cycles "
    "macs ifm_read ofm_write weight_read bias_read"
).split()
BLOCK_COLUMNS = ("ofm_block", "ifm_block", "partkernel", "acc_bits")
LAYER_COLUMNS = (
    "op_cycles_raw macs ifm_read ifm2_read ofm_write weight_read bias_read cyc_npu cyc_sram "
    "cyc_dram cyc_total"
).split()
KINDS = {
    "conv": "conv", "dw": "depthwise", "fc": "fully_connected", "avgpool": "pooling",
    "maxpool": "pooling", "Conv2DBias": "conv", "DepthwiseConv2DBias": "depthwise",
    "FullyConnected": "fully_connected", "AvgPool": "pooling", "MaxPool": "pooling",
    "ReduceSum": "reduce_sum",
}  # fmt: skip
FUNCTIONS = {"avgpool": "average", "maxpool": "max", "AvgPool": "average", "MaxPool": "max"}
ACTIVATIONS = {"": "none", "LUT": "lut", "Sigmoid": "lut"}
MEMORIES = {"": "", "Sram": "sram", "Dram": "dram", "OffChipFlash": "dram"}
EXPONENTIALS = 1024
SOFTMAX_STEPS = 31
STORED_OPERANDS = (2, 5, 6, 8, 9, 10, 11, 12, 14, 16, 19, 21, 24, 26, 28)
"""Operations of a softmax, counted from its pooling, whose second operand is a constant."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of a layer table.

    Attributes:
        accelerator: with its memories.
        work: the operation.
        block: how it is cut.
        transfer: of its weights.
        encoded: bytes of them.
        slack: that the operation before leaves.
        row: the line.
    """

    accelerator: EthosU
    work: Work
    block: Block
    transfer: Transfer
    encoded: int
    slack: int
    row: Row


@cache
def accelerator_of(name: str) -> EthosU:
    """The preset of a configuration as Vela names it: `ethos-u55-128`."""
    found = presets.load(name.replace("-", "_"))
    assert isinstance(found, EthosU)
    return found


def operator_values(row: Row) -> tuple[int, ...]:
    """What Dovetail says of a line of operators, in the order of `OPERATOR_COLUMNS`."""
    a = accelerator_of(row["accel"])
    work = _operator_work(row)
    block = find_block(a.engine, replace(work, activation="none"))  # tables reserve no banks here
    counted = accesses(work, block)
    cycles = timing(a.engine, {"sram": a.sram_port, "dram": a.dram_port}, work, block).cycles
    form = (*block.ofm, *block.ifm, int(block.part_kernel), block.accumulator_bits)
    moved = (counted.ifm, counted.ofm, counted.weights, counted.biases)
    return (*form, cycles, work.macs, *moved)


def _operator_work(row: Row) -> Work:
    kind = KINDS.get(row["block_type"], "elementwise")
    ifm, ofm = (
        FeatureMap(
            (int(row[f"{side}_h"]), int(row[f"{side}_w"]), int(row[f"{side}_c"])),
            int(row["bits"]),
            row["fmt"] == "NHCWB16",
            MEMORIES[row[f"mem_{side}"]],
        )
        for side in ("ifm", "ofm")
    )
    stride = int(row["stride"])
    return Work(
        kind,
        FUNCTIONS.get(row["block_type"], row["block_type"]),
        ifm,
        ofm,
        ifm if kind == "elementwise" else None,
        (int(row["kh"]), int(row["kw"])),
        (stride, stride),
        activation=ACTIVATIONS.get(row["act"], "relu"),
        weights_in=MEMORIES[row["mem_const"]],
    )


def read(path: str) -> Iterator[Row]:
    """Lines of a table."""
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def layers(rows: Iterable[Row]) -> Iterator[Layer]:
    """Lines of one network on one configuration, in order."""
    slack, place = 0, SOFTMAX_STEPS
    for row in rows:
        place = 0 if row["op"] == "MaxPool" and row["ifm"].endswith("x1") else place + 1
        layer = _layer(row, slack, place)
        yield layer
        slack = layer.transfer.slack


def _layer(row: Row, slack: int, place: int) -> Layer:
    a = accelerator_of(row["accel"])
    work = _layer_work(row, place)
    block = Block(
        _shape(row["ofm_block"]), _shape(row["ifm_block"]), row["partkernel"] == "1",
        int(row["acc_bits"]),
    )  # fmt: skip
    encoded, buffers = int(row["enc_weight_bytes"]), int(row["weights_buffered"])
    slices = [int(text) for text in row["depth_slices"].strip("[]").split()]
    first = encoded
    if buffers == 2:  # the table has no sizes of slices: as much as its channels' part
        share = encoded * slices[1] / slices[-1] / a.engine.units
        first = round_up(math.ceil(share), 16) * a.engine.units
    transfer = Transfer(
        buffers,
        float(row["full_weight_transfer_cycles"]),
        transfer_cycles(first, a.dram_port, a.sram_port),
        int(row["slack_buffering_cycles"]),
    )
    return Layer(a, work, block, transfer, encoded, slack, row)


def _layer_work(row: Row, place: int) -> Work:
    kind = KINDS.get(row["op"], "elementwise")
    ifm, ofm = (_map(row, side) for side in ("ifm", "ofm"))
    ifm2 = None
    if row["ifm2"]:
        stored = place in STORED_OPERANDS or (place >= SOFTMAX_STEPS and row["op"] == "Mul")
        single = _shape(row["ifm2"]) == (1, 1, 1)
        memory = "dram" if stored else ifm.memory
        ifm2 = replace(ifm, shape=_shape(row["ifm2"]), memory=memory)
        ifm2 = replace(ifm2, bricks=False) if single else ifm2
    return Work(
        kind,
        FUNCTIONS.get(row["op"], row["op"].lower()),
        ifm,
        ofm,
        ifm2,
        (int(row["kh"]), int(row["kw"])),
        (int(row["sy"]), int(row["sx"])),
        activation=ACTIVATIONS.get(row["activation"], "relu"),
        weights_in=MEMORIES[row["const_mem"]],
    )


def layer_values(layer: Layer) -> tuple[float, ...]:
    """What Dovetail says of a line of layers, in the order of `LAYER_COLUMNS`."""
    a, work = layer.accelerator, layer.work
    table = (
        transfer_cycles(EXPONENTIALS, a.dram_port, a.sram_port) if work.activation == "lut" else 0.0
    )
    ports = {"sram": a.sram_port, "dram": a.dram_port}
    found = cost(
        a.engine, ports, work, layer.block, layer.transfer, layer.encoded, layer.slack, table
    )
    n = accesses(work, layer.block)
    moved = (n.ifm, n.ifm2, n.ofm, n.weights, n.biases)
    ends = (found.npu_cycles, found.port_cycles["sram"], found.port_cycles["dram"], found.cycles)
    return (found.timing.cycles, work.macs, *moved, *ends)


def with_first_slice(layer: Layer, size_bytes: int) -> Layer:
    """The same line if its first slice of weights had so many bytes."""
    a = layer.accelerator
    first = transfer_cycles(size_bytes, a.dram_port, a.sram_port)
    return replace(layer, transfer=replace(layer.transfer, first_cycles=first))


def layer_targets(row: Row) -> tuple[float, ...]:
    """What the line itself says."""
    given = {**row, "cyc_dram": str(float(row["cyc_dram"]) + float(row["cyc_offflash"]))}
    return tuple(float(given[column]) for column in LAYER_COLUMNS)


def chosen_block(layer: Layer) -> Block:
    """The block that Dovetail chooses; of operations in stripes, for one stripe's rows."""
    work, rows = layer.work, int(layer.row["stripe_h"])
    if layer.row["cascade"] != "0" and rows < work.ofm.shape[0]:
        needed = min((rows - 1) * work.stride[0] + work.kernel[0], work.ifm.shape[0])
        ifm = replace(work.ifm, shape=(needed, *work.ifm.shape[1:]))
        work = replace(work, ifm=ifm, ofm=replace(work.ofm, shape=(rows, *work.ofm.shape[1:])))
    return find_block(layer.accelerator.engine, work)


def _map(row: Row, side: str) -> FeatureMap:
    return FeatureMap(
        _shape(row[side]),
        int(row[f"{side}_bits"]),
        row[f"{side}_fmt"] == "NHCWB16",
        MEMORIES[row[f"{side}_mem"]],
    )


def _shape(text: str) -> tuple[int, int, int]:
    height, width, channels = (int(part) for part in text.split("x")[-3:])
    return height, width, channels
