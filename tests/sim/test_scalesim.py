"""Equality with SCALE-Sim, row by row of the golden table; each run's source stands in its header.

Cycles and words coincide by definition except for output words under OS: SCALE-Sim counts
M N + F (rows + cols) for F folds (its issue 166) where M N are written.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict

import numpy as np
import pytest

from dovetail.arch.systolic import DATAFLOWS, SystolicArray
from dovetail.arch.table import design_row
from dovetail.flow import simulate
from dovetail.mappers.systolic.tiling import GREEDY, cost_pairs
from dovetail.networks.scalesim import load_scalesim
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import ARRAY, Cost, Op, Tile

ROWS = 2922
INTEGERS = (
    "M", "N", "K", "ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride",
    "array_rows", "array_cols", "demand_rows", "sram_ifmap_reads", "sram_filter_reads",
    "sram_ofmap_writes",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(golden):
    """The golden rows, whole numbers as such (0 where a GEMM has none)."""
    lines = (golden / "scalesim_stallfree.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == ROWS
    return [{**row, **{name: int(row[name] or 0) for name in INTEGERS}} for row in rows]


def accelerator(run, kib=2.0**20, **changes):
    """8-bit operands, an array of the run's shape, scratchpads that hold every layer."""
    return SystolicArray(
        rows=run["array_rows"],
        cols=run["array_cols"],
        dataflow=run["dataflow"],
        input_sram_kib=kib,
        weight_sram_kib=kib,
        output_sram_kib=kib,
        **changes,
    )


def gemm(run):
    """The layer as a matrix product: pixels P, filters K, window elements C."""
    op = np.zeros(len(Op), dtype=np.int64)
    op[:] = 1
    op[Op.ENGINE] = ARRAY
    op[Op.P], op[Op.K], op[Op.C] = run["M"], run["N"], run["K"]
    op[Op.PAD_TOP] = op[Op.PAD_LEFT] = op[Op.EPILOGUE_OPS] = 0
    op[Op.HEIGHT], op[Op.WIDTH] = run["M"], 1
    op[Op.INPUT_BITS] = op[Op.WEIGHT_BITS] = op[Op.OUTPUT_BITS] = 8
    return op


def untiled(op):
    tile = np.zeros(len(Tile), dtype=np.int64)
    for rank in "GNPQKC":
        tile[Tile[rank]] = op[Op[rank]]
    return tile


def test_every_run_has_scalesims_cycles_and_words(runs):
    cost = np.zeros(len(Cost))
    for run in runs:
        op = gemm(run)
        array_cost(design_row(accelerator(run)), op, untiled(op), cost)
        rows, cols, m, n = run["array_rows"], run["array_cols"], run["M"], run["N"]
        assert cost[Cost.IDEAL] == cost[Cost.ENGINE] == run["demand_rows"]
        assert cost[Cost.INPUT_READ] == run["sram_ifmap_reads"]
        assert cost[Cost.WEIGHT_READ] == run["sram_filter_reads"]
        outputs = run["sram_ofmap_writes"]
        if run["dataflow"] == "os":
            folds = math.ceil(m / rows) * math.ceil(n / cols)
            outputs -= folds * (rows + cols)
            assert outputs == m * n
        assert cost[Cost.OUTPUT_WRITE] == 4 * outputs


def test_small_scratchpads_change_stalls_not_compute_cycles(runs):
    ops = np.stack([gemm(run) for run in runs])
    designs = []
    for run in runs:
        kib = max(0.0625, 2 * 4 * run["array_rows"] * run["array_cols"] / 1024)
        designs.append(design_row(accelerator(run, kib=kib)))
    tiles = np.zeros((ROWS, len(Tile)), dtype=np.int64)
    costs = np.zeros((ROWS, len(Cost)))
    pairs = np.arange(ROWS)
    assert cost_pairs(np.stack(designs), ops, pairs, pairs, 0, GREEDY, tiles, costs) == -1
    wanted = np.array([run["demand_rows"] for run in runs])
    np.testing.assert_array_equal(costs[:, Cost.IDEAL], wanted)
    assert (costs[:, Cost.ENGINE] >= wanted).all()
    assert (costs[:, Cost.ENGINE] > wanted).sum() > ROWS / 4


def topologies(runs):
    """Golden layers by kind and accelerator, as the rows of one topology file each."""
    groups = defaultdict(dict)
    for run in runs:
        shape = (run["layer_kind"], run["dataflow"], run["array_rows"], run["array_cols"])
        if run["layer_kind"] == "conv":
            names = ("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride")
        else:
            names = ("M", "N", "K")
        groups[shape][tuple(run[name] for name in names)] = run
    return groups


@pytest.mark.parametrize("kind", ["conv", "gemm"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_whole_topologies_end_to_end(runs, tmp_path, kind, dataflow):
    chosen = [item for item in topologies(runs).items() if item[0][:2] == (kind, dataflow)]
    assert len(chosen) >= 4
    for (_, _, rows, cols), layers in chosen:
        path = tmp_path / f"{kind}_{rows}_{cols}.csv"
        path.write_text(
            "".join(f"layer{i}, {', '.join(map(str, key))},\n" for i, key in enumerate(layers))
        )
        array = accelerator(next(iter(layers.values())))
        for fidelity in ("estimate", "cycle"):
            report = simulate(load_scalesim(path), array, fidelity=fidelity, mapper="greedy")
            assert [op.macs for op in report.operators] == [
                run["M"] * run["N"] * run["K"] for run in layers.values()
            ]
            assert [op.compute_cycles for op in report.operators] == [
                run["demand_rows"] for run in layers.values()
            ]
