"""Lowering, layouts, buffers of weights, and which feature maps stay in SRAM."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch.npu import EthosU
from dovetail.mappers.npu.buffering import Before, buffer_weights, slice_bytes
from dovetail.mappers.npu.lowering import lower
from dovetail.mappers.npu.planning import plan
from dovetail.mappers.npu.residence import Life, lives, resident, usage
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.sim.npu.work import Block, FeatureMap, Work

DESIGN = EthosU()


def test_every_operator_is_a_step_or_in_one() -> None:
    network = load_network("mobilenet_v2")
    lowered = lower(network, DESIGN)
    assert sum(step.work.macs for step in lowered.steps if step.work.weights) == network.macs
    weights = sum(step.work.weights for step in lowered.steps)
    biases = 27 * 2 + 1000  # norms hold scales and shifts that become biases
    assert weights < network.parameters < weights * 1.03 + biases


def test_a_first_stride_folds_columns_into_channels() -> None:
    first = lower(load_network("mobilenet_v1"), DESIGN).steps[0].work
    assert first.ifm.shape == (224, 112, 6)
    assert (first.kernel, first.stride) == ((3, 2), (2, 1))
    assert first.macs == 112 * 112 * 36 * 32  # a column of zero taps
    other = lower(load_network("mobilenet_v2"), DESIGN).steps[0].work  # zeros on both sides
    assert other.ifm.shape == (224, 224, 3)


def test_layouts_are_bricks_between_operations_and_flat_outside() -> None:
    steps = lower(load_network("resnet8"), DESIGN).steps
    assert not steps[0].work.ifm.bricks
    assert steps[0].work.ofm.bricks
    assert steps[1].work.ifm.bricks
    head = next(step for step in steps if step.work.kind == "fully_connected")
    assert head.work.ifm.bricks  # a view of one pixel is the same shape
    assert not head.work.ofm.bricks  # softmax sees it as a row


def test_a_view_of_another_shape_needs_rows() -> None:
    net = NetworkBuilder("flat")
    x = net.conv2d(net.input("image", (1, 8, 4, 4)), 16, 3, padding="same", name="conv")
    steps = lower(net.build([net.linear(net.flatten(x), 4, name="head")]), DESIGN).steps
    assert [step.work.ofm.bricks for step in steps] == [False, False]
    assert steps[1].work.ifm.shape == (1, 1, 256)


def test_concatenation_moves_every_part() -> None:
    net = NetworkBuilder("parts")
    x = net.input("image", (1, 8, 4, 4))
    parts = [net.conv2d(x, width, 1, name=f"conv{width}") for width in (16, 24)]
    y = net.conv2d(net.concat(parts, axis=1), 8, 1, name="last")
    steps = lower(net.build([y]), DESIGN).steps
    copies = [step for step in steps if step.work.kind == "pooling"]
    assert [copy.work.ofm.shape[2] for copy in copies] == [16, 24]
    assert len({copy.writes for copy in copies}) == 1


def buffers(encoded: int, free: int, before: Before):
    work = Work("conv", "", FeatureMap((8, 8, 64)), FeatureMap((8, 8, 256)), weights_in="sram")
    block = Block((8, 8, 32), (8, 8, 32), False, 32)
    return buffer_weights(
        DESIGN, work, block, encoded, free, before, lambda channels: 10 * channels
    )


def test_weights_that_hide_come_whole() -> None:
    found = buffers(4096, 2**20, Before(5000, 2**20))
    assert found.transfer.buffers == 1
    assert found.slices == (0, 256)
    assert found.size_bytes == found.ahead_bytes == 4096
    assert found.transfer.slack == 2560


def test_weights_that_do_not_hide_come_in_slices() -> None:
    found = buffers(16384, 2**20, Before(1000, 2**20))
    assert found.transfer.buffers == 2
    assert found.slices[0] == 0
    assert found.slices[-1] == 256
    assert all(b % 16 == 0 for b in found.slices)
    sizes = [slice_bytes(found.slices, i, 16384) for i in range(len(found.slices) - 1)]
    assert 16384 <= sum(sizes) <= 16384 + 16 * len(sizes)
    assert found.size_bytes == max(sizes[::2]) + max(sizes[1::2])
    assert found.transfer.slack == 10 * (found.slices[-1] - found.slices[-2])


@pytest.mark.parametrize("free", [512, 2048, 8192, 2**20])
def test_buffers_never_exceed_what_is_free(free: int) -> None:
    found = buffers(16384, free, Before(1000, free))
    assert found.size_bytes <= free


def test_without_room_weights_stay_where_they_are() -> None:
    found = buffers(16384, 512, Before(1000, 512))
    assert found.transfer.buffers == 0
    assert found.slices == (0, 256)


def test_products_read_their_weights_once_and_need_no_buffer() -> None:
    planned = plan(lower(load_network("autoencoder"), DESIGN), DESIGN)
    assert {step.buffer.transfer.buffers for step in planned.steps} == {0}


def test_the_most_used_feature_maps_stay() -> None:
    all_lives = [Life("a", 60, 0, 2, 2), Life("b", 60, 1, 3, 5), Life("c", 30, 2, 4, 2)]
    np.testing.assert_array_equal(usage(all_lives, 5), [60, 120, 150, 90, 30])
    taken = np.zeros(5, dtype=np.int64)
    assert resident(all_lives, (), taken, 100) == {"b", "c"}
    assert resident(all_lives, ("b",), taken, 100) == {"a", "c"}
    assert resident(all_lives, (), taken + 80, 100) == set()


def test_sram_in_use_is_within_its_size() -> None:
    design = EthosU(
        core="u65-256", memory_mode="dedicated_sram", sram_kib=384.0, dram_rate=0.75,
        dram_read_latency=500,
    )  # fmt: skip
    for name in ("mobilenet_v1", "mobilenet_v2", "resnet50"):
        planned = plan(lower(load_network(name), design), design)
        assert planned.sram_bytes <= 384 * 1024


def test_what_the_host_reads_lives_until_then() -> None:
    steps = lower(load_network("resnet8"), DESIGN).steps
    last = steps[0].writes
    short = {life.name: life for life in lives(steps, {})}[last]
    long = {life.name: life for life in lives(steps, {last: (9, 9)})}[last]
    assert (short.first, long.first) == (0, 0)
    assert long.last == 9 > short.last
