"""Searches over spatial arrays and systems: knobs by dotted name, mapped one by one."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.knobs import DesignSpace
from dovetail.arch.system import System
from dovetail.envs import DesignEnv, make_problem
from dovetail.envs.accelerator import AcceleratorProblem
from dovetail.envs.codesign import CoDesignProblem
from dovetail.errors import AcceleratorError, ProblemError, UnknownNameError
from dovetail.flow import simulate
from dovetail.networks.elastic import ElasticFamily
from dovetail.studies.spec import StudySpec
from tests.test_flow_spatial import SMALL, small_network

KNOBS = {
    "array.x": (2, 4),
    "memories.rf.capacity_bytes": (2, 16, 32),
    "memories.glb.capacity_kib": (1, 2),
}


@pytest.fixture(scope="module")
def problem():
    return AcceleratorProblem(small_network(), DesignSpace(SMALL, KNOBS), mapper="random")


def test_designs_cost_what_the_flow_says(problem):
    designs = problem.space.sample(np.random.default_rng(0), 8)
    evaluation = problem.evaluate(designs)
    for row, design in enumerate(designs):
        accelerator = problem.accelerator(design)
        latency = evaluation.metrics["latency_ms"][row]
        if accelerator.validate():
            assert np.isnan(latency)
            assert evaluation.violation[row] > 0
            assert problem.reasons(design) == accelerator.validate()
            continue
        report = simulate(small_network(), accelerator, mapper="random")
        assert latency == report.latency_ms
        assert evaluation.metrics["energy_mj"][row] == pytest.approx(report.energy_pj * 1e-9)
        assert evaluation.metrics["area_mm2"][row] == report.area_mm2
    again = problem.evaluate(designs)
    np.testing.assert_array_equal(evaluation.objectives, again.objectives)


def test_masks_leave_out_what_is_never_legal(problem):
    names = problem.space.names
    mask = problem.masks()[names.index("memories.rf.capacity_bytes")]
    assert mask.tolist() == [False, True, True]  # 2 B hold no input, weight and sum together
    assert all(m.all() for n, m in zip(names, problem.masks(), strict=True) if "rf" not in n)


def test_the_base_design_is_the_reference(problem):
    report = simulate(small_network(), SMALL, mapper="random")
    references = {o.name: o.reference for o in problem.objectives}
    assert references["latency_ms"] == pytest.approx(report.latency_ms, rel=1e-5)


@pytest.fixture
def network_file(tmp_path):
    path = tmp_path / "net.csv"
    path.write_text("Layer, M, N, K,\nfirst, 16, 8, 12,\nsecond, 16, 6, 8,\n")
    return str(path)


def test_a_problem_rebuilds_from_its_json(network_file):
    spec = {"problem": "accelerator", "network": network_file, "base": SMALL.to_dict(),
            "knobs": [["array.y", [1, 2]]], "mapper": "random"}  # fmt: skip
    problem = make_problem(spec)
    again = make_problem(json.loads(json.dumps(problem.describe())))
    assert again.describe() == problem.describe()
    assert again.hardware.base == SMALL
    one, two = (StudySpec.of(p, "random", {}, 0, 5) for p in (problem, again))
    assert one.differences(two) == []
    design = np.array([[1]])
    np.testing.assert_array_equal(
        problem.evaluate(design).objectives, again.evaluate(design).objectives
    )


def test_the_environment_is_one_of_gymnasium(problem, network_file):
    check_env(DesignEnv(problem), skip_render_check=True)
    env = gymnasium.make(
        "dovetail/Accelerator-v0", network=network_file, base=SMALL.to_dict(),
        knobs=[["array.y", [1, 2]]], mapper="random",
    )  # fmt: skip
    env.reset(seed=0)
    assert dovetail.envs is not None


@pytest.mark.parametrize("name", [n for n in presets.names() if n not in presets.names("systolic")])
def test_default_knobs_are_legal_and_hold_the_base(name):
    base = presets.load(name)
    space = DesignSpace(base, base.default_knobs())
    own = {key: base.to_dict()[key] for key in space.knobs}
    assert space.decode(space.space.encode(own)) == base
    assert space.space.size >= 3


def test_systems_are_searched_alike():
    system = System("one", (("small", SMALL),), 4.0, 1000.0)
    knobs = {"dram_gb_per_s": (1, 4), "cores.small.array.x": (2, 4)}
    problem = AcceleratorProblem(small_network(), DesignSpace(system, knobs))
    assert problem.workload.mapper == "own"
    latency = problem.evaluate(np.array([[0, 1], [1, 1]])).metrics["latency_ms"]
    assert latency[1] <= latency[0]


class StubOracle:
    """The first of a family's choices is the worst."""

    samples = 100

    def errors(self, choices):
        return 0.01 + 0.01 * choices.sum(axis=1)


def test_networks_and_spatial_arrays_are_searched_together():
    family = ElasticFamily()
    knobs = {"array.x": (2, 4)}
    problem = CoDesignProblem(family, StubOracle(), DesignSpace(SMALL, knobs), mapper="random")
    assert problem.space.names[-1] == "accelerator.array.x"
    design = np.append(np.zeros(len(family.space.knobs), dtype=np.int64), 0)
    evaluation = problem.evaluate(design[None])
    report = simulate(problem.network(design), SMALL.replace({"array.x": 2}), mapper="random")
    assert evaluation.metrics["latency_ms"][0] == report.latency_ms
    assert evaluation.metrics["error"][0] == pytest.approx(0.01)
    assert problem.describe()["base"] == SMALL.to_dict()


def test_what_is_wrong_is_said():
    with pytest.raises(AcceleratorError, match=r"knob 'rows'.*unknown key 'rows'"):
        DesignSpace(SMALL, {"rows": (1, 2)})
    with pytest.raises(AcceleratorError, match=r"knob 'array\.x'.* = 0: must be"):
        DesignSpace(SMALL, {"array.x": (0, 1)})
    with pytest.raises(UnknownNameError, match="unknown mapper 'greedy'"):
        AcceleratorProblem(small_network(), DesignSpace(SMALL, KNOBS), mapper="greedy")
    with pytest.raises(ProblemError, match="base accelerator 'small' is illegal"):
        AcceleratorProblem(
            small_network(),
            DesignSpace(SMALL.replace({"memories.rf.capacity_bytes": 1}), {"array.x": (1, 2)}),
        )
