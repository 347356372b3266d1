"""Kernels of the GPU family: closed form against exact simulation, and laws of their costs."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.gpu import Gpu
from dovetail.errors import MappingError
from dovetail.mappers.gpu.tiling import best_tiling
from dovetail.sim.gpu.kernel import Kernel
from dovetail.sim.gpu.product import Product, Tiling, product_cost
from dovetail.sim.gpu.stream import Stream, reads, stream_kernel

A100 = presets.load("a100")
CYCLES = st.integers(0, 5000)
KERNELS = st.builds(
    Kernel, launch=CYCLES, waves=st.integers(1, 200), steps=st.integers(1, 300), load=CYCLES,
    work=CYCLES, store=st.integers(0, 3000), tail=CYCLES,
)  # fmt: skip


def product(m: int, k: int, n: int, groups: int = 1) -> Product:
    return Product(groups, m, n, k, 2 * groups * m * k, 2 * groups * k * n, 2 * groups * m * n, 16)


@settings(max_examples=80, deadline=None)
@given(KERNELS)
def test_simulation_takes_no_less_than_either_engine(kernel: Kernel) -> None:
    cycles = kernel.simulate()
    assert cycles >= kernel.launch + kernel.work_cycles + kernel.load
    assert cycles >= kernel.launch + kernel.memory_cycles
    assert cycles <= kernel.launch + kernel.memory_cycles + kernel.work_cycles


@settings(max_examples=80, deadline=None)
@given(KERNELS)
def test_closed_form_is_near_the_simulation(kernel: Kernel) -> None:
    """They differ at the ends only, by less than a step of both engines."""
    step = kernel.load + kernel.work + kernel.store
    assert abs(kernel.simulate() - kernel.cycles) <= step


@pytest.mark.parametrize("load", [100, 400])
def test_long_kernels_converge(load: int) -> None:
    kernel = Kernel(0, 50, 400, load=load, work=200, store=10)
    assert kernel.simulate() == pytest.approx(kernel.cycles, rel=1e-3)


def test_cycles_never_tick() -> None:
    kernel = Kernel(1000, 10**6, 10**6, load=90, work=100, store=5)
    assert kernel.simulate() == pytest.approx(kernel.cycles, rel=1e-3)
    assert kernel.cycles > 10**14


PRODUCTS = st.builds(
    product, st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4)
)


@settings(max_examples=40, deadline=None)
@given(PRODUCTS)
def test_a_product_takes_no_less_than_its_roofline(work: Product) -> None:
    tiling, cost = best_tiling(work, A100, "exhaustive")
    assert cost.kernel.work_cycles * A100.peak_macs_per_cycle >= work.macs
    moved = sum(cost.dram_bytes.values())
    assert moved >= work.input_bytes + work.weight_bytes + work.output_bytes
    assert cost.kernel.memory_cycles * A100.dram_bytes_per_cycle >= moved
    assert cost.kernel.cycles <= best_tiling(work, A100, "library")[1].kernel.cycles
    assert tiling.fits(A100, 16)


@settings(max_examples=30, deadline=None)
@given(PRODUCTS, st.sampled_from(["sms", "hbm_gb_per_s", "tensor_macs", "l2_bytes_per_cycle"]))
def test_more_is_never_slower(work: Product, what: str) -> None:
    # More multiprocessors that share the same L2 may lose: a last wave takes as long as a full one.
    doubled = {what, "l2_bytes_per_cycle"} if what == "sms" else {what}
    more = A100.replace({name: 2 * getattr(A100, name) for name in doubled})
    tiling, cost = best_tiling(work, A100, "exhaustive")
    before, after = cost.kernel, product_cost(work, tiling, more).kernel
    # Times are whole cycles per step: what is gained may be lost to rounding up.
    rounding = after.waves * after.steps * 3
    # The first load and the last stores overlap nothing, and fewer, larger waves have longer ones.
    ends = max(0, after.load - before.load) + max(0, after.store - before.store) * after.steps
    assert after.cycles <= before.cycles + rounding + ends
    assert best_tiling(work, more, "exhaustive")[1].kernel.cycles <= after.cycles


def test_objectives() -> None:
    work = product(512, 12288, 12288)
    found = {goal: best_tiling(work, A100, "exhaustive", goal)[1] for goal in ("latency", "energy")}
    energy = {goal: sum(cost.energy_pj(work, A100).values()) for goal, cost in found.items()}
    assert energy["energy"] <= energy["latency"]
    assert found["latency"].kernel.cycles <= found["energy"].kernel.cycles


def test_waves_are_quantized() -> None:
    """One tile more than multiprocessors takes a second wave."""
    tiling = Tiling(128, 128)
    full = product_cost(product(128, 4096, 128 * 108), tiling, A100).kernel
    over = product_cost(product(128, 4096, 128 * 109), tiling, A100).kernel
    assert (full.waves, over.waves) == (1, 2)
    assert full.steps == 128


def test_an_operand_beyond_the_l2_is_read_again() -> None:
    work = product(40_000, 4096, 40_000)
    traffic = product_cost(work, Tiling(128, 128), A100).dram_bytes
    assert traffic["input"] + traffic["weight"] > work.input_bytes + work.weight_bytes
    large = A100.replace({"l2_mib": 4096})
    assert product_cost(work, Tiling(128, 128), large).dram_bytes == {
        "input": work.input_bytes, "weight": work.weight_bytes, "output": work.output_bytes,
    }  # fmt: skip


def test_splitting_the_depth_fills_the_machine() -> None:
    work = product(64, 65_536, 64)
    tiling, cost = best_tiling(work, A100, "exhaustive")
    assert tiling.splits > 1
    assert cost.kernel.tail > 0
    alone = product_cost(work, dataclasses.replace(tiling, splits=1), A100).kernel
    assert cost.kernel.cycles < alone.cycles


def test_depthwise_products_run_on_the_lanes() -> None:
    work = Product(256, 3136, 1, 9, 2 * 256 * 3136, 2 * 256 * 9, 2 * 256 * 3136, 16)
    assert best_tiling(work, A100, "exhaustive")[0].engine == "vector"


def test_no_room_for_any_tile() -> None:
    tiny = Gpu(register_kib=1.0)
    with pytest.raises(MappingError, match="no tile of a matrix product fits"):
        best_tiling(product(8, 8, 8), tiny, "exhaustive")


@pytest.mark.parametrize(("kind", "limit"), [("softmax", "softmax_row"), ("layernorm", "norm_row")])
def test_long_rows_are_read_twice(kind: str, limit: str) -> None:
    short, long = (Stream(kind, 1 << 20, 1 << 20, 0, getattr(A100, limit) + i) for i in (0, 1))
    assert reads(short, A100) == 1 << 20
    assert reads(long, A100) == 2 << 20


def test_a_stream_moves_its_bytes_at_the_reached_bandwidth() -> None:
    work = Stream("add", 3 << 30, 1 << 30, 1 << 29)
    kernel = stream_kernel(work, A100)
    wanted = (4 << 30) / (A100.hbm_efficiency * A100.dram_bytes_per_cycle)
    assert kernel.memory_cycles == pytest.approx(wanted, rel=1e-3)
    assert kernel.launch == math.ceil(A100.elementwise_us * A100.clock_mhz)


def test_rows_of_a_norm_take_time_of_their_own() -> None:
    """Many short rows take longer than few long ones of as many elements."""
    few, many = (Stream("layernorm", 1 << 20, 1 << 20, 0, 1 << 19 - i, 1 << i) for i in (2, 14))
    slow = A100.replace({"norm_row_cycles": 1000, "norm_row": 1 << 20})
    gained = stream_kernel(many, slow).work_cycles - stream_kernel(few, slow).work_cycles
    assert gained == pytest.approx(1000 * ((1 << 14) - 4) / A100.sms, rel=1e-3)
    assert stream_kernel(many, slow).cycles > stream_kernel(few, slow).cycles
