"""What every agent is: a batch of designs out, their evaluation in.

An agent is made for a problem and a seed; from then on its asks depend only on what it is told.
No agent reads a clock or the random state that other code uses, so a search is resumed by
asking a fresh agent and telling it the stored evaluations again.

An agent is a class with a frozen dataclass `Args` of documented settings; other packages add
theirs under the entry point group `dovetail.agents`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dovetail.agents.settings import build_args
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import MissingExtraError, ProblemError, UnknownNameError
from dovetail.ir.space import FloatArray, IntArray

GROUP = "dovetail.agents"

Arrays: TypeAlias = dict[str, NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64]]
"""Arrays by name."""

REGISTRY: dict[str, str] = {
    "annealing": "dovetail.agents.annealing:AnnealingAgent",
    "ant_colony": "dovetail.agents.ant_colony:AntColonyAgent",
    "bayesian": "dovetail.agents.bayesian:BayesianAgent",
    "bayesian_mf": "dovetail.agents.bayesian_mf:BayesianMFAgent",
    "cem": "dovetail.agents.cem:CEMAgent",
    "ego": "dovetail.agents.ego:EgoAgent",
    "genetic": "dovetail.agents.genetic:GeneticAgent",
    "maskable_ppo": "dovetail.agents.maskable_ppo:MaskablePPOAgent",
    "nasaic": "dovetail.agents.nasaic:NASAICAgent",
    "nemo": "dovetail.agents.nemo:NEMOAgent",
    "nsga2": "dovetail.agents.nsga2:NSGA2Agent",
    "optuna": "dovetail.agents.optuna_sampler:OptunaAgent",
    "ppo": "dovetail.agents.ppo:PPOAgent",
    "predictor": "dovetail.agents.predictor:PredictorAgent",
    "pymoo": "dovetail.agents.pymoo_algorithm:PymooAgent",
    "random": "dovetail.agents.random_search:RandomAgent",
    "reinforce": "dovetail.agents.reinforce:ReinforceAgent",
    "reinforce_lstm": "dovetail.agents.reinforce_lstm:ReinforceLSTMAgent",
    "rhnas": "dovetail.agents.rhnas:RHNASAgent",
}
"""Agents of this package: name -> module:class. Loading a module needs no extra; making may."""


class Agent(Protocol):
    """A search strategy over a design space."""

    def ask(self) -> IntArray:
        """Next batch of designs to evaluate, (n, knobs); n is the agent's own batch size."""

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Takes the evaluation of the designs asked last, in order.

        A study that reaches its budget may tell only the first of them. `bayesian` and
        `bayesian_mf` may also be asked again before they are told, and told in any order and parts.
        """


@runtime_checkable
class Trained(Protocol):
    """What an agent has, too, if its policy can be kept and asked: see `policy_file`."""

    def state(self) -> Arrays:
        """What was learnt: the same names, shapes and types however much it is."""

    def restore(self, arrays: Arrays) -> None:
        """Takes, before the first ask, the `state` of an agent of the same form."""

    def propose(self, preferences: FloatArray) -> IntArray:
        """Samples a design for each preference (n, m): (n, knobs)."""


class AgentFactory(Protocol):
    """Makes an agent; the agent's class itself in this package."""

    @property
    def Args(self) -> type[Any]:  # noqa: N802
        """Frozen dataclass of settings, all with defaults."""

    def __call__(self, problem: DesignProblem, seed: int, args: Any) -> Agent:
        """Agent for one search."""


def names() -> tuple[str, ...]:
    """Names of all registered agents, sorted."""
    return tuple(sorted({*REGISTRY, *(point.name for point in entry_points(group=GROUP))}))


def factory(name: str) -> AgentFactory:
    """Looks an agent up by name.

    Raises:
        UnknownNameError: if neither this package nor an entry point has it.
        ProblemError: if the package that has it cannot be loaded.
    """
    if name in REGISTRY:
        module, _, attribute = REGISTRY[name].partition(":")
        return cast(AgentFactory, getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        try:
            return cast(AgentFactory, point.load())
        except Exception as error:
            raise ProblemError(
                f"agent '{name}' from {point.value} fails: {type(error).__name__}: {error}"
            ) from error
    raise UnknownNameError("agent", name, names())


def make_agent(
    name: str,
    problem: DesignProblem,
    seed: int,
    settings: Mapping[str, object] | None = None,
) -> Agent:
    """Makes an agent for one search.

    Args:
        name: one of `names()`.
        problem: what it searches.
        seed: any integer >= 0; same seed and same tells give the same asks.
        settings: values of the agent's `Args` by name; defaults for the others.

    Raises:
        UnknownNameError: if no agent has that name.
        ProblemError: if a setting is unknown or out of range.
        MissingExtraError: if the agent needs a package that is not installed.
    """
    made = factory(name)
    return made(problem, seed, build_args(name, made.Args, settings))


def resolve_settings(name: str, settings: Mapping[str, object] | None = None) -> dict[str, object]:
    """All settings of an agent by name, JSON-able, with defaults where none is given.

    Raises:
        UnknownNameError: if no agent has that name.
        ProblemError: if a setting is unknown or out of range.
    """
    return dataclasses.asdict(build_args(name, factory(name).Args, settings))


def check_installed(name: str) -> None:
    """Checks before long work that an agent can be made.

    Raises:
        UnknownNameError: if no agent has that name.
        MissingExtraError: if it needs a package that is not installed.
    """
    needs: tuple[str, ...] = getattr(factory(name), "NEEDS", ())
    if needs:
        require(f"agent '{name}'", *needs)


def require(feature: str, extra: str, *modules: str) -> None:
    """Checks that optional modules are installed.

    Raises:
        MissingExtraError: naming the first that is not.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(feature, extra, module)
