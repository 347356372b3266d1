from __future__ import annotations

import json
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import dovetail.envs
from dovetail.arch.presets import load
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import SystolicArray
from dovetail.envs import DesignVectorEnv, make_problem
from dovetail.envs.accelerator import AcceleratorProblem
from dovetail.envs.design_env import DesignEnv
from dovetail.errors import DovetailError, MappingError, ProblemError, UnknownNameError
from dovetail.flow import simulate
from dovetail.networks.registry import load_network
from dovetail.studies.spec import StudySpec

SPEC = {
    "problem": "accelerator",
    "network": "ds_cnn",
    "base": "edge",
    "objectives": ["latency_ms", "energy_mj", "area_mm2"],
    "constraints": ["area_mm2<=1.0", "utilization>=0.01"],
}

TOPOLOGY = "Layer, M, N, K,\nfirst, 64, 64, 64,\nsecond, 64, 8, 128,\n"


@pytest.fixture(scope="module")
def problem():
    return make_problem(SPEC)


def compare(problem, design, row, evaluation):
    """Holds one design's batched metrics against the flow's report."""
    report = simulate(
        problem.network(design),
        problem.accelerator(design),
        objective=problem.workload.mapping,
        mapper=problem.workload.mapper,
    )
    metrics = {name: values[row] for name, values in evaluation.metrics.items()}
    assert metrics["latency_ms"] == report.latency_ms
    assert metrics["energy_mj"] == pytest.approx(report.energy_pj * 1e-9, rel=1e-12)
    assert metrics["edp_mj_ms"] == pytest.approx(report.total["edp_pj_s"] * 1e-6, rel=1e-12)
    assert metrics["area_mm2"] == pytest.approx(report.area_mm2, rel=1e-12)
    assert metrics["utilization"] == pytest.approx(report.total["utilization"], rel=1e-12)


def test_batches_of_the_rtl_machine_equal_the_flow():
    base = SystolicArray(rows=8, cols=8, machine="rtl", fold_overlap="full", clock_mhz=200)
    knobs = {
        "rows": (3, 8, 16), "cols": (4, 8, 16), "dataflow": ("ws", "os", "is"),
        "input_sram_kib": (1, 4, 64), "weight_sram_kib": (4, 64), "bus_bits": (32, 64),
        "fold_overlap": ("none", "full"),
    }  # fmt: skip
    problem = AcceleratorProblem("mobilenet_v1_025", SystolicSpace(base, knobs))
    designs = problem.space.sample(np.random.default_rng(0), 60)
    evaluation = problem.evaluate(designs)
    latency = evaluation.metrics["latency_ms"]
    for row, design in enumerate(designs):
        if problem.accelerator(design).validate():
            assert np.isnan(latency[row])
        elif not np.isnan(latency[row]):
            compare(problem, design, row, evaluation)
        else:
            with pytest.raises(MappingError, match="fits no tiling"):
                simulate(problem.network(design), problem.accelerator(design))
    assert 5 < np.isnan(latency).sum() < 55


def test_batched_totals_equal_the_flow(problem):
    designs = problem.space.sample(np.random.default_rng(0), 60)
    evaluation = problem.evaluate(designs)
    for row, design in enumerate(designs):
        legal = problem.accelerator(design).validate() == []
        assert legal == (not np.isnan(evaluation.metrics["latency_ms"][row]))
        assert bool(problem.reasons(design)) == (evaluation.violation[row] > 0)
        if legal:
            compare(problem, design, row, evaluation)
        else:
            assert np.isnan(evaluation.objectives[row]).all()
            assert evaluation.violation[row] > 0
    assert 0 < np.isnan(evaluation.objectives[:, 0]).sum() < 60


@pytest.mark.parametrize("mapping", ["energy", "edp"])
def test_other_mappings_equal_the_flow(mapping):
    problem = make_problem(
        {**SPEC, "mapping": mapping, "mapper": "exhaustive", "network": "resnet8"}
    )
    designs = problem.space.sample(np.random.default_rng(1), 6)
    evaluation = problem.evaluate(designs)
    for row in np.flatnonzero(~np.isnan(evaluation.objectives[:, 0])):
        compare(problem, designs[row], row, evaluation)


def test_costs_count_against_the_base_design():
    problem = make_problem({**SPEC, "knobs": {"rows": [8, 32], "dataflow": ["os", "ws"]}})
    evaluation = problem.evaluate(problem.space.encode({"rows": 32, "dataflow": "ws"})[None])
    np.testing.assert_allclose(evaluation.objectives, 0, atol=1e-5)
    assert (problem.reference_point == 1).all()


def test_an_evaluation_does_not_depend_on_its_batch(problem):
    designs = problem.space.sample(np.random.default_rng(2), 64)
    whole = problem.evaluate(np.concatenate([designs, designs]))
    for part in (slice(0, 1), slice(3, 40), slice(64, 128)):
        alone = problem.evaluate(np.concatenate([designs, designs])[part])
        np.testing.assert_array_equal(alone.objectives, whole.objectives[part])
        np.testing.assert_array_equal(alone.violation, whole.violation[part])
    assert problem.evaluate(designs[:0]).objectives.shape == (0, 3)


def test_masked_values_are_never_lawful():
    problem = AcceleratorProblem(
        "ds_cnn",
        SystolicSpace(
            load("edge"), {"rows": (4, 16, 4096), "cols": (4, 16), "input_sram_kib": (0.0625, 8)}
        ),
    )
    grid = np.stack([a.ravel() for a in np.indices(problem.space.cardinalities)], axis=1)
    lawful = problem.hardware.violations(grid) <= 0
    for knob, mask in enumerate(problem.masks()):
        for value, allowed in enumerate(mask):
            assert lawful[grid[:, knob] == value].any() == allowed
    assert not all(mask.all() for mask in problem.masks())


def test_violation_is_the_sum_of_relative_excesses(problem):
    designs = problem.space.sample(np.random.default_rng(3), 400)
    evaluation = problem.evaluate(designs)
    lawful = ~np.isnan(evaluation.objectives[:, 0])
    area, use = (evaluation.metrics[k][lawful] for k in ("area_mm2", "utilization"))
    expected = np.maximum(0, area / 1.0 - 1) + np.maximum(0, (0.01 - use) / 0.01)
    np.testing.assert_allclose(evaluation.violation[lawful], expected)
    assert (expected > 0).any()
    heavy = designs[lawful][expected > 0][0]
    assert all("breaks" in reason for reason in problem.reasons(heavy))


def test_designs_of_another_form_are_refused(problem):
    designs = problem.space.sample(np.random.default_rng(6), 3)
    for wrong, message in (
        (designs.astype(np.float64), "float64: must be whole numbers"),
        (designs[:, :-1], "must be"),
        (designs[0], "must be"),
        (designs - 99, "outside"),
        (problem.space.cardinalities[None], "outside"),
    ):
        with pytest.raises(ProblemError, match=message):
            problem.evaluate(wrong)
    narrow = problem.evaluate(designs.astype(np.int16)).objectives
    np.testing.assert_array_equal(narrow, problem.evaluate(designs).objectives)


def test_a_description_survives_json_and_rebuilds_the_problem(problem):
    text = json.dumps(problem.describe(), sort_keys=True)
    again = make_problem(json.loads(text))
    assert again.describe() == problem.describe()
    assert again.space == problem.space
    assert again.objectives == problem.objectives
    designs = problem.space.sample(np.random.default_rng(4), 32)
    np.testing.assert_array_equal(
        again.evaluate(designs).objectives, problem.evaluate(designs).objectives
    )


def test_problems_travel_to_worker_processes(problem):
    designs = problem.space.sample(np.random.default_rng(5), 16)
    copy = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(
        copy.evaluate(designs).objectives, problem.evaluate(designs).objectives
    )


def test_a_network_file_is_known_by_its_digest_wherever_it_lies(tmp_path):
    def spec_of(path):
        problem = make_problem({"problem": "accelerator", "network": str(path)})
        return StudySpec.of(problem, "random", {}, seed=0, budget=1)

    first, moved = tmp_path / "net.csv", tmp_path / "moved" / "net.csv"
    moved.parent.mkdir()
    first.write_text(TOPOLOGY)
    moved.write_text(TOPOLOGY)
    stored = spec_of(first)
    assert make_problem(stored.problem).describe() == stored.problem
    assert stored.differences(spec_of(moved)) == []
    moved.write_text(TOPOLOGY.replace("64", "32"))
    assert "problem.network_sha256" in " ".join(stored.differences(spec_of(moved)))
    with pytest.raises(ProblemError, match="give the same file"):
        make_problem({**stored.problem, "network": str(moved)})


def test_a_network_object_is_described_but_not_rebuilt():
    network = load_network("resnet8")
    problem = AcceleratorProblem(network, SystolicSpace(load("edge"), {"rows": (8, 16)}))
    spec = json.loads(json.dumps(problem.describe()))
    assert spec["network"]["name"] == network.name
    with pytest.raises(ProblemError, match="handed over again"):
        make_problem(spec)
    again = make_problem({**spec, "network": network})
    assert again.describe() == problem.describe()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"netwrok": "resnet8"}, "did you mean network"),
        ({"network": "resnet9000"}, "unknown network"),
        ({"base": 7}, "must be a preset"),
        ({"base": {"rowz": 3}}, "rowz"),
        ({"knobs": {}}, "at least one"),
        ({"knobs": "rows"}, "lists of values"),
        ({"knobs": 5}, "lists of values"),
        ({"knobs": {"rows": 5}}, "lists of values"),
        ({"knobs": [["rows", [4]], ["rows", [8]]]}, "each once"),
        ({"knobs": {"rows": [0]}}, "rows"),
        ({"objectives": ["error"]}, "unknown objective"),
        ({"constraints": ["error<=1"]}, "unknown metric"),
        ({"constraints": 3}, "list of texts"),
        ({"mapping": "beauty"}, "unknown mapping objective"),
        ({"base": {"rows": 64, "input_sram_kib": 1}}, "is illegal"),
    ],
)
def test_ill_formed_specifications_are_refused_in_one_line(fields, message):
    with pytest.raises(DovetailError, match=message) as error:
        make_problem({**SPEC, "objectives": ["latency_ms"], "constraints": [], **fields})
    assert "\n" not in str(error.value)


def test_networks_and_bases_without_work_are_refused():
    small = SystolicArray(rows=1, cols=1, input_sram_kib=0.0625)
    with pytest.raises(ProblemError, match="cannot run the network"):
        AcceleratorProblem("alexnet", SystolicSpace(small, {"cols": (1, 2)}))
    with pytest.raises(ProblemError, match="the network: what must be in SRAM takes"):
        make_problem({**SPEC, "base": "ethos_u55_128", "network": "gpt2_decode"})
    with pytest.raises(UnknownNameError, match="did you mean edge"):
        make_problem({**SPEC, "base": "edgy"})


def test_a_lawful_design_without_a_tiling_is_infeasible_and_says_which_operator():
    space = SystolicSpace(
        SystolicArray(rows=1, cols=1), {"input_sram_kib": (0.0625, 64), "vector_lanes": (8,)}
    )
    problem = AcceleratorProblem("alexnet", space)
    evaluation = problem.evaluate(np.array([[0, 0], [1, 0]]))
    assert evaluation.feasible.tolist() == [False, True]
    assert np.isnan(evaluation.objectives[0]).all()
    assert "fits no tiling" in problem.reasons(np.array([0, 0]))[0]


def test_gymnasium_makes_it_and_both_checkers_are_silent():
    gymnasium.register_envs(dovetail.envs)
    fields = {k: v for k, v in SPEC.items() if k != "problem"}
    env = gymnasium.make("dovetail/Accelerator-v0", **fields)
    check_env(env.unwrapped)
    from stable_baselines3.common.env_checker import check_env as check

    check(DesignEnv(make_problem(SPEC)))
    again = env.spec.make()
    obs, _ = env.reset(seed=9)
    np.testing.assert_array_equal(again.reset(seed=9)[0], obs)
    gymnasium.make("dovetail/Accelerator-v0", **env.unwrapped.problem.describe())
    with pytest.raises(ProblemError, match="this environment's is 'accelerator'"):
        gymnasium.make("dovetail/Accelerator-v0", problem="codesign")
    with pytest.raises(DovetailError, match="constraint"):
        gymnasium.make("dovetail/Accelerator-v0", constraint=["area_mm2<=1"])


def test_gymnasium_makes_the_batch_and_it_equals_single_steps():
    fields = {k: v for k, v in SPEC.items() if k != "problem"}
    env = gymnasium.make_vec("dovetail/Accelerator-v0", num_envs=128, **fields)
    assert isinstance(env, DesignVectorEnv)
    weights, _ = env.reset(seed=0)
    env.action_space.seed(0)
    actions = env.action_space.sample()
    _, rewards, _, _, info = env.step(actions)
    single = DesignEnv(make_problem(SPEC))
    for i in range(0, 128, 8):
        single.reset(options={"preference": weights[i]})
        _, reward, _, _, own = single.step(actions[i])
        assert rewards[i] == pytest.approx(reward, rel=1e-6)
        assert own["violation"] == info["final_info"]["violation"][i]
        assert bool(own["reasons"]) == (own["violation"] > 0)
    env.close()
