"""Patch execution: the published case, and laws that brute force holds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.window import Window
from dovetail.mappers.patches.arena import NAIVE, MemoryRule, peak_bytes
from dovetail.mappers.patches.receptive import COLUMNS, ROWS, field, split
from dovetail.mappers.patches.search import find_patches, patch_schedule
from dovetail.mappers.patches.stage import cuts
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

KB = 1024


@pytest.fixture(scope="module")
def mobilenet() -> Network:
    return load_network("mobilenet_v2")


def golden_rows() -> list[dict[str, str]]:
    path = Path(__file__).parents[2] / "golden" / "mcunetv2_patches.csv"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


CUT_AFTER = {
    "3": "stage2.1.add", "4": "stage3.0.project.norm", "5": "stage3.1.add", "6": "stage3.2.add",
}  # fmt: skip


@pytest.mark.parametrize("row", golden_rows(), ids=lambda row: f"{row['blocks']}x{row['grid']}")
def test_mcunetv2_on_mobilenet_v2(row: dict[str, str], mobilenet: Network) -> None:
    side = int(row["grid"])
    schedule = patch_schedule(mobilenet, CUT_AFTER[row["blocks"]], (side, side))
    assert max(patch.shape("image")[0] for patch in schedule.patches) == int(row["max_input"])
    assert schedule.stage_bytes == float(row["stage_kb"]) * KB
    assert schedule.rest_bytes == float(row["rest_kb"]) * KB
    before_head = sum(
        op.macs for op in mobilenet.operators if not op.name.startswith(("head", "classifier"))
    )
    assert schedule.extra_macs / before_head == pytest.approx(float(row["overhead"]), rel=1e-12)
    assert schedule.layerwise_bytes == 1372 * KB


def test_the_naive_rule_holds_1470_kb(mobilenet: Network) -> None:
    """Vela's peak of this network; without in-place depthwise alone it is the same."""
    assert peak_bytes(mobilenet, mobilenet.operators, NAIVE) == 1470 * KB
    rule = MemoryRule(depthwise_in_place=False)
    assert peak_bytes(mobilenet, mobilenet.operators, rule) == 1470 * KB


def test_the_search_finds_the_published_schedule(mobilenet: Network) -> None:
    schedule = find_patches(mobilenet, 172 * KB)
    assert schedule.cut == CUT_AFTER["4"]
    assert schedule.peak_bytes == 171.5 * KB
    published = patch_schedule(mobilenet, CUT_AFTER["4"], (4, 4))
    assert schedule.extra_macs <= published.extra_macs


def test_steps_add_up(mobilenet: Network) -> None:
    schedule = patch_schedule(mobilenet, CUT_AFTER["3"], (2, 3))
    assert schedule.grid == (2, 3)
    assert len(schedule.patches) == 6
    assert sum(step.macs for step in schedule.steps) == schedule.macs + schedule.extra_macs
    assert max(step.bytes for step in schedule.steps) == schedule.peak_bytes


def small(kernels: list[tuple[int, int, int]], side: int, residual: bool) -> Network:
    net = NetworkBuilder("small")
    x = net.input("image", (1, 2, side, side))
    for kernel, stride, padding in kernels:
        x = net.conv2d(x, 3, kernel, stride=stride, padding=padding)
    if residual:
        y = net.activation(net.conv2d(x, 3, 3, padding=1), "relu")
        x = net.add(x, net.depthwise(y, 3, padding=1))
    x = net.conv2d(x, 4, 1, name="cut")
    return net.build([net.conv2d(x, 2, 1, name="rest")])


layers = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
networks = st.builds(
    small, st.lists(layers, min_size=1, max_size=3), st.integers(18, 24), st.booleans()
)


def run(network: Network, image: NDArray[np.float64], masks: dict[str, NDArray[np.bool_]]) -> dict[
    str, NDArray[np.float64]
]:  # fmt: skip
    """Values of all tensors in which elements outside of their mask are not a number."""
    rng = np.random.default_rng(0)
    values = {"image": np.where(masks["image"], image, np.nan)}
    for op in network.operators:
        read = [values[name] for name in op.inputs if name in values]
        if op.einsum:
            weight = rng.normal(size=network.tensor[op.inputs[1]].shape)
            out = convolve(op, read[0], weight, network)
        elif op.kind == "add":
            out = read[0] + read[1]
        else:
            out = np.maximum(read[0], 0)
        mask = masks.get(op.outputs[0], np.ones(out.shape[1:], bool))
        values[op.outputs[0]] = np.where(mask, out, np.nan)
    return values


def convolve(op, x: NDArray[np.float64], weight: NDArray[np.float64], network: Network):
    row, column = op.einsum.operands[0].indices[ROWS], op.einsum.operands[0].indices[COLUMNS]
    stride, pad = row.coefficient("P"), (-row.offset, -column.offset)
    kernel = weight.shape[2:]
    padded = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2))
    windows = sliding_window_view(padded, kernel, axis=(1, 2))[:, ::stride, ::stride]
    if op.kind == "depthwise_conv2d":
        return np.einsum("chwrs,crs->chw", windows, weight[:, 0])
    return np.einsum("chwrs,kcrs->khw", windows, weight)


@given(networks, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=25)
def test_patches_read_nothing_outside_of_their_extents(
    network: Network, rows: int, columns: int
) -> None:
    shape = network.tensor["cut"].shape
    grid = (min(rows, shape[2]), min(columns, shape[3]))
    schedule = patch_schedule(network, "cut", grid)
    image = np.random.default_rng(1).normal(size=network.tensor["image"].shape[1:])
    whole = run(network, image, {"image": np.ones(image.shape[1:], bool)})["cut"]
    stitched = np.full_like(whole, np.nan)
    for patch in schedule.patches:
        masks = {}
        for name in patch.rows:
            mask = np.zeros(network.tensor[name].shape[2:], bool)
            mask[slice(*patch.rows[name]), slice(*patch.columns[name])] = True
            masks[name] = mask
        values = run(network, image, masks)["cut"]
        area = (slice(None), slice(*patch.rows["cut"]), slice(*patch.columns["cut"]))
        stitched[area] = values[area]
    np.testing.assert_allclose(stitched, whole)


@given(networks)
@settings(max_examples=25)
def test_the_search_is_exhaustive(network: Network) -> None:
    every = [
        patch_schedule(network, cut, (rows, columns))
        for cut in cuts(network)
        for rows in range(1, min(3, network.tensor[cut].shape[2]) + 1)
        for columns in range(1, min(3, network.tensor[cut].shape[3]) + 1)
    ]
    least = find_patches(network, max_side=3)
    assert least.peak_bytes == min(s.peak_bytes for s in every)
    limit = sorted(s.peak_bytes for s in every)[len(every) // 2]
    best = find_patches(network, limit, max_side=3)
    assert best.peak_bytes <= limit
    assert best.extra_macs == min(s.extra_macs for s in every if s.peak_bytes <= limit)


@given(networks)
@settings(max_examples=25)
def test_a_single_patch_recomputes_nothing(network: Network) -> None:
    for cut in cuts(network):
        schedule = patch_schedule(network, cut, (1, 1))
        # The last layers of a chain need not reach the border of what is before them.
        assert schedule.extra_macs <= 0
        assert sum(step.macs for step in schedule.steps) <= network.macs


@given(st.integers(1, 60), st.data())
def test_splits_tile_the_extent(extent: int, data: st.DataObject) -> None:
    parts = split(extent, data.draw(st.integers(1, extent)))
    assert [i for low, high in parts for i in range(low, high)] == list(range(extent))
    sizes = {high - low for low, high in parts}
    assert max(sizes) - min(sizes) <= 1


windows = st.builds(
    lambda k, s, p, d: Window((k, k), (s, s), (p, p, p, p), (d, d)),
    st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3),
)  # fmt: skip


@given(windows, st.booleans(), st.data())
def test_fields_are_what_brute_force_reads(window: Window, pool: bool, data: st.DataObject) -> None:
    net = NetworkBuilder("one")
    x = net.input("image", (1, 2, 30, 30))
    kernel, stride, padding = window.kernel[0], window.stride[0], window.padding[0]
    if pool:
        window = Window(window.kernel, window.stride, window.padding)
        x = net.pool(x, "maxpool", kernel, stride=stride, padding=padding)
    else:
        x = net.conv2d(x, 2, kernel, stride=stride, padding=padding, dilation=window.dilation[0])
    network = net.build([x])
    extent = network.tensor[x].shape[2]
    low = data.draw(st.integers(0, extent - 1))
    high = data.draw(st.integers(low + 1, extent))
    read = {
        out * stride - padding + tap * window.dilation[0]
        for out in range(low, high)
        for tap in range(kernel)
    } & set(range(30))
    got = field(network, network.operators[0], ROWS, (low, high))["image"]
    if read:  # a window may lie in the padding alone
        hull = (min(read), max(read) + 1)
        assert got[0] <= hull[0]
        assert hull[1] <= got[1]
        if window.dilation[0] == 1 and kernel >= stride:
            assert got == hull


def test_errors_say_what_to_do(mobilenet: Network) -> None:
    with pytest.raises(MappingError, match=r"choose one of .*stage2"):
        patch_schedule(mobilenet, "stage2.1.expand.clip", (2, 2))
    with pytest.raises(MappingError, match=r"57 patches .* of 56 elements"):
        patch_schedule(mobilenet, "stage2.1.add", (57, 1))
    with pytest.raises(MappingError, match=r"smallest .* needs 175616 B: raise the limit"):
        find_patches(mobilenet, 100_000)
    with pytest.raises(MappingError, match="no cut"):
        find_patches(load_network("bert_base"))


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "densenet121", "ds_cnn", "resnet8"])
def test_patches_never_need_more_than_layers(name: str) -> None:
    network = load_network(name)
    schedule = find_patches(network, max_side=4)
    assert schedule.peak_bytes <= schedule.layerwise_bytes
