"""Layouts of activations: bricks of 16 channels where producer and consumers see one shape."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dovetail.arch.npu_cores import Shape
from dovetail.sim.npu.work import BRICK, FeatureMap, Work

if TYPE_CHECKING:
    from dovetail.mappers.npu.lowering import Step


def with_layouts(steps: Sequence[Step], outside: Collection[str]) -> list[Step]:
    """Steps with the layout of every activation that they read and write.

    Args:
        steps: in order; those of a softmax have layouts of their own.
        outside: activations that the host reads or writes, in NHWC.
    """
    bricks = _in_bricks(steps, outside)
    return [_laid(step, bricks) for step in steps]


def _in_bricks(steps: Sequence[Step], outside: Collection[str]) -> dict[str, bool]:
    """Whether each activation is in bricks."""
    seen: dict[str, set[Shape]] = {}
    writers: dict[str, Step] = {}
    for step in steps:
        for name, feature_map in _used(step):
            part = step.part_of and feature_map.elements < math.prod(step.part_of)
            shape = step.part_of if step.part_of and part else feature_map.shape
            seen.setdefault(name, set()).add(shape)
        writers[step.writes] = step
    inside = {step.writes for step in steps if step.work.ofm.bits == 32}
    found = {
        name: len(shapes) == 1 and name not in outside
        for name, shapes in seen.items()
        if name not in inside
    }
    for step in steps:
        if step.writes in found and _overwrites(step.work, step, found):
            found[step.writes] = False
    return found


def _used(step: Step) -> list[tuple[str, FeatureMap]]:
    maps = [step.work.ifm, *([step.work.ifm2] if step.work.ifm2 else [])]
    named = list(zip(step.reads, maps, strict=False))
    return [pair for pair in [*named, (step.writes, step.work.ofm)] if pair[0]]


def _overwrites(work: Work, step: Step, bricks: dict[str, bool]) -> bool:
    """Whether results may take the place of an input in NHWC, which then is shorter."""
    if work.kind != "elementwise" or work.ofm.shape[2] % BRICK == 0:
        return False
    inputs = [pair for pair in _used(step) if pair[0] != step.writes]
    return any(
        not bricks.get(name, False) and each.shape == work.ofm.shape and each.bits == work.ofm.bits
        for name, each in inputs
    )


def _laid(step: Step, bricks: dict[str, bool]) -> Step:
    work = step.work
    names = [*step.reads, "", ""]
    ifm = _with(work.ifm, bricks.get(names[0]))
    ifm2 = _with(work.ifm2, bricks.get(names[1])) if work.ifm2 else None
    ofm = _with(work.ofm, bricks.get(step.writes))
    return replace(step, work=replace(work, ifm=ifm, ifm2=ifm2, ofm=ofm))


def _with(feature_map: FeatureMap, bricks: bool | None) -> FeatureMap:
    return feature_map if bricks is None else replace(feature_map, bricks=bricks)
