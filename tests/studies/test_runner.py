import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.envs.problem import Evaluation
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.pareto import hypervolume, non_dominated
from dovetail.studies.records import Records
from dovetail.studies.runner import Status, open_study, run_study
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.studies.toy import ToyAgent, ToyProblem, search

ROOT = Path(__file__).parents[2]


def records_of(path: Path) -> Records:
    with StudyStore.open(path) as store:
        return store.records()


def assert_same(a: Path, b: Path) -> None:
    """Everything but the seconds is equal, bit for bit."""
    one, two = records_of(a), records_of(b)
    assert one.designs.tobytes() == two.designs.tobytes()
    assert one.batches.tobytes() == two.batches.tobytes()
    assert one.evaluation.objectives.tobytes() == two.evaluation.objectives.tobytes()
    assert one.evaluation.violation.tobytes() == two.evaluation.violation.tobytes()
    assert list(one.evaluation.metrics) == list(two.evaluation.metrics)
    for name, values in one.evaluation.metrics.items():
        assert values.tobytes() == two.evaluation.metrics[name].tobytes()


@pytest.mark.parametrize("budget", [1, 2, 37, 100])
def test_a_study_spends_exactly_its_budget(tmp_path: Path, budget: int) -> None:
    result = search(tmp_path / "s", budget)
    records = records_of(tmp_path / "s")
    assert result.evaluations == len(records) == budget
    assert result.feasible == int(records.evaluation.feasible.sum())
    assert (np.diff(records.seconds) >= 0).all()


def test_the_result_is_the_front_of_what_is_stored(tmp_path: Path) -> None:
    result = search(tmp_path / "s", 300)
    records = records_of(tmp_path / "s")
    feasible = records.evaluation.feasible
    front = records.evaluation.objectives[feasible]
    front = front[non_dominated(front, keep_equal=False)]
    assert result.hypervolume == hypervolume(front, ToyProblem.reference_point) > 0
    assert sorted(result.rows) == list(records.front())
    assert np.array_equal(records.designs[result.rows], result.designs)
    assert result.evaluations == 300 > result.feasible > 0


def test_equal_seeds_give_equal_studies_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        search(tmp_path / name, 80, seed=seed)
    assert_same(tmp_path / "a", tmp_path / "b")
    assert not np.array_equal(
        records_of(tmp_path / "a").designs, records_of(tmp_path / "c").designs
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 120), min_size=2, max_size=5).map(sorted))
def test_extending_a_study_equals_one_run_of_the_last_budget(
    tmp_path_factory: pytest.TempPathFactory, budgets: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("studies")
    for budget in budgets:
        steps = search(folder / "steps", budget, resume=True)
    whole = search(folder / "whole", budgets[-1])
    assert_same(folder / "steps", folder / "whole")
    assert steps.hypervolume == whole.hypervolume
    assert np.array_equal(steps.designs, whole.designs)
    with StudyStore.open(folder / "steps") as store:
        assert store.spec.budget == budgets[-1]


def test_replay_evaluates_nothing_again(tmp_path: Path) -> None:
    class Counting(ToyProblem):
        evaluated = 0

        def evaluate(self, designs: np.ndarray) -> Evaluation:
            Counting.evaluated += len(designs)
            return super().evaluate(designs)

    search(tmp_path / "s", 60)
    result = search(tmp_path / "s", 95, resume=True, problem=Counting())
    assert (Counting.evaluated, result.replayed, result.evaluations) == (35, 60, 95)
    again = search(tmp_path / "s", 95, resume=True, problem=Counting())
    assert (Counting.evaluated, again.replayed) == (35, 95)
    assert again.seconds == result.seconds


def test_a_killed_study_resumes_to_the_same_result(tmp_path: Path) -> None:
    budget, rng = 400, np.random.default_rng(20)
    whole = search(tmp_path / "whole", budget)
    path = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.studies.toy", str(path), str(budget), "0.005", "1"]
    kept, kills = 0, 0
    for attempt in range(5):
        process = subprocess.Popen(command, cwd=ROOT)
        _wait_until(lambda held=kept: path.exists() and _stored(path) > held, process)
        time.sleep(float(rng.uniform(0, 0.25)) * (attempt > 0))
        process.kill()
        kills += process.wait() != 0
        stored = len(records_of(path))
        assert stored >= kept, "a kill loses nothing that was stored"
        kept = stored
    assert kills >= 3
    assert 0 < kept < budget
    resumed = search(path, budget, resume=True)
    assert_same(path, tmp_path / "whole")
    assert resumed.hypervolume == whole.hypervolume
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_kill_before_the_file_stands_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "s"
    command = [sys.executable, "-m", "tests.studies.toy", str(path), "40", "0", "1"]
    for delay in (0.02, 0.1, 0.2, 0.3, 0.4):
        process = subprocess.Popen(command, cwd=ROOT)
        time.sleep(delay)
        process.kill()
        process.wait()
    search(path, 40, resume=True)
    search(tmp_path / "whole", 40)
    assert_same(path, tmp_path / "whole")


def _stored(path: Path) -> int:
    with StudyStore.open(path, read_only=True) as store:
        return len(store)


def _wait_until(condition: object, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.01)


@pytest.mark.parametrize("at", [1, 2, 5])
def test_ctrl_c_ends_cleanly_and_the_study_resumes(tmp_path: Path, at: int) -> None:
    class Stopping(ToyProblem):
        calls = 0

        def evaluate(self, designs: np.ndarray) -> Evaluation:
            Stopping.calls += 1
            if Stopping.calls == at:
                raise KeyboardInterrupt
            return super().evaluate(designs)

    result = search(tmp_path / "s", 50, problem=Stopping())
    assert result.interrupted
    assert result.evaluations == len(records_of(tmp_path / "s")) < 50
    assert not search(tmp_path / "s", 50, resume=True).interrupted
    search(tmp_path / "whole", 50)
    assert_same(tmp_path / "s", tmp_path / "whole")


def test_ctrl_c_while_replaying_reports_all_that_is_stored(tmp_path: Path) -> None:
    whole = search(tmp_path / "s", 50)

    def stop(status: Status) -> None:
        raise KeyboardInterrupt

    result = search(tmp_path / "s", 90, resume=True, progress=stop)
    assert result.interrupted
    assert (result.evaluations, result.hypervolume) == (50, whole.hypervolume)


def test_an_existing_study_needs_resume(tmp_path: Path) -> None:
    search(tmp_path / "s", 10)
    with pytest.raises(StudyError, match="--resume or choose another file"):
        search(tmp_path / "s", 10)


def test_another_study_is_not_resumed(tmp_path: Path) -> None:
    search(tmp_path / "s", 10)
    with pytest.raises(StudyError, match=r"seed: 0, not 7"):
        search(tmp_path / "s", 10, seed=7, resume=True)
    with pytest.raises(StudyError, match=r"problem\.work: 1000000\.0, not 2\.0"):
        search(tmp_path / "s", 10, problem=ToyProblem(work=2.0), resume=True)
    other = StudySpec.of(ToyProblem(), "toy", {"largest": 9, "extra": 1}, 0, 10)
    with pytest.raises(StudyError, match=r"settings\.extra: \(absent\), not 1"):
        open_study(tmp_path / "s", other, resume=True)


def test_a_study_cannot_shrink(tmp_path: Path) -> None:
    search(tmp_path / "s", 30)
    with pytest.raises(ProblemError, match="holds 30 evaluations"):
        search(tmp_path / "s", 29, resume=True)


def test_changed_code_is_noticed_on_replay(tmp_path: Path) -> None:
    search(tmp_path / "s", 30)
    spec = StudySpec.of(ToyProblem(), "toy", {"largest": 9}, 0, 60)
    with (
        open_study(tmp_path / "s", spec, resume=True) as store,
        pytest.raises(StudyError, match="code or the problem has changed"),
    ):
        run_study(ToyProblem(), store, budget=60, make=lambda p, seed: ToyAgent(p, seed + 1))
    with (
        open_study(tmp_path / "s", spec, resume=True) as store,
        pytest.raises(StudyError, match="code or the problem has changed"),
    ):
        run_study(ToyProblem(), store, budget=60, make=lambda p, seed: Once(p, 2))
    assert len(records_of(tmp_path / "s")) == 30


class Once:
    """Asks for a fixed number of designs, then for none."""

    def __init__(self, problem: ToyProblem, count: int) -> None:
        self.left = ToyAgent(problem, 0).ask()[:count]

    def ask(self) -> np.ndarray:
        now, self.left = self.left, self.left[:0]
        return now

    def tell(self, designs: np.ndarray, evaluation: Evaluation) -> None: ...


def test_an_agent_may_run_out_of_designs(tmp_path: Path) -> None:
    result = search_with(tmp_path / "s", lambda p, seed: Once(p, 2))
    assert result.exhausted
    assert result.evaluations == 2
    again = search_with(tmp_path / "s", lambda p, seed: Once(p, 2))
    assert again.exhausted
    assert again.replayed == 2


def search_with(path: Path, make: object, problem: ToyProblem | None = None) -> object:
    problem = problem or ToyProblem()
    spec = StudySpec.of(problem, "toy", {}, 0, 50)
    with open_study(path, spec, resume=True) as store:
        return run_study(problem, store, make=make)  # type: ignore[arg-type]


def test_registered_agents_run_by_name(tmp_path: Path) -> None:
    spec = StudySpec.of(ToyProblem(), "random", {"batch": 16}, 0, 40)
    with open_study(tmp_path / "s", spec) as store:
        assert run_study(ToyProblem(), store).evaluations == 40


def test_malformed_evaluations_are_problem_errors(tmp_path: Path) -> None:
    class Short(ToyProblem):
        def evaluate(self, designs: np.ndarray) -> Evaluation:
            whole = super().evaluate(designs)
            return Evaluation(whole.metrics, whole.objectives[:, :2], whole.violation)

    class Unknown(ToyProblem):
        def evaluate(self, designs: np.ndarray) -> Evaluation:
            whole = super().evaluate(designs)
            return Evaluation(whole.metrics, whole.objectives * np.nan, whole.violation * 0)

    for number, problem in enumerate((Short(), Unknown())):
        with pytest.raises(ProblemError, match="an evaluation"):
            search(tmp_path / str(number), 10, problem=problem)
        assert len(records_of(tmp_path / str(number))) == 0


def test_designs_outside_the_space_are_problem_errors(tmp_path: Path) -> None:
    class Wild(Once):
        def ask(self) -> np.ndarray:
            return np.full((2, 4), 99)

    with pytest.raises(ProblemError, match="outside"):
        search_with(tmp_path / "s", lambda p, seed: Wild(p, 1))
