"""Training of proxies: split, errors, calibration, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.envs.registry import make_problem
from dovetail.errors import MissingExtraError, ProblemError
from dovetail.studies.parquet import DataSet
from dovetail.studies.proxy import Split, TrainingArgs, rate, score, split, train
from dovetail.studies.records import pick
from dovetail.studies.spec import StudySpec

pytest.importorskip("torch")

ARGS = TrainingArgs(members=2, width=32, depth=2, steps=500, batch=128)


@pytest.fixture(scope="module")
def problem() -> DesignProblem:
    return make_problem({"problem": "accelerator", "network": "resnet8"})


@pytest.fixture(scope="module")
def data(problem: DesignProblem) -> DataSet:
    """Two thousand designs at the closed forms, every one twice."""
    designs = problem.space.sample(np.random.default_rng(0), 2000)
    designs = np.concatenate([designs, designs])
    spec = StudySpec.of(problem, "random", {}, 0, 1)
    return DataSet(spec, designs, problem.evaluate(designs), np.full(len(designs), "estimate"))


@pytest.fixture(scope="module")
def parts(data: DataSet) -> Split:
    return split(data)


def test_designs_are_split_once_each_by_what_they_are(data: DataSet, parts: Split) -> None:
    assert len(np.unique(parts.designs, axis=0)) == len(parts.designs)
    shares = np.bincount(parts.part, minlength=3) / len(parts.part)
    np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.03)
    order = np.random.default_rng(1).permutation(len(data))[:3000]
    mixed = DataSet(
        data.spec, data.designs[order], pick(data.evaluation, order), data.fidelity[order]
    )
    before = {tuple(d): p for d, p in zip(parts.designs, parts.part, strict=True)}
    other = split(mixed)
    assert all(before[tuple(d)] == p for d, p in zip(other.designs, other.part, strict=True))


def test_only_feasible_designs_of_one_fidelity_count(data: DataSet, parts: Split) -> None:
    assert np.isfinite(parts.metrics["latency_ms"]).all()
    fidelity = np.where(np.arange(len(data)) < 500, "cycle", data.fidelity)
    mixed = DataSet(data.spec, data.designs, data.evaluation, fidelity)
    assert len(split(mixed, "cycle").designs) < 500
    assert len(split(mixed).designs) > 1500
    with pytest.raises(ProblemError, match="0 distinct feasible designs at fidelity 'rtl'"):
        split(mixed, "rtl")


def test_too_few_designs_are_refused(data: DataSet) -> None:
    few = DataSet(data.spec, data.designs[:100], pick(data.evaluation, slice(100)),
                  data.fidelity[:100])  # fmt: skip
    with pytest.raises(ProblemError, match="needs 200 at least"):
        split(few)
    none = DataSet(data.spec, data.designs[:0], pick(data.evaluation, slice(0)), data.fidelity[:0])
    with pytest.raises(ProblemError, match="has 0 distinct"):
        split(none)


def test_a_proxy_predicts_designs_that_it_has_not_seen(data: DataSet, parts: Split) -> None:
    steps: list[int] = []
    proxy = train(data, parts, ARGS, {"problem": data.spec.problem}, steps.append)
    assert steps[-1] == ARGS.steps
    scores = {one.metric: one for one in score(proxy, parts)}
    assert set(scores) == set(data.evaluation.metrics)
    for one in scores.values():
        assert one.r2 > 0.7, one
        assert one.spearman > 0.85, one
        assert 0.75 < one.covered <= 1.0, one
    held = parts.part == 2
    truth = parts.metrics["latency_ms"][held]
    found = proxy.predict(parts.designs[held])["latency_ms"]
    rmse = np.sqrt(np.mean((found - truth) ** 2)) / truth.mean()
    assert scores["latency_ms"].rmse == pytest.approx(rmse)
    again = train(data, parts, ARGS, {"problem": data.spec.problem})
    for ours, theirs in zip(proxy.layers, again.layers, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_intervals_cover_what_they_promise(data: DataSet) -> None:
    """Noise that no model can learn: narrow intervals would miss it."""
    rng = np.random.default_rng(0)
    designs = data.designs[:2000]
    noisy = np.exp(rng.normal(size=len(designs)))
    evaluation = pick(data.evaluation, slice(2000))
    evaluation = Evaluation({"noise": noisy}, evaluation.objectives, np.zeros(len(designs)))
    parts = split(DataSet(data.spec, designs, evaluation, data.fidelity[:2000]))
    args = TrainingArgs(members=2, width=8, depth=1, steps=50, coverage=0.8)
    (found,) = score(train(data, parts, args, {}), parts)
    assert 0.68 < found.covered < 0.92
    assert found.r2 < 0.2


def test_rates_count_processor_time(problem: DesignProblem, data: DataSet) -> None:
    assert rate(problem, data.designs[:2000]) > rate(problem, data.designs[:20], one_by_one=True)


@pytest.mark.parametrize("wrong", [{"members": 0}, {"coverage": 1.0}, {"learning_rate": 0.0}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ProblemError, match="must be"):
        TrainingArgs(**wrong)  # type: ignore[arg-type]


def test_training_needs_torch(data: DataSet, parts: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.agents.base.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"dovetail\[torch\]"):
        train(data, parts, ARGS, {})
