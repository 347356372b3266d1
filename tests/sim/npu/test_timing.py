"""Laws of an operation's cycles, and cases small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.arch.npu import EthosU, Port
from dovetail.arch.npu_cores import CORES
from dovetail.sim.npu.accesses import accesses, memory_bytes
from dovetail.sim.npu.cost import Transfer, npu_cycles, transfer_cycles
from dovetail.sim.npu.timing import burst_factor, dot_product_cycles, read_run, timing
from dovetail.sim.npu.work import Block, FeatureMap, Work

DESIGN = EthosU()
PORTS = {"sram": DESIGN.sram_port, "dram": DESIGN.dram_port}
CORE = CORES["u55-128"]
POINTWISE = Work("conv", "", FeatureMap((8, 8, 32)), FeatureMap((8, 8, 16)), weights_in="sram")
WHOLE = Block((8, 8, 16), (8, 8, 32), False, 32)


def test_a_pointwise_block_by_hand() -> None:
    """8 x 4 micro-blocks of 1 x 2 x 8: 32 pixels' steps of 4 cycles, twice for 16 channels."""
    assert dot_product_cycles(CORE, POINTWISE, WHOLE) == 8 * 4 * 4 * 2
    found = timing(CORE, PORTS, POINTWISE, WHOLE)
    assert found.blocks == 1
    assert found.output == 0.5 * 8 * 8 * 16
    assert found.read == 32 + 8 * 8 * 32 / 8
    assert found.write == 32 + 8 * 8 * 16 / 8
    assert found.command == (found.read + found.write + found.output + 256) / 4
    assert found.cycles == int(512 + found.command)


def test_kernels_beyond_eight_taps_split() -> None:
    work = replace(POINTWISE, kernel=(9, 10))
    assert work.sub_kernels == (64, 16, 8, 2)
    assert sum(work.sub_kernels) == work.taps == 90
    assert accesses(work, WHOLE).ifm == 4 * accesses(POINTWISE, WHOLE).ifm


@pytest.mark.parametrize(
    ("shape", "bricks", "factor"),
    [((8, 8, 32), True, 1), ((8, 8, 8), False, 4), ((8, 8, 64), False, 1)],
)
def test_short_runs_waste_bursts(shape: tuple[int, int, int], bricks: bool, factor: int) -> None:
    feature_map = FeatureMap(shape, 8, bricks)
    assert burst_factor(PORTS["sram"], read_run(feature_map, shape)) == factor


@given(
    size=st.integers(1, 40), channels=st.integers(1, 100), results=st.integers(1, 100),
    kernel=st.integers(1, 9), name=st.sampled_from(sorted(CORES)),
)  # fmt: skip
def test_no_operation_beats_its_multipliers(
    size: int, channels: int, results: int, kernel: int, name: str
) -> None:
    from dovetail.mappers.npu.blocks import find_block

    core = CORES[name]
    ifm = FeatureMap((size, size, channels))
    ofm = FeatureMap((size, size, results))
    work = Work("conv", "", ifm, ofm, kernel=(kernel, kernel), weights_in="sram")
    block = find_block(core, work)
    cycles = timing(core, PORTS, work, block).cycles
    assert cycles >= work.macs / core.macs_per_cycle
    slow = PORTS | {"sram": replace(PORTS["sram"], bytes_per_cycle=1.0)}
    assert timing(core, slow, work, block).cycles >= cycles
    moved = memory_bytes(core, PORTS, work, block, 0.0)
    assert moved["sram"]["output"] >= ofm.elements
    assert accesses(work, block).weights >= work.weights


def test_elementwise_operations_count_what_is_stored() -> None:
    a = FeatureMap((4, 4, 10))
    work = Work("elementwise", "add", a, a, a)
    found = timing(CORE, PORTS, work, Block((4, 4, 16), (4, 4, 16), False, 32))
    assert found.cycles == 4 * 4 * 16 * 1.5  # bricks hold 16 channels
    flat = replace(work, ofm=replace(a, bricks=False))
    assert timing(CORE, PORTS, flat, Block((4, 4, 16), (4, 4, 16), False, 32)).cycles == 240


def test_single_bytes_are_part_of_the_command() -> None:
    a, one = FeatureMap((4, 4, 16)), FeatureMap((1, 1, 1))
    block = Block((4, 4, 16), (4, 4, 16), False, 32)
    assert accesses(Work("elementwise", "sub", a, a, one), block).ifm2 == 0
    assert accesses(Work("elementwise", "sub", a, a, replace(one, bits=32)), block).ifm2 == 16


FLASH = Port("dram", 1.0, 128, 64, 0)


@pytest.mark.parametrize(
    ("transfer", "slack", "cycles"),
    [
        (Transfer(), 100, 1000),
        (Transfer(1, 300, 300, 1000), 0, 1300),
        (Transfer(1, 300, 300, 1000), 250, 1050),
        (Transfer(2, 5000, 400, 200), 100, 5100),
        (Transfer(2, 500, 400, 200), 100, 1300),
    ],
)
def test_what_an_operation_waits(transfer: Transfer, slack: int, cycles: float) -> None:
    assert npu_cycles(1000, transfer, slack) == cycles


def test_a_transfer_is_as_slow_as_its_slower_end() -> None:
    sram = Port("sram", 8.0, 32, 32, 32)
    assert transfer_cycles(1024, FLASH, sram) == 1024 + 64
    assert (
        transfer_cycles(1024, replace(FLASH, bytes_per_cycle=1000.0, read_latency=0), sram) == 128
    )
