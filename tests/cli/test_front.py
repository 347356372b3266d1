"""The table of a front: readable, generic, and never cut."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dovetail.arch.presets import load
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import DEFAULT_KNOBS
from dovetail.cli.front import Column, knob_columns, number, tables
from dovetail.networks.elastic import ElasticFamily


def rendered(columns: list[Column], width: int) -> list[str]:
    """Lines of the tables at a width."""
    lines: list[str] = []
    for table in tables(columns, width):
        text = io.StringIO()
        Console(width=width, markup=False, file=text).print(table)
        lines += text.getvalue().splitlines()
    return lines


def test_known_knobs_stand_in_groups() -> None:
    hardware = SystolicSpace(load("edge"), DEFAULT_KNOBS)
    design = {f"accelerator.{k}": v for k, v in hardware.space.decode([2, 3, 1] + [0] * 7).items()}
    family = ElasticFamily().space
    choice = {f"network.{k}": v for k, v in family.decode([0] * len(family.knobs)).items()}
    columns = knob_columns([{**choice, **design}])
    assert [(c.heading, c.cells) for c in columns] == [
        ("px", ["4"]),
        ("depth", ["1-1-1"]),
        ("width", ["4-8-16"]),
        ("kernel", ["3-3-3"]),
        ("w/a\nbits", ["2/4"]),
        ("array", ["16x32 os"]),
        ("in/w\nbits", ["4/2"]),
        ("KiB\nin/w/out", ["2/2/2"]),
        ("lanes", ["4"]),
        ("MHz", ["125"]),
    ]


def test_a_group_needs_all_of_its_knobs() -> None:
    columns = knob_columns([{"rows": 8, "input_sram_kib": 2.5, "clock_mhz": 500.0, "depth1": 2}])
    assert [(c.heading, c.cells[0]) for c in columns] == [
        ("MHz", "500"), ("rows", "8"), ("input_sram_kib", "2.5"), ("depth1", "2"),
    ]  # fmt: skip


def test_many_unknown_knobs_share_a_column() -> None:
    design = {f"{chr(97 + i)}knob": i for i in range(12)}
    (column,) = knob_columns([design, design])
    assert column.heading == "design"
    assert column.cells[0].startswith("aknob=0 bknob=1")


NAMES = st.from_regex(r"[a-z]{1,8}[0-9]?", fullmatch=True)
VALUES = st.integers(0, 4096) | st.floats(0, 1e6) | st.sampled_from(["ws", "a-b"])


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=12), st.integers(1, 4))
def test_any_design_shows_every_value_once(design: dict[str, object], count: int) -> None:
    columns = knob_columns([design] * count)  # type: ignore[list-item]
    assert all(len(column.cells) == count for column in columns)
    cells = " ".join(column.cells[0] for column in columns)
    for value in design.values():
        assert (f"{value:g}" if isinstance(value, float) else str(value)) in cells


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(24, 140), st.integers(1, 12)
)
def test_no_width_cuts_a_number(widths: list[int], terminal: int, rows: int) -> None:
    columns = [Column(f"h{i}", [chr(97 + i) * w] * rows) for i, w in enumerate(widths)]
    lines = rendered(columns, terminal)
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= terminal
    words = " ".join(lines).split()
    for column in columns:
        assert words.count(column.cells[0]) >= rows


def test_wide_terminals_need_one_table() -> None:
    columns = [Column("aaaa", ["1"]), Column("bbbb", ["2"])]
    assert len(tables(columns, 80)) == 1
    assert len(tables(columns, 9)) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (1.5, "1.5"), (123.4, "123"), (1234.5, "1,234"), (1e12, "1e+12")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(np.float64(value)) == text
