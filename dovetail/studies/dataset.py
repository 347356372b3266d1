"""Every evaluation of one or many studies of a problem as one table, with what its columns mean.

A row is an evaluation. Columns:

* `run` (name of the study), `agent`, `draw` (number of the settings among those of the agent),
  `settings` (JSON), `seed`, `fidelity`;
* `evaluation`, `batch` (numbers within the run), `seconds` (when the batch was stored; in studies
  of a comparison processor time of agent and problem);
* `design` (the same number for the same design), and its values as `knob.<name>`;
* `feasible`, `violation`, `front` (feasible and not dominated within the run);
* the metrics under their own names, and the normalised objectives as `objective.<name>`.

A Parquet file has units as metadata of its fields, and under the key `dovetail` of its schema the
problem, knobs, objectives and reference point as JSON.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dovetail.agents.seen import Seen
from dovetail.envs.fidelity import KNOB
from dovetail.errors import OutputError, StudyError
from dovetail.ir.space import IntArray, Knob
from dovetail.studies import parquet
from dovetail.studies.files import replaced_file
from dovetail.studies.parquet import Category, Column
from dovetail.studies.records import Records
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore


@dataclass(frozen=True, slots=True)
class Part:
    """One run of a data set.

    Attributes:
        run: its name.
        spec: of its study.
        records: its evaluations.
        agent: who asked for them; the study's agent if empty.
        draw: number of its settings.
        fidelity: of the evaluations; what the problem or the design says if empty.
    """

    run: str
    spec: StudySpec
    records: Records
    agent: str = ""
    draw: int = 0
    fidelity: str = ""


def columns(part: Part) -> dict[str, Column]:
    """Columns of one run by name, each (n,)."""
    records, spec = part.records, part.spec
    count, evaluation = len(records), records.evaluation
    front = np.zeros(count, dtype=np.bool_)
    front[records.front()] = True
    return {
        "run": _same(part.run, count),
        "agent": _same(part.agent or spec.agent, count),
        "draw": np.full(count, part.draw, dtype=np.int64),
        "settings": _same(json.dumps(spec.settings), count),
        "seed": np.full(count, spec.seed, dtype=np.int64),
        "fidelity": _fidelity(part),
        "evaluation": np.arange(count, dtype=np.int64),
        "batch": records.batches,
        "seconds": records.seconds,
        "design": Seen(spec.space).keys(records.designs).view(np.int64),
        **{f"knob.{k.name}": _values(k, records.designs[:, i])
           for i, k in enumerate(spec.space.knobs)},
        "feasible": evaluation.feasible,
        "violation": evaluation.violation,
        "front": front,
        **evaluation.metrics,
        **{f"objective.{o.name}": evaluation.objectives[:, i]
           for i, o in enumerate(spec.objectives)},
    }  # fmt: skip


def merge(studies: Sequence[Path | str], out: Path | str) -> int:
    """Writes all evaluations of some studies of one problem as one data set.

    Args:
        studies: study files; those without evaluations add nothing.
        out: a `.parquet` or `.csv` file.

    Returns:
        Number of rows.

    Raises:
        StudyError: if a study is missing, corrupt, or of another problem than the first.
        OutputError: if the suffix is another one or the file cannot be written.
        MissingExtraError: if Parquet is asked for and pyarrow is not installed.
    """
    return write(_parts([Path(study) for study in studies]), out)


def write(parts: Iterable[Part], out: Path | str) -> int:
    """Writes runs of one problem as one data set, a run at a time; raises as `merge` does.

    Args:
        parts: the runs; those without evaluations add nothing.
        out: a `.parquet` or `.csv` file.

    Returns:
        Number of rows.
    """
    out = Path(out)
    check_suffix(out)
    write_as = parquet.write if out.suffix == ".parquet" else _write_csv
    with replaced_file(out) as temporary:
        return write_as(temporary, map(_table, _alike(parts)))


def check_suffix(out: Path) -> None:
    """Checks before long work that a data set can be written under a name.

    Raises:
        OutputError: if its suffix is neither `.parquet` nor `.csv`.
        MissingExtraError: if it is `.parquet` and pyarrow is not installed.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise OutputError(f"cannot export to '{out}': the name must end in .parquet or .csv")
    if out.suffix == ".parquet":
        parquet.check_installed()


def _table(part: Part) -> parquet.Table:
    return parquet.Table(part.run, part.spec, columns(part))


def _parts(paths: Sequence[Path]) -> Iterator[Part]:
    names = [path.stem for path in paths]
    for path in paths:
        if names.count(path.stem) > 1:
            raise StudyError(
                f"two studies are called '{path.stem}': a data set tells runs by name; "
                "give each study once, and rename others"
            )
    draws: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        with StudyStore.open(path, read_only=True) as store:
            known = draws.setdefault(store.spec.agent, [])
            if store.spec.settings not in known:
                known.append(store.spec.settings)
            draw = known.index(store.spec.settings)
            yield Part(path.stem, store.spec, store.records(), draw=draw)


def _alike(parts: Iterable[Part]) -> Iterator[Part]:
    """Parts that hold something, each checked to be of the first one's problem."""
    first: Part | None = None
    written = False
    for part in parts:
        first = first or part
        _check_alike(first, part)
        if len(part.records):
            written = True
            yield part
    if first is not None and not written:
        yield first


def _check_alike(first: Part, part: Part) -> None:
    for what in ("problem", "space", "objectives", "reference_point"):
        if getattr(part.spec, what) != getattr(first.spec, what):
            raise StudyError(
                f"run '{part.run}' is of another problem than '{first.run}' (its {what} "
                "differs): a data set has one problem"
            )


def _fidelity(part: Part) -> Category:
    """Of each evaluation: a knob of problems that have several, else the part's."""
    space = part.spec.space
    if KNOB in space.names and not part.fidelity:
        place = space.names.index(KNOB)
        values = tuple(str(value) for value in space.knobs[place].values)
        return Category(part.records.designs[:, place], values)
    own = str(part.spec.problem.get("fidelity", "estimate"))
    return _same(part.fidelity or own, len(part.records))


def _same(text: str, count: int) -> Category:
    return Category(np.zeros(count, dtype=np.int64), (text,))


def _values(knob: Knob, places: IntArray) -> Column:
    if any(isinstance(value, str) for value in knob.values):
        return Category(places, tuple(str(value) for value in knob.values))
    if any(isinstance(value, float) for value in knob.values):
        return np.array(knob.values, dtype=np.float64)[places]
    return np.array(knob.values, dtype=np.int64)[places]


def _write_csv(path: Path, tables: Iterable[parquet.Table]) -> int:
    rows, header = 0, False
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for table in tables:
            if not header:
                header = True
                writer.writerow(table.columns)
            lists = [
                c.texts() if isinstance(c, Category) else c.tolist() for c in table.columns.values()
            ]
            writer.writerows(zip(*lists, strict=True))
            rows += len(table)
    return rows
