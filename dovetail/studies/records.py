"""Evaluations as they lie in a study: arrays in memory, checked rows on disk."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.envs.problem import Evaluation
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.pareto import non_dominated
from dovetail.ir.space import FloatArray, IntArray
from dovetail.studies.spec import StudySpec

Row = tuple[int, int, bytes, bytes, float, int]
"""Number, batch, design (int32 little endian), numbers (float64 little endian: violation,
objectives, metrics), seconds, CRC-32 of design and numbers."""


@dataclass(frozen=True)
class Records:
    """Evaluations in order.

    Attributes:
        designs: (n, knobs).
        batches: (n,) number of each one's batch.
        evaluation: of the n designs.
        seconds: (n,) when each was stored, since the study began.
    """

    designs: IntArray
    batches: IntArray
    evaluation: Evaluation
    seconds: FloatArray

    def __len__(self) -> int:
        return len(self.designs)

    def part(self, start: int, stop: int) -> Records:
        """Evaluations `start` to `stop` - 1."""
        return Records(
            self.designs[start:stop],
            self.batches[start:stop],
            take(self.evaluation, start, stop),
            self.seconds[start:stop],
        )

    def front(self) -> IntArray:
        """Numbers of the feasible, non-dominated evaluations; of equal objectives the first."""
        evaluation = self.evaluation
        masked = np.where(evaluation.feasible[:, None], evaluation.objectives, np.nan)
        return np.flatnonzero(non_dominated(masked, keep_equal=False))


def take(evaluation: Evaluation, start: int, stop: int) -> Evaluation:
    """Rows `start` to `stop` - 1 of an evaluation."""
    return pick(evaluation, slice(start, stop))


def pick(evaluation: Evaluation, rows: IntArray | slice) -> Evaluation:
    """Some rows of an evaluation."""
    return Evaluation(
        {name: values[rows] for name, values in evaluation.metrics.items()},
        evaluation.objectives[rows],
        evaluation.violation[rows],
    )


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """Evaluations of successive designs as one; at least one part, all with the same metrics."""
    first = parts[0]
    return Evaluation(
        {name: np.concatenate([part.metrics[name] for part in parts]) for name in first.metrics},
        np.concatenate([part.objectives for part in parts]),
        np.concatenate([part.violation for part in parts]),
    )


def checked(evaluation: Evaluation, count: int, objectives: int) -> Evaluation:
    """Checks a problem's evaluation and lays it out as the store gives it back, bit for bit.

    Args:
        evaluation: of `count` designs.
        count: number of designs n.
        objectives: number of objectives m.

    Returns:
        The same as contiguous float64 arrays.

    Raises:
        ProblemError: if a shape does not fit, or a feasible design has no finite objectives.
    """
    shapes = {evaluation.violation.shape, *(v.shape for v in evaluation.metrics.values())}
    if shapes != {(count,)} or evaluation.objectives.shape != (count, objectives):
        raise ProblemError(
            f"an evaluation of {count} designs has objectives {evaluation.objectives.shape} and "
            f"columns {sorted(shapes)}: must be {(count, objectives)} and {(count,)}"
        )
    unknown = evaluation.feasible & ~np.isfinite(evaluation.objectives).all(axis=1)
    if unknown.any() or np.isnan(evaluation.violation).any():
        raise ProblemError(
            "an evaluation calls a design feasible whose objectives are not finite, or has no "
            "violation: give illegal designs a positive violation"
        )
    return Evaluation(
        {name: _column(values) for name, values in evaluation.metrics.items()},
        _column(evaluation.objectives),
        _column(evaluation.violation),
    )


def to_rows(
    first: int, batch: int, designs: IntArray, evaluation: Evaluation, seconds: float
) -> list[Row]:
    """Rows of a batch.

    Args:
        first: number of its first evaluation.
        batch: number of the batch.
        designs: (n, knobs).
        evaluation: of these n designs.
        seconds: since the study began.
    """
    columns = [evaluation.violation, *evaluation.objectives.T, *evaluation.metrics.values()]
    numbers = np.stack(columns, axis=1).astype("<f8")
    rows = []
    for number, (design, values) in enumerate(zip(designs.astype("<i4"), numbers, strict=True)):
        blobs = design.tobytes(), values.tobytes()
        rows.append((first + number, batch, *blobs, float(seconds), _checksum(*blobs)))
    return rows


def from_rows(what: str, spec: StudySpec, metrics: Sequence[str], rows: Sequence[Row]) -> Records:
    """Evaluations from rows.

    Args:
        what: name of the study in errors.
        spec: its specification.
        metrics: names of its metrics.
        rows: in order.

    Raises:
        StudyError: if a row is damaged or missing.
    """
    knobs, m = len(spec.space.knobs), len(spec.objectives)
    width = 1 + m + len(metrics)
    for expected, row in enumerate(rows):
        if row[0] != expected or not _is_sound(row, 4 * knobs, 8 * width):
            raise StudyError(f"{what} is corrupt: evaluation {expected} is damaged or missing")
    designs = np.frombuffer(b"".join(row[2] for row in rows), "<i4").reshape(-1, knobs)
    table = np.frombuffer(b"".join(row[3] for row in rows), "<f8").reshape(-1, width)
    table = table.astype(np.float64)
    names = {name: table[:, 1 + m + i].copy() for i, name in enumerate(metrics)}
    return Records(
        designs.astype(np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        Evaluation(names, table[:, 1 : 1 + m].copy(), table[:, 0].copy()),
        np.array([row[4] for row in rows], dtype=np.float64),
    )


def _column(values: FloatArray) -> FloatArray:
    return np.array(values, dtype=np.float64, order="C")


def _is_sound(row: Row, design_bytes: int, number_bytes: int) -> bool:
    _, batch, design, numbers, seconds, crc = row
    if not (isinstance(batch, int) and isinstance(seconds, float)):
        return False
    if not (isinstance(design, bytes) and isinstance(numbers, bytes)):
        return False
    fits = (len(design), len(numbers)) == (design_bytes, number_bytes)
    return fits and crc == _checksum(design, numbers)


def _checksum(design: bytes, numbers: bytes) -> int:
    return zlib.crc32(numbers, zlib.crc32(design))
