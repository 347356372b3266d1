"""Data sets: every evaluation of many studies, and what reading them gives back."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dovetail.errors import OutputError, StudyError
from dovetail.studies import parquet
from dovetail.studies.dataset import Part, columns, merge, write
from dovetail.studies.store import StudyStore
from tests.studies.toy import SPACE, ToyProblem, search


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three studies of one problem."""
    folder = tmp_path_factory.mktemp("studies")
    paths = [folder / f"s{seed}.db" for seed in range(3)]
    for seed, path in enumerate(paths):
        search(path, 100 + seed, seed=seed)
    return paths


def part_of(path: Path) -> Part:
    with StudyStore.open(path, read_only=True) as store:
        return Part(path.stem, store.spec, store.records())


def test_a_data_set_holds_every_evaluation_of_every_study(
    studies: list[Path], tmp_path: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    assert merge(studies, tmp_path / "all.parquet") == 303
    table = pyarrow.read_table(tmp_path / "all.parquet")
    parts = [part_of(path) for path in studies]
    assert table.column_names == list(columns(parts[0]))
    assert table["run"].to_pylist() == ["s0"] * 100 + ["s1"] * 101 + ["s2"] * 102
    assert table["seed"].to_pylist() == [0] * 100 + [1] * 101 + [2] * 102
    assert set(table["fidelity"].to_pylist()) == {"estimate"}
    start = 0
    for part in parts:
        records, rows = part.records, table.slice(start, len(part.records))
        start += len(part.records)
        np.testing.assert_array_equal(
            rows["knob.rows"].to_numpy(), SPACE.numeric("rows", records.designs)
        )
        flows = [SPACE.knobs[3].values[i] for i in records.designs[:, 3]]
        assert rows["knob.dataflow"].to_pylist() == flows
        metrics = records.evaluation.metrics
        np.testing.assert_array_equal(rows["energy_mj"].to_numpy(), metrics["energy_mj"])
        assert np.flatnonzero(rows["front"]).tolist() == records.front().tolist()
    known = json.loads(table.schema.metadata[parquet.KEY])
    assert known["problem"] == ToyProblem().describe()
    assert table.schema.field("latency_ms").metadata == {b"unit": b"ms"}


def test_equal_designs_have_equal_numbers(studies: list[Path]) -> None:
    part = part_of(studies[0])
    numbers = columns(part)["design"]
    assert isinstance(numbers, np.ndarray)
    distinct = len(np.unique(part.records.designs, axis=0))
    assert len(np.unique(numbers)) == distinct < len(numbers)


def test_reading_gives_back_designs_and_metrics(studies: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    merge(studies[:1], tmp_path / "one.parquet")
    read, part = parquet.read(tmp_path / "one.parquet"), part_of(studies[0])
    np.testing.assert_array_equal(read.designs, part.records.designs)
    evaluation = part.records.evaluation
    np.testing.assert_array_equal(read.evaluation.objectives, evaluation.objectives)
    np.testing.assert_array_equal(read.evaluation.violation, evaluation.violation)
    assert list(read.evaluation.metrics) == list(evaluation.metrics)
    assert read.spec.space == SPACE


def test_csv_has_the_same_columns_and_rows(studies: list[Path], tmp_path: Path) -> None:
    merge(studies, tmp_path / "all.csv")
    with (tmp_path / "all.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(columns(part_of(studies[0])))
    assert len(rows) == 304


def test_studies_without_evaluations_add_nothing(studies: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    part = part_of(studies[0])
    empty = dataclasses.replace(part, run="empty", records=part.records.part(0, 0))
    assert write([empty, part], tmp_path / "a.parquet") == 100
    assert write([empty], tmp_path / "b.parquet") == 0
    assert len(parquet.read(tmp_path / "b.parquet")) == 0


def test_studies_of_two_problems_are_no_data_set(studies: list[Path], tmp_path: Path) -> None:
    search(tmp_path / "other.db", 10, problem=ToyProblem(work=2e6))
    with pytest.raises(StudyError, match="'other' is of another problem than 's0'"):
        merge([studies[0], tmp_path / "other.db"], tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_a_study_may_stand_once_only(studies: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    with pytest.raises(StudyError, match=f"two studies are called '{studies[0].stem}'"):
        merge([studies[0], studies[0]], out)
    assert not out.exists()


def test_names_that_cannot_be_written(studies: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.parquet or \.csv"):
        merge(studies, tmp_path / "s.xlsx")
    with pytest.raises(OutputError, match="cannot write"):
        merge(studies, studies[0] / "s.csv")


def test_files_that_are_no_data_set(studies: list[Path], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    merge(studies, tmp_path / "all.parquet")
    whole = (tmp_path / "all.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.parquet").write_text("no parquet")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "all.parquet")
    pyarrow.parquet.write_table(table.drop_columns("knob.rows"), tmp_path / "less.parquet")
    for name in ("cut", "text", "other", "less"):
        with pytest.raises(StudyError, match=f"{name}.parquet' is no data set"):
            parquet.read(tmp_path / f"{name}.parquet")
    with pytest.raises(StudyError, match="there is no data set"):
        parquet.read(tmp_path / "none.parquet")
