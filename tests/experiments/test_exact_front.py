"""The exact-front comparison on the synthetic twin, small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dovetail.agents.encoding import UnitEncoding
from dovetail.envs.nasbench201 import from_spec
from dovetail.envs.nasbench201_front import exact_front as exact_front_of
from dovetail.envs.problem import Evaluation
from experiments import exact_front

ARGUMENTS = ["x", "--seeds", "2", "--evaluations", "50", "400", "--seconds", "0.05", "0.3"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.envs.nasbench201.KNOBS", {"rows": (8, 64), "cols": (16,)})


@pytest.mark.usefixtures("small")
def test_runs_are_shares_and_are_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agents = ["--agents", "random", "cem", "pymoo_nsga2", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*ARGUMENTS, *agents, "--brief", "cem"])
    assert exact_front.main() == 0
    assert "31,250 designs enumerated" in capsys.readouterr().out
    [file] = tmp_path.glob("*.jsonl")
    runs = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(runs) == 6
    for run in runs:
        shares = np.array(run["shares"])
        assert len(shares) == 4
        assert (shares[:3] > 0).all()
        assert (shares[:3] <= 1 + 1e-9).all()
        assert shares[1] > shares[0]
        assert run["agent"] != "cem" or np.isnan(shares[3])
    mean = {name: np.mean([r["shares"][1] for r in runs if r["agent"] == name])
            for name in ("cem", "random")}  # fmt: skip
    assert mean["cem"] > mean["random"]
    assert (tmp_path / "nasbench201-cifar10-edge.svg").stat().st_size > 1000
    assert exact_front.main() == 0
    assert "enumerated" not in capsys.readouterr().out
    assert len(file.read_text().splitlines()) == 6


@pytest.mark.usefixtures("small")
def test_the_whole_front_ends_a_run_and_fills_its_columns() -> None:
    problem = from_spec({"objectives": ["error", "area_mm2"]})
    front = exact_front_of(problem)
    recorder = exact_front.Recorder(front, problem, [10, 31_250], [1e-9, 100], 1.0)

    class Whole:
        def ask(self) -> np.ndarray:
            return np.concatenate(
                [problem.space.sample(np.random.default_rng(0), 20), front.designs]
            )

        def tell(self, designs: np.ndarray, evaluation: Evaluation) -> None:
            pass

    found = recorder.run(Whole())
    assert found["evaluations"] == 20 + len(front.designs) >= found["whole_front_after"] > 20
    assert found["shares"][2] == 0.0 < found["shares"][0] < 1.0 == found["shares"][1]
    assert found["shares"][3] == 1.0


def test_botorch_rounds_to_the_nearest_design() -> None:
    pytest.importorskip("botorch")
    from experiments.exact_front_botorch import PlainBoTorch

    problem = from_spec({"objectives": ["error", "area_mm2"]})
    agent = PlainBoTorch(problem, 0)
    designs = problem.space.sample(np.random.default_rng(0), 50)
    points = UnitEncoding(problem.space).encode(designs)
    near = points + np.random.default_rng(1).uniform(-0.1, 0.1, points.shape)
    assert np.array_equal(agent._rounded(near), designs)


def test_botorch_begins_with_few_designs_and_repeats_none() -> None:
    """A peer that spends its evaluations on its start, or on what it knows, is none."""
    pytest.importorskip("botorch")
    from experiments.exact_front_botorch import PlainBoTorch

    problem = from_spec({"objectives": ["error", "area_mm2"]})
    agent = PlainBoTorch(problem, 0)
    start = agent.ask()
    assert len(start) == 2 * (len(problem.space.knobs) + 1)
    agent.tell(start, problem.evaluate(start))
    moved = agent._new(np.concatenate([start[:3], start[:3], start[:1]]))
    assert len(np.unique(np.concatenate([start, moved]), axis=0)) == len(start) + 7
