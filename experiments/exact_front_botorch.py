"""A plain BoTorch loop, as a user would write it: a peer of `experiments/exact_front.py`.

One `SingleTaskGP` per objective with BoTorch's defaults, qLogNEHVI optimised by `optimize_acqf`
over the unit cube in batches of four, and rounding to the grid. The start is a scrambled Sobol
sequence of 2 (d + 1) designs of d knobs, as in BoTorch's tutorials; restarts, raw samples and Monte
Carlo samples are 4, 128 and 64, where those take 10, 512 and 128. Categories are one coordinate per
value, of which the largest counts; designs without objectives count as the reference point. What
rounds to a design that was told already, which would end in asking the same ones for ever, becomes
a new neighbour of it.

References:
    Balandat et al., "BoTorch: A Framework for Efficient Monte-Carlo Bayesian Optimization",
    NeurIPS 2020; Daulton, Balandat and Bakshy, NeurIPS 2021 (NEHVI); Ament et al., NeurIPS 2023.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler
from gpytorch.mlls import SumMarginalLogLikelihood
from torch import Tensor
from torch.quasirandom import SobolEngine

from dovetail.agents import surrogate  # noqa: F401  # keeps BoTorch from compiling with g++
from dovetail.agents.encoding import UnitEncoding
from dovetail.agents.isolation import Isolation
from dovetail.agents.seen import Seen
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray

ATTEMPTS = 100
BATCH, RESTARTS, RAW, SAMPLES = 4, 4, 128, 64


class PlainBoTorch:
    """Asks where qLogNEHVI is greatest, rounded to the grid; told what that costs."""

    def __init__(self, problem: DesignProblem, seed: int) -> None:
        self._space = problem.space
        self._reference = np.asarray(problem.reference_point, dtype=np.float64)
        self._encoding = UnitEncoding(problem.space)
        self._isolation = Isolation(seed)
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._seen = Seen(problem.space)
        self._points: FloatArray = np.zeros((0, self._encoding.width))
        self._objectives: FloatArray = np.zeros((0, len(self._reference)))

    def ask(self) -> IntArray:
        """The Sobol start, then batches of four, (n, knobs)."""
        if not len(self._points):
            width = len(self._space.knobs)
            engine = SobolEngine(width, scramble=True, seed=self._seed)
            points = engine.draw(2 * (width + 1)).numpy().astype(np.float64)
            first: IntArray = (points * self._space.cardinalities).astype(np.int64)
            return first
        with self._isolation, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._new(self._rounded(self._propose().numpy()))

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Adds designs and their objectives."""
        self._seen.add(designs)
        known = np.where(np.isnan(evaluation.objectives), self._reference, evaluation.objectives)
        self._points = np.concatenate([self._points, self._encoding.encode(designs)])
        self._objectives = np.concatenate([self._objectives, known])

    def _propose(self) -> Tensor:
        points = torch.as_tensor(self._points)
        models = [SingleTaskGP(points, torch.as_tensor(-y)[:, None]) for y in self._objectives.T]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=torch.as_tensor(-self._reference),
            X_baseline=points,
            prune_baseline=True,
            sampler=SobolQMCNormalSampler(torch.Size([SAMPLES])),
        )
        bounds = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, points.shape[1])
        found, _ = optimize_acqf(
            acquisition, bounds, q=BATCH, num_restarts=RESTARTS, raw_samples=RAW, sequential=True
        )
        return found

    def _new(self, designs: IntArray) -> IntArray:
        """Designs (n, knobs), of which those not new have a knob or more drawn anew."""
        fresh = self._seen.new(designs[:0])
        for design in designs:
            moved = design
            for _ in range(ATTEMPTS):
                if len(self._seen.new(moved[None], fresh)) > len(fresh):
                    break
                knob = self._rng.integers(len(design))
                moved = moved.copy()
                moved[knob] = self._rng.integers(self._space.cardinalities[knob])
            fresh = np.concatenate([fresh, moved[None]])
        return fresh

    def _rounded(self, points: FloatArray) -> IntArray:
        """The nearest designs (n, knobs) of points (n, width), in the encoding's order."""
        designs = np.zeros((len(points), len(self._space.knobs)), dtype=np.int64)
        knobs = list(enumerate(self._space.knobs))
        place = 0
        for i, knob in knobs:
            if knob.ordered and len(knob.values) > 1:
                designs[:, i] = np.rint(points[:, place] * (len(knob.values) - 1))
                place += 1
        for i, knob in knobs:
            if not knob.ordered and len(knob.values) > 1:
                designs[:, i] = points[:, place : place + len(knob.values)].argmax(axis=1)
                place += len(knob.values)
        return designs
