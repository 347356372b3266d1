"""Several networks on two sub-accelerators: costs, schedules, laws and the environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dovetail.envs import make_problem
from dovetail.envs.multitask import GB_PER_S, PES, MultitaskProblem, from_spec
from dovetail.envs.multitask_costs import (
    BLOCKS,
    TEMPLATES,
    operator_costs,
    operators,
    prepare,
    sub_accelerator,
)
from dovetail.envs.multitask_space import HARDWARE
from dovetail.envs.nasbench201_slots import all_cells, code
from dovetail.errors import AcceleratorError, ProblemError, UnknownNameError
from dovetail.flow import map_network

SMALL: dict[str, Any] = {
    "dataset": "cifar10+cifar10",
    "mapping": "latency",
    "knobs": {"template": ["nvdla", "shidiannao"], "pes": [64, 3072], "gb_per_s": [8]},
}
"""Four sub-accelerators, whose operators are mapped in a second or so each."""

CELLS = np.array([[3, 2, 3, 1, 4, 3], [1, 0, 2, 3, 1, 0], [4, 4, 0, 0, 1, 2]])


@pytest.fixture(scope="module")
def problem() -> MultitaskProblem:
    return from_spec({**SMALL, "constraints": ["latency_ms<=1.2", "energy_mj<=4"]})


def designs(problem: MultitaskProblem, count: int) -> np.ndarray:
    return problem.space.sample(np.random.default_rng(0), count)


def test_blocks_cost_what_the_flow_says(problem: MultitaskProblem) -> None:
    """The sum over a network's operators is the report of the spatial family's own flow."""
    part = ("nvdla", 64, 8)
    known, costs = operators("cifar10"), operator_costs("cifar10", part, "latency")
    for cell in CELLS:
        rows = known.slots[code(cell[None])[0]]
        rows = rows[rows >= 0]
        network = problem.networks(np.concatenate([cell, cell, [0] * 6]))[0]
        report = map_network(network, sub_accelerator(*part), objective="latency").report()
        cycles, energy = costs[:, known.kind[rows]].sum(axis=1)
        assert cycles == sum(op.cycles for op in report.operators)
        assert energy == pytest.approx(report.energy_pj, rel=0, abs=len(rows) / 2)  # whole pJ
        assert set(known.block[rows]) <= set(range(len(BLOCKS)))


def test_metrics_are_those_of_the_schedule(problem: MultitaskProblem) -> None:
    found = designs(problem, 40)
    evaluation = problem.evaluate(found)
    lawful = np.flatnonzero(problem.laws(found) <= 0)
    assert 0 < len(lawful) < len(found)
    for row in lawful[:8]:
        laid = problem.assignment(found[row])
        assert evaluation.metrics["latency_ms"][row] == pytest.approx(laid.makespan * 1e-6)
        assert evaluation.metrics["energy_mj"][row] == pytest.approx(laid.energy * 1e-9)
        assert [len(machines) for machines in laid.machines] == [len(BLOCKS)] * 2
        areas = [part.area_mm2 for part in problem.sub_accelerators(found[row])]
        assert evaluation.metrics["area_mm2"][row] == pytest.approx(sum(areas))
        errors = [evaluation.metrics[f"error_{i}"][row] for i in (1, 2)]
        assert evaluation.metrics["error"][row] == pytest.approx(np.mean(errors))


def test_errors_are_the_tables(problem: MultitaskProblem) -> None:
    found = designs(problem, 20)
    table = problem.table.errors["cifar10", 200]
    assert np.array_equal(problem.errors(found)["error_2"], table[code(found[:, 6:12])])


def test_designs_over_the_bounds_are_not_costed() -> None:
    problem = from_spec({"dataset": "cifar10+cifar10"})
    design = problem.space.encode(
        {
            **dict.fromkeys(problem.space.names[:12], "nor_conv_1x1"),
            **{f"accelerator{i}.{k}": v for i in (1, 2)
               for k, v in (("template", "nvdla"), ("pes", 3072), ("gb_per_s", 40))},
        }
    )  # fmt: skip
    evaluation = problem.evaluate(design[None])
    assert np.isnan(evaluation.objectives).all()
    assert evaluation.violation[0] == pytest.approx(6144 / PES - 1 + 80 / GB_PER_S - 1)
    assert problem.reasons(design) == [
        "6,144 PEs together: at most 4,096", "80 GB/s together: at most 64",
    ]  # fmt: skip
    design[[-2, -1]] = 0
    assert problem.laws(design[None])[0] == 0


def test_the_bound_on_latency_trades_energy_for_time() -> None:
    free = from_spec(SMALL)
    found = designs(free, 60)
    found = found[free.laws(found) <= 0]
    slow = free.evaluate(found).metrics
    limit = float(np.median(slow["latency_ms"]))
    fast = from_spec({**SMALL, "constraints": [f"latency_ms<={limit}"]}).evaluate(found).metrics
    assert (fast["latency_ms"] <= slow["latency_ms"]).all()
    assert (fast["energy_mj"] >= slow["energy_mj"]).all()
    changed = fast["latency_ms"] < slow["latency_ms"]
    assert changed.any()
    assert (slow["latency_ms"][changed] > limit).all()


def test_one_network_alone_and_an_order_that_does_not_matter() -> None:
    """Exchanged sub-accelerators cost the same; two networks take longer than either alone."""
    one = from_spec({**SMALL, "dataset": "cifar10"})
    two = from_spec(SMALL)
    parts = [0, 0, 0, 1, 1, 0]
    both = np.array(
        [[*CELLS[0], *CELLS[1], *parts], [*CELLS[0], *CELLS[1], *parts[3:], *parts[:3]]]
    )
    found = two.evaluate(both).metrics
    for name in ("latency_ms", "energy_mj", "area_mm2"):
        assert found[name][0] == pytest.approx(found[name][1])
    alone = one.evaluate(np.array([[*cell, *parts] for cell in CELLS[:2]])).metrics
    assert found["energy_mj"][0] == pytest.approx(alone["energy_mj"].sum())
    assert found["latency_ms"][0] >= alone["latency_ms"].max()


def test_templates_keep_their_dataflow_at_any_size() -> None:
    for template in TEMPLATES:
        for pes in HARDWARE[1].values:
            design = sub_accelerator(template, int(pes), 8)
            assert not design.validate()
            assert design.peak_macs_per_cycle == pes
            assert design.dram_bytes_per_cycle == 8
        assert (
            sub_accelerator(template, 64, 8).area_mm2 < sub_accelerator(template, 128, 8).area_mm2
        )
    unrolls = {template: sub_accelerator(template, 64, 8).unrolls for template in TEMPLATES}
    assert len(set(unrolls.values())) == 3


def test_mapping_ahead_gives_what_is_mapped_on_demand() -> None:
    seen: list[tuple[int, int]] = []
    prepare(["cifar10"], [("nvdla", 128, 8)], "latency", progress=lambda *p: seen.append(p))
    assert seen == [(1, 1)]
    prepare(["cifar10"], [("nvdla", 128, 8)], "latency", progress=lambda *p: seen.append(p))
    assert seen == [(1, 1)]


def test_specifications_rebuild_the_problem(problem: MultitaskProblem) -> None:
    again = make_problem(problem.describe())
    assert again.describe() == problem.describe()
    found = designs(problem, 20)
    assert np.array_equal(again.evaluate(found).violation, problem.evaluate(found).violation)
    costs = from_spec({**SMALL, "objectives": ["error", "energy_mj"]})
    assert costs.objectives[1].reference > 0
    assert len(costs.reference_point) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "cifar10+mnist"}, "mnist"),
        ({"dataset": "cifar10+cifar10+cifar10"}, "3 data sets: one or two"),
        ({"dataset": 3}, "joined by"),
        ({"epochs": 7}, "12 and 200"),
        ({"mapping": "speed"}, "speed"),
        ({"knobs": {"pes": [65]}}, r"'pes' = \[65\]: values are 64"),
        ({"knobs": {"lanes": [1]}}, "lanes"),
        ({"knobs": 5}, "lists of values"),
        ({"constraints": ["utilization>=0.5"]}, "utilization"),
        ({"dataflow": "ws"}, "dataflow"),
    ],
)
def test_ill_formed_fields_are_refused_in_one_line(fields: dict[str, object], message: str) -> None:
    with pytest.raises((ProblemError, UnknownNameError), match=message) as caught:
        from_spec({**SMALL, **fields})
    assert "\n" not in str(caught.value)


def test_unknown_sub_accelerators_are_refused() -> None:
    with pytest.raises(AcceleratorError, match="numbers of PEs 64"):
        sub_accelerator("nvdla", 65, 8)


def test_gymnasium_accepts_the_environment() -> None:
    env = gymnasium.make("dovetail/Multitask-v0", **SMALL)
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=1)
    _, reward, terminated, _, info = env.step(np.zeros(18, dtype=np.int64))
    assert terminated
    assert np.isfinite(float(reward))
    assert info["legal"]
    vector = gymnasium.make_vec("dovetail/Multitask-v0", num_envs=4, **SMALL)
    vector.reset(seed=0)
    rewards = vector.step(vector.action_space.sample())[1]
    assert rewards.shape == (4,)


def test_all_cells_have_blocks_of_their_own() -> None:
    """Every operator of every cell stands in a block, in each of the three kinds of networks."""
    known = operators("cifar10")
    assert known.slots.shape[0] == len(all_cells())
    assert known.slots.max() == len(known.kind) - 1
    assert set(known.block) == set(range(len(BLOCKS)))
