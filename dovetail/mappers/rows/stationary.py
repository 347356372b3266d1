"""The row-stationary mapper: logical PE sets folded and replicated on an array, blocked by cost.

A 2-D convolution of one input and one output map is a *logical set* of PEs: as many rows as the
filter, as many columns as the output map has rows; each PE holds one filter row and convolves one
input row with it. A set that is larger than the array is folded, a smaller one is replicated: over
output maps along the width, over output and input maps along the height. What is left are three
loops, over groups of input maps, of output maps, and of (images x folds), each blocked twice, for
the global buffer and for the PEs' registers; all divisions of the copies, blockings and orders are
tried. Bandwidth is unlimited.

References:
    Chen, Emer, Sze, Eyeriss, ISCA 2016, section V; folding, replication and blocking as in Gao et
    al., TETRIS, ASPLOS 2017 (nn-dataflow); group convolution as in Jha et al., DRACO, ISVLSI 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.mappers.rows.blocking import LOOPS, RELEVANT, blockings, divisors, fetches, fits
from dovetail.mappers.rows.layer import RowLayer


@dataclass(frozen=True, slots=True)
class RowStationaryArray:
    """An array for the row-stationary dataflow; defaults are the model of Eyeriss (ISCA 2016).

    Attributes:
        rows: of PEs.
        columns: of PEs.
        buffer_words: capacity of the global buffer.
        register_words: capacity of a PE's registers.
        clock_mhz: of everything.
        mac: energy of an operation; this and the following are in units of one.
        dram: of an access to a word of off-chip memory.
        buffer: of the global buffer.
        array: of sending a word to a PE.
        register: of a PE's registers.
    """

    rows: int = 16
    columns: int = 16
    buffer_words: int = 128 * 1024 // 2
    register_words: int = 512 // 2
    clock_mhz: float = 200.0
    mac: float = 1.0
    dram: float = 200.0
    buffer: float = 6.0
    array: float = 2.0
    register: float = 1.0

    @property
    def pes(self) -> int:
        """Number of PEs."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Folding:
    """How a logical set lies on the array.

    Attributes:
        fold: parts of the set along height and width, run one after the other.
        replicas: copies along height and width.
        rows: logical set's height, the filter's rows.
        columns: its width, the output map's rows.
    """

    fold: tuple[int, int]
    replicas: tuple[int, int]
    rows: int
    columns: int

    def utilization(self, pes: int) -> float:
        """Share of PEs that work, loops left aside."""
        busy = self.rows * self.columns * math.prod(self.replicas)
        return busy / (pes * math.prod(self.fold))


def fold_set(rows: int, columns: int, array: RowStationaryArray) -> Folding:
    """Folds or replicates a logical set; folds of the width first fill spare height."""
    fold_h, copies_h = _fit(rows, array.rows)
    fold_w, copies_w = _fit(columns, array.columns)
    stacked = min(copies_h, fold_w)
    return Folding((fold_h, -(-fold_w // stacked)), (copies_h // stacked, copies_w), rows, columns)


def _fit(extent: int, room: int) -> tuple[int, int]:
    """Folds and copies along one dimension."""
    return (-(-extent // room), 1) if extent > room else (1, room // extent)


@dataclass(frozen=True, slots=True)
class Replication:
    """What the copies of a set compute together.

    Attributes:
        counts: iterations left of the three loops.
        occupancy: useful share of each loop's iterations.
        maps: input and output maps side by side.
    """

    counts: tuple[int, int, int]
    occupancy: tuple[float, float, float]
    maps: tuple[int, int]


def replications(layer: RowLayer, folding: Folding) -> Iterator[Replication]:
    """All divisions of the copies between input and output maps."""
    high, wide = folding.replicas
    images = layer.batch * folding.fold[1]
    if layer.kind != "convolution":
        maps = min(high * wide, layer.maps)
        count = -(-layer.maps // maps)
        yield Replication((1, count, images), (1.0, layer.maps / maps / count, 1.0), (1, maps))
        return
    for along in divisors(high):
        # Copies work on one group at a time: input maps of other groups are of no use to them.
        ins, outs = min(along, layer.inputs), min(high // along * wide, layer.outputs)
        counts = (-(-layer.inputs // ins), -(-layer.maps // outs), images)
        used = (layer.inputs / ins / counts[0], layer.maps / outs / counts[1], 1.0)
        yield Replication(counts, used, (ins, outs))


@dataclass(frozen=True, slots=True)
class RowMapping:
    """A layer on a row-stationary array.

    Attributes:
        layer: the layer.
        folding: of its logical set.
        replication: what copies compute.
        blocking: iterations of the loops around the buffer, around the registers, and within.
        cycles: of computation.
        utilization: operations / (cycles x PEs): copies without work count as idle.
        accesses: words at `dram`, `buffer`, `array`, `register`, per operand.
        cost: of all accesses and operations, in units of an operation.
    """

    layer: RowLayer
    folding: Folding
    replication: Replication
    blocking: tuple[tuple[int, int, int], ...]
    cycles: int
    utilization: float
    cost: float
    accesses: dict[str, tuple[float, ...]] = field(repr=False)

    def active_pes(self, array: RowStationaryArray) -> int:
        """PEs that work on average, rounded down."""
        return int(self.utilization * array.pes + 1e-9)

    def milliseconds(self, array: RowStationaryArray) -> float:
        """Time of computation."""
        return self.cycles / array.clock_mhz / 1e3


OBJECTIVES: dict[str, Callable[[RowMapping], tuple[float, float]]] = {
    "energy": lambda one: (one.cost, one.cycles),
    "latency": lambda one: (one.cycles, one.cost),
}


@cache
def map_rows(layer: RowLayer, array: RowStationaryArray, objective: str = "energy") -> RowMapping:
    """The best mapping of a layer, by exhaustive search.

    Args:
        layer: what to map.
        array: where.
        objective: `energy` takes the cheapest mapping, ties broken by time (nn-dataflow's
            choice); `latency` the fastest, ties broken by cost.

    Raises:
        MappingError: if the objective is neither, or no blocking fits the buffers.
    """
    if objective not in OBJECTIVES:
        raise MappingError(f"objective '{objective}': choose one of {', '.join(OBJECTIVES)}")
    folding = fold_set(layer.kernel[0], layer.rows, array)
    found = [
        one for replication in replications(layer, folding)
        if (one := _best(layer, array, folding, replication))
    ]  # fmt: skip
    if not found:
        raise MappingError(
            f"layer '{layer.name}': no blocking fits a buffer of {array.buffer_words} words and "
            f"registers of {array.register_words} words: enlarge them, or the array's width"
        )
    return min(found, key=OBJECTIVES[objective])


@dataclass(frozen=True, slots=True)
class _Unit:
    """Words of one iteration of all loops, per operand."""

    once: NDArray[np.float64]
    buffer: NDArray[np.float64]
    array: NDArray[np.float64]
    buffer_size: NDArray[np.int64]
    register_size: NDArray[np.int64]


def _unit(layer: RowLayer, folding: Folding, replication: Replication) -> _Unit:
    rows = layer.rows / folding.fold[1]
    (high, wide), (ins, outs) = layer.kernel, replication.maps
    taps = 0 if layer.kind == "pool" else high * wide
    share = np.array([taps, layer.input_size(rows), rows * layer.columns])
    # Every group brings input maps of its own; the loop over input maps runs within one group.
    once = share * (1, layer.groups if layer.kind == "convolution" else 1, 1)
    passes = folding.fold[0]
    # Folds of the filter's height stream the maps again; a pooling's input is read once.
    again = np.array([1, 1 if layer.kind == "pool" else passes, passes])
    pes = -(-layer.kernel[0] // passes) * -(-layer.rows // folding.fold[1])
    line = np.array([0 if layer.kind == "pool" else wide, layer.input_columns, layer.columns])
    copies = np.array(
        [ins * outs, ins, outs] if layer.kind == "convolution" else [outs, outs, outs]
    )
    used = np.array(
        [math.prod(replication.occupancy[loop] for loop in own) for own in RELEVANT[layer.kind]]
    )
    most = -(-layer.rows // folding.fold[1])
    size = np.array([taps, layer.input_size(most), most * layer.columns]).astype(np.int64)
    held = np.array([0 if layer.kind == "pool" else wide, wide, 1])
    return _Unit(
        once * copies * used,
        once * again * copies * used,
        line * pes * again * (ins * outs) * used,
        size * copies,
        held,
    )


def _best(
    layer: RowLayer, array: RowStationaryArray, folding: Folding, replication: Replication
) -> RowMapping | None:
    unit, own = _unit(layer, folding, replication), RELEVANT[layer.kind]
    tiles = blockings(replication.counts)
    capacities = (array.buffer_words, array.register_words)
    tiles = tiles[fits(tiles, own, (unit.buffer_size, unit.register_size), capacities)]
    if not len(tiles):
        return None
    all_words = [math.prod(replication.counts[loop] for loop in loops) for loops in own]
    best: tuple[float, int, NDArray[np.float64], NDArray[np.float64]] | None = None
    for orders in product(permutations(range(LOOPS)), repeat=2):
        dram, inner = fetches(tiles, orders, own)
        words = (
            dram * unit.once * all_words * array.dram
            + inner * unit.buffer * all_words * array.buffer
            + inner * unit.array * all_words * array.array
        ).sum(axis=1)
        i = int(words.argmin())
        if best is None or words[i] < best[0]:
            best = float(words[i]), i, dram[i], inner[i]
    if best is None:
        return None
    cycles = math.prod(replication.counts) * folding.fold[0] * layer.kernel[1] * layer.columns
    ops = layer.operations
    register = (0 if layer.kind == "pool" else ops, ops, 2 * ops)
    accesses = {
        "dram": tuple(best[2] * unit.once * all_words),
        "buffer": tuple(best[3] * unit.buffer * all_words),
        "array": tuple(best[3] * unit.array * all_words),
        "register": tuple(float(words) for words in register),
    }
    return RowMapping(
        layer, folding, replication, tuple(map(tuple, tiles[best[1]].tolist())),
        cycles, ops / cycles / array.pes,
        best[0] + sum(register) * array.register + ops * array.mac, accesses,
    )  # fmt: skip
