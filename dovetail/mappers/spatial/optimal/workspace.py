"""Memory that kernels use again and again: fresh pages would cost more than what is computed."""

from __future__ import annotations

from dovetail.mappers.spatial.optimal.compiled import kernel


@kernel
def carve(space, size):  # type: ignore[no-untyped-def]
    """The first reals of a workspace, and the rest of it."""
    return space[:size], space[size:]
