"""Gaussian processes over told designs, and what they expect of others.

References:
    Daulton, Balandat and Bakshy, "Parallel Bayesian Optimization of Multiple Noisy Objectives
    with Expected Hypervolume Improvement", NeurIPS 2021 (NEHVI); Ament et al., "Unexpected
    Improvements to Expected Improvement", NeurIPS 2023 (its logarithm); Hvarfner, Hellsten and
    Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024 (prior of
    the length scales).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

from dovetail.ir.space import BoolArray, FloatArray

# Else the first use compiles a kernel with g++, for seconds to minutes; see BoTorch PR #3275.
logei._load_attempted = True

FEASIBLE = -0.5
"""Target of the violation model for feasible designs; infeasible ones get at least -FEASIBLE."""


class Surrogate:
    """One independent process per objective, and one for the violation if any design has one.

    Objectives are modelled negated, so that more is better, as BoTorch wants it.

    Args:
        points: (n, width) in the unit cube.
        objectives: (n, m), minimised; rows with NaN inform the violation model only.
        violation: (n,).
        iterations: most steps of L-BFGS per fit.
    """

    def __init__(
        self, points: FloatArray, objectives: FloatArray, violation: FloatArray, iterations: int
    ) -> None:
        self._iterations = iterations
        known = np.isfinite(objectives).all(axis=1)
        self.objectives: list[Any] = []
        if known.sum() >= 2:
            self.objectives = [self._fit(points[known], -y[known]) for y in objectives.T]
        feasible = violation <= 0
        self.violation: Any = None
        if not feasible.all():
            self.violation = self._fit(points, violation_targets(violation))

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations of the negated objectives, (n, m) each."""
        return _moments(self.objectives, points)

    def violations(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the violation target, (n,) each; feasible below 0."""
        if self.violation is None:
            return np.full(len(points), FEASIBLE), np.zeros(len(points))
        mean, deviation = _moments([self.violation], points)
        return mean[:, 0], deviation[:, 0]

    def acquisition(
        self, baseline: FloatArray, reference: FloatArray, samples: int, seed: int
    ) -> Any:
        """Expected hypervolume improvement over a baseline front (qLogNEHVI), constrained.

        Args:
            baseline: (k, width) points of the front so far.
            reference: (m,) corner of the hypervolume, of minimised objectives.
            samples: Monte Carlo samples of the posterior.
            seed: of those samples.
        """
        m = len(self.objectives)
        outcomes = [*self.objectives, *([self.violation] if self.violation is not None else [])]
        constraints = [lambda z: z[..., m]] if self.violation is not None else None
        return logei.qLogNoisyExpectedHypervolumeImprovement(
            model=ModelListGP(*outcomes),
            ref_point=torch.as_tensor(-reference),
            X_baseline=torch.as_tensor(baseline),
            sampler=SobolQMCNormalSampler(torch.Size([samples]), seed=seed),
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(m))),
            constraints=constraints,
            cache_root=False,
        )

    def _fit(self, points: FloatArray, targets: FloatArray) -> Any:
        model = SingleTaskGP(torch.as_tensor(points), torch.as_tensor(targets)[:, None])
        fit_gpytorch_mll(
            ExactMarginalLogLikelihood(model.likelihood, model),
            optimizer_kwargs={"options": {"maxiter": self._iterations}},
        )
        return model


def violation_targets(violation: FloatArray) -> FloatArray:
    """Violations (n,) as targets that separate feasible from infeasible designs at 0.

    A process through the violations themselves, 0 at every feasible design, would give those
    even odds.
    """
    return np.where(violation <= 0, FEASIBLE, -FEASIBLE + np.log1p(violation))


def improvement_cells(front: FloatArray, reference: FloatArray) -> tuple[Tensor, Tensor]:
    """Boxes that tile what a front (k, m) does not dominate, as lower and upper corners.

    Corners are of negated objectives, (cells, m) each.
    """
    if len(reference) == 1:  # BoTorch's tilings begin at two objectives
        best = torch.as_tensor(-min(front.min(), reference[0])).reshape(1, 1)
        return best, torch.full_like(best, torch.inf)
    tiling = FastNondominatedPartitioning(
        ref_point=torch.as_tensor(-reference), Y=torch.as_tensor(-front)
    )
    lower, upper = tiling.get_hypercell_bounds()
    return lower, upper


def expected_improvement(
    mean: FloatArray, deviation: FloatArray, cells: tuple[Tensor, Tensor], draws: FloatArray
) -> FloatArray:
    """Expected hypervolume improvement of independent normals, by Monte Carlo.

    Args:
        mean: (n, m) of negated objectives.
        deviation: (n, m).
        cells: from `improvement_cells`.
        draws: (samples, m) standard normal draws, the same for every design.

    Returns:
        (n,).

    References:
        Daulton, Balandat and Bakshy, NeurIPS 2020, eq. 5, for one design.
    """
    lower, upper = cells
    total = torch.zeros(len(mean), dtype=torch.float64)
    for draw in torch.as_tensor(draws):
        values = torch.as_tensor(mean) + torch.as_tensor(deviation) * draw
        volume = torch.ones(len(mean), len(lower), dtype=torch.float64)
        for j in range(values.shape[1]):
            reach = torch.minimum(values[:, j, None], upper[:, j]) - lower[:, j]
            volume *= reach.clamp_min_(0.0)
        total += volume.sum(dim=1)
    improvement: FloatArray = (total / len(draws)).numpy()
    return improvement


def spread_out(front: FloatArray, count: int) -> BoolArray:
    """Chooses points of a front (k, m) far from each other, the best of each objective first."""
    extent = front.max(axis=0) - front.min(axis=0)
    scaled = front / np.where(extent > 0, extent, 1.0)
    chosen = np.zeros(len(front), dtype=np.bool_)
    chosen[front.argmin(axis=0)[:count]] = True
    distance = np.linalg.norm(scaled[:, None] - scaled[chosen], axis=2).min(axis=1)
    while chosen.sum() < min(count, len(front)):
        new = int(np.where(chosen, -1.0, distance).argmax())
        chosen[new] = True
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[new], axis=1))
    return chosen


def _moments(models: list[Any], points: FloatArray) -> tuple[FloatArray, FloatArray]:
    columns = []
    with torch.no_grad():
        for model in models:
            posterior = model.posterior(torch.as_tensor(points))
            columns.append((posterior.mean[:, 0], posterior.variance[:, 0].clamp_min(0).sqrt()))
    means, deviations = zip(*columns, strict=True)
    return torch.stack(means, 1).numpy(), torch.stack(deviations, 1).numpy()
