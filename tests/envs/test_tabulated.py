"""Costs kept per accelerator and operator, against the batched costing that keeps nothing."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.space import SystolicSpace
from dovetail.envs.costing import BatchWork, Workload
from dovetail.envs.nasbench201 import NasBench201Problem, from_spec
from dovetail.envs.tabulated import TabulatedWork
from dovetail.ir.space import IntArray


@pytest.fixture(scope="module")
def problem() -> NasBench201Problem:
    problem = from_spec({})
    assert isinstance(problem, NasBench201Problem)
    return problem


def designs(problem: NasBench201Problem, count: int) -> tuple[IntArray, IntArray]:
    return problem.split(problem.space.sample(np.random.default_rng(0), count))


def test_costs_equal_those_of_the_batch(problem: NasBench201Problem) -> None:
    work, cells = problem.work, problem.cells
    assert isinstance(work, TabulatedWork)
    assert cells is not None
    choices, hardware = designs(problem, 400)
    batch = BatchWork(work.hardware, work.workload, cells.index)
    found, expected = work.metrics(choices, hardware), batch.metrics(choices, hardware)
    assert list(found) == list(expected)
    assert np.array_equal(found["latency_ms"], expected["latency_ms"])
    for name, values in expected.items():
        assert np.allclose(found[name], values, rtol=1e-12), name
    base, kept = batch.base(choices[0]), work.base(choices[0])
    assert base == pytest.approx(kept, rel=1e-12)


def test_a_design_costs_the_same_alone_and_in_company(problem: NasBench201Problem) -> None:
    choices, hardware = designs(problem, 60)
    together = problem.work.metrics(choices, hardware)
    for row in range(60):
        alone = problem.work.metrics(choices[row : row + 1], hardware[row : row + 1])
        for name, values in together.items():
            assert alone[name][0] == values[row], name


def test_networks_with_an_operator_that_fits_nowhere_are_unfit(
    problem: NasBench201Problem,
) -> None:
    work = problem.work
    assert isinstance(work, TabulatedWork)
    hardware = SystolicSpace(presets.load("edge"), {"rows": (8, 16)})
    kept = TabulatedWork(hardware, Workload(work.workload.operators), work.counts, work.number)
    rows = hardware.rows(np.array([[0], [1]]))
    costs = kept.costs(rows)
    costs[0, :, 5] = np.nan
    counts = np.zeros((2, len(work.workload.operators)))
    counts[:, 5] = 1
    assert np.isnan(kept.totals(rows, costs, counts)["latency_ms"]).tolist() == [True, False]
    counts[0, 5], counts[0, 6] = 0, 2
    assert np.isfinite(kept.totals(rows, costs, counts)["latency_ms"]).all()
