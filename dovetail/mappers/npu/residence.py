"""Which feature maps stay in SRAM where their own place is off chip.

References:
    The idea of Arm's open compiler Vela 5.2.0, which keeps the feature maps with the most accesses
    that fit together; here they are taken one by one, most accesses per byte first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.ir.space import IntArray
from dovetail.mappers.npu.lowering import Step
from dovetail.sim.npu.work import FeatureMap


@dataclass(frozen=True, slots=True)
class Life:
    """An activation between its first and last use.

    Attributes:
        name: of the activation.
        size_bytes: in memory.
        first: step that writes it; -1 of what the network is given.
        last: step that reads it last; the number of steps of what the network returns.
        uses: times that it is written or read.
    """

    name: str
    size_bytes: int
    first: int
    last: int
    uses: int


def lives(steps: Sequence[Step], outside: Mapping[str, tuple[int, int]]) -> list[Life]:
    """Lives of all activations.

    Args:
        steps: in order.
        outside: before which steps the host reads or writes activations, first and last.
    """
    found: dict[str, Life] = {}
    for index, step in enumerate(steps):
        for name, feature_map in _used(step):
            first, last = outside.get(name, (index, index))
            old = found.get(name, Life(name, 0, min(first, index), last, 0))
            size = max(old.size_bytes, feature_map.stored_bytes)
            found[name] = Life(name, size, old.first, max(last, index, old.last), old.uses + 1)
    return list(found.values())


def usage(all_lives: Sequence[Life], steps: int) -> IntArray:
    """Bytes of what lives during each step, (steps,)."""
    total = np.zeros(steps, dtype=np.int64)
    for life in all_lives:
        total[max(life.first, 0) : life.last + 1] += life.size_bytes
    return total


def resident(
    all_lives: Sequence[Life], outside: Collection[str], taken: IntArray, limit: int
) -> frozenset[str]:
    """Activations that fit into SRAM together.

    Args:
        all_lives: of all activations.
        outside: those that must stay where the host finds them.
        taken: bytes that buffers of weights take during each step, (steps,).
        limit: bytes of SRAM.
    """
    used, kept = taken.copy(), set()
    wanted = [life for life in all_lives if life.name not in outside]
    for life in sorted(wanted, key=lambda life: (-life.uses, life.size_bytes, life.name)):
        span = used[max(life.first, 0) : life.last + 1]
        if (span + life.size_bytes <= limit).all():
            span += life.size_bytes
            kept.add(life.name)
    return frozenset(kept)


def _used(step: Step) -> list[tuple[str, FeatureMap]]:
    maps = [step.work.ifm, *([step.work.ifm2] if step.work.ifm2 else [])]
    pairs = [*zip(step.reads, maps, strict=False), (step.writes, step.work.ofm)]
    return [pair for pair in pairs if pair[0]]
