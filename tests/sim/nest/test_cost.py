"""Cycles, energies and widths of a small matrix product, worked out by hand.

Output 4 x 2 (P x K) of sums over C = 6. Registers hold a weight tile of K = 2, C = 3 and the sums
of one row; DRAM holds everything. Loops: C 2 (outer), P 4, [registers] C 3, K 2.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Temporal
from dovetail.sim.nest import NestCost, analyse
from tests.sim.nest.cases import ALL, convolution

LAYER = convolution({"P": 4, "K": 2, "C": 6})
REGISTERS = Store(
    "registers",
    ("weight", "output"),
    ("x",),
    capacity_bytes=100,
    access_bits=32,
    read_pj=1,
    write_pj=2,
    read_bits_per_cycle=64,
    write_bits_per_cycle=32,
)
DRAM = Store("dram", ALL, ("x",), 1e9, 64, 10, 20, 16, None)
ARRAY = SpatialArray("one", (("x", 1),), (REGISTERS, DRAM), mac_pj=0.5)
MAPPING = Mapping(
    (
        Keep("dram", ALL),
        Temporal("C", 2),
        Temporal("P", 4),
        Keep("registers", ("weight", "output")),
        Temporal("C", 3),
        Temporal("K", 2),
    ),
    "product",
)


def cost(array: SpatialArray = ARRAY, **registers: object) -> NestCost:
    changed = replace(array.stores[0], **registers)
    return analyse(LAYER, replace(array, stores=(changed, *array.stores[1:])), MAPPING)


def test_weights_stay_while_rows_pass():
    """The loop over P moves no weight: each of 2 tiles of 6 comes once; every MAC reads."""
    level = cost().level("registers", "weight")
    assert (level.fills, level.reads, level.tile_elements) == (12, 48, 6)
    assert cost().level("dram", "weight").reads == 12


def test_partial_sums_travel():
    """Every row leaves twice, as sums of 32 bits; the second time it has come back before."""
    below, above = (cost().level(store, "output") for store in ("registers", "dram"))
    assert (below.updates, below.reads, below.reductions) == (48, 40, 40)
    assert (below.drains, below.fills) == (16, 8)
    assert (above.updates, above.reads, above.reductions) == (16, 8, 8)
    assert (above.write_bits, above.read_bits) == (512, 256)


def test_inputs_go_past_the_registers():
    level = cost().level("dram", "input")
    assert (level.reads, level.read_bits) == (48, 384)


def test_accesses_are_whole():
    """6 weights are 48 bits: 2 accesses of 32 or 1 of 64; 2 sums are 2 of 32 or 1 of 64."""
    registers, dram = (cost().level(store, "weight") for store in ("registers", "dram"))
    assert (registers.write_accesses, registers.read_accesses) == (4, 48)
    assert dram.read_accesses == 2
    registers, dram = (cost().level(store, "output") for store in ("registers", "dram"))
    assert registers.write_accesses == 48 + 8
    assert registers.read_accesses == 40 + 16
    assert (dram.write_accesses, dram.read_accesses) == (8, 4)


def test_energy():
    registers = 4 * 2 + 48 * 1 + 56 * 2 + 56 * 1
    dram = 2 * 10 + 8 * 20 + 4 * 10 + 48 * 10
    assert cost().mac_pj == 24
    assert cost().energy_pj == registers + dram + 24


def test_ports_bound_the_cycles():
    """DRAM moves 384 + 96 + 256 + 512 bits through one port of 16 a cycle."""
    assert cost().compute_cycles == 48
    assert cost().steady_cycles == (384 + 96 + 256 + 512) / 16 == cost().cycles


def test_first_and_last_tile():
    """6 weights of 8 bits come at 48 bits a cycle, 2 sums of 32 bits leave at 16."""
    wide = replace(DRAM, write_bits_per_cycle=16, read_bits_per_cycle=1e9)
    ours = cost(replace(ARRAY, stores=(REGISTERS, wide)), write_bits_per_cycle=48)
    assert ours.onload_cycles == 48 / 48
    assert ours.offload_cycles == 64 / 16
    assert ours.cycles == 1 + 48 + 4


@pytest.mark.parametrize("buffering", ["ideal", "double"])
def test_tiles_change_while_work_goes_on(buffering):
    assert cost(buffering=buffering).wait_cycles == 0


def test_work_waits_for_a_single_buffer():
    """Weights: 1 tile after the first. Sums: 7 drains before the last; 4 tiles come back."""
    ours = cost(buffering="single")
    assert ours.wait_cycles == 1 * 48 / 16 + 7 * 64 / 16 + 4 * 64 / 16
    assert ours.onload_cycles == 3
    assert ours.cycles == max(3 + 48 + ours.wait_cycles + 4, ours.steady_cycles)


def test_zeros_are_read_where_asked():
    """Then the first of two visits of a row reads its zeros, too."""
    zeros = cost(replace(ARRAY, reads_zeros=True))
    assert zeros.level("registers", "output").reads == 48
    assert zeros.level("registers", "output").fills == 16
    assert zeros.level("dram", "output").reads == 16


def test_latched_operands_are_read_when_they_change():
    """Inputs stay in the PE while K runs."""
    latched = cost(replace(ARRAY, latched=("input", "weight")))
    assert latched.level("dram", "input").reads == 24
    assert latched.level("registers", "weight").reads == 48


def test_utilization_counts_useful_work():
    assert cost().utilization == 48 / cost().cycles
