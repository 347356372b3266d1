from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest

import dovetail.envs  # noqa: F401  registers
from dovetail.cli.problem_options import NAMES
from dovetail.envs.design_env import DesignEnv
from dovetail.envs.vector_reward import VectorRewardEnv, VectorRewardVectorEnv
from tests.agents.toy import ToyProblem


def test_weighted_rewards_sum_to_the_scalar_reward() -> None:
    problem = ToyProblem()
    vector, scalar = VectorRewardEnv(problem), DesignEnv(problem)
    designs = problem.space.sample(np.random.default_rng(0), 60)
    feasible = 0
    for seed, design in enumerate(designs):
        weights, _ = vector.reset(seed=seed)
        assert np.array_equal(weights, scalar.reset(seed=seed)[0])
        observed, reward, terminated, truncated, info = vector.step(design)
        assert vector.reward_space.contains(reward)
        assert (terminated, truncated) == (True, False)
        assert np.array_equal(observed, weights)
        if info["feasible"]:
            assert reward == pytest.approx(np.clip(-info["objectives"], -4, 4), abs=1e-6)
            feasible += bool((np.abs(info["objectives"]) <= 4).all())
        else:
            assert (reward == reward[0]).all()
            assert -10 <= reward[0] <= -5
        if not info["feasible"] or (np.abs(info["objectives"]) <= 4).all():
            assert reward @ weights == pytest.approx(scalar.step(design)[1], abs=1e-4)
    assert 10 < feasible < 60


def test_made_by_name_it_passes_the_checks_of_gymnasium_under_a_linear_reward() -> None:
    """As MO-Gymnasium tests its own environments, in a process without our strict warnings."""
    pytest.importorskip("mo_gymnasium", reason="mo-gymnasium is not installed")
    code = (
        "import numpy as np, mo_gymnasium, dovetail.envs\n"
        "from mo_gymnasium.wrappers import LinearReward\n"
        "from gymnasium.utils.env_checker import check_env\n"
        "env = mo_gymnasium.make('dovetail/Accelerator-MO-v0', network='resnet8')\n"
        "assert env.unwrapped.reward_space.shape == (env.unwrapped.reward_dim,)\n"
        "check_env(LinearReward(env, np.ones(env.unwrapped.reward_dim)),"
        " skip_render_check=True)\n"
        "print('checked')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("checked"), done.stderr


def test_gymnasium_makes_it_too() -> None:
    env = gymnasium.make("dovetail/Accelerator-MO-v0", network="resnet8")
    env.reset(seed=0)
    _, reward, *_ = env.step(env.action_space.sample())
    assert np.shape(reward) == env.unwrapped.reward_space.shape


def test_batches_give_the_rewards_of_single_designs() -> None:
    problem = ToyProblem()
    batch, single = VectorRewardVectorEnv(problem, 40), VectorRewardEnv(problem)
    designs = problem.space.sample(np.random.default_rng(0), 40)
    batch.reset(seed=0)
    _, rewards, terminations, _, info = batch.step(designs)
    assert rewards.shape == (40, batch.reward_dim)
    assert terminations.all()
    assert 0 < info["final_info"]["feasible"].sum() < 40
    for design, reward in zip(designs, rewards, strict=True):
        single.reset(seed=0)
        assert batch.reward_space.contains(reward)
        assert np.array_equal(single.step(design)[1], reward)


def test_gymnasium_makes_batches_and_search_knows_the_names() -> None:
    env = gymnasium.make_vec("dovetail/Accelerator-MO-v0", num_envs=3, network="resnet8")
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[1].shape == (3, env.unwrapped.reward_dim)
    registered = {name for name in gymnasium.registry if str(name).startswith("dovetail/")}
    assert {name for name in registered if "-MO-" in name} <= set(NAMES)
    assert NAMES["dovetail/NasBench201-MO-v0"] == "nasbench201"
