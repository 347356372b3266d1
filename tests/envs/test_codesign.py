from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dovetail.arch.presets import load
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import DEFAULT_KNOBS
from dovetail.envs import make_problem
from dovetail.envs.codesign import CoDesignProblem
from dovetail.envs.design_env import DesignEnv
from dovetail.envs.vector_env import DesignVectorEnv
from dovetail.errors import DovetailError, ProblemError
from dovetail.networks.elastic import ElasticFamily
from tests.envs.test_accelerator import compare

HARDWARE = SystolicSpace(load("edge"), DEFAULT_KNOBS)


class StubOracle:
    """The smaller a network, the more errors."""

    def __init__(self, family):
        self.sizes = family.space.cardinalities
        self.calls = 0
        self.rows = 0

    samples = 450

    def errors(self, choices):
        self.calls += 1
        self.rows += len(choices)
        return 0.01 + 0.02 * (self.sizes - 1 - choices).sum(axis=1)


def stub_problem(family, **settings):
    return CoDesignProblem(family, StubOracle(family), HARDWARE, **settings)


@pytest.fixture(scope="module")
def problem():
    return stub_problem(ElasticFamily(), constraints=["error<=0.15", "area_mm2<=1"])


def test_batched_totals_equal_the_flow_design_by_design(problem):
    designs = problem.space.sample(np.random.default_rng(0), 80)
    evaluation = problem.evaluate(designs)
    legal = 0
    for row, design in enumerate(designs):
        choice, _ = problem.split(design[None])
        if problem.accelerator(design).validate():
            assert np.isnan(evaluation.objectives[row]).all()
            assert problem.reasons(design) == problem.accelerator(design).validate()
            continue
        legal += 1
        compare(problem, design, row, evaluation)
        assert evaluation.metrics["error"][row] == problem.oracle.errors(choice)[0]
    assert 0 < legal < 80


def test_knobs_say_whose_they_are(problem):
    names = problem.space.names
    assert len(set(names)) == len(names)
    assert names[0] == "network.resolution"
    assert names[-1] == "accelerator.clock_mhz"
    assert problem.space.size > 1e9


def test_illegal_designs_are_neither_simulated_nor_measured(problem, monkeypatch):
    designs = problem.space.sample(np.random.default_rng(1), 500)
    legal = problem.hardware.violations(problem.split(designs)[1]) <= 0
    seen = []
    inner = type(problem.work).metrics
    monkeypatch.setattr(
        type(problem.work),
        "metrics",
        lambda self, choices, rows: seen.append(len(rows)) or inner(self, choices, rows),
    )
    problem.oracle.rows = 0
    evaluation = problem.evaluate(designs)
    assert seen == [legal.sum()]
    assert problem.oracle.rows == legal.sum() < 500
    assert (evaluation.violation[~legal] > 0).all()
    scores = evaluation.scalar(np.full(4, 0.25))
    assert scores[~legal].max() < scores[evaluation.feasible].min()


def test_equal_designs_cost_one_simulation(problem):
    designs = np.repeat(problem.space.sample(np.random.default_rng(2), 20), 50, axis=0)
    problem.oracle.rows = 0
    evaluation = problem.evaluate(designs)
    assert problem.oracle.rows <= 20
    np.testing.assert_array_equal(evaluation.violation[::50], evaluation.violation[49::50])


def test_thousands_of_designs_are_one_call_each_way(problem):
    env = DesignVectorEnv(problem, 4096)
    env.reset(seed=0)
    env.action_space.seed(0)
    problem.oracle.calls = 0
    env.step(env.action_space.sample())
    assert problem.oracle.calls == 1


def test_both_checkers_are_silent(problem):
    check_env(DesignEnv(problem), skip_render_check=True)
    from stable_baselines3.common.env_checker import check_env as check

    check(DesignEnv(problem))


def test_maskable_ppo_searches_it(problem):
    from sb3_contrib import MaskablePPO

    from dovetail.envs.sb3_vec_env import DesignVecEnv

    env = DesignVecEnv(problem, 256)
    model = MaskablePPO("MlpPolicy", env, n_steps=1, batch_size=256, n_epochs=1, seed=0)
    model.learn(512)
    assert np.isfinite(env.evaluation.scalar(np.full(4, 0.25))).all()


def test_a_problem_made_of_objects_is_described_but_not_rebuilt(problem):
    spec = json.loads(json.dumps(problem.describe()))
    assert spec["oracle"] == "StubOracle"
    with pytest.raises(DovetailError, match="unknown specification field 'oracle'"):
        make_problem(spec)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objectives": ["latency"]}, "did you mean latency_ms"),
        ({"constraints": ["error"]}, "METRIC<=NUMBER"),
        ({"epoch": 3}, "did you mean epochs"),
        ({"epochs": "3"}, "must be a whole number"),
        ({"seed": None}, "must be a whole number"),
        ({"dataset": 3}, "must be a text"),
        ({"dataset": "digitz"}, "neither"),
        ({"dataset_sha256": "0" * 64}, "give the same data"),
        ({"training": {"epoch": 1}}, "did you mean epochs"),
        ({"training": {"epochs": 1.5}}, "must be a whole number"),
        ({"training": {"learning_rate": "fast"}}, "must be a number"),
        ({"training": 3}, "must be values by name"),
        ({"family": {"depths": [1]}}, "family has fields"),
    ],
)
def test_ill_formed_specifications_are_refused_before_any_training(fields, message):
    with pytest.raises(DovetailError, match=message) as error:
        make_problem({"problem": "codesign", **fields})
    assert "\n" not in str(error.value)


def test_a_trained_supernet_is_cached_and_rebuilt_through_gymnasium(tmp_path):
    family = ElasticFamily(1, 10, (4, 8), ((4, 8),), (1, 2), (3,), (4, 8), (8,))
    fields = {
        "family": family.to_dict(),
        "epochs": 1,
        "cache": str(tmp_path),
        "objectives": ["error", "latency_ms"],
        "knobs": {"rows": [8, 16, 128], "dataflow": ["ws", "os"]},
    }
    env = gymnasium.make("dovetail/CoDesign-v0", **fields).unwrapped
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    check_env(env)
    batch = gymnasium.make_vec("dovetail/CoDesign-v0", num_envs=64, **fields)
    assert file.stat().st_mtime_ns == written
    designs = env.problem.space.sample(np.random.default_rng(0), 64)
    batch.reset(seed=0)
    final = batch.step(designs)[4]["final_info"]
    np.testing.assert_array_equal(final["objectives"], env.problem.evaluate(designs).objectives)
    spec = json.loads(json.dumps(env.problem.describe(), sort_keys=True))
    assert "cache" not in spec
    again = make_problem({**spec, "cache": str(tmp_path)})
    assert again.describe() == env.problem.describe()
    assert file.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.evaluate(designs).objectives, final["objectives"])
    env.problem.oracle.save()
    assert make_problem({**spec, "cache": str(tmp_path)}).oracle.oracle.measured > 0
    one, two = (make_problem({**spec, "cache": str(tmp_path)}).oracle for _ in range(2))
    fresh = np.argwhere(one.oracle.correct.reshape(family.space.cardinalities) < 0)[:4]
    one.errors(fresh[:2])
    two.errors(fresh[2:])
    one.save()
    two.save()  # as processes that share a cache do: neither's results are lost
    known = make_problem({**spec, "cache": str(tmp_path)}).oracle.oracle
    assert known.measured == env.problem.oracle.oracle.measured + len(fresh)
    file.write_bytes(b"torn")
    two.save()
    assert make_problem({**spec, "cache": str(tmp_path)}).oracle.oracle.measured == known.measured
    with pytest.raises(ProblemError, match="give the same data"):
        make_problem({**spec, "dataset_sha256": "1" * 64, "cache": str(tmp_path)})
