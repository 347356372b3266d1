"""What a search was told, by design."""

from __future__ import annotations

import numpy as np

from dovetail.envs.hardware import HardwareProblem
from dovetail.envs.problem import Evaluation
from dovetail.ir.space import FloatArray, IntArray


class Memory:
    """Evaluations by design, each kept once.

    Args:
        problem: what is searched.
    """

    def __init__(self, problem: HardwareProblem) -> None:
        self._knobs = len(problem.space.knobs)
        self._rows: dict[bytes, int] = {}
        self._designs: list[IntArray] = []
        self._metrics: dict[str, list[FloatArray]] = {name: [] for name in problem.metrics}
        self._objectives: list[FloatArray] = []
        self._violation: list[FloatArray] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Keeps the evaluation of designs (n, knobs); of those known, the first stays."""
        for row, design in enumerate(designs):
            if self._rows.setdefault(design.tobytes(), len(self._designs)) < len(self._designs):
                continue
            self._designs.append(design)
            self._objectives.append(evaluation.objectives[row])
            self._violation.append(evaluation.violation[row])
            for name, values in self._metrics.items():
                values.append(evaluation.metrics[name][row])

    def unknown(self, designs: IntArray) -> IntArray:
        """Those of designs (n, knobs) that were not told yet, each once, in order."""
        fresh = {d.tobytes(): d for d in designs if d.tobytes() not in self._rows}
        return np.array(list(fresh.values()), dtype=np.int64).reshape(-1, self._knobs)

    def designs(self) -> IntArray:
        """All designs (n, knobs), in the order told."""
        return np.array(self._designs, dtype=np.int64).reshape(-1, self._knobs)

    def metric(self, name: str) -> FloatArray:
        """A metric (n,) of all designs; NaN where illegal."""
        return np.array(self._metrics[name])

    def metrics(self, designs: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) by name of known designs (n, knobs)."""
        rows = self._find(designs)
        return {name: np.array([v[row] for row in rows]) for name, v in self._metrics.items()}

    def rewards(self, designs: IntArray, weights: FloatArray) -> FloatArray:
        """Scalar rewards (n,) of known designs (n, knobs) under a preference (m,)."""
        return self._evaluation(self._find(designs)).scalar(weights)

    def best(self, weights: FloatArray) -> IntArray | None:
        """The feasible design (knobs,) of highest reward under a preference (m,), if any."""
        everything = self._evaluation(list(range(len(self))))
        if not everything.feasible.any():
            return None
        rewards = np.where(everything.feasible, everything.scalar(weights), -np.inf)
        return self._designs[int(np.argmax(rewards))]

    def _find(self, designs: IntArray) -> list[int]:
        return [self._rows[design.tobytes()] for design in designs]

    def _evaluation(self, rows: list[int]) -> Evaluation:
        objectives = np.array([self._objectives[row] for row in rows])
        return Evaluation({}, objectives, np.array([self._violation[row] for row in rows]))
