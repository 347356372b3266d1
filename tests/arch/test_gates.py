"""The area model holds to what Yosys counted, and Yosys still counts it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from dovetail.arch import gates
from dovetail.arch.systolic import SystolicArray
from dovetail.rtl.synthesis import synthesize

BOUNDS = {"pe": (0.03, 0.15), "lane": (0.02, 0.03), "vector": (0.05, 0.12),
          "accumulate": (0.03, 0.05), "store": (0.02, 0.03), "whole": (0.03, 0.04)}  # fmt: skip
"""Mean and greatest relative error by part."""


def model(part: str, values: dict[str, int]) -> float:
    acc, cols = values["AccBits"], values.get("Cols", 1)
    match part:
        case "pe":
            return gates.pe_gates(values["LeftBits"], values["TopBits"], acc, *kind_of(values))
        case "lane":
            return gates.lane_gates(acc)
        case "vector":
            return gates.vector_lane_gates(values["InputBits"], acc)
        case "accumulate":
            return gates.ACCUMULATE[0] * acc * cols + gates.ACCUMULATE[1]
        case "store":
            return (gates.lane_gates(acc) + gates.STORE_COLUMN) * cols + gates.STORE
        case "whole":
            size = (values["Rows"], cols)
            widths = (values["InputBits"], values["WeightBits"], acc)
            pes = size[0] * size[1] * gates.pe_gates(*widths, *kind_of(values))
            return pes + gates.periphery_gates(*size, *widths, *kind_of(values))
    raise AssertionError(part)


def kind_of(values: dict[str, int]) -> tuple[str, str]:
    flow = "ws" if values["Stationary"] else "os"
    return flow, "full" if values["Overlap"] else "none"


@pytest.fixture(scope="module")
def rows(golden: Path) -> list[dict[str, str]]:
    with (golden / "yosys_area.csv").open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def values_of(row: dict[str, str]) -> dict[str, int]:
    return {key: int(value) for key, value in (p.split("=") for p in row["parameters"].split())}


@pytest.mark.parametrize("part", BOUNDS)
def test_the_model_is_near_the_measurements(rows: list[dict[str, str]], part: str) -> None:
    chosen = [row for row in rows if row["part"] == part]
    errors = np.array(
        [model(part, values_of(row)) / float(row["gate_equivalents"]) - 1 for row in chosen]
    )
    mean, greatest = BOUNDS[part]
    assert len(errors) >= 2
    assert np.abs(errors).mean() <= mean
    assert np.abs(errors).max() <= greatest


@pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys")
def test_yosys_counts_what_is_committed(rows: list[dict[str, str]]) -> None:
    for stationary in (0, 1):
        row = next(
            r for r in rows if r["part"] == "pe" and values_of(r)["Stationary"] == stationary
        )
        done = synthesize(row["module"], values_of(row))
        assert done.gate_equivalents == pytest.approx(float(row["gate_equivalents"]), rel=0.05)
        assert done.flip_flops == int(row["flip_flops"])


def test_parts_of_the_rtl_machine_add_up() -> None:
    design = SystolicArray(rows=8, cols=8, machine="rtl")
    wide = SystolicArray(rows=8, cols=16, machine="rtl")
    more = gates.column_gates(32) + gates.column_skew_gates(8, 32, "ws", "none") * (120 - 28) / 8
    pes = 64 * gates.pe_gates(8, 8, 32)
    grown = design.technology.gates_mm2(pes + 8 * more)
    rounding = wide.technology.sram_mm2(1024)
    assert wide.area_mm2 - design.area_mm2 == pytest.approx(grown, abs=rounding)


def test_operands_exchange_their_roles_when_inputs_stay() -> None:
    assert gates.pe_gates(4, 8, 32, "is", "full") == gates.pe_gates(8, 4, 32, "ws", "full")
    assert gates.pe_gates(8, 8, 32, "ws", "full") > gates.pe_gates(8, 8, 32, "ws")
