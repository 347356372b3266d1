"""Costs of hardwired chips: yield, masks and sites as their closed forms have them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.arch.hardwired import (
    Hardwired,
    Masks,
    Module,
    Site,
    TokenTime,
    gross_dies,
    murphy_yield,
)


def test_dies_of_the_published_chip() -> None:
    module = Module(package=111, hbm_per_gb=10, integration=1900)
    assert gross_dies(module.area_mm2) == 62
    assert murphy_yield(module.area_mm2, module.defects_per_cm2) == pytest.approx(0.43, abs=0.005)
    assert module.good_dies == 27
    assert module.die == pytest.approx(629, rel=1e-3)
    assert module.price == pytest.approx(629.19 + 111 + 1920 + 1900, rel=1e-4)


@given(st.floats(1, 2000), st.floats(0, 5), st.floats(0.01, 5))
def test_yield_lies_between_poisson_and_seeds(area: float, density: float, more: float) -> None:
    expected = area / 100 * density
    found = murphy_yield(area, density)
    assert math.exp(-expected) - 1e-12 <= found <= 1 / (1 + expected) + 1e-12
    assert murphy_yield(area, density + more) < found
    assert gross_dies(area) * area < math.pi * 150**2


def test_a_die_larger_than_the_wafer() -> None:
    assert gross_dies(100_000) == 0


@given(st.floats(1e6, 1e8), st.integers(1, 64))
def test_masks_share_all_but_the_weights(value: float, chips: int) -> None:
    masks = Masks(value)
    assert masks.share == pytest.approx(10 / 130)
    assert masks.first(1) == pytest.approx(value)
    assert masks.first(chips) - masks.respin(chips) == pytest.approx(value * 120 / 130)
    assert masks.first(chips) <= chips * value * (1 + 1e-12)


def test_builds_and_respins_add_up() -> None:
    design = Hardwired(Masks(30e6), Module(185, 20, 3800), 58.54e6)
    assert design.build(1) / 1e6 == pytest.approx(123.29, abs=0.01)
    assert design.respin(1) / 1e6 == pytest.approx(37.06, abs=0.01)
    assert design.build(50) - design.build(1) == pytest.approx(49 * design.hardware(1))
    first = design.masks.first(16) - design.masks.respin(16)
    assert design.build(7) - design.respin(7) == pytest.approx(design.design + first)


def test_a_site() -> None:
    site = Site()
    assert site.energy_kwh(1000) == pytest.approx(1000 * 1.4 * 26_280)
    assert site.facility(1000) == pytest.approx(1.4 * 12e6)
    # 2,000 H100 of 1.3 kW: the published 36,600 t
    assert site.carbon_kg(2000, 2600) / 1e3 == pytest.approx(36_600, rel=1e-3)
    running = site.running(nodes=2, kilowatts=10, hardware=1e6)
    fixed = 0.01 * 1.4 * 12e6 + 2 * 45e3
    energy = 10 * 1.4 * 26_280 * 0.095
    assert running == pytest.approx(fixed + 0.15 * (1e6 + fixed) + energy)


def test_time_of_a_token() -> None:
    time = TokenTime(80, 15, 5, 0.01, buffer_bytes=1000, kv_bytes=2, spill_bytes_per_us=10)
    assert time.parts(0) == {
        "CXL": 80, "projection": 15, "attention": 0, "stall": 0, "nonlinear": 5
    }  # fmt: skip
    assert time.parts(500)["stall"] == 0
    assert time.parts(600) == {
        "CXL": 80, "projection": 15, "attention": 6, "stall": 20, "nonlinear": 5
    }  # fmt: skip
    assert sum(time.shares(600).values()) == pytest.approx(1)
