"""The mapper that takes the fewest estimated cycles, against Vela's choices."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.npu import EthosU
from dovetail.mappers.npu.blocks import find_block
from dovetail.mappers.npu.buffering import Before, Buffer
from dovetail.mappers.npu.commands import times
from dovetail.mappers.npu.fastest import fastest, fastest_block
from dovetail.mappers.npu.lowering import lower
from dovetail.mappers.npu.planning import Bench, plan
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.sim.npu.cost import Transfer
from dovetail.sim.npu.shram import rules_of
from dovetail.sim.npu.timing import timing


@pytest.mark.parametrize("preset", ["ethos_u55_32", "ethos_u55_256", "ethos_u65_512"])
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "autoencoder"])
def test_it_is_never_slower_and_simulation_agrees(name: str, preset: str) -> None:
    design = presets.load(preset)
    assert isinstance(design, EthosU)
    lowered = lower(load_network(name), design)
    vela, ours = plan(lowered, design), fastest(lowered, design)
    assert ours.cycles <= vela.cycles
    assert times(ours)[-1] <= times(vela)[-1]
    assert ours.sram_bytes <= design.sram_kib * 1024
    assert [step.step.operator for step in ours.steps] == [s.step.operator for s in vela.steps]


def test_flash_bounds_it_alike() -> None:
    design = presets.load("ethos_u55_128")
    lowered = lower(load_network("autoencoder"), design)
    assert fastest(lowered, design).cycles == plan(lowered, design).cycles


def test_dense_layers_far_from_their_weights_get_buffers() -> None:
    design = presets.load("ethos_u65_256")
    lowered = lower(load_network("autoencoder"), design)
    ours = fastest(lowered, design)
    assert any(step.buffer.transfer.buffers for step in ours.steps)
    assert ours.cycles < 0.7 * plan(lowered, design).cycles


def test_a_fastest_block_fits_and_beats_the_others() -> None:
    design = EthosU()
    work = lower(load_network("resnet8"), design).steps[1].work
    block = fastest_block(design, replace(work, weights_in="sram"))
    rules = rules_of(design.engine, work)
    assert rules.fits(np.array([block.ofm]))[0]
    ports = {"sram": design.sram_port, "dram": design.dram_port}
    work = replace(work, weights_in="sram")
    ours, theirs = (
        timing(design.engine, ports, work, each).cycles
        for each in (block, find_block(design.engine, work))
    )
    assert ours < theirs


def test_two_operations_get_the_best_of_all_choices() -> None:
    net = NetworkBuilder("two")
    x = net.conv2d(net.input("image", (1, 16, 12, 12)), 64, 3, padding="same", name="a")
    network = net.build([net.conv2d(x, 48, 1, name="b")])
    design = EthosU(core="u55-64")
    lowered = lower(network, design)
    bench, base = Bench.of(lowered, design), plan(lowered, design)
    least = base.cycles
    pairs = [
        [step.block, fastest_block(design, step.step.work)] for step in base.steps
    ]  # and each way of weights
    for blocks in itertools.product(*pairs):
        for direct in itertools.product((True, False), repeat=2):
            buffers, before = [], Before()
            for index, block in enumerate(blocks):
                buffer = bench.buffer(index, block, before, products=True)
                if direct[index]:
                    channels = lowered.steps[index].work.ofm.shape[2]
                    buffer = Buffer(Transfer(slack=buffer.transfer.slack), (0, channels))
                buffers.append(buffer)
                before = bench.after(index, block, buffer)
            least = min(least, bench.plan(blocks, buffers).cycles)
    assert fastest(lowered, design).cycles == least
