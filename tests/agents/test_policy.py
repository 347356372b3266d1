"""PPO and MaskablePPO: the distribution they share, masks, learning, isolation from outside."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.preferences import centred_ranks, mixed_preferences, preference_set
from dovetail.errors import ProblemError
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

torch = pytest.importorskip("torch")
pytest.importorskip("sb3_contrib")

SMALL: dict[str, object] = {"batch": 64, "epochs": 2}


@pytest.mark.parametrize("masked", [False, True])
def test_padded_distribution_equals_that_of_the_library(masked: bool) -> None:
    from sb3_contrib.common.maskable.distributions import MaskableMultiCategoricalDistribution

    from dovetail.agents.distribution import PaddedCategorical

    dims = [3, 5, 1, 2]
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(7, len(dims) * max(dims), generator=draw)
    parts = logits.view(7, len(dims), max(dims))
    flat = torch.cat([parts[:, i, :d] for i, d in enumerate(dims)], dim=1)
    mask = torch.rand(7, sum(dims), generator=draw) < 0.6
    mask[:, [0, 3, 8, 9]] = True
    ours = PaddedCategorical(dims).proba_distribution(logits)
    theirs = MaskableMultiCategoricalDistribution(dims).proba_distribution(flat)
    for distribution in (ours, theirs):
        distribution.apply_masking(mask if masked else None)
    actions = ours.sample()
    assert (actions < torch.tensor(dims)).all()
    assert torch.allclose(ours.log_prob(actions), theirs.log_prob(actions))
    assert torch.allclose(ours.entropy(), theirs.entropy())
    assert torch.equal(ours.mode(), theirs.mode())


def test_masked_values_are_never_asked() -> None:
    problem = ToyProblem()
    trace = run(problem, "maskable_ppo", seed=0, budget=2000, settings=SMALL)
    for column, mask in enumerate(problem.masks()):
        assert mask[trace.designs[:, column]].all()
    free = run(problem, "ppo", seed=0, budget=64, settings=SMALL)
    assert not problem.masks()[7][free.designs[:, 7]].all()


def test_learns_to_ask_feasible_designs() -> None:
    problem = ToyProblem()
    trace = run(problem, "ppo", seed=0, budget=6000)
    feasible = problem.evaluate(trace.designs).feasible
    assert feasible[-512:].mean() > 0.8 > 0.45 > feasible[:256].mean()


def test_best_reward_beats_random_for_every_preference() -> None:
    problem = ToyProblem()
    chance = np.median([run(problem, "random", seed, 20_000).best for seed in range(3)], axis=0)
    assert (run(problem, "ppo", 0, 20_000).best > chance).all()


def test_other_designs_than_asked_are_refused() -> None:
    problem = ToyProblem()
    agent = make_agent("ppo", problem, 0, SMALL)
    designs = agent.ask()
    with pytest.raises(ProblemError, match="asked last"):
        agent.tell(designs[::-1], problem.evaluate(designs[::-1]))


def test_preferences_are_positive_and_sum_to_one() -> None:
    for m, count in ((1, 1), (2, 3), (3, 7), (4, 11)):
        fixed = preference_set(m)
        assert fixed.shape == (count, m)
        assert len(np.unique(fixed.round(9), axis=0)) == count
        drawn = mixed_preferences(np.random.default_rng(0), 40, m, 0.5)
        for weights in (fixed, drawn):
            assert (weights > 0).all()
            assert np.allclose(weights.sum(axis=1), 1.0)
    with pytest.raises(ProblemError, match="impossible"):
        preference_set(0)


def test_centred_ranks_ignore_scale_and_average_ties() -> None:
    got = centred_ranks(np.array([[1.0, 2.0, 2.0, 1e9], [3.0, 3.0, 3.0, 3.0]]))
    assert np.allclose(got, [[-0.75, 0.0, 0.0, 0.75], [0.0, 0.0, 0.0, 0.0]])
    rewards = np.random.default_rng(0).integers(0, 9, (5, 40)).astype(float)
    pairs = np.sign(rewards[:, :, None] - rewards[:, None, :]).sum(axis=2) / 40
    assert np.array_equal(centred_ranks(rewards), pairs)
