"""What a hyperparameter lottery draws: the range of each setting of an agent.

An agent's class says its own as `RANGES`, settings by name; those of this package stand here. A
setting without a range keeps its default.

References:
    Krishnan et al., "ArchGym: An Open-Source Gymnasium for Machine Learning Assisted Architecture
    Design", ISCA 2023: agents are to be compared over draws of their hyperparameters.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dovetail.agents.base import factory
from dovetail.errors import ProblemError


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from low to high, drawn uniformly, or uniformly in the logarithm.

    Attributes:
        low: least value.
        high: greatest value.
        log: draw the logarithm; low must be > 0.
        whole: round to whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ProblemError(
                f"range {self.low:g} to {self.high:g}: low must be < high, > 0 if log"
            )

    def draw(self, rng: np.random.Generator) -> int | float:
        """One value of three digits, or a whole one."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return round(value) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, all equally likely."""

    values: tuple[int | float | str, ...]

    def draw(self, rng: np.random.Generator) -> int | float | str:
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]


Ranges = Mapping[str, Range | Choice]

_POPULATION = Range(20, 400, log=True, whole=True)
_MUTATED = Range(0.5, 4, log=True)
_SPREAD = Range(0.03, 0.4, log=True)
# Powers of two, so that groups and minibatches divide batches.
_BATCH, _GROUP, _SHARE = Choice((64, 128, 256, 512)), Choice((8, 16, 32, 64)), Range(0, 1)
_HORIZON = Range(1_000, 50_000, log=True, whole=True)
_POLICY: Ranges = {
    "batch": _BATCH,
    "minibatches": Choice((1, 2, 4)),
    "epochs": Choice((3, 5, 10, 20)),
    "learning_rate": Range(3e-4, 1e-2, log=True),
    "clip": Range(0.1, 0.4),
    "entropy_start": Range(0.01, 0.3, log=True),
    "horizon": _HORIZON,
    "hidden": Choice((32, 64, 128)),
    "group": _GROUP,
    "fixed_share": _SHARE,
}

RANGES: dict[str, Ranges] = {
    "annealing": {
        "chains": Range(7, 140, log=True, whole=True),
        "hot": Range(0.05, 2, log=True),
        "cold": Range(3e-4, 0.03, log=True),
        "horizon": Range(500, 20_000, log=True, whole=True),
        "mutated_knobs": _MUTATED,
        "spread": _SPREAD,
    },
    "ant_colony": {
        "ants": Range(28, 560, log=True, whole=True),
        "elite": Range(4, 40, log=True, whole=True),
        "evaporation": Range(0.03, 0.6, log=True),
        "floor": Range(0.003, 0.1, log=True),
        "exponent": Range(0.5, 2, log=True),
    },
    "bayesian": {
        "initial": Range(8, 64, log=True, whole=True),
        "batch": Choice((1, 2, 4, 8)),
        "pool": Choice((256, 512, 1024)),
        "rounds": Choice((1, 3, 5)),
        "shortlist": Choice((8, 16, 32)),
    },
    "bayesian_mf": {
        "initial": Range(8, 64, log=True, whole=True),
        "promoted": Choice((2, 4, 6, 12)),
        "batch": Choice((1, 2, 4)),
        "looks": Choice((4, 8)),
        "pool": Choice((256, 512, 1024)),
        "rounds": Choice((1, 3, 5)),
        "shortlist": Choice((16, 32)),
    },
    "cem": {
        "batch": Range(28, 560, log=True, whole=True),
        "elite": Range(5, 80, log=True, whole=True),
        "smoothing": Range(0.05, 0.9),
        "explore": Range(0.005, 0.2, log=True),
    },
    "ego": {
        "initial": Choice((8, 16, 32, 64)),
        "batch": Choice((1, 2, 4, 8)),
        "growth": Range(0.03, 0.2, log=True),
        "modelled": Range(300, 5_000, log=True, whole=True),
        "points": Choice((128, 256, 512)),
        "pool": Choice((64, 128, 256)),
        "rounds": Choice((2, 4, 8)),
        "optimism": Range(0.5, 2.5),
    },
    "genetic": {
        "population": _POPULATION,
        "niche": Range(10, 200, log=True, whole=True),
        "tournament": Choice((1, 2, 3, 5)),
        "crossover": Range(0.3, 1),
        "mutated_knobs": _MUTATED,
        "spread": _SPREAD,
    },
    "maskable_ppo": _POLICY,
    "nasaic": {
        "episodes": Choice((2, 5, 10, 20)),
        "hardware_steps": Choice((1, 5, 10, 20)),
        "hidden": Choice((32, 64, 128)),
        "learning_rate": Range(5e-4, 2e-2, log=True),
        "baseline": Range(0.5, 0.99),
        "entropy": Range(0.01, 0.3, log=True),
        "kept": Choice((5, 10, 20)),
        "replay": Range(0, 2),
    },
    "nemo": {
        "population": Range(40, 400, log=True, whole=True),
        "messages": Choice((1, 2, 3)),
        "hidden": Choice((4, 8, 16)),
        "crossover": Range(0.3, 1),
        "mutated_knobs": _MUTATED,
        "spread": _SPREAD,
        "noise": Range(0.1, 2, log=True),
        "mutated_share": Range(0.02, 0.5, log=True),
    },
    "nsga2": {
        "population": _POPULATION,
        "crossover": Range(0.3, 1),
        "mutated_knobs": _MUTATED,
        "spread": _SPREAD,
    },
    "optuna": {
        "population": _POPULATION,
        "startup": Range(5, 100, log=True, whole=True),
    },
    "ppo": _POLICY,
    "predictor": {
        "initial": Range(30, 200, log=True, whole=True),
        "batch": Choice((20, 50, 100)),
        "population": Choice((50, 100, 200)),
        "generations": Choice((10, 20, 40)),
        "optimism": Range(0, 1),
    },
    "pymoo": {"population": _POPULATION},
    "reinforce": {
        "batch": _BATCH,
        "group": _GROUP,
        "fixed_share": _SHARE,
        "learning_rate": Range(0.02, 0.5, log=True),
        "entropy_start": Range(0.03, 1, log=True),
        "horizon": _HORIZON,
    },
    "reinforce_lstm": {
        "batch": _BATCH,
        "group": _GROUP,
        "fixed_share": _SHARE,
        "hidden": Choice((64, 128, 256)),
        "learning_rate": Range(2e-4, 5e-3, log=True),
        "discount": Range(0.8, 1),
        "entropy": Range(0.003, 0.1, log=True),
        "horizon": Range(500, 20_000, log=True, whole=True),
    },
    "rhnas": {
        "batch": Choice((16, 32, 64)),
        "restarts": Choice((8, 16, 32, 64)),
        "hardware_steps": Choice((1, 2, 4)),
        "architecture_steps": Choice((30, 100, 200)),
        "hardware_rate": Range(0.05, 1, log=True),
        "architecture_rate": Range(0.02, 0.5, log=True),
        "hardware_entropy": Range(0.01, 0.2, log=True),
        "architecture_entropy": Range(0.001, 0.1, log=True),
    },
}
"""Ranges around the defaults, by agent; one that is not here has one draw: its defaults."""


def ranges_of(agent: str) -> Ranges:
    """Ranges of an agent's settings; empty if it gives none.

    Raises:
        UnknownNameError: if no agent has that name.
    """
    ranges: Ranges = getattr(factory(agent), "RANGES", None) or RANGES.get(agent, {})
    return ranges


def draw_settings(agent: str, fixed: Mapping[str, object], number: int) -> dict[str, object]:
    """Settings of one draw of the lottery; the same for the same agent, fixed settings and number.

    Args:
        agent: registered name.
        fixed: settings that no draw changes.
        number: of the draw, >= 0; draw 0 has the defaults.

    Raises:
        UnknownNameError: if no agent has that name.
    """
    drawn: dict[str, object] = {}
    if number:
        rng = np.random.default_rng([zlib.crc32(agent.encode()), number])
        drawn = {name: range_.draw(rng) for name, range_ in ranges_of(agent).items()}
    return {**drawn, **fixed}
