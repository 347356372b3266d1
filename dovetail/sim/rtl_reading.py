"""The cost row of a Program of the RTL machine: everything that its instructions say, counted."""

from __future__ import annotations

from dovetail.arch.table import Design
from dovetail.ir.isa import Fill, Load, Multiply, Scratchpad, Store, Vector
from dovetail.ir.space import FloatArray
from dovetail.sim.columns import OS, Cost
from dovetail.sim.cycle import Timing
from dovetail.sim.energy import fill_energy


def cost_of_rtl_timing(timing: Timing, design: FloatArray, closed_form: FloatArray) -> FloatArray:
    """The cost row of a simulated Program.

    Args:
        timing: what the simulator found, delayed by the fetch of its segment.
        design: row of `Design` columns.
        closed_form: gives the column that no Program tells: ideal cycles, untiled.
    """
    cost = closed_form.copy()
    cost[Cost.CYCLES], cost[Cost.ENGINE] = timing.cycles, timing.engine_cycles
    cost[Cost.FILL], cost[Cost.DRAIN] = timing.fill, timing.drain
    cost[Cost.DRAM_INPUT : Cost.VECTOR_OPS + 1] = 0.0
    for item, count in timing.runs:
        match item:
            case Load():
                for part in (item.a, item.b):
                    cost[_column(part)] += count * part.transfer.beats * design[Design.BUS_BYTES]
            case Multiply():
                _multiply(item, count, design, cost)
            case Vector():
                _vector(item, count, design, cost)
            case Store():
                cost[Cost.DRAM_OUTPUT] += count * item.transfer.beats * design[Design.BUS_BYTES]
                cost[Cost.VECTOR_OPS] += count * item.blocks * item.pixels * _lanes(timing, design)
    fill_energy(design, cost)
    return cost


def _column(part: Fill) -> Cost:
    return Cost.DRAM_INPUT if part.target == Scratchpad.INPUT else Cost.DRAM_WEIGHT


def _lanes(timing: Timing, design: FloatArray) -> float:
    vector = any(isinstance(item, Vector) for item, _ in timing.runs)
    return float(design[Design.LANES] if vector else design[Design.COLS])


def _multiply(item: Multiply, count: int, design: FloatArray, cost: FloatArray) -> None:
    rows, cols = design[Design.ROWS], design[Design.COLS]
    words = item.window.taps * item.window.blocks * item.columns
    sums_stay = design[Design.DATAFLOW] == OS
    again = -(-item.window.pixels // int(rows)) if sums_stay else 1
    sums = item.window.pixels * (item.columns if sums_stay else words)
    cost[Cost.INPUT_READ] += (
        count * item.window.pixels * words * rows * design[Design.INPUT_BITS] / 8
    )
    cost[Cost.WEIGHT_READ] += count * again * words * rows * cols * design[Design.WEIGHT_BITS] / 8
    for column in (Cost.OUTPUT_READ, Cost.OUTPUT_WRITE):
        cost[column] += count * sums * cols * design[Design.ACCUMULATOR_BITS] / 8
    cost[Cost.MAC_OPS] += count * item.window.pixels * words * rows * cols


def _vector(item: Vector, count: int, design: FloatArray, cost: FloatArray) -> None:
    lanes = design[Design.LANES]
    sums = item.window.pixels * item.window.blocks
    cost[Cost.INPUT_READ] += count * sums * item.window.taps * lanes * design[Design.INPUT_BITS] / 8
    for column in (Cost.OUTPUT_READ, Cost.OUTPUT_WRITE):
        cost[column] += count * sums * lanes * design[Design.ACCUMULATOR_BITS] / 8
    cost[Cost.VECTOR_OPS] += count * sums * item.window.taps * lanes
