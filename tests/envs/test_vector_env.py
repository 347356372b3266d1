from __future__ import annotations

import time

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from dovetail.envs.design_env import DesignEnv
from dovetail.envs.vector_env import DesignVectorEnv
from dovetail.errors import ProblemError
from tests.envs.toy import ToyProblem


def test_equals_gymnasiums_own_batch_of_single_environments():
    n, weights = 32, [0.3, 0.7]
    ours = DesignVectorEnv(ToyProblem(), n, preference=weights)
    theirs = SyncVectorEnv(
        [lambda: DesignEnv(ToyProblem(), preference=weights)] * n,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    ours.action_space.seed(0)
    actions = ours.action_space.sample()
    mine, reference = ours.step(actions), theirs.step(actions)
    for a, b in zip(mine[:4], reference[:4], strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    _same_info(mine[4], reference[4])


def _same_info(ours, reference):
    assert set(reference) - set(ours) <= {"reasons", "_reasons"}
    assert set(ours) <= set(reference)
    for key, value in ours.items():
        if isinstance(value, dict):
            _same_info(value, reference[key])
        elif value.dtype == object:
            np.testing.assert_array_equal(np.stack(value), np.stack(reference[key]))
        else:
            mask = ours[f"_{key}"] if not key.startswith("_") else slice(None)
            np.testing.assert_array_equal(value[mask], reference[key][mask])


def test_every_design_equals_its_own_environment():
    problem = ToyProblem()
    vector = DesignVectorEnv(problem, 40)
    single = DesignEnv(problem)
    grid = np.stack([axis.ravel() for axis in np.indices(problem.space.cardinalities)], axis=1)
    weights, _ = vector.reset(seed=5)
    _, rewards, terminated, truncated, info = vector.step(grid)
    assert terminated.all()
    assert not truncated.any()
    final = info["final_info"]
    for i, design in enumerate(grid):
        single.reset(options={"preference": weights[i]})
        _, reward, _, _, own = single.step(design)
        assert reward == pytest.approx(rewards[i], rel=1e-6)
        assert own["legal"] == final["legal"][i] == final["metrics"]["_latency_ms"][i]
        assert own["violation"] == final["violation"][i]
        if own["legal"]:
            assert own["metrics"]["latency_ms"] == final["metrics"]["latency_ms"][i]
            np.testing.assert_array_equal(own["objectives"], final["objectives"][i])


def test_step_observes_the_next_preferences_and_keeps_the_old_ones_in_info():
    env = DesignVectorEnv(ToyProblem(), 16)
    first, info = env.reset(seed=1)
    assert info == {}
    second, *_, info = env.step(np.zeros((16, 3), dtype=np.int64))
    np.testing.assert_array_equal(np.stack(info["final_obs"]), first)
    assert (first != second).all()
    third, *_, info = env.step(np.zeros((16, 3), dtype=np.int64))
    np.testing.assert_array_equal(np.stack(info["final_obs"]), second)
    again, _ = env.reset(seed=1)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(env.step(np.zeros((16, 3), dtype=np.int64))[0], second)
    assert not np.shares_memory(second, third)


def test_thousands_of_designs_cost_one_evaluation():
    problem = ToyProblem()
    env = DesignVectorEnv(problem, 4096)
    env.reset(seed=0)
    actions = problem.space.sample(np.random.default_rng(0), 4096)
    problem.calls = 0
    start = time.perf_counter()
    for _ in range(10):
        env.step(actions)
    assert problem.calls == 10
    assert time.perf_counter() - start < 2


def test_rows_of_preferences_and_refusals():
    rows = np.eye(2)[[0, 1, 0]]
    env = DesignVectorEnv(ToyProblem(), 3, preference=rows)
    np.testing.assert_array_equal(env.reset()[0], rows)
    np.testing.assert_allclose(env.reset(options={"preference": [1, 1]})[0], 0.5)
    with pytest.raises(ProblemError, match="takes 3"):
        env.step(np.zeros((4, 3), dtype=np.int64))
    with pytest.raises(ProblemError, match="num_envs 0"):
        DesignVectorEnv(ToyProblem(), 0)
    with pytest.raises(ProblemError, match="one weight for each"):
        DesignVectorEnv(ToyProblem(), 4, preference=rows)
    with pytest.raises(gymnasium.error.ResetNeeded):
        DesignVectorEnv(ToyProblem(), 3).step(np.zeros((3, 3), dtype=np.int64))
    assert env.action_masks().shape == (3, 11)
    env.close()
    env.close()


def test_gymnasiums_vector_wrappers_accept_it():
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(DesignVectorEnv(ToyProblem(), 8))
    env = gymnasium.wrappers.vector.DictInfoToList(env)
    env.reset(seed=0)
    _, rewards, _, _, infos = env.step(np.zeros((8, 3), dtype=np.int64))
    assert len(infos) == 8
    assert infos[3]["episode"]["r"] == rewards[3]
    assert infos[3]["final_info"]["metrics"]["latency_ms"] == 100.0
