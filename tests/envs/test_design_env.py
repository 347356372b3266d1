from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.envs.design_env import DesignEnv
from dovetail.errors import ProblemError
from tests.envs.toy import ToyProblem

LAWLESS = np.array([4, 3, 0])
HEAVY = np.array([2, 3, 0])  # 64 cells: lawful, but above the area constraint
GOOD = np.array([3, 2, 0])  # 32 cells


def toy_env(**kwargs):
    return DesignEnv(ToyProblem(), **kwargs)


@pytest.fixture(scope="module", autouse=True)
def registered():
    gymnasium.register("dovetail-test/Toy-v0", entry_point=toy_env)
    yield
    del gymnasium.registry["dovetail-test/Toy-v0"]


@pytest.mark.parametrize("seed", range(8))
def test_gymnasium_checker_has_nothing_to_say(seed):
    env = gymnasium.make("dovetail-test/Toy-v0").unwrapped
    env.action_space.seed(seed)
    check_env(env)


def test_sb3_checker_has_nothing_to_say():
    from stable_baselines3.common.env_checker import check_env as check

    check(toy_env())


def test_seed_reproduces_and_draws_from_the_simplex():
    env = toy_env()
    first = [env.reset(seed=3)[0], *(env.reset()[0] for _ in range(20))]
    second = [env.reset(seed=3)[0], *(env.reset()[0] for _ in range(20))]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(np.sum(first, axis=1), 1, rtol=1e-6)
    assert len({float(obs[0]) for obs in first}) == 21


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 39), st.tuples(st.floats(1e-3, 1), st.just(0.0) | st.floats(1e-3, 1)))
def test_reward_is_the_scalar_under_the_observed_weights(index, weights):
    env = toy_env()
    design = np.array(np.unravel_index(index, env.problem.space.cardinalities))
    obs, info = env.reset(options={"preference": weights})
    assert info == {}
    np.testing.assert_allclose(obs, np.array(weights) / sum(weights), rtol=1e-6)
    after, reward, terminated, truncated, info = env.step(design)
    expected = ToyProblem().evaluate(design[None]).scalar(obs.astype(np.float64))[0]
    assert type(reward) is float
    assert reward == expected
    assert terminated is True
    assert truncated is False
    np.testing.assert_array_equal(after, obs)
    assert info["feasible"] == (reward >= -4) == (not info["reasons"]) == (info["violation"] == 0)
    assert ("objectives" in info) == info["legal"] == bool(info["metrics"])


def test_info_says_what_a_design_costs_and_why_it_is_not_feasible():
    env = toy_env(preference=[1, 1])
    env.reset()
    good = env.step(GOOD)[-1]
    assert good["metrics"] == {"latency_ms": 100 / 32, "area_mm2": 32.0}
    assert good["legal"]
    assert good["reasons"] == []
    heavy = env.step(HEAVY)[-1]
    assert heavy["legal"]
    assert not heavy["feasible"]
    assert heavy["violation"] == pytest.approx(64 / 40 - 1)
    assert heavy["reasons"] == ["area_mm2 = 64 breaks area_mm2<=40.0"]
    lawless = env.step(LAWLESS)[-1]
    assert not lawless["legal"]
    assert lawless["violation"] == pytest.approx(2048 / 64 - 1)
    assert data_equivalence(lawless, env.step(LAWLESS)[-1], exact=True)  # NaN would not be
    assert lawless["reasons"] == ["2048 cells exceed 64: reduce rows or cols"]


def test_a_fixed_preference_holds_and_reset_overrides_it_once():
    env = toy_env(preference=[3, 1])
    np.testing.assert_allclose(env.reset()[0], [0.75, 0.25])
    np.testing.assert_allclose(env.reset(options={"preference": [0, 5]})[0], [0, 1])
    np.testing.assert_allclose(env.reset()[0], [0.75, 0.25])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preference": [1]}, "one weight for each of the 2"),
        ({"preference": [0, 0]}, "one at least > 0"),
        ({"preference": [-1, 2]}, "must be >= 0"),
        ({"preference": [float("nan"), 1]}, "must be >= 0"),
        ({"preference": "both"}, "must be 2 numbers"),
        ({"preferences": [1, 1]}, "unknown reset option 'preferences'"),
    ],
)
def test_ill_formed_options_are_refused_in_one_line(options, message):
    with pytest.raises(ProblemError, match=message) as error:
        toy_env().reset(options=options)
    assert "\n" not in str(error.value)


def test_steps_that_make_no_sense_are_refused():
    env = toy_env()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(GOOD)
    env.reset()
    with pytest.raises(ProblemError, match="outside"):
        env.step(np.array([9, 0, 0]))
    with pytest.raises(ProblemError, match="shape"):
        env.step(np.array([0, 0]))
    with pytest.raises(ProblemError, match="render_mode"):
        toy_env(render_mode="human")


def test_masked_values_are_never_lawful_and_others_sometimes_are():
    env = toy_env()
    sizes = env.problem.space.cardinalities
    grid = np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1)
    legal = ~np.isnan(env.problem.evaluate(grid).objectives).any(axis=1)
    masks = np.split(env.action_masks(), np.cumsum(sizes)[:-1])
    for knob, mask in enumerate(masks):
        for value, allowed in enumerate(mask):
            assert legal[grid[:, knob] == value].any() == allowed


def test_ansi_rendering_shows_the_last_design():
    env = toy_env(render_mode="ansi")
    env.reset()
    assert "no design yet" in env.render()
    env.step(GOOD)
    assert "rows=8 cols=4 flow=ws" in env.render()
    assert "latency_ms=3.125" in env.render()
    env.step(LAWLESS)
    assert "2048 cells exceed 64" in env.render()
    assert toy_env().render() is None


def test_envs_import_without_the_learning_libraries():
    code = (
        "import sys, dovetail.envs;"
        "assert not {'torch', 'stable_baselines3', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
