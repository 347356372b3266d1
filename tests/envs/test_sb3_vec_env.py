from __future__ import annotations

import numpy as np
import pytest

from dovetail.envs.design_env import DesignEnv
from dovetail.envs.sb3_vec_env import DesignVecEnv
from dovetail.errors import ProblemError
from tests.envs.toy import ToyProblem


class Counting(DesignVecEnv):
    """Remembers every design that an agent tried."""

    def __init__(self, *args, **kwargs):
        self.seen = []
        super().__init__(*args, **kwargs)

    def step_async(self, actions):
        self.seen.append(np.array(actions))
        super().step_async(actions)


def test_ppo_learns_for_two_updates():
    from stable_baselines3 import PPO

    problem = ToyProblem()
    env = Counting(problem, 64)
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(512)
    assert len(env.seen) == 8
    assert problem.calls == 8
    again = Counting(ToyProblem(), 64)
    PPO("MlpPolicy", again, n_steps=4, batch_size=64, n_epochs=1, seed=0, device="cpu").learn(512)
    np.testing.assert_array_equal(env.seen, again.seen)


def test_maskable_ppo_never_tries_a_masked_value():
    from sb3_contrib import MaskablePPO

    env = Counting(ToyProblem(), 64)
    model = MaskablePPO("MlpPolicy", env, n_steps=4, batch_size=64, n_epochs=1, seed=0)
    model.learn(512)
    seen = np.concatenate(env.seen)
    assert len(seen) == 512
    assert seen[:, 0].max() == 3


@pytest.mark.parametrize("reuse", [True, False])
def test_step_follows_the_conventions(reuse):
    problem = ToyProblem()
    env = DesignVecEnv(problem, 40, reuse_infos=reuse)
    env.seed(7)
    first = env.reset()
    grid = np.stack([axis.ravel() for axis in np.indices(problem.space.cardinalities)], axis=1)
    second, rewards, dones, infos = env.step(grid)
    assert rewards.dtype == np.float32
    assert dones.all()
    np.testing.assert_array_equal([i["terminal_observation"] for i in infos], first)
    assert (first != second).any()
    single = DesignEnv(problem)
    for i, design in enumerate(grid):
        single.reset(options={"preference": first[i]})
        _, reward, _, _, info = single.step(design)
        assert rewards[i] == pytest.approx(reward, rel=1e-5)
        if not reuse:
            assert infos[i]["metrics"] == info["metrics"]
            assert infos[i]["legal"] == info["legal"]
    np.testing.assert_array_equal(env.designs, grid)
    assert env.evaluation.objectives.shape == (40, 2)
    _, _, _, later = env.step(grid)
    assert (later is infos) == reuse
    np.testing.assert_array_equal([i["terminal_observation"] for i in later], second)
    env.seed(7)
    np.testing.assert_array_equal(env.reset(), first)
    env.close()


def test_sub_environments_answer_alike():
    env = DesignVecEnv(ToyProblem(), 3, preference=[1, 0])
    masks = env.env_method("action_masks")
    assert np.stack(masks).shape == (3, 11)
    assert env.has_attr("action_masks")
    assert not env.has_attr("brakes")
    assert env.get_attr("render_mode", indices=[0, 2]) == [None, None]
    assert env.env_is_wrapped(object, indices=1) == [False]
    np.testing.assert_array_equal(env.reset(), [[1, 0]] * 3)
    env.set_options([{}, {"preference": [1, 1]}, {}])
    np.testing.assert_array_equal(env.reset(), [[1, 0], [0.5, 0.5], [1, 0]])
    np.testing.assert_array_equal(env.reset(), [[1, 0]] * 3)


def test_refusals():
    env = DesignVecEnv(ToyProblem(), 3)
    with pytest.raises(ProblemError, match="step_async first"):
        env.step_wait()
    with pytest.raises(ProblemError, match="constructor"):
        env.set_attr("problem", None)
    with pytest.raises(ProblemError, match="takes 3"):
        env.step(np.zeros((2, 3), dtype=np.int64))
    with pytest.raises(ProblemError, match="the batch's own reset"):
        env.env_method("reset")
    with pytest.raises(ProblemError, match="num_envs 0"):
        DesignVecEnv(ToyProblem(), 0)


def test_monitor_wraps_it():
    from stable_baselines3.common.vec_env import VecMonitor

    env = VecMonitor(DesignVecEnv(ToyProblem(), 4))
    env.reset()
    _, rewards, _, infos = env.step(np.zeros((4, 3), dtype=np.int64))
    assert infos[2]["episode"]["r"] == pytest.approx(rewards[2], rel=1e-5)
