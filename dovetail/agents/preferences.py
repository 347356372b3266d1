"""Preference weights over objectives: what a scalar agent is asked to like."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from dovetail.envs.problem import Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray


def preference_set(objectives: int, blend: float = 0.1) -> FloatArray:
    """Fixed preferences: one per objective, one per pair of objectives, and the centre.

    Each is blended with the centre so that no weight is 0: the best design under positive
    weights is Pareto optimal, under a zero weight it need not be.

    Args:
        objectives: m >= 1.
        blend: share of the centre in every preference, in [0, 1].

    Returns:
        (p, m), rows sum to 1; p = m + m (m - 1) / 2 + 1 for m > 2 (the only pair of two
        objectives is the centre).

    Raises:
        ProblemError: if an argument is out of range.
    """
    if objectives < 1 or not 0 <= blend <= 1:
        raise ProblemError(f"preferences over {objectives} objectives, blend {blend}: impossible")
    corners = np.eye(objectives)
    sharp = list(corners)
    if objectives > 2:
        sharp += [(corners[i] + corners[j]) / 2 for i, j in combinations(range(objectives), 2)]
    centre = np.full(objectives, 1.0 / objectives)
    if objectives > 1:
        sharp.append(centre)
    return (1.0 - blend) * np.array(sharp) + blend * centre


def mixed_preferences(
    rng: np.random.Generator, count: int, objectives: int, fixed_share: float
) -> FloatArray:
    """Draws preferences, a share of them from the fixed set and the rest uniformly.

    Args:
        rng: source of randomness.
        count: how many.
        objectives: m.
        fixed_share: share taken from `preference_set`, in turn from a random start; the rest is
            Dirichlet(1), uniform on the simplex.

    Returns:
        (count, m), rows sum to 1.
    """
    fixed = preference_set(objectives)
    weights = rng.dirichlet(np.ones(objectives), size=count)
    taken = round(count * fixed_share)
    weights[:taken] = fixed[(rng.integers(len(fixed)) + np.arange(taken)) % len(fixed)]
    return weights


def rewards_under(evaluation: Evaluation, preferences: FloatArray) -> FloatArray:
    """Scalar reward of each design under each preference: (n, p) for preferences (p, m)."""
    return np.stack([evaluation.scalar(weights) for weights in preferences], axis=1)


def centred_ranks(rewards: FloatArray) -> FloatArray:
    """Ranks within each row, ties averaged, scaled to mean 0 and range at most (-1, 1).

    Args:
        rewards: (groups, members).

    Returns:
        (groups, members); all 0 in a row of equal rewards.
    """
    groups, members = rewards.shape
    order = np.argsort(rewards, axis=1)
    ordered = np.take_along_axis(rewards, order, axis=1)
    differs = ordered[:, 1:] != ordered[:, :-1]
    edge = np.ones((groups, 1), dtype=np.bool_)
    place = np.arange(members)
    first = np.maximum.accumulate(np.where(np.hstack([edge, differs]), place, 0), axis=1)
    last = np.where(np.hstack([differs, edge]), place, members)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty((groups, members))
    np.put_along_axis(ranks, order, (first + last + 1 - members) / members, axis=1)
    return ranks
