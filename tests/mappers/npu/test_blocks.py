"""The block search against a plain scan, and the laws of what it returns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.npu_cores import CORES, Core
from dovetail.mappers.npu.blocks import find_block
from dovetail.sim.npu.shram import rules_of
from dovetail.sim.npu.work import DEEP, FeatureMap, Work, round_up


@st.composite
def works(draw: st.DrawFn) -> Work:
    kind = draw(st.sampled_from(["conv", "depthwise", "fully_connected", "pooling", "elementwise"]))
    bits = draw(st.sampled_from([8, 16]))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 40))
    channels, results = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    if kind == "fully_connected":
        height = width = 1
    if kind not in DEEP:
        results = channels
    spatial = kind in ("conv", "depthwise", "pooling")
    kernel = (draw(st.integers(1, 10)), draw(st.integers(1, 10))) if spatial else (1, 1)
    stride = draw(st.integers(1, 3)) if spatial else 1
    ofm = FeatureMap((-(-height // stride), -(-width // stride), results), bits)
    ifm = FeatureMap((height, width, channels), bits)
    second = ifm if kind == "elementwise" else None
    return Work(kind, "max", ifm, ofm, second, kernel, (stride, stride), weights_in="sram")


def scan(core: Core, work: Work) -> tuple[int, int, int] | None:
    """Every size one after the other, as the rule is told."""
    rules = rules_of(core, work)
    rows, columns, step = core.micro_block
    most = [
        round_up(min(a, b), c)
        for a, b, c in zip(work.ofm.shape, (32, 64, 128), core.micro_block, strict=True)
    ]
    best, least, covered, depth = None, math.inf, 0.0, max(step, min(most[2], 16))
    channels = work.ofm.shape[2]
    depth = round_up(depth, 16) if depth < channels else depth
    while depth <= most[2]:
        failed = set()
        for h in range(rows, most[0] + 1, rows):
            for w in range(columns, most[1] + 1, columns):
                if (w, h) in failed:
                    continue
                size = np.array([[h, w, depth]])
                if not rules.fits(size)[0]:
                    failed.add((h, w))
                    continue
                ifm = rules.ifm_sizes(size)[0].tolist()
                cost = cost_of(work, (h, w, depth), ifm)
                ih, iw, _ = work.ifm.shape
                coverage = min(ih, ifm[0]) * min(iw, ifm[1]) / (ih * iw)
                if cost < least:
                    best, least, covered = (h, w, depth), cost, 0.0
                elif cost == least and max(h, w) <= 4 and coverage >= covered:
                    best, covered = (h, w, depth), coverage
        depth += step
        depth = round_up(depth, 16) if depth < channels else depth
    return best


def cost_of(work: Work, ofm: tuple[int, int, int], ifm: list[int]) -> float:
    height, width, channels = work.ofm.shape
    results = height * width * channels
    deep = work.kind in DEEP
    if work.kind == "elementwise":
        cost = max(results / math.prod(ofm), 1.0)
    else:
        depths = -(-channels // ofm[2]) if deep else 1
        area = ifm[0] * ifm[1] * work.ifm.shape[2] * len(work.sub_kernels)
        fetched = area * ((height / ofm[0]) * (width / ofm[1])) * depths
        weights: float = 0
        if work.kind != "pooling":
            passes = -(-height // ofm[0]) * -(-width // ofm[1])
            weights = work.taps * work.ifm.shape[2] * passes
            weights = weights * (ofm[2] * (channels / ofm[2])) if deep else weights
        cost = (fetched + weights) / results
    return cost / 2 if work.ifm.elements < 2 * math.prod(ifm) else cost


@settings(max_examples=30)
@given(work=works(), name=st.sampled_from(sorted(CORES)))
def test_arrays_find_what_a_scan_finds(work: Work, name: str) -> None:
    core = CORES[name]
    block = find_block(core, work)
    assert block.ofm == scan(core, work)
    assert rules_of(core, work).fits(np.array([block.ofm]))[0]
    assert all(size % step == 0 for size, step in zip(block.ofm, core.micro_block, strict=True))


@pytest.mark.parametrize(
    ("channels", "kernel", "part"), [(3, (3, 3), True), (16, (3, 3), True), (32, (1, 1), False)]
)
def test_shallow_inputs_walk_the_kernel_first(
    channels: int, kernel: tuple[int, int], part: bool
) -> None:
    work = Work("conv", "", FeatureMap((8, 8, channels)), FeatureMap((8, 8, 16)), kernel=kernel)
    assert find_block(CORES["u55-128"], work).part_kernel is part
