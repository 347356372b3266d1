"""Equality with Timeloop, count for count, on 30 given mappings.

Three differences are derived (docs/mapping.md): Timeloop counts the zeros that first partial sums
would be filled with; its ports carry no drains; it rounds a quotient of floating-point numbers up.
"""

from __future__ import annotations

import math
from collections import defaultdict

import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Spatial, Temporal
from dovetail.sim.nest import NestCost, analyse, faults
from tests.sim.nest.cases import ALL, RANKS, convolution, table

OPERANDS = {"Weights": "weight", "Inputs": "input", "Outputs": "output"}
LEVELS = ("RegisterFile", "GlobalBuffer", "DRAM")
CASES = {row["case"]: row for row in table("timeloop_cases")}
ACCESSES = defaultdict(list)
for _row in table("timeloop_accesses"):
    ACCESSES[_row["case"]].append(_row)
ROUNDED_UP = {"A16x16_bw-conv3x3_s2-WS", "A16x16_bw-conv3x3_s2-IS"}
WORD = 16


def architecture(row: dict[str, str]) -> SpatialArray:
    side = int(row["meshX"])

    def store(name: str, bandwidth: str, capacity: float, *serves: str) -> Store:
        bits = WORD * float(bandwidth or math.inf)
        return Store(
            name,
            ALL,
            serves,
            capacity_bytes=capacity,
            access_bits=WORD,
            read_bits_per_cycle=bits,
            write_bits_per_cycle=bits,
            sliding=True,
        )

    stores = (
        store("RegisterFile", row["rf_bw"], int(row["rf_entries"]) * WORD / 8),
        store("GlobalBuffer", row["gb_bw"], int(row["gb_kb"]) * 1024, "x", "y"),
        store("DRAM", row["dram_bw"], math.inf, "x", "y"),
    )
    unrolls = (("x", tuple(RANKS)), ("y", tuple(RANKS)))
    widths = {"input_bits": WORD, "weight_bits": WORD, "sum_bits": WORD, "output_bits": WORD}
    dimensions = (("x", side), ("y", int(row["pe"]) // side))
    return SpatialArray("timeloop", dimensions, stores, unrolls, **widths)


def factors(text: str) -> dict[str, int]:
    return {part[0]: int(part[1:]) for part in text.split()}


def mapping(row: dict[str, str]) -> Mapping:
    def loops(level: str) -> tuple[Temporal, ...]:
        counts = factors(row[f"{level}_temporal"])
        return tuple(Temporal(rank, counts[rank]) for rank in reversed(row[f"{level}_perm"]))

    order, split = row["spatial_perm_split"].split("/split")
    spread = factors(row["spatial"])
    spatial = tuple(
        Spatial(rank, spread[rank], "x" if i < int(split) else "y") for i, rank in enumerate(order)
    )
    dram, buffer, registers = (Keep(name, ALL) for name in reversed(LEVELS))
    inner = (*spatial, registers, *loops("rf"))
    return Mapping((dram, *loops("dram"), buffer, *loops("gb"), *inner), "conv")


def cost(row: dict[str, str]) -> NestCost:
    einsum = convolution(factors(problem(row)), int(row["stride"]))
    array = architecture(row)
    assert faults(einsum, array, mapping(row)) == []
    return analyse(einsum, array, mapping(row))


def problem(row: dict[str, str]) -> str:
    return " ".join(f"{rank}{row[rank]}" for rank in "NKCPQRS")


def test_all_cases_are_there():
    assert len(CASES) == 30


@pytest.mark.parametrize("case", CASES)
def test_counts(case):
    ours = cost(CASES[case])
    for row in ACCESSES[case]:
        level = ours.level(row["level"], OPERANDS[row["tensor"]])
        n = level.instances
        assert n == int(row["util_instances_max"])
        assert level.tile_elements == int(row["max_utilized_capacity"])
        assert level.reads == n * int(row["scalar_reads_per_instance"])
        assert level.updates == n * int(row["scalar_updates_per_instance"])
        assert level.reductions == n * int(row["temporal_reductions_per_instance"])
        assert filled(level) == n * int(row["scalar_fills_per_instance"])


def filled(level):
    """Fills as Timeloop counts them: every output tile comes, though the first one is zero."""
    return level.drains if level.operand == "output" else level.fills


@pytest.mark.parametrize("case", CASES)
def test_cycles(case):
    ours, row = cost(CASES[case]), CASES[case]
    busiest = float(ours.compute_cycles)
    for store in LEVELS:
        levels = [ours.level(store, operand) for operand in ALL]
        words = {
            "read": sum(level.reads for level in levels),
            "write": sum(filled(level) + level.updates for level in levels),
        }
        port = architecture(row).stores[LEVELS.index(store)].read_bits_per_cycle
        for count in words.values():
            busiest = max(busiest, count / levels[0].instances * WORD / port)
    assert int(row["cycles"]) == busiest + (case in ROUNDED_UP)


def test_ours_differs_in_cycles_only_where_drains_or_zeros_bind():
    slower = {case for case, row in CASES.items() if cost(row).steady_cycles != int(row["cycles"])}
    assert slower - ROUNDED_UP == {
        "A16x16_bw-conv3x3_s1-OS",
        "A16x16_bw-conv3x3_s2-OS",
        "A16x16_bw-gemm64-OS",
        "A8x8-conv3x3_s1-IS",
        "A8x8-pw1x1-IS",
    }
