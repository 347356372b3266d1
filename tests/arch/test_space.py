from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import DATAFLOWS, DEFAULT_KNOBS, SystolicArray
from dovetail.arch.table import DEPENDS, Design, areas, design_row, excesses
from dovetail.errors import AcceleratorError, ProblemError

EDGE = presets.load("edge")
EVERY = {
    **DEFAULT_KNOBS,
    "arrays": (1, 4),
    "accumulator_bits": (16, 32),
    "dram": ("ddr3", "hbm2"),
    "dram_gb_per_s": (3.2, 100),
    "dram_latency_ns": (0, 77.7),
    "node_nm": (7, 45),
}
SPACES = {
    "default": SystolicSpace(EDGE, DEFAULT_KNOBS),
    "every knob": SystolicSpace(EDGE, EVERY),
    "one knob": SystolicSpace(EDGE, {"rows": (1, 16, 64)}),
    "gates": SystolicSpace(
        EDGE.replace({"machine": "rtl"}),
        {
            "rows": (1, 2, 6, 8, 16),
            "cols": (4, 8),
            "arrays": (1, 2),
            "dataflow": DATAFLOWS,
            "input_bits": (1, 2, 8, 16, 17),
            "weight_bits": (1, 8, 16, 20),
            "accumulator_bits": (8, 16, 32, 64),
            "bus_bits": (8, 16, 24, 64),
            "input_sram_kib": (2, 64),
        },
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_batched_rows_are_those_of_the_decoded_designs(name):
    hardware = SPACES[name]
    designs = hardware.space.sample(np.random.default_rng(1), 200)
    rows, violations, found = (
        hardware.rows(designs),
        hardware.violations(designs),
        hardware.areas(designs),
    )
    for i, design in enumerate(designs):
        accelerator = hardware.decode(design)
        np.testing.assert_array_equal(rows[i], design_row(accelerator))
        assert (violations[i] > 0) == bool(accelerator.validate())
        assert found[i] == pytest.approx(accelerator.area_mm2, rel=1e-12)


def test_every_parameter_that_a_column_depends_on_is_named():
    """Changing a parameter changes no column that does not name it, on either machine."""
    other = {
        "rows": 5, "cols": 7, "arrays": 3, "dataflow": "os", "input_bits": 5, "weight_bits": 3,
        "accumulator_bits": 20, "input_sram_kib": 10, "weight_sram_kib": 11,
        "output_sram_kib": 12, "vector_lanes": 9, "clock_mhz": 123, "dram": "hbm2",
        "dram_gb_per_s": 7, "dram_latency_ns": 60, "node_nm": 16, "name": "other",
        "machine": "rtl", "fold_overlap": "full", "bus_bits": 32,
    }  # fmt: skip
    assert set(other) == {name for name, *_ in SystolicArray.parameters()}
    odd = EDGE.replace({"input_sram_kib": 64.1, "weight_sram_kib": 64.1, "output_sram_kib": 64.2})
    gates = odd.replace({"machine": "rtl", "rows": 24, "cols": 24, "vector_lanes": 9})
    for name, value in other.items():
        changed = {
            Design(column)
            for base in (
                odd,
                gates,
                gates.replace({"rows": 48}),
                odd.replace({"rows": 16}),
                gates.replace({"fold_overlap": "full"}),
            )
            for column in np.flatnonzero(
                design_row(base.replace({name: value})) != design_row(base)
            )
        }
        assert changed == {column for column in Design if name in DEPENDS[column]}, name


SMALL = {
    "rows": (8, 16, 128),
    "cols": (4, 64),
    "weight_bits": (8, 16),
    "weight_sram_kib": (0.25, 1, 8),
    "output_sram_kib": (0.5, 4, 16),
    "dataflow": ("ws", "os"),
}


@pytest.mark.parametrize(
    "knobs",
    [
        SMALL,
        {**SMALL, "output_sram_kib": (0.0625,)},
        {**SMALL, "rows": (128, 512), "cols": (64, 128)},
        {"weight_sram_kib": (0.5, 2, 8)},
    ],
    ids=["mixed", "nothing legal", "few legal", "one knob"],
)
def test_masks_are_exact(knobs):
    hardware = SystolicSpace(EDGE, knobs)
    sizes = hardware.space.cardinalities
    designs = np.array(list(itertools.product(*(range(size) for size in sizes))))
    legal = designs[[not hardware.decode(design).validate() for design in designs]]
    for position, mask in enumerate(hardware.masks()):
        possible = set(legal[:, position].tolist())
        assert mask.tolist() == [value in possible for value in range(sizes[position])]
    np.testing.assert_array_equal(
        hardware.violations(designs) <= 0,
        [not hardware.decode(design).validate() for design in designs],
    )


@settings(max_examples=100)
@given(st.integers(0, 2**40))
def test_violations_shrink_with_larger_scratchpads(seed):
    hardware = SPACES["default"]
    designs = hardware.space.sample(np.random.default_rng(seed), 1)
    names = hardware.space.names
    before = hardware.violations(designs)
    for operand in ("input", "weight", "output"):
        column = names.index(f"{operand}_sram_kib")
        designs[:, column] = hardware.space.cardinalities[column] - 1
        after = hardware.violations(designs)
        assert (after <= before).all()
        before = after


def test_excess_is_relative():
    design = EDGE.replace({"rows": 64, "cols": 64, "output_sram_kib": 16, "weight_sram_kib": 8})
    np.testing.assert_allclose(excesses(design_row(design)[None])[0], [0.0, 0.0, 1.0])
    assert areas(design_row(EDGE)[None])[0] == pytest.approx(EDGE.area_mm2)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"rwos": (1, 2)}, "knob 'rwos': unknown key 'rwos'"),
        ({"rows": (0, 2)}, "knob 'rows': rows = 0"),
        ({"rows": ()}, "knob 'rows' needs at least one value"),
        ({"name": ("a",)}, "knob 'name'"),
        ({"dataflow": ("ws", "rs")}, "must be one of ws, os, is"),
    ],
)
def test_wrong_knobs_are_refused(knobs, message):
    with pytest.raises(AcceleratorError) as caught:
        SystolicSpace(EDGE, knobs)
    assert message in str(caught.value)


def test_repeated_values_are_refused():
    with pytest.raises(ProblemError, match="distinct"):
        SystolicSpace(EDGE, {"rows": (4, 4)}).space.names  # noqa: B018
