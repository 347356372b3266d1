"""The mapper `random`: the best of many mappings drawn at random, a baseline."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import Found
from dovetail.mappers.spatial.anytime import Incumbent
from dovetail.mappers.spatial.mapspace import Mapspace

SAMPLES = 2000
"""Mappings that are drawn."""

BATCH = 250
"""Mappings that are costed together."""


def random_mapping(
    einsum: Einsum, accelerator: SpatialArray, objective: str = "latency", *, seed: int = 0,
    time_limit_s: float | None = None, samples: int = SAMPLES,
) -> Found:  # fmt: skip
    """The best of `samples` random mappings, or of those drawn before the time limit or Ctrl-C.

    Args:
        einsum: the operator.
        accelerator: what it is laid onto.
        objective: `latency`, `energy` or `edp`.
        seed: same seed, same mappings.
        time_limit_s: seconds; one batch is always drawn.
        samples: mappings to draw.

    Raises:
        MappingError: if no mapping fits the memories.
    """
    space = Mapspace(einsum, accelerator)
    rng = np.random.default_rng(seed)
    incumbent = Incumbent(space, objective, time_limit_s)
    with suppress(KeyboardInterrupt):
        while incumbent.looked_at < samples:
            count = min(BATCH, samples - incumbent.looked_at)
            incumbent.evaluate([space.draw(rng) for _ in range(count)])
            if incumbent.expired:
                break
    return incumbent.found(interrupted=incumbent.looked_at < samples)
