"""Runs of comparisons: recorded, resumed, measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dovetail.envs.nasbench201 import from_spec
from dovetail.errors import FidelityError, StudyError
from dovetail.ir.pareto import ParetoArchive, hypervolume
from dovetail.studies.comparison.elites import choose, parts
from dovetail.studies.comparison.plan import Limits, Plan, Run, parse_contenders
from dovetail.studies.comparison.result import gather
from dovetail.studies.comparison.run import play, warm_up
from dovetail.studies.comparison.traces import Axes, trace
from dovetail.studies.comparison.yardstick import best_known, exact
from dovetail.studies.records import Records
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.studies.toy import SPACE, ToyProblem

NB201 = {"knobs": {"rows": (8, 16), "cols": (8,)}, "objectives": ("error", "latency_ms")}
LIMITS = Limits(200, 1e-6, 10_000, 1e3)


def stored(path: Path) -> tuple[StudySpec, Records]:
    with StudyStore.open(path, read_only=True) as store:
        return store.spec, store.records()


def one(agent: str = "nsga2:population=16") -> Run:
    return Plan(parse_contenders([agent]), 1, 1, 0, LIMITS).runs()[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("whole") / "run.db"
    play(ToyProblem(), one(), LIMITS, path)
    return path


def test_a_run_resumes_to_the_same_designs(whole: Path, tmp_path: Path) -> None:
    for stop in (20, 100, 200):
        play(ToyProblem(), one(), dataclasses.replace(LIMITS, evaluations=stop), tmp_path / "r.db")
    again, before = stored(tmp_path / "r.db")[1], stored(whole)[1]
    assert len(again) == len(before) >= 200
    np.testing.assert_array_equal(again.designs, before.designs)
    np.testing.assert_array_equal(again.batches, before.batches)
    np.testing.assert_array_equal(again.evaluation.objectives, before.evaluation.objectives)
    assert (np.diff(again.seconds) >= 0).all()


def test_a_finished_run_is_left_alone(whole: Path) -> None:
    before = whole.read_bytes()
    play(ToyProblem(), one(), LIMITS, whole)
    assert whole.read_bytes() == before


def test_a_study_of_other_settings_is_refused(whole: Path) -> None:
    with pytest.raises(StudyError, match="population: 16, not 32"):
        play(ToyProblem(), one("nsga2:population=32"), LIMITS, whole)


def test_a_run_whose_agent_changed_is_refused(whole: Path, tmp_path: Path) -> None:
    spec, records = stored(whole)
    path = tmp_path / "r.db"
    with StudyStore.create(path, spec) as store:
        part = records.part(0, 16)
        store.append(0, part.designs[::-1], part.evaluation, 0.1)
    with pytest.raises(StudyError, match="asks for other designs than those stored in batch 0"):
        play(ToyProblem(), one(), LIMITS, path)


def test_a_cap_ends_a_run(tmp_path: Path) -> None:
    limits = Limits(50, 1e3, 100, 1e4)
    play(ToyProblem(), one(), limits, tmp_path / "r.db")
    assert 100 <= len(stored(tmp_path / "r.db")[1]) < 116


def test_seconds_count_the_problem(tmp_path: Path) -> None:
    """A sleeping problem takes no processor time: what is counted is work, not waiting."""
    play(ToyProblem(delay_s=0.002), one(), Limits(64, 1e-6, 64, 1e3), tmp_path / "r.db")
    assert 0 < stored(tmp_path / "r.db")[1].seconds[-1] < 0.1


def test_warming_up_leaves_no_trace(tmp_path: Path, whole: Path) -> None:
    problem = ToyProblem()
    warm_up(problem, one())
    play(problem, one(), LIMITS, tmp_path / "r.db")
    np.testing.assert_array_equal(stored(tmp_path / "r.db")[1].designs, stored(whole)[1].designs)


def test_traces_are_what_the_first_evaluations_give(whole: Path) -> None:
    spec, records = stored(whole)
    seconds = np.linspace(0.0, 2 * records.seconds[-1], 7)
    axes = Axes(np.array([1, 10, 33, 100, 5000]), seconds)
    found = trace(records, spec, axes)
    for count, volume in zip(axes.evaluations, found.by_evaluations, strict=True):
        assert volume == volume_of(spec, records.part(0, count))
    for time, volume in zip(seconds, found.by_seconds, strict=True):
        assert volume == volume_of(spec, records.part(0, int((records.seconds <= time).sum())))
    assert found.by_seconds[-1] == found.by_evaluations[-1] > 0


def volume_of(spec: StudySpec, records: Records) -> float:
    archive = ParetoArchive(spec.reference, len(SPACE.knobs))
    archive.add(records.designs, records.evaluation.objectives, records.evaluation.feasible)
    return archive.hypervolume


def test_small_spaces_are_enumerated() -> None:
    problem = ToyProblem()
    found = exact(problem)
    assert found is not None
    assert found.enumerated == SPACE.size == 300
    everything = np.stack(np.unravel_index(np.arange(300), tuple(SPACE.cardinalities)), axis=1)
    evaluation = problem.evaluate(everything)
    points = evaluation.objectives[evaluation.feasible]
    assert found.hypervolume == pytest.approx(hypervolume(points, problem.reference_point))
    assert found.shares(np.array([found.hypervolume / 2])) == pytest.approx([0.5])


def test_the_exact_front_of_nasbench201_is_known() -> None:
    problem = from_spec(NB201)
    seen: list[tuple[int, int]] = []
    found = exact(problem, lambda done, of: seen.append((done, of)))
    assert found is not None
    assert found.enumerated == 2 * 15_625
    assert found.name == "the exact front"
    assert seen[-1] == (2, 2)


def test_a_gathered_comparison(tmp_path: Path) -> None:
    plan = Plan(parse_contenders(["nsga2:population=16", "random:batch=16"]), 2, 2, 0, LIMITS)
    runs = plan.runs()
    for run in runs:
        play(ToyProblem(), run, LIMITS, tmp_path / f"{run.name}.db")
    result = gather(tmp_path, plan, runs, None)
    assert not result.yardstick.enumerated
    best = max(float(t.by_evaluations[-1]) for t in result.traces)
    assert result.yardstick.hypervolume >= best > 0
    counts, times = result.columns()
    assert [column.at for column in counts] == [20, 200]
    assert len(times) == 3
    first, second = counts[-1].standings
    assert first.win_share + second.win_share == pytest.approx(1)
    assert counts[-1].stopped == {"nsga2:population=16": 0, "random:batch=16": 0}
    data = result.to_dict()
    assert [len(one["runs"]) for one in data["contenders"]] == [4, 2]
    for contender in data["contenders"]:
        band = contender["by_evaluations"]
        assert np.all(np.diff(band["median"]) >= 0)
        assert np.all(np.array(band["low"]) <= np.array(band["high"]))


def test_runs_that_a_cap_ended_are_marked(tmp_path: Path) -> None:
    limits = Limits(50, 1e3, 60, 1e4)
    plan = Plan(parse_contenders(["random:batch=16"]), 1, 1, 0, limits)
    runs = plan.runs()
    play(ToyProblem(), runs[0], limits, tmp_path / f"{runs[0].name}.db")
    counts, times = gather(tmp_path, plan, runs, None).columns()
    assert counts[-1].stopped == {"random:batch=16": 0}
    assert times[-1].stopped == {"random:batch=16": 1}


def test_elites_are_evaluated_again(tmp_path: Path) -> None:
    problem = from_spec(NB201)
    limits = Limits(64, 1e-6, 1000, 1e3)
    plan = Plan(parse_contenders(["nsga2:population=16", "random:batch=16"]), 1, 1, 0, limits)
    runs = plan.runs()
    for run in runs:
        play(problem, run, limits, tmp_path / f"{run.name}.db")
    result = gather(tmp_path, plan, runs, None)
    elites = choose(problem, result, 4, "12")
    assert len(elites.found) <= 4
    change = elites.resimulation.change("error")
    assert np.isfinite(change).all()
    assert (change != 0).any()
    rows = list(parts(elites, result))
    assert sum(len(part.records) for part in rows) == len(elites.found)
    assert {part.fidelity for part in rows} == {"12"}
    for part in rows:
        known = next(trace for run, trace in zip(runs, result.traces, strict=True)
                 if run.name == part.run)  # fmt: skip
        for design in part.records.designs:
            assert (known.designs == design).all(axis=1).any()
    with pytest.raises(FidelityError):
        choose(ToyProblem(), result, 4, "cycle")


def test_the_front_of_all_runs_is_at_least_that_of_each(whole: Path) -> None:
    spec, records = stored(whole)
    axes = Axes(np.array([len(records)]), np.array([1.0]))
    half = trace(records.part(0, 50), spec, axes)
    full = trace(records, spec, axes)
    assert best_known([half, full], spec.reference).hypervolume == pytest.approx(
        float(full.by_evaluations[-1])
    )
