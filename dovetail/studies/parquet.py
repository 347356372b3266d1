"""Data sets as Parquet files: columns with units, and the problem they are of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import dovetail
from dovetail.envs.problem import Evaluation
from dovetail.errors import MissingExtraError, StudyError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob
from dovetail.studies.report_data import label
from dovetail.studies.spec import StudySpec

KEY = b"dovetail"
"""Of the schema's metadata."""

OTHERS = {"run", "agent", "draw", "settings", "seed", "fidelity", "evaluation", "batch", "seconds"}
OTHERS |= {"design", "feasible", "violation", "front"}
"""Columns that are neither knobs, objectives nor metrics."""


@dataclass(frozen=True, slots=True)
class Category:
    """A column of texts: (n,) places in a list of values."""

    places: IntArray
    values: tuple[str, ...]

    def texts(self) -> list[str]:
        """The n texts."""
        return [self.values[place] for place in self.places]


Column = IntArray | FloatArray | BoolArray | Category
"""(n,) values of a column."""


@dataclass(frozen=True, slots=True)
class Table:
    """Evaluations of one run.

    Attributes:
        run: its name.
        spec: of its study.
        columns: by name, each (n,).
    """

    run: str
    spec: StudySpec
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.columns["evaluation"])  # type: ignore[arg-type]  # numbers, no texts


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set in memory.

    Attributes:
        spec: what its runs share; agent, settings, seed and budget mean nothing.
        designs: (n, knobs).
        evaluation: of the n designs.
        fidelity: (n,) texts.
    """

    spec: StudySpec
    designs: IntArray
    evaluation: Evaluation
    fidelity: Any

    def __len__(self) -> int:
        return len(self.designs)


def check_installed() -> None:
    """Checks before long work that Parquet can be written and read.

    Raises:
        MissingExtraError: if pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise MissingExtraError("Parquet", "export", "pyarrow")


def write(path: Path, tables: Iterable[Table]) -> int:
    """Writes tables of one problem, a row group each.

    Returns:
        Number of rows.

    Raises:
        StudyError: if tables have different columns, or there is none.
    """
    from pyarrow.parquet import ParquetWriter

    writer: Any = None
    rows = 0
    try:
        for table in tables:
            arrays = {name: _array(column) for name, column in table.columns.items()}
            if writer is None:
                writer = ParquetWriter(path, _schema(table.spec, arrays), compression="zstd")
            rows += len(table)
            _append(writer, table, arrays)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise StudyError("no evaluations: there is nothing to write")
    return rows


def read(path: Path | str) -> DataSet:
    """Reads a data set.

    Raises:
        StudyError: if the file is missing, corrupt, or no data set.
        MissingExtraError: if pyarrow is not installed.
    """
    check_installed()
    import pyarrow
    from pyarrow.parquet import read_table

    try:
        table = read_table(str(path))
        known = json.loads((table.schema.metadata or {})[KEY])
        spec = StudySpec.from_dict({"agent": "", "settings": {}, "seed": 0, "budget": 1, **known})
        return _data_set(spec, table)
    except FileNotFoundError:
        raise StudyError(f"there is no data set '{path}'") from None
    except OSError as error:
        raise StudyError(f"data set '{path}' cannot be read: {error}") from None
    except (pyarrow.ArrowException, KeyError, TypeError, ValueError, StudyError) as error:
        raise StudyError(
            f"'{path}' is no data set of evaluations, or corrupt ({error}): write one with "
            "dovetail compare or dovetail export"
        ) from None


def _append(writer: Any, table: Table, arrays: Mapping[str, Any]) -> None:
    import pyarrow

    if list(arrays) != writer.schema.names:
        raise StudyError(f"run '{table.run}' has other metrics than the runs before it")
    writer.write_table(pyarrow.table(list(arrays.values()), schema=writer.schema))


def _array(column: Column) -> Any:
    import pyarrow

    if isinstance(column, Category):
        places = pyarrow.array(column.places.astype(np.int32))
        values = pyarrow.array(column.values, pyarrow.string())
        return pyarrow.DictionaryArray.from_arrays(places, values)
    return pyarrow.array(column)


def _schema(spec: StudySpec, arrays: Mapping[str, Any]) -> Any:
    import pyarrow

    fields = [
        pyarrow.field(name, array.type, metadata=_unit(name)) for name, array in arrays.items()
    ]
    whole = spec.to_dict()
    known = {key: whole[key] for key in ("problem", "name", "knobs", "objectives")}
    known |= {"reference_point": whole["reference_point"], "version": dovetail.__version__}
    return pyarrow.schema(fields, metadata={KEY: json.dumps(known)})


def _unit(name: str) -> dict[str, str] | None:
    if name.startswith("objective."):
        return {"unit": "normalised"}
    unit = "s" if name == "seconds" else label(name.removeprefix("knob."))[1]
    return {"unit": unit} if unit else None


def _data_set(spec: StudySpec, table: Any) -> DataSet:
    numbers = {
        name: table[name].to_numpy().astype(np.float64)
        for name in table.column_names
        if name not in OTHERS and not name.startswith(("knob.", "objective."))
    }
    objectives = [table[f"objective.{o.name}"].to_numpy() for o in spec.objectives]
    places = [_places(knob, table[f"knob.{knob.name}"]) for knob in spec.space.knobs]
    return DataSet(
        spec,
        np.stack(places, axis=1),
        Evaluation(numbers, np.stack(objectives, axis=1), table["violation"].to_numpy()),
        np.array(table["fidelity"].to_pylist()),
    )


def _places(knob: Knob, column: Any) -> IntArray:
    """(n,) places of a column's values among a knob's."""
    import pyarrow
    from pyarrow import compute

    texts = any(isinstance(value, str) for value in knob.values)
    values = [str(v) if texts else v for v in knob.values]
    if texts:
        column = column.cast(pyarrow.string())
    found = compute.index_in(column, value_set=pyarrow.array(values, column.type))
    if found.null_count:
        raise StudyError(f"column 'knob.{knob.name}' has values that the knob does not have")
    places: IntArray = found.to_numpy().astype(np.int64)
    return places
