"""A private random state for libraries that draw from the global ones."""

from __future__ import annotations

import random
from typing import Any

import numpy as np


class Isolation:
    """Context in which Python's, numpy's and torch's global randomness is this object's own.

    The first entry starts from the seed, later ones go on where the last exit stopped; outside,
    the global states are what they would be without it. Torch runs on one thread inside, so
    that results do not depend on the number of cores, and does not validate the arguments of
    distributions, which would take a third of a policy's training time.
    """

    def __init__(self, seed: int) -> None:
        import torch

        self._torch = torch
        self._own: tuple[Any, Any, Any] = (
            random.Random(seed).getstate(),
            np.random.RandomState(seed % 2**32).get_state(),
            torch.Generator().manual_seed(seed).get_state(),
        )
        self._outer: tuple[Any, Any, Any] | None = None
        self._threads = 1
        self._validates = True

    def __enter__(self) -> None:
        self._outer = self._swap(self._own)
        self._threads = self._torch.get_num_threads()
        if self._threads != 1:
            self._torch.set_num_threads(1)
        distribution = self._torch.distributions.Distribution
        self._validates = distribution._validate_args
        distribution.set_default_validate_args(False)

    def __exit__(self, *_: object) -> None:
        assert self._outer is not None
        self._torch.distributions.Distribution.set_default_validate_args(self._validates)
        self._own = self._swap(self._outer)
        if self._threads != 1:
            self._torch.set_num_threads(self._threads)

    def _swap(self, new: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        old = random.getstate(), np.random.get_state(), self._torch.get_rng_state()
        random.setstate(new[0])
        np.random.set_state(new[1])
        self._torch.set_rng_state(new[2])
        return old
