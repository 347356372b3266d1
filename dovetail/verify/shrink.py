"""Makes a failing case small: fewer and smaller layers, a plain memory, a smaller design."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from dovetail.errors import DovetailError
from dovetail.verify.case import Case, LayerSpec
from dovetail.verify.check import Gates, Outcome, check

ATTEMPTS = 300
Try = Callable[[Case], Outcome]


def shrink(case: Case, kind: str, attempt: Try, attempts: int = ATTEMPTS) -> tuple[Case, Outcome]:
    """A case that is as small as simple steps make it and fails in the same way.

    Args:
        case: that fails.
        kind: of its outcome.
        attempt: runs a case; may raise DovetailError for an illegal one.
        attempts: most cases to run.

    Returns:
        The smallest case found, and its outcome.
    """
    best, outcome = case, attempt(case)
    left = attempts
    progress = True
    while progress and left > 0:
        progress = False
        for smaller in candidates(best):
            left -= 1
            found = _outcome(smaller, attempt)
            if found is not None and found.kind == kind:
                best, outcome, progress = smaller, found, True
                break
            if left <= 0:
                break
    return best, outcome


def attempt_on(gates: Gates) -> Try:
    """Runs cases on a simulator."""
    return lambda case: check(case, gates)


def _outcome(case: Case, attempt: Try) -> Outcome | None:
    try:
        return attempt(case)
    except DovetailError:
        return None


def candidates(case: Case) -> Iterator[Case]:
    """Cases that are one step smaller, the boldest steps first."""
    layers = case.layers
    for i in range(len(layers)):
        if len(layers) > 1:
            yield dataclasses.replace(case, layers=layers[:i] + layers[i + 1 :])
    yield from _plainer(case)
    for axis in range(3):
        for value in _below(case.shape[axis]):
            yield dataclasses.replace(case, shape=_with(case.shape, axis, value))
    for i, layer in enumerate(layers):
        for smaller in _layers(layer):
            yield dataclasses.replace(case, layers=(*layers[:i], smaller, *layers[i + 1 :]))
    yield from _designs(case)


def _plainer(case: Case) -> Iterator[Case]:
    full = int(case.elaboration.design["bus_bits"]) * 32
    plain = {"rounds": 1, "stalls": 0, "latency": 0, "bandwidth": full, "tiling": -1}
    for name, value in plain.items():
        if getattr(case, name) != value:
            yield dataclasses.replace(case, **{name: value})  # type: ignore[arg-type]


def _layers(layer: LayerSpec) -> Iterator[LayerSpec]:
    plain: dict[str, Any] = {
        "padding": (0, 0, 0, 0), "dilation": (1, 1), "stride": (1, 1), "groups": 1, "wide": False,
    }  # fmt: skip
    for name, value in plain.items():
        if getattr(layer, name) != value:
            yield dataclasses.replace(layer, **{name: value})
    for value in _below(layer.outputs):
        yield dataclasses.replace(layer, outputs=value)
    for axis in range(2):
        for value in _below(layer.kernel[axis]):
            yield dataclasses.replace(layer, kernel=_with(layer.kernel, axis, value))
    for axis in range(4):
        for value in [v for v in (0, layer.padding[axis] - 1) if 0 <= v < layer.padding[axis]]:
            yield dataclasses.replace(layer, padding=_with(layer.padding, axis, value))


def _designs(case: Case) -> Iterator[Case]:
    """Smaller arrays; each is a build of its own, so they come last."""
    design = case.elaboration.design
    for name, least in (("rows", 2), ("cols", 1)):
        value = int(design[name])
        if value // 2 >= least:
            smaller = {**design, name: value // 2}
            elaboration = dataclasses.replace(case.elaboration, design=smaller)
            yield dataclasses.replace(case, elaboration=elaboration)


def _with(values: tuple[int, ...], axis: int, value: int) -> Any:
    """The tuple with one number replaced."""
    return (*values[:axis], value, *values[axis + 1 :])


def _below(value: int) -> list[int]:
    """1, the half, and one less."""
    return sorted({v for v in (1, value // 2, value - 1) if 1 <= v < value})
