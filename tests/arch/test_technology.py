"""Published energies: M. Horowitz, ISSCC 2014 (45 nm); N. Jouppi et al., ISCA 2021 (7 nm).

Areas at 45 nm: N. Nayak et al., MICRO 2024; NanGate45.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.arch.technology import DRAM_PJ_PER_BYTE, Technology
from dovetail.errors import AcceleratorError

NODES = st.floats(3, 90)
BITS = st.integers(1, 64)
CAPACITIES = st.integers(1, 2**30)

PUBLISHED = [
    # what, arguments, pJ at 45 nm, pJ at 7 nm
    ("multiply_pj", (8, 8), 0.2, 0.07),
    ("multiply_pj", (32, 32), 3.1, 1.48),
    ("add_pj", (8,), 0.03, 0.007),
    ("add_pj", (32,), 0.1, 0.03),
    ("sram_pj_per_byte", (8 << 10,), 10 / 8, 7.5 / 8),
    ("sram_pj_per_byte", (32 << 10,), 20 / 8, 8.5 / 8),
    ("sram_pj_per_byte", (1 << 20,), 100 / 8, 14 / 8),
]


@pytest.mark.parametrize(("what", "arguments", "at_45", "at_7"), PUBLISHED)
def test_published_points_are_reproduced(what, arguments, at_45, at_7):
    assert getattr(Technology(45), what)(*arguments) == pytest.approx(at_45, rel=1e-12)
    assert getattr(Technology(7), what)(*arguments) == pytest.approx(at_7, rel=1e-12)


def test_published_vector_energy_and_dram():
    assert Technology(45).vector_op_pj == pytest.approx((0.4 + 1.1) / 2, rel=1e-12)
    assert Technology(7).vector_op_pj == pytest.approx((0.16 + 0.34) / 2, rel=1e-12)
    assert DRAM_PJ_PER_BYTE["ddr3"] * 8 == 2600
    assert DRAM_PJ_PER_BYTE["ddr4"] * 8 == 1300
    assert DRAM_PJ_PER_BYTE["gddr6"] * 8 == 415
    assert DRAM_PJ_PER_BYTE["hbm2"] / 8 == pytest.approx(3.9)


def test_published_areas_at_45_nm():
    tech = Technology(45)
    assert tech.gates_mm2(1) * 1e6 == pytest.approx(0.798)
    assert tech.vector_lane_mm2 * 1e6 == pytest.approx(1545 + 8240)
    assert tech.sram_mm2(16 << 20) == pytest.approx(94.18)


def figures(tech, bits, capacity):
    return (
        tech.multiply_pj(bits, 8),
        tech.add_pj(bits),
        tech.mac_pj(bits, bits, 32),
        tech.vector_op_pj,
        tech.sram_pj_per_byte(capacity),
        tech.sram_mm2(capacity),
        tech.pe_mm2(bits, 8, 32),
        tech.vector_lane_mm2,
    )


@given(NODES, NODES, BITS, st.integers(8 << 10, 2**30))
def test_a_finer_node_never_costs_more(one, other, bits, capacity):
    fine, coarse = sorted((one, other))
    pairs = zip(
        figures(Technology(fine), bits, capacity),
        figures(Technology(coarse), bits, capacity),
        strict=True,
    )
    assert all(0 < a <= b * (1 + 1e-12) for a, b in pairs)


@given(NODES, BITS, BITS)
def test_wider_operands_cost_more(node, one, other):
    tech = Technology(node)
    narrow, wide = sorted((one, other))
    assert tech.multiply_pj(narrow, 8) <= tech.multiply_pj(wide, 8)
    assert tech.multiply_pj(narrow, wide) == pytest.approx(tech.multiply_pj(wide, narrow))
    assert tech.add_pj(narrow) <= tech.add_pj(wide)
    assert tech.pe_mm2(narrow, 8, 32) <= tech.pe_mm2(wide, 8, 32)


@given(NODES, CAPACITIES, CAPACITIES)
def test_larger_memories_cost_more(node, one, other):
    tech = Technology(node)
    small, large = sorted((one, other))
    assert tech.sram_pj_per_byte(small) <= tech.sram_pj_per_byte(large) * (1 + 1e-12)
    assert tech.sram_mm2(small) <= tech.sram_mm2(large)


@pytest.mark.parametrize("node", [2.9, 91, 0, -7])
def test_nodes_out_of_range_are_refused(node):
    with pytest.raises(AcceleratorError, match="3 to 90 nm"):
        Technology(node)
