"""What is kept changes nothing: totals with and without it, and after it was forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import DEFAULT_KNOBS
from dovetail.arch.table import Design
from dovetail.envs.costing import rows_by_operator
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic import batch
from dovetail.mappers.systolic.batch import PairCosts, batch_totals
from dovetail.mappers.systolic.counts import Count
from dovetail.mappers.systolic.kept import PRICES, STREAMING, TIMING, digits_of
from dovetail.mappers.systolic.tiling import count_pairs, objective_code
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.columns import ARRAY, Op

HARDWARE = SystolicSpace(
    presets.load("edge"), {**DEFAULT_KNOBS, "dram_gb_per_s": (6.4, 12.8), "node_nm": (7, 28)}
)


def operators(*names: str, machine: str = "ideal") -> IntArray:
    rows = [rows_by_operator(NETWORKS[name](), machine).values() for name in names]
    return np.unique(np.stack([row for some in rows for row in some]), axis=0)


def legal(space: SystolicSpace, count: int, seed: int = 0) -> FloatArray:
    designs = space.space.sample(np.random.default_rng(seed), 20 * count)
    return space.rows(designs[space.violations(designs) <= 0][:count])


@pytest.mark.parametrize("objective", ["latency", "energy"])
def test_totals_are_the_same_bit_by_bit_whatever_is_kept(objective: str) -> None:
    ops = operators("ds_cnn", "resnet8")
    designs = legal(HARDWARE, 1500)
    rng = np.random.default_rng(1)
    networks = rng.integers(-1, len(ops), size=(40, 9))
    number = rng.integers(40, size=len(designs))
    kept = PairCosts(ops, objective, levels=HARDWARE.levels)
    first = kept.totals(designs, networks, number)
    costed = kept.costed
    assert np.array_equal(kept.totals(designs[::-1], networks, number[::-1])[::-1], first)
    assert kept.costed == costed, "what is kept is not costed again"
    fresh = batch_totals(designs, ops, networks[number], objective=objective)
    assert np.array_equal(first, fresh)
    assert costed < costed_alone(ops, objective, designs, networks, number)


def costed_alone(
    ops: IntArray, objective: str, designs: FloatArray, networks: IntArray, number: IntArray
) -> int:
    alone = PairCosts(ops, objective)
    alone.totals(designs, networks, number)
    return alone.costed


def test_a_full_table_forgets_and_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FEWEST", 2**10)
    monkeypatch.setattr(batch, "MOST", 2**10)
    monkeypatch.setattr(batch, "CHUNK", 16)
    ops, designs = operators("ds_cnn"), legal(HARDWARE, 400)
    network = np.arange(len(ops))[None]
    number = np.zeros(len(designs), dtype=np.int64)
    small = PairCosts(ops, levels=HARDWARE.levels)
    found = small.totals(designs, network, number)
    assert len(small._table) == 2**10
    assert np.array_equal(found, batch_totals(designs, ops, network[0]))
    assert small.costed > small._used


def test_values_that_are_no_levels_are_refused() -> None:
    ops, designs = operators("ds_cnn"), legal(HARDWARE, 1)
    designs[0, Design.ROWS] = 7
    with pytest.raises(ValueError, match="none of its column's levels"):
        PairCosts(ops, levels=HARDWARE.levels).totals(designs, np.array([[0]]))


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
@pytest.mark.parametrize("machine", ["ideal", "rtl"])
def test_counts_depend_on_nothing_but_the_number(objective: str, machine: str) -> None:
    """Designs of the same number, and all else drawn anew, have the same counts."""
    base = presets.load("edge").replace({"machine": machine})
    knobs = {
        "rows": (8, 16), "dataflow": ("ws", "os"), "input_sram_kib": (16, 64, 512),
        "weight_sram_kib": (16, 64, 512), "output_sram_kib": (64, 512), "vector_lanes": (4, 64),
        "bus_bits": (32, 64), "clock_mhz": (250, 500), "node_nm": (7, 28),
    }  # fmt: skip
    space = SystolicSpace(base, knobs)
    ops = operators("ds_cnn", "resnet8", machine=machine)
    designs, levels = legal(space, 4000), space.levels
    known = digits_of(levels, ops, objective)
    assert known is not None
    rng = np.random.default_rng(0)
    row = rng.integers(len(ops), size=len(designs))
    level = np.stack(
        [np.searchsorted(levels[Design(c)], designs[:, c]) for c in known.columns], axis=1
    )
    number = row + known.digits[row[:, None], np.arange(len(known.columns)), level].sum(axis=1)
    counts = np.zeros((len(designs), len(Count)))
    count_pairs(designs, ops, np.arange(len(designs)), row, objective_code(objective), 0, counts)
    _, first, back = np.unique(number, return_index=True, return_inverse=True)
    assert len(first) < 0.95 * len(designs), "some have the same number"
    assert np.array_equal(counts[first][back], counts, equal_nan=True)


def test_columns_that_matter_to_nothing_have_no_digit() -> None:
    ops = operators("ds_cnn")
    known = digits_of(HARDWARE.levels, ops, "latency")
    assert known is not None
    assert set(map(int, known.columns)) <= set(TIMING)
    assert not set(TIMING) & {Design.CLOCK_MHZ, *PRICES}
    for op, columns, count in zip(ops, known.matter, known.first, strict=True):
        matter = {Design(int(known.columns[v])) for v in columns[:count]}
        if op[Op.ENGINE] != ARRAY:
            assert matter <= set(STREAMING)
