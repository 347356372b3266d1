"""Gaussian processes over told designs, and what they expect of others.

References:
    Daulton, Balandat and Bakshy, "Parallel Bayesian Optimization of Multiple Noisy Objectives
    with Expected Hypervolume Improvement", NeurIPS 2021 (NEHVI); Ament et al., "Unexpected
    Improvements to Expected Improvement", NeurIPS 2023 (its logarithm); Hvarfner, Hellsten and
    Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024 (prior of
    the length scales).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
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
"""Target of the model of laws for lawful designs; others get at least -FEASIBLE."""

PRECISION = 1e-5
"""Share of the marginal likelihood by which a step must raise it, for a fit to go on."""

Hyperparameters = dict[str, Tensor]
"""Of one process: what its fit ended with, by name."""


class Surrogate:
    """Independent processes: one per objective and constraint, and one for the laws if broken.

    Objectives are modelled negated, so that more is better, as BoTorch wants it. Constraints are
    modelled as relative excesses on a logarithmic scale to both sides of 0 (bilog).

    Args:
        points: (n, width) in the unit cube.
        objectives: (n, m), minimised; rows with NaN inform the model of laws only.
        excess: signed relative excesses (n, c) over the constraints, at most 0 within them.
        laws: (n,) violation of laws, 0 where lawful.
        iterations: most steps of L-BFGS of a fit that begins at the prior's mode.
        refits: of one that begins where an earlier one ended.
        start: `hyperparameters` of earlier fits, to begin at.

    References:
        Eriksson and Poloczek, "Scalable Constrained Bayesian Optimization", AISTATS 2021 (bilog).
    """

    def __init__(
        self,
        points: FloatArray,
        objectives: FloatArray,
        excess: FloatArray,
        laws: FloatArray,
        iterations: int,
        refits: int,
        start: Mapping[str, Hyperparameters],
    ) -> None:
        self.hyperparameters: dict[str, Hyperparameters] = {}
        known = np.isfinite(objectives).all(axis=1)
        self.objectives: list[Any] = []
        self.constraints: list[Any] = []

        def fitted(name: str, x: FloatArray, y: FloatArray) -> Any:
            model = fit(x, y, refits if name in start else iterations, start.get(name))
            self.hyperparameters[name] = hyperparameters(model)
            return model

        if known.sum() >= 2:
            for j, y in enumerate(objectives[known].T):
                self.objectives.append(fitted(f"objective {j}", points[known], -y))
            for j, y in enumerate(bilog(excess[known]).T):
                self.constraints.append(fitted(f"constraint {j}", points[known], y))
        if (laws > 0).any():
            self.constraints.append(fitted("laws", points, law_targets(laws)))

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations of the negated objectives, (n, m) each."""
        return moments(self.objectives, points)

    def log_odds(self, points: FloatArray) -> FloatArray:
        """Logarithm of the probability (n,) that designs keep to all laws and constraints."""
        if not self.constraints:
            return np.zeros(len(points))
        return log_probability_below_zero(*moments(self.constraints, points))

    def acquisition(
        self, baseline: FloatArray, reference: FloatArray, samples: int, seed: int
    ) -> Any:
        """What a batch of designs adds to a baseline, as expected by BoTorch.

        Args:
            baseline: (k, width) points of the front so far, and of designs still evaluated.
            reference: (m,) corner of the hypervolume, of minimised objectives.
            samples: Monte Carlo samples of the posterior.
            seed: of those samples.

        Returns:
            qLogNEHVI, or qLogNEI of a single objective.
        """
        m = len(self.objectives)
        bounds = range(m, m + len(self.constraints))
        common = {
            "model": ModelListGP(*self.objectives, *self.constraints),
            "X_baseline": torch.as_tensor(baseline),
            "sampler": SobolQMCNormalSampler(torch.Size([samples]), seed=seed),
            "constraints": [lambda z, j=j: z[..., j] for j in bounds] or None,
            "cache_root": False,
        }
        if m == 1:
            objective = GenericMCObjective(lambda z, X=None: z[..., 0])
            return qLogNoisyExpectedImprovement(objective=objective, prune_baseline=False, **common)
        # Points of a batch count by inclusion and exclusion: new tilings for each take longer.
        return logei.qLogNoisyExpectedHypervolumeImprovement(
            ref_point=torch.as_tensor(-reference),
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(m))),
            cache_pending=False,
            **common,
        )


def fit(
    points: FloatArray, targets: FloatArray, iterations: int, start: Hyperparameters | None = None
) -> Any:
    """A Gaussian process fitted by marginal likelihood.

    Args:
        points: (n, width) in the unit cube.
        targets: (n,).
        iterations: most steps of L-BFGS.
        start: of an earlier fit to similar data, which ends after few steps then.
    """
    model = SingleTaskGP(torch.as_tensor(points), torch.as_tensor(targets)[:, None])
    if start is not None:
        model.load_state_dict(start, strict=False)
    fit_gpytorch_mll(
        ExactMarginalLogLikelihood(model.likelihood, model),
        optimizer_kwargs={"options": {"maxiter": iterations, "ftol": PRECISION}},
    )
    return model


def hyperparameters(model: Any) -> Hyperparameters:
    """What a fit ended with; not how its data were standardised."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def bilog(excess: FloatArray) -> FloatArray:
    """Signed logarithm: keeps order and 0, tames large values."""
    return np.sign(excess) * np.log1p(np.abs(excess))


def log_probability_below_zero(mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Logarithm of the probability (n,) that all of independent normals (n, c) are below 0."""
    scores = torch.as_tensor(-mean / np.maximum(deviation, 1e-6))
    odds: FloatArray = torch.special.log_ndtr(scores).sum(dim=1).numpy()
    return odds


def law_targets(violation: FloatArray) -> FloatArray:
    """Violations (n,) of laws as targets that separate lawful from other designs at 0.

    A process through the violations themselves, 0 at every lawful design, would give those
    even odds.
    """
    return np.where(violation <= 0, FEASIBLE, -FEASIBLE + np.log1p(violation))


def improvement_cells(front: FloatArray, reference: FloatArray) -> tuple[Tensor, Tensor]:
    """Boxes that tile what a front (k, m) does not dominate, as lower and upper corners.

    Corners are of negated objectives, (cells, m) each.
    """
    if len(reference) == 1:  # BoTorch's tilings begin at two objectives
        best = torch.as_tensor(-min([*front[:, 0], reference[0]])).reshape(1, 1)
        return best, torch.full_like(best, torch.inf)
    tiling = FastNondominatedPartitioning(
        ref_point=torch.as_tensor(-reference), Y=torch.as_tensor(-front)
    )
    lower, upper = tiling.get_hypercell_bounds()
    return lower, upper


def expected_improvement(
    mean: FloatArray,
    deviation: FloatArray,
    cells: tuple[Tensor, Tensor],
    draws: FloatArray,
    odds: FloatArray | float = 1.0,
    above: float = 0.0,
) -> FloatArray:
    """Expected hypervolume improvement of independent normals, by Monte Carlo.

    Args:
        mean: (n, m) of negated objectives.
        deviation: (n, m).
        cells: from `improvement_cells`.
        draws: (samples, m) standard normal draws, the same for every design.
        odds: probability (n,) that an improvement counts.
        above: only what an improvement exceeds this by counts.

    Returns:
        (n,).

    References:
        Daulton, Balandat and Bakshy, NeurIPS 2020, eq. 5, for one design.
    """
    lower, upper = cells
    weight = torch.as_tensor(odds)
    total = torch.zeros(len(mean), dtype=torch.float64)
    for draw in torch.as_tensor(draws):
        values = torch.as_tensor(mean) + torch.as_tensor(deviation) * draw
        volume = torch.ones(len(mean), len(lower), dtype=torch.float64)
        for j in range(values.shape[1]):
            reach = torch.minimum(values[:, j, None], upper[:, j]) - lower[:, j]
            volume *= reach.clamp_min_(0.0)
        total += (weight * volume.sum(dim=1) - above).clamp_min_(0.0)
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


def moments(models: Sequence[Any], points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations (n, models) of fitted processes at points (n, width)."""
    columns = []
    with torch.no_grad():
        for model in models:
            posterior = model.posterior(torch.as_tensor(points))
            columns.append((posterior.mean[:, 0], posterior.variance[:, 0].clamp_min(0).sqrt()))
    means, deviations = zip(*columns, strict=True)
    return torch.stack(means, 1).numpy(), torch.stack(deviations, 1).numpy()
