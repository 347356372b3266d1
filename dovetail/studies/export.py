"""Studies as tables for other tools: one row per evaluation."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dovetail.errors import MissingExtraError, OutputError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob
from dovetail.studies.files import replaced_file
from dovetail.studies.store import StudyStore

Column = IntArray | FloatArray | BoolArray | list[str]


def table(store: StudyStore) -> dict[str, Column]:
    """All evaluations as columns by name, each (n,).

    `evaluation`, `batch`, `seconds`, `feasible`, `violation`, `front` (feasible and not
    dominated), the knobs' values as `knob.<name>`, the metrics under their own names, and the
    normalised objectives as `objective.<name>`.

    Raises:
        StudyError: if the study is corrupt.
    """
    records, spec = store.records(), store.spec
    evaluation = records.evaluation
    front = np.zeros(len(records), dtype=np.bool_)
    front[records.front()] = True
    columns: dict[str, Column] = {
        "evaluation": np.arange(len(records), dtype=np.int64),
        "batch": records.batches,
        "seconds": records.seconds,
        "feasible": evaluation.feasible,
        "violation": evaluation.violation,
        "front": front,
    }
    for index, knob in enumerate(spec.space.knobs):
        columns[f"knob.{knob.name}"] = _values(knob, records.designs[:, index])
    columns.update(evaluation.metrics)
    for index, objective in enumerate(spec.objectives):
        columns[f"objective.{objective.name}"] = evaluation.objectives[:, index]
    return columns


def export(store: StudyStore, path: Path | str) -> None:
    """Writes a study as a table; the suffix decides: `.parquet` or `.csv`.

    Raises:
        OutputError: if the suffix is another one or the file cannot be written.
        MissingExtraError: if Parquet is asked for and pyarrow is not installed.
        StudyError: if the study is corrupt.
    """
    path = Path(path)
    writers = {".parquet": _write_parquet, ".csv": _write_csv}
    if path.suffix not in writers:
        raise OutputError(f"cannot export to '{path}': the name must end in .parquet or .csv")
    columns = table(store)
    with replaced_file(path) as temporary:
        writers[path.suffix](temporary, columns)


def _values(knob: Knob, indices: IntArray) -> Column:
    if any(isinstance(value, str) for value in knob.values):
        return [str(knob.values[i]) for i in indices]
    if any(isinstance(value, float) for value in knob.values):
        return np.array(knob.values, dtype=np.float64)[indices]
    return np.array(knob.values, dtype=np.int64)[indices]


def _write_parquet(path: Path, columns: dict[str, Column]) -> None:
    if find_spec("pyarrow") is None:
        raise MissingExtraError("Parquet export", "export", "pyarrow")
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _write_csv(path: Path, columns: dict[str, Column]) -> None:
    lists = [column if isinstance(column, list) else column.tolist() for column in columns.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*lists, strict=True))
