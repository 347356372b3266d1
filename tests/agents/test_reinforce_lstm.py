"""REINFORCE with an LSTM: learns by itself, then hands over to the genetic search."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.reinforce_lstm import ReinforceLSTMAgent
from dovetail.errors import ProblemError
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

torch = pytest.importorskip("torch")


def test_the_policy_alone_beats_random_search() -> None:
    chance = [run(ToyProblem(), "random", seed, 3000) for seed in range(5)]
    alone = run(ToyProblem(), "reinforce_lstm", 0, 3000, {"horizon": 0, "hidden": 64})
    assert alone.archive.hypervolume > max(trace.archive.hypervolume for trace in chance)
    feasible = ToyProblem().evaluate(alone.designs).feasible
    assert feasible[-512:].mean() > 0.6 > 0.45 > feasible[:256].mean()


def test_after_the_horizon_the_best_are_bred() -> None:
    settings: dict[str, object] = {"batch": 64, "horizon": 640, "hidden": 16, "population": 40}
    trace = run(ToyProblem(), "reinforce_lstm", 0, 2040, settings)
    bred = trace.designs[640:]
    assert len(np.unique(bred, axis=0)) == len(bred)
    alone = run(ToyProblem(), "reinforce_lstm", 0, 2040, {**settings, "horizon": 0})
    assert np.array_equal(alone.designs[:640], trace.designs[:640])
    assert trace.archive.hypervolume > alone.archive.hypervolume


def test_scores_of_given_designs_are_those_of_the_samples() -> None:
    agent = make_agent("reinforce_lstm", ToyProblem(), 0, {"hidden": 8})
    assert isinstance(agent, ReinforceLSTMAgent)
    weights = torch.full((5, 3), 1 / 3)
    designs, logs, entropy = agent._policy(weights)
    _, again, same = agent._policy(weights, designs)
    assert torch.allclose(logs, again)
    assert torch.allclose(entropy, same)
    # Before any learning every value of a knob has the same odds, and others have none.
    sizes = torch.as_tensor(agent._allowed.space.cardinalities, dtype=torch.float32)
    assert torch.allclose(logs, -sizes.log().expand(5, -1), atol=1e-5)


def test_more_designs_than_asked_are_refused() -> None:
    agent = make_agent("reinforce_lstm", ToyProblem(), 0, {"batch": 16})
    designs = np.concatenate([agent.ask(), agent.ask()])
    with pytest.raises(ProblemError, match="asked last"):
        agent.tell(designs, ToyProblem().evaluate(designs))
