import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dovetail.envs.problem import Evaluation
from dovetail.errors import DovetailError, OutputError, ProblemError, StudyError
from dovetail.studies.records import join, take
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.studies.toy import SPACE, ToyProblem, search

SPEC = StudySpec.of(ToyProblem(), "toy", {"largest": 9}, 3, 100)
FLOATS = st.floats(width=64)  # NaN, infinities, subnormals and minus zero included
LAWFUL = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[np.ndarray, Evaluation]]:
    made = []
    for _ in range(draw(st.integers(0, 4))):
        n = draw(st.integers(1, 5))
        columns = [draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))
                   for c in SPACE.cardinalities]  # fmt: skip
        metrics = {k: draw(hnp.arrays(np.float64, n, elements=FLOATS)) for k in ("a", "b")}
        objectives = draw(hnp.arrays(np.float64, (n, 3), elements=FLOATS))
        violation = draw(hnp.arrays(np.float64, n, elements=FLOATS))
        made.append((np.stack(columns, axis=1), Evaluation(metrics, objectives, violation)))
    return made


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@LAWFUL
@given(batches())
def test_what_is_appended_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[np.ndarray, Evaluation]]
) -> None:
    path = tmp_path_factory.mktemp("study") / "s.study"
    with StudyStore.create(path, SPEC) as store:
        for number, (designs, evaluation) in enumerate(made):
            store.append(number, designs, evaluation, 0.5 * number)
    with StudyStore.open(path, read_only=True) as store:
        assert store.spec == SPEC
        records = store.records()
        assert len(store) == len(records) == sum(len(designs) for designs, _ in made)
    if made:
        assert same_bits(records.designs, np.concatenate([designs for designs, _ in made]))
        whole = join([evaluation for _, evaluation in made])
        assert same_bits(records.evaluation.objectives, whole.objectives)
        assert same_bits(records.evaluation.violation, whole.violation)
        assert list(records.evaluation.metrics) == ["a", "b"]
        for name, values in whole.metrics.items():
            assert same_bits(records.evaluation.metrics[name], values)
        assert records.batches.tolist() == [i for i, (d, _) in enumerate(made) for _ in d]


def test_joining_parts_undoes_taking_them() -> None:
    designs = SPACE.sample(np.random.default_rng(0), 20)
    whole = ToyProblem().evaluate(designs)
    cut = join([take(whole, 0, 7), take(whole, 7, 7), take(whole, 7, 20)])
    assert same_bits(cut.objectives, whole.objectives)
    assert all(same_bits(cut.metrics[k], v) for k, v in whole.metrics.items())


def test_a_study_uses_a_write_ahead_log(tmp_path: Path) -> None:
    search(tmp_path / "s.study", 20)
    connection = sqlite3.connect(tmp_path / "s.study")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(StudyError, match=r"--resume or choose another"):
        StudyStore.create(path, SPEC)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + b"x" * 500])
def test_a_foreign_file_is_a_study_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.study"
    path.write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(StudyError, match=r"not a study"):
            StudyStore.open(path, read_only=read_only)


def test_a_foreign_database_and_a_missing_file_are_study_errors(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(StudyError, match="not a study"):
        StudyStore.open(tmp_path / "other.db")
    with pytest.raises(StudyError, match="no study file"):
        StudyStore.open(tmp_path / "missing.study")
    assert not (tmp_path / "missing.study").exists()


def test_another_schema_is_a_study_error(tmp_path: Path) -> None:
    search(tmp_path / "s.study", 5)
    connection = sqlite3.connect(tmp_path / "s.study")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StudyError, match="schema 99"):
        StudyStore.open(tmp_path / "s.study")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "s.study"
    search(path, 30)
    return path


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_noticed_or_harmless(sound: Path, data: st.DataObject) -> None:
    path = sound.with_name("damaged.study")
    with StudyStore.open(sound, read_only=True) as store:
        before = store.records()
    content = bytearray(sound.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[position:]
    path.write_bytes(content)
    try:
        with StudyStore.open(path) as store:
            after = store.records()
    except StudyError:
        pass
    else:
        assert same_bits(before.designs, after.designs)
        assert same_bits(before.evaluation.objectives, after.evaluation.objectives)
        assert same_bits(before.evaluation.violation, after.evaluation.violation)


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    designs = SPACE.sample(np.random.default_rng(0), 4)
    evaluation = ToyProblem().evaluate(designs)
    with StudyStore.create(tmp_path / "s", SPEC) as one, StudyStore.open(tmp_path / "s") as two:
        one.append(0, designs, evaluation, 0.0)
        with pytest.raises(StudyError, match="another process"):
            two.append(0, designs, evaluation, 0.0)
        one.append(1, designs, evaluation, 0.0)
        assert len(one.records()) == 8


def test_metrics_may_not_change(tmp_path: Path) -> None:
    designs = SPACE.sample(np.random.default_rng(0), 4)
    whole = ToyProblem().evaluate(designs)
    other = Evaluation({"other": whole.violation}, whole.objectives, whole.violation)
    with StudyStore.create(tmp_path / "s", SPEC) as store:
        store.append(0, designs, whole, 0.0)
        with pytest.raises(StudyError, match="metrics"):
            store.append(1, designs, other, 0.0)
        assert len(store) == 4


def test_where_nothing_can_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "s.study", Path("/proc/s.study"), tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match="cannot write"):
            StudyStore.create(path, SPEC)


def fill(store: StudyStore, rng: np.random.Generator) -> None:
    for number in range(1000):
        designs = SPACE.sample(rng, 20)
        store.append(number, designs, ToyProblem().evaluate(designs), 0.0)


def test_a_full_disk_is_an_output_error_and_keeps_what_is_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with StudyStore.create(tmp_path / "s", SPEC) as store:
        store._connection.execute("PRAGMA max_page_count = 6")
        with pytest.raises(OutputError, match="full"):
            fill(store, rng)
        count = len(store)
        assert count == len(store.records()) > 0
    with StudyStore.open(tmp_path / "s") as store:
        assert len(store.records()) == count


def test_a_finished_study_is_readable_where_nothing_can_be_written(tmp_path: Path) -> None:
    from dovetail.studies import sqlite

    search(tmp_path / "s.study", 12)
    # What `connect` falls back to when the log's index has no room (tests may run as root).
    connection = sqlite._open(tmp_path / "s.study", "immutable=1")
    assert connection.execute("SELECT COUNT(*) FROM evaluations").fetchone() == (12,)
    connection.close()


@pytest.mark.parametrize(("field", "value"), [("budget", 0), ("budget", -4), ("seed", -1)])
def test_senseless_numbers_are_problem_errors(field: str, value: int) -> None:
    given = {"seed": 0, "budget": 1, field: value}
    with pytest.raises(ProblemError, match=field):
        StudySpec.of(ToyProblem(), "toy", {}, given["seed"], given["budget"])


def test_settings_must_be_plain() -> None:
    with pytest.raises(ProblemError, match="settings"):
        StudySpec.of(ToyProblem(), "toy", {"x": object()}, 0, 1)


def test_a_malformed_specification_is_an_error() -> None:
    data = SPEC.to_dict()
    assert StudySpec.from_dict(data) == SPEC
    for key in data:
        with pytest.raises(DovetailError):
            StudySpec.from_dict({k: v for k, v in data.items() if k != key})
