"""Masks that follow coupled laws: no unlawful design is reached, and every lawful one is."""

from __future__ import annotations

import dataclasses
import warnings
from itertools import product

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import dovetail  # noqa: F401  registers the environments
from dovetail.envs.accelerator import AcceleratorProblem
from dovetail.envs.knob_by_knob import SPOILED, Episodes, KnobByKnobEnv
from dovetail.envs.lawful import SMALL, Lawful, Lawgiver
from dovetail.envs.problem import DesignProblem
from dovetail.envs.registry import make_problem
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray
from tests.studies.toy import ToyProblem

TIGHT: dict[str, object] = {
    "problem": "accelerator",
    "network": "resnet8",
    "knobs": {
        "rows": [8, 32, 64], "clock_mhz": [250, 500], "cols": [8, 64, 128],
        "input_bits": [4, 8, 16], "input_sram_kib": [1, 2, 8], "weight_sram_kib": [1, 8, 32],
        "output_sram_kib": [1, 2, 64],
    },
}  # fmt: skip
RTL: dict[str, object] = {
    **TIGHT,
    "base": {"machine": "rtl", "fold_overlap": "full", "rows": 8, "cols": 8, "bus_bits": 32},
    "knobs": {
        "rows": [4, 6, 8], "cols": [4, 8, 12], "dataflow": ["ws", "os"], "input_bits": [2, 4, 8],
        "weight_bits": [2, 8], "bus_bits": [8, 32, 64], "weight_sram_kib": [1, 32],
        "output_sram_kib": [1, 32], "clock_mhz": [250, 500],
    },
}  # fmt: skip


def everything(problem: DesignProblem) -> IntArray:
    return np.array(list(product(*(range(n) for n in problem.space.cardinalities))))


def lawful(problem: DesignProblem, designs: IntArray) -> BoolArray:
    assert isinstance(problem, Lawgiver)
    kept: BoolArray = problem.excess(designs) <= 0
    return kept


def reached(problem: DesignProblem) -> IntArray:
    """All designs that masks allow, by following each allowed value of each knob."""
    laws = Lawful(problem)
    assert laws.exact
    begun = np.zeros((1, 0), dtype=np.int64)
    for _ in problem.space.knobs:
        rows, values = np.nonzero(laws.masks(begun))
        begun = np.column_stack([begun[rows], values])
    return begun


@pytest.mark.parametrize("spec", [TIGHT, RTL], ids=["ideal", "rtl"])
def test_masks_reach_exactly_the_lawful_designs(spec: dict[str, object]) -> None:
    problem = make_problem(spec)
    designs = everything(problem)
    kept = lawful(problem, designs)
    assert 0.02 < kept.mean() < 0.9
    found = reached(problem)
    assert found.tolist() == designs[kept].tolist()
    # Masks per knob cannot: a product of allowed values holds unlawful designs.
    alone = [mask[column] for mask, column in zip(problem.masks(), designs.T, strict=True)]
    assert np.logical_and.reduce(alone).sum() > kept.sum()


def test_knobs_that_laws_do_not_speak_of_change_no_verdict() -> None:
    rng = np.random.default_rng(0)
    for spec in (TIGHT, RTL):
        problem = make_problem(spec)
        assert isinstance(problem, AcceleratorProblem)
        free = sorted(set(range(len(problem.space.knobs))) - set(problem.bound))
        assert [problem.space.names[k] for k in free] == ["clock_mhz"]
        designs = problem.space.sample(rng, 2000)
        others = designs.copy()
        others[:, free] = problem.space.sample(rng, 2000)[:, free]
        assert np.array_equal(lawful(problem, designs), lawful(problem, others))


def test_a_problem_that_does_not_tell_its_laws_is_tried_out() -> None:
    problem = ToyProblem()
    assert not isinstance(problem, Lawgiver)
    assert problem.space.size <= SMALL
    designs = everything(problem)
    feasible = designs[problem.evaluate(designs).feasible]
    assert reached(problem).tolist() == feasible.tolist()
    assert len(feasible) < len(designs)


@dataclasses.dataclass(frozen=True)
class Large(ToyProblem):
    """Tells its laws, and that only few designs can be checked."""

    enumerable: int = 3
    bound: tuple[int, ...] = (0, 1)
    allowed: float = 1024.0

    def excess(self, designs: IntArray) -> FloatArray:
        rows, cols = (self.space.numeric(name, designs) for name in ("rows", "cols"))
        return np.maximum(0.0, rows * cols / self.allowed - 1)


def test_where_too_many_combinations_exist_masks_are_per_knob_and_say_so() -> None:
    laws = Lawful(Large())
    assert not laws.exact
    begun = np.zeros((2, 1), dtype=np.int64)
    assert laws.masks(begun).tolist() == [Large().masks()[1].tolist()] * 2
    assert Lawful(Large(enumerable=25)).exact
    with pytest.raises(ProblemError, match="no design of 'toy' is lawful"):
        Lawful(Large(enumerable=25, allowed=1.0))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_walk_along_the_masks_ends_at_a_lawful_design(data: st.DataObject) -> None:
    problem = PROBLEM
    env = KnobByKnobEnv(problem)
    env.reset(seed=data.draw(st.integers(0, 100)))
    info: dict[str, object] = {}
    for number in range(len(problem.space.knobs)):
        allowed = np.flatnonzero(env.action_masks())
        action = data.draw(st.sampled_from(allowed.tolist()))
        seen, reward, done, cut, info = env.step(action)
        assert seen in env.observation_space
        assert (done, cut) == (number == len(problem.space.knobs) - 1, False)
        assert done or (reward, info) == (0.0, {})
    assert info["legal"], info
    assert -10 <= float(reward) <= 4


PROBLEM = make_problem(TIGHT)


def test_another_knobs_value_spoils_the_episode_only() -> None:
    env = KnobByKnobEnv(PROBLEM)
    env.reset(seed=0)
    last = PROBLEM.space.cardinalities.sum() - 1
    for _ in PROBLEM.space.knobs:
        _, reward, done, _, info = env.step(last)
    assert (reward, done, info["legal"], info["feasible"]) == (SPOILED, True, False, False)
    assert info["reasons"] == ["a knob was given another knob's value"]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        KnobByKnobEnv(PROBLEM).action_masks()
    env.reset()
    with pytest.raises(ProblemError, match="must be one of Discrete"):
        env.step(last + 1)


def test_it_is_registered_and_passes_gymnasiums_check() -> None:
    fields = {key: value for key, value in TIGHT.items() if key != "problem"}
    env = gymnasium.make("dovetail/KnobByKnob-v0", problem="accelerator", **fields)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*render.*")
        check_env(env.unwrapped, skip_render_check=True)


def test_it_passes_stable_baselines_check() -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(KnobByKnobEnv(PROBLEM))


def test_the_batch_is_the_single_environment_many_times() -> None:
    pytest.importorskip("stable_baselines3")
    from dovetail.envs.knob_vec_env import KnobByKnobVecEnv

    weights = [0.5, 0.3, 0.2]
    batch = KnobByKnobVecEnv(PROBLEM, 5, preference=weights)
    singles = [KnobByKnobEnv(PROBLEM, preference=weights) for _ in range(5)]
    rng = np.random.default_rng(0)
    for _ in range(2):
        seen = batch.reset()
        first = [env.reset()[0] for env in singles]
        assert np.array_equal(seen, first)
        for _ in PROBLEM.space.knobs:
            masks = np.stack(batch.env_method("action_masks"))
            assert np.array_equal(masks, [env.action_masks() for env in singles])
            actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
            seen, rewards, done, infos = batch.step(actions)
            steps = [env.step(a) for env, a in zip(singles, actions, strict=True)]
            assert np.allclose(rewards, [step[1] for step in steps])
            assert done.tolist() == [step[2] for step in steps]
            ends = [
                info.get("terminal_observation", row) for info, row in zip(infos, seen, strict=True)
            ]
            assert np.array_equal(ends, [step[0] for step in steps])
        assert batch.designs is not None
        assert lawful(PROBLEM, batch.designs).all()
    with pytest.raises(ProblemError, match="must be 5 indices"):
        batch.step(np.zeros(4, dtype=np.int64))
    with pytest.raises(ProblemError, match="only action_masks"):
        batch.env_method("reset")


def test_maskable_ppo_of_sb3_contrib_learns_in_it_and_keeps_all_laws() -> None:
    contrib = pytest.importorskip("sb3_contrib")
    from dovetail.envs.knob_vec_env import KnobByKnobVecEnv

    env = KnobByKnobVecEnv(PROBLEM, 64)
    knobs = len(PROBLEM.space.knobs)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=knobs, n_epochs=2, seed=0)
    designs: list[IntArray] = []

    class Collect:
        """Keeps every design that ended."""

        def __call__(self, *_: object) -> bool:
            if env.designs is not None:
                designs.append(env.designs.copy())
            return True

    model.learn(64 * knobs * 4, callback=Collect())
    assert lawful(PROBLEM, np.concatenate(designs)).all()


def test_the_agent_keeps_coupled_laws_and_reaches_every_lawful_design() -> None:
    pytest.importorskip("sb3_contrib")
    from dovetail.agents.base import make_agent

    problem = make_problem(RTL)
    kept = everything(problem)
    kept = kept[lawful(problem, kept)]
    agent = make_agent("maskable_ppo", problem, 0, {"batch": 512, "epochs": 1, "entropy_end": 1.0})
    asked = []
    for _ in range(12):
        designs = agent.ask()
        assert lawful(problem, designs).all()
        agent.tell(designs, problem.evaluate(designs))
        asked.append(designs)
    seen = np.unique(np.concatenate(asked), axis=0)
    # As many as uniform choices along the masks would see, nearly: nothing is out of reach.
    episodes = Episodes(problem, Lawful(problem), np.full((6144, 3), 1 / 3))
    rng = np.random.default_rng(0)
    while not episodes.done:
        masks = episodes.masks()
        episodes.set((rng.random(masks.shape) * masks).argmax(axis=1))
    assert len(seen) > 0.9 * len(np.unique(episodes.designs, axis=0))
