"""Pareto fronts and hypervolume of minimised objectives.

References:
    Zitzler and Thiele, "Multiobjective Optimization Using Evolutionary Algorithms", PPSN 1998
    (hypervolume); Kung, Luccio and Preparata, J. ACM 22(4), 1975 (maxima of vector sets). The
    algorithms are those of the `moocore` library.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray


def non_dominated(objectives: FloatArray, *, keep_equal: bool = True) -> BoolArray:
    """Marks the rows that no other row dominates.

    A row dominates another if it is no worse in every objective and better in at least one.

    Args:
        objectives: (n, m), minimised; rows with NaN or infinity are never marked.
        keep_equal: of equal rows keep all (True) or only the first (False).

    Returns:
        (n,) True on the front.

    Raises:
        ProblemError: if `objectives` is not a matrix.
    """
    if objectives.ndim != 2:
        raise ProblemError(f"objectives of shape {objectives.shape}: must be (designs, objectives)")
    front = cast(BoolArray, np.isfinite(objectives).all(axis=1))
    if front.any():
        from moocore import is_nondominated

        rows = np.ascontiguousarray(objectives[front])
        front[front] = is_nondominated(rows, keep_weakly=keep_equal)
    return front


def pareto_ranks(objectives: FloatArray) -> IntArray:
    """Ranks rows by non-dominated sorting.

    Args:
        objectives: (n, m), minimised and finite.

    Returns:
        (n,): 0 on the front, 1 on the front of what remains without it, and so on.
    """
    if not len(objectives):
        return np.zeros(0, dtype=np.int64)
    from moocore import pareto_rank

    return cast(IntArray, pareto_rank(np.ascontiguousarray(objectives)).astype(np.int64))


def hypervolume(front: FloatArray, reference: FloatArray) -> float:
    """Volume that points dominate within the box below a reference point.

    Args:
        front: (k, m), minimised; dominated points, points beyond the reference and rows with NaN
            add nothing.
        reference: (m,) the box's upper corner.

    Returns:
        Exact volume, in the product of the objectives' units; 0 for no points.

    Raises:
        ProblemError: if the reference does not fit the points.
    """
    reference = np.asarray(reference, dtype=np.float64)
    if front.ndim != 2 or reference.shape != front.shape[1:]:
        raise ProblemError(
            f"points of shape {front.shape} against a reference of shape {reference.shape}: "
            "must be (points, objectives) and (objectives,)"
        )
    inside = front[(front < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    from moocore import hypervolume as exact

    return float(exact(np.ascontiguousarray(inside), ref=reference))


class ParetoArchive:
    """The front of all designs seen so far, kept up to date batch by batch.

    Of designs with equal objectives the first to arrive stays. What the archive holds depends on
    the sequence of rows only, not on how they are cut into batches.

    Attributes:
        reference: (m,) corner of the hypervolume.
        designs: (k, knobs) designs on the front, in order of arrival.
        objectives: (k, m) their objectives.
        rows: (k,) number of each among all rows added, from 0.
        count: rows added so far.
    """

    def __init__(self, reference: FloatArray, knobs: int) -> None:
        self.reference = np.asarray(reference, dtype=np.float64)
        self.designs: IntArray = np.zeros((0, knobs), dtype=np.int64)
        self.objectives: FloatArray = np.zeros((0, len(self.reference)))
        self.rows: IntArray = np.zeros(0, dtype=np.int64)
        self.count = 0
        self._hypervolume: float | None = 0.0

    def __len__(self) -> int:
        return len(self.rows)

    def add(
        self, designs: IntArray, objectives: FloatArray, feasible: BoolArray | None = None
    ) -> BoolArray:
        """Adds a batch.

        Args:
            designs: (n, knobs).
            objectives: (n, m); rows with NaN never enter.
            feasible: (n,) rows that may enter; all if None.

        Returns:
            (n,) True where the row is on the front now.

        Raises:
            ProblemError: if a shape does not fit the archive.
        """
        self._check(designs, objectives, feasible)
        n, start = len(designs), self.count
        self.count += n
        entering = non_dominated(_masked(objectives, feasible), keep_equal=False)
        if not entering.any():
            return entering
        joined = np.concatenate([self.objectives, objectives[entering]])
        keep = non_dominated(joined, keep_equal=False)
        old = len(self)
        entering[entering] = keep[old:]
        if entering.any():
            arrived = start + np.flatnonzero(entering)
            self.rows = np.concatenate([self.rows[keep[:old]], arrived])
            self.designs = np.concatenate([self.designs[keep[:old]], designs[entering]])
            self.objectives = joined[keep]
            self._hypervolume = None
        return entering

    @property
    def hypervolume(self) -> float:
        """Hypervolume of the front."""
        if self._hypervolume is None:
            self._hypervolume = hypervolume(self.objectives, self.reference)
        return self._hypervolume

    def _check(self, designs: IntArray, objectives: FloatArray, feasible: BoolArray | None) -> None:
        n = len(designs)
        wanted = (n, self.designs.shape[1]), (n, len(self.reference))
        if (designs.shape, objectives.shape) != wanted:
            raise ProblemError(
                f"designs {designs.shape} and objectives {objectives.shape} do not fit the "
                f"archive: must be {wanted[0]} and {wanted[1]}"
            )
        if feasible is not None and feasible.shape != (n,):
            raise ProblemError(f"feasible of shape {feasible.shape}: must be {(n,)}")


def _masked(objectives: FloatArray, feasible: BoolArray | None) -> FloatArray:
    if feasible is None:
        return objectives
    return np.where(feasible[:, None], objectives, np.nan)
