"""Preferences: how much each objective weighs, drawn at random or fixed by the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dovetail.errors import ProblemError

Weights: TypeAlias = NDArray[np.float32]


def parse_preference(values: ArrayLike, objectives: int, count: int = 1) -> Weights:
    """Checks preference weights and scales them to sum 1.

    Args:
        values: weights >= 0, shape (m,) for all episodes or (count, m) for one each.
        objectives: number m of objectives.
        count: number of episodes.

    Returns:
        Weights of shape (count, m), each row summing to 1.

    Raises:
        ProblemError: if the shape does not fit, or a weight is negative, infinite or all are 0.
    """
    try:
        weights = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"preference {values!r}: must be {objectives} numbers") from None
    if weights.shape not in ((objectives,), (count, objectives)):
        raise ProblemError(
            f"preference of shape {weights.shape}: must hold one weight for each of the "
            f"{objectives} objectives"
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(axis=-1) <= 0).any():
        raise ProblemError(f"preference {weights.tolist()}: weights must be >= 0, one at least > 0")
    scaled = weights / weights.sum(axis=-1, keepdims=True)
    return np.broadcast_to(scaled, (count, objectives)).astype(np.float32)


def draw_preferences(rng: np.random.Generator, objectives: int, count: int) -> Weights:
    """Draws weights uniformly from the simplex (Dirichlet(1)), shape (count, objectives)."""
    return rng.dirichlet(np.ones(objectives), size=count).astype(np.float32)


class Preferences:
    """The preferences of a batch of episodes.

    Attributes:
        objectives: number m of objectives.
        count: episodes that start together.
        fixed: (count, m) weights of every episode, or None if each episode draws its own.
    """

    def __init__(self, objectives: int, count: int, fixed: ArrayLike | None) -> None:
        self.objectives = objectives
        self.count = count
        self.fixed = None if fixed is None else parse_preference(fixed, objectives, count)

    def start(
        self, rng: np.random.Generator, options: Mapping[str, object] | None = None
    ) -> Weights:
        """Weights (count, m) of the episodes that start now.

        Args:
            rng: where unfixed weights are drawn from.
            options: `{"preference": weights}` overrides both for these episodes.

        Raises:
            ProblemError: if an option is unknown or the preference is ill-formed.
        """
        unknown = sorted(set(options or ()) - {"preference"})
        if unknown:
            raise ProblemError(f"unknown reset option '{unknown[0]}': the only one is 'preference'")
        chosen = (options or {}).get("preference")
        if chosen is not None:
            return parse_preference(chosen, self.objectives, self.count)  # type: ignore[arg-type]  # parse_preference checks what users hand over
        if self.fixed is not None:
            return self.fixed.copy()
        return draw_preferences(rng, self.objectives, self.count)
