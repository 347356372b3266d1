from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import DEFAULT_KNOBS
from dovetail.arch.table import Design
from dovetail.flow import simulate
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.systolic.batch import batch_totals, energy_pj
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.columns import Cost

HARDWARE = SystolicSpace(presets.load("edge"), DEFAULT_KNOBS)


def legal_designs(count, seed=0):
    designs = HARDWARE.space.sample(np.random.default_rng(seed), 20 * count)
    return designs[HARDWARE.violations(designs) <= 0][:count]


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v1_025", "gpt2_decode"])
def test_totals_are_the_sums_of_the_flow(name, objective):
    network = NETWORKS[name]()
    rows, designs = op_rows(network, schedule(network)), legal_designs(25)
    totals = batch_totals(HARDWARE.rows(designs), rows, np.arange(len(rows)), objective=objective)
    for design, total, energy in zip(designs, totals, energy_pj(totals), strict=True):
        accelerator = HARDWARE.decode(design)
        report = simulate(network, accelerator, objective=objective, mapper="greedy")
        assert total[Cost.CYCLES] == report.cycles
        assert energy == pytest.approx(report.energy_pj, rel=1e-12)


def test_each_design_may_run_its_own_network():
    first, second = (
        op_rows(network, schedule(network))
        for network in (NETWORKS["ds_cnn"](), NETWORKS["autoencoder"]())
    )
    table, designs = np.concatenate([first, second]), HARDWARE.rows(legal_designs(2))
    slots = max(len(first), len(second))
    index = np.full((2, slots), -1)
    index[0, : len(first)] = np.arange(len(first))
    index[1, -len(second) :] = len(first) + np.arange(len(second))
    totals = batch_totals(designs, table, index)
    for i, rows in enumerate((first, second)):
        alone = batch_totals(designs[i : i + 1], rows, np.arange(len(rows)))
        np.testing.assert_array_equal(totals[i], alone[0])


def test_repeated_operators_cost_the_same_each_time():
    rows = op_rows(network := NETWORKS["ds_cnn"](), schedule(network))
    designs = HARDWARE.rows(legal_designs(5))
    once = batch_totals(designs, rows, np.arange(len(rows)))
    twice = batch_totals(designs, rows, np.tile(np.arange(len(rows)), 2))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)


def test_a_design_without_a_tiling_is_nan():
    rows = op_rows(network := NETWORKS["ds_cnn"](), schedule(network))
    designs = np.repeat(HARDWARE.rows(legal_designs(1)), 2, axis=0)
    designs[1, Design.WEIGHT_HALF] = 1
    totals = batch_totals(designs, rows, np.arange(len(rows)))
    assert np.isfinite(totals[0]).all()
    assert np.isnan(totals[1]).all()
