"""Optuna's samplers as agents: peers to compare with.

References:
    Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.agents.base import require
from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import UnknownNameError
from dovetail.ir.space import FloatArray, IntArray, Knob

SAMPLERS = {
    "tpe": "TPESampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
}
"""Classes below `optuna.samplers`."""

CONSTRAINED = ("tpe", "nsga2", "nsga3", "gp")
"""Samplers that take constraints; the others learn of them by the objectives."""

PARTIAL = ("cmaes", "qmc")
"""Samplers of numbers; another draws their categories."""

EXTRAS = {"gp": ("torch", "torch"), "cmaes": ("optuna", "cmaes")}
"""Extra and module that a sampler needs beside Optuna."""


@dataclass(frozen=True, slots=True)
class OptunaArgs:
    """Settings of Optuna's samplers; all else is Optuna's default.

    Attributes:
        batch: designs per ask; 1 lets every ask know all that was told before.
        sampler: tpe, nsga2, nsga3, gp, cmaes (one objective: the mean of all), qmc or random.
        population: of nsga2 and nsga3.
        startup: random designs before tpe and gp fit a model.
    """

    batch: int = 1
    sampler: str = "tpe"
    population: int = 50
    startup: int = 10

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1)
        check_range("population", self.population, 2)
        check_range("startup", self.startup, 1)
        if self.sampler not in SAMPLERS:
            raise UnknownNameError("sampler of Optuna", self.sampler, SAMPLERS)


class OptunaAgent:
    """Asks an Optuna study for trials and tells it their values.

    A design without objectives counts as the reference point. Samplers that take no constraints
    find an infeasible design as far beyond the reference point as its violation says.
    """

    Args = OptunaArgs
    NEEDS = ("optuna", "optuna")

    def __init__(self, problem: DesignProblem, seed: int, args: OptunaArgs) -> None:
        require("agent 'optuna'", *self.NEEDS)
        if args.sampler in EXTRAS:
            require(f"agent 'optuna' with sampler={args.sampler}", *EXTRAS[args.sampler])
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._args = args
        self._worst = problem.reference_point
        self._knobs = {knob.name: _distribution(knob) for knob in problem.space.knobs}
        goals = 1 if args.sampler == "cmaes" else len(problem.objectives)
        with warnings.catch_warnings():
            # Much of Optuna calls itself experimental.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                sampler=_sampler(args, seed), directions=["minimize"] * goals
            )
        self._trials: list[Any] = []

    def ask(self) -> IntArray:
        """The study's next trials, (batch, knobs)."""
        self._trials = [self._study.ask(self._knobs) for _ in range(self._args.batch)]
        rows = [[trial.params[name] for name in self._knobs] for trial in self._trials]
        return np.array(rows, dtype=np.int64)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Ends trials."""
        values = self._values(evaluation)
        rows = zip(self._trials, values, evaluation.violation, strict=False)
        for trial, value, violation in rows:
            if self._args.sampler in CONSTRAINED:
                trial.set_constraint("violation", float(violation))
            self._study.tell(trial, value.tolist())

    def _values(self, evaluation: Evaluation) -> FloatArray:
        """What is minimised, (n, goals)."""
        known = evaluation.objectives
        values = np.where(np.isnan(known), self._worst, known)
        if self._args.sampler not in CONSTRAINED:
            beyond = self._worst + evaluation.violation[:, None]
            values = np.where(evaluation.feasible[:, None], values, beyond)
        if self._args.sampler == "cmaes":
            values = values.mean(axis=1, keepdims=True)
        return values


def _distribution(knob: Knob) -> Any:
    import optuna

    count = len(knob.values)
    if knob.ordered:
        return optuna.distributions.IntDistribution(0, count - 1)
    return optuna.distributions.CategoricalDistribution(list(range(count)))


def _sampler(args: OptunaArgs, seed: int) -> Any:
    import optuna

    settings: dict[str, Any] = {"seed": seed % 2**32}
    if args.sampler in ("nsga2", "nsga3"):
        settings["population_size"] = args.population
    if args.sampler in ("tpe", "gp"):
        settings["n_startup_trials"] = args.startup
    if args.sampler in PARTIAL:
        settings["independent_sampler"] = optuna.samplers.RandomSampler(seed=seed % 2**32)
        settings["warn_independent_sampling"] = False
    if args.sampler == "qmc":
        settings |= {"scramble": True, "warn_asynchronous_seeding": False}
    return getattr(optuna.samplers, SAMPLERS[args.sampler])(**settings)
