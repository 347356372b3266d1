"""Problems of several fidelities: who counts, what it costs, and what the higher ones change."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import SystolicArray
from dovetail.envs.accelerator import AcceleratorProblem
from dovetail.envs.fidelity import BELOW, FidelityProblem, Level, at_fidelity, resimulate
from dovetail.envs.hardware import HardwareProblem, parse_hardware
from dovetail.envs.registry import make_problem
from dovetail.errors import FidelityError, ProblemError, ToolError
from dovetail.flow import simulate
from dovetail.ir.network import Network
from dovetail.ir.space import Value
from dovetail.networks.builder import NetworkBuilder
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec
from tests.agents.toy import ToyProblem
from tests.verify.fake_bench import fake_gates

CELLS = {"problem": "nasbench201", "base": "ethos_u55_128", "objectives": ["error", "latency_ms"]}
TRAINED = {"problem": "fidelity", "of": CELLS, "levels": [["12", 1], ["200", 16.7]]}
SIMULATED = {"problem": "fidelity", "of": CELLS, "levels": [["estimate", 1], ["cycle", 5]]}


@pytest.fixture(scope="module")
def trained() -> FidelityProblem:
    problem = make_problem(TRAINED)
    assert isinstance(problem, FidelityProblem)
    return problem


def test_each_design_is_evaluated_at_its_own_fidelity(trained: FidelityProblem) -> None:
    designs = trained.space.sample(np.random.default_rng(0), 12)
    designs[:2, -1] = 0, 1
    found = trained.evaluate(designs)
    for level, epochs in enumerate((12, 200)):
        rows = designs[:, -1] == level
        plain = make_problem({**CELLS, "epochs": epochs}).evaluate(designs[rows, :-1])
        assert np.array_equal(found.objectives[rows], plain.objectives, equal_nan=True)
        assert np.array_equal(found.metrics["error"][rows], plain.metrics["error"], equal_nan=True)
        assert np.allclose(found.violation[rows], plain.violation + BELOW * (1 - level), atol=0)


def test_only_the_highest_fidelity_enters_a_front(trained: FidelityProblem) -> None:
    design = np.zeros((2, 10), dtype=np.int64)
    design[:, :6], design[1, -1] = 3, 1
    found = trained.evaluate(design)
    assert found.feasible.tolist() == [False, True]
    assert trained.own(design, found).feasible.tolist() == [True, True]
    assert trained.reasons(design[0]) == ["fidelity '12': only '200' counts"]
    assert trained.reasons(design[1]) == []
    assert trained.cost(design).tolist() == [1.0, 16.7]


def test_a_problem_of_fidelities_is_rebuilt_from_its_description(trained: FidelityProblem) -> None:
    again = make_problem(trained.describe())
    assert again.describe() == trained.describe()
    assert again.space == trained.space
    assert [mask.sum() for mask in again.masks()] == again.space.cardinalities.tolist()


def test_cycles_are_those_of_simulate() -> None:
    problem = make_problem(SIMULATED)
    assert isinstance(problem, FidelityProblem)
    inner = problem.levels[0].problem
    assert isinstance(inner, HardwareProblem)
    designs = np.array([[2, 0, 1, 0, 0, 1, 2, 2, 1, 0], [2, 0, 1, 0, 0, 1, 2, 2, 1, 1]])
    found = problem.evaluate(designs).metrics["latency_ms"]
    design = designs[0, :-1]
    network, accelerator = inner.network(design), inner.accelerator(design)
    for value, fidelity in zip(found, ("estimate", "cycle"), strict=True):
        assert value == simulate(network, accelerator, fidelity=fidelity).latency_ms
    assert found[1] > 1.01 * found[0]


def test_elites_are_simulated_again() -> None:
    problem = make_problem(CELLS)
    designs = np.array([[2, 0, 1, 0, 0, 1, 2, 2, 1], [3, 3, 3, 3, 3, 3, 2, 2, 1]])
    again = resimulate(problem, designs, "cycle")
    change = again.change("latency_ms")
    ratio = again.after.metrics["latency_ms"] / again.before.metrics["latency_ms"]
    assert np.array_equal(change, ratio - 1)
    assert (change > 0.001).all()
    assert (again.change("error") == 0).all()
    assert again.survivors().all()
    # NPUs have no area: nothing changes from nothing.
    assert np.isnan(again.change("area_mm2")).all()


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([["12", 1]], "needs two"),
        ([["12", 2], ["200", 5]], "the first must be 1"),
        ([["12", 1], ["200", 0.5]], "the first must be 1"),
        ([["12", 1], ["50", 5]], "epochs = 50"),
        ("12,200", "must be pairs"),
        (7, "must be pairs"),
    ],
)
def test_malformed_levels_are_refused(levels: object, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        make_problem({"problem": "fidelity", "of": CELLS, "levels": levels})


def test_what_a_problem_has_no_fidelity_of_is_refused() -> None:
    with pytest.raises(FidelityError, match="has no fidelity 'gates'"):
        at_fidelity(make_problem(CELLS), "gates")
    with pytest.raises(FidelityError, match="'ethos_u55_128' is no RTL machine"):
        at_fidelity(make_problem(CELLS), "rtl")
    with pytest.raises(FidelityError, match="has no fidelity 'cycle'"):
        at_fidelity(ToyProblem(), "cycle")
    spatial = AcceleratorProblem(small_network(), parse_hardware("eyeriss_like", None))
    with pytest.raises(FidelityError, match="the spatial family supports"):
        at_fidelity(spatial, "cycle")
    with pytest.raises(ProblemError, match="of = None"):
        make_problem({"problem": "fidelity"})


def test_levels_have_one_space() -> None:
    cells = make_problem(CELLS)
    with pytest.raises(ProblemError, match="another space"):
        FidelityProblem([Level("a", 1, ToyProblem()), Level("b", 2, cells)])


ROWS: dict[str, Sequence[Value]] = {"rows": (4, 8)}


def small_network() -> Network:
    net = NetworkBuilder("small")
    x = net.activation(net.conv2d(net.input("image", (1, 3, 6, 6)), 4, 3, padding=1), "relu")
    return net.build([net.linear(net.flatten(net.global_pool(x)), 3)])


def small_problem(knobs: Mapping[str, Sequence[Value]] = ROWS) -> AcceleratorProblem:
    base = SystolicArray(
        name="small", rows=4, cols=4, machine="rtl", fold_overlap="full", bus_bits=32,
        input_sram_kib=2, weight_sram_kib=2, output_sram_kib=2, clock_mhz=200, dram_gb_per_s=0.4,
    )  # fmt: skip
    return AcceleratorProblem(small_network(), SystolicSpace(base, knobs))


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_rtl_is_what_the_gates_count() -> None:
    problem, designs = small_problem(), np.array([[0], [1]])
    again = resimulate(problem, designs, "rtl")
    cycle = at_fidelity(problem, "cycle").evaluate(designs)
    assert again.after.feasible.all()
    for name, values in again.after.metrics.items():
        assert np.allclose(values, cycle.metrics[name], rtol=1e-12)
    assert abs(again.change("latency_ms")).max() < 0.02


def test_gates_that_differ_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gates(monkeypatch, lambda run: replace(run, cycles=run.cycles + 1))
    monkeypatch.setattr("dovetail.envs.gates.simulator", lambda: "icarus")
    with pytest.raises(ToolError, match="gates of 'small' running 'small' differ"):
        resimulate(small_problem(), np.array([[0]]), "rtl")


def test_a_budget_is_a_sum_of_costs(trained: FidelityProblem, tmp_path: Path) -> None:
    """Random designs cost 1 or 16.7; the study stops before the one that is too much."""
    spec = StudySpec.of(trained, "random", {"batch": 8}, 0, 100)
    with open_study(tmp_path / "s.db", spec) as store:
        result = run_study(trained, store)
        records = store.records()
    spent = np.cumsum(trained.cost(records.designs))
    assert spent[-1] <= 100 < spent[-1] + trained.costs[-1]
    assert result.evaluations == len(records) < 100
    assert 0 < result.feasible <= (records.designs[:, -1] == 1).sum()


def test_a_study_of_fidelities_goes_on_with_a_larger_budget(
    trained: FidelityProblem, tmp_path: Path
) -> None:
    found = []
    for file, budgets in (("whole", [150]), ("parts", [40, 90, 150])):
        for budget in budgets:
            spec = StudySpec.of(trained, "nsga2", {"population": 7}, 0, budget)
            with open_study(tmp_path / file, spec, resume=True) as store:
                run_study(trained, store, budget=budget)
                found.append(store.records().designs)
    assert np.array_equal(found[0], found[-1])
    assert len(found[1]) < len(found[2]) < len(found[3])
    spec = StudySpec.of(trained, "nsga2", {"population": 7}, 0, len(found[0]))
    with (
        open_study(tmp_path / "whole", spec, resume=True) as store,
        pytest.raises(ProblemError, match="cost more than the budget"),
    ):
        run_study(trained, store, budget=spec.budget)
