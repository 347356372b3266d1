from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.table import design_row
from dovetail.ir.operator import Operator
from dovetail.ir.schedule import Placement
from dovetail.mappers.systolic.lower import mapping_of
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import Cost
from dovetail.sim.cycle import run
from dovetail.sim.reading import COMPONENTS, cost_of_timing, network_report, operator_reports
from tests.sim.cases import program_of, random_accelerator, random_einsum_row, random_tile

SEEDS = st.integers(0, 2**40)


def case(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    tile, cost = random_tile(rng, op), np.zeros(len(Cost))
    array_cost(design_row(accelerator), op, tile, cost)
    return accelerator, op, tile, cost


@settings(max_examples=60)
@given(SEEDS)
def test_a_timing_tells_everything_but_the_untiled_cycles(seed):
    """Nothing else is copied from the closed form: its row may hold nonsense."""
    accelerator, op, tile, cost = case(seed)
    nonsense = np.full(len(Cost), np.nan)
    nonsense[Cost.IDEAL] = cost[Cost.IDEAL]
    design = design_row(accelerator)
    found = cost_of_timing(run(program_of(accelerator, op, tile), design), design, op, nonsense)
    np.testing.assert_allclose(found, cost, rtol=1e-12)


def placement(*vector_ops):
    host = Operator("conv", "conv2d", ("x", "w"), ("y",))
    fused = (Operator(f"f{i}", "relu", ("y",), ("z",), None, n) for i, n in enumerate(vector_ops))
    return Placement(host, "array", tuple(fused))


@settings(max_examples=60)
@given(SEEDS, st.lists(st.integers(1, 1000), max_size=3))
def test_energy_and_cycles_are_shared_out_completely(seed, vector_ops):
    accelerator, op, tile, cost = case(seed)
    mapping = mapping_of("conv", op, tile, accelerator)
    host, *fused = operator_reports(placement(*vector_ops), accelerator, cost, mapping)
    assert host.compute_cycles + sum(host.stall_cycles.values()) == host.cycles
    assert host.mapping == mapping.describe()
    assert [report.name for report in fused] == [f"f{i}" for i in range(len(vector_ops))]
    assert all(report.fused_into == "conv" for report in fused)
    energy = sum(sum(report.energy_pj.values()) for report in (host, *fused))
    wanted = sum(cost[column] for column in COMPONENTS.values())
    assert energy == pytest.approx(wanted, rel=1e-12)
    for report, ops in zip(fused, vector_ops, strict=True):
        share = cost[Cost.VECTOR_ENERGY] * ops / sum(vector_ops)
        assert report.energy_pj["vector"] == pytest.approx(share)
    report = network_report("net", accelerator, "estimate", [host, *fused])
    assert report.cycles == cost[Cost.CYCLES]
    assert report.energy_pj == pytest.approx(wanted, rel=1e-12)
    assert report.total["vector_ops"] == sum(vector_ops)
    assert list(COMPONENTS) == list(host.energy_pj)


def test_an_operator_without_cost_has_no_utilization():
    accelerator, _, _, _ = case(0)
    view = Placement(Operator("flat", "flatten", ("x",), ("y",)), "none")
    (report,) = operator_reports(view, accelerator, np.zeros(len(Cost)), None)
    assert (report.cycles, report.utilization, report.mapping) == (0, 0.0, {})
    assert report.engine == "none"
