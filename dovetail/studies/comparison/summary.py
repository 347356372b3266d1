"""What a comparison says: quartiles, ranks and win shares over draws and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.ir.space import FloatArray

QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Standing:
    """A contender at one checkpoint.

    Attributes:
        label: the contender's.
        quartiles: lower quartile, median and upper quartile of its runs' shares.
        rank: by median, from 1; equal medians share a rank.
        win_share: odds that of one run of every contender, drawn at random, this one's is the best.
    """

    label: str
    quartiles: tuple[float, float, float]
    rank: int
    win_share: float


def standings(shares: Mapping[str, FloatArray]) -> list[Standing]:
    """Contenders at one checkpoint, in the order given.

    Args:
        shares: by label, (runs,) share of the hypervolume of each run.
    """
    middles = {label: float(np.median(values)) for label, values in shares.items()}
    wins = win_shares(list(shares.values()))
    listed = []
    for (label, values), win in zip(shares.items(), wins, strict=True):
        low, middle, high = (float(v) for v in np.quantile(values, QUARTILES))
        rank = 1 + sum(other > middles[label] for other in middles.values())
        listed.append(Standing(label, (low, middle, high), rank, win))
    return listed


def win_shares(runs: Sequence[FloatArray]) -> list[float]:
    """Odds that each contender wins when every one enters one run at random; ties are shared.

    Args:
        runs: (n,) values of each contender's runs, the higher the better.

    Returns:
        One number per contender; they add up to 1.
    """
    return [
        float(np.mean([_odds(value, [*runs[:k], *runs[k + 1 :]]) for value in values]))
        for k, values in enumerate(runs)
    ]


def _odds(value: float, others: Sequence[FloatArray]) -> float:
    """Expected prize of a run: 1 / (1 + t) where t others equal it and none beats it."""
    ties = np.ones(1)
    for values in others:
        below, equal = float(np.mean(values < value)), float(np.mean(values == value))
        ties = np.convolve(ties, [below, equal])
    return float((ties / np.arange(1, len(ties) + 1)).sum())
