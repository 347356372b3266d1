"""Tables of kernels; the rows here are made up."""

from __future__ import annotations

import pytest

from dovetail.arch.kernels import COLUMNS, KernelCost, find, read_table, write_table
from dovetail.errors import AcceleratorError, UnknownNameError

COSTS = (
    KernelCost("gelu", (("bits", 16),), 1, 4, 1, 100, 90, 2, 1, "build gelu"),
    KernelCost("gelu", (("bits", 16),), 8, 4, 1, 800, 720, 16, 8, "build gelu --lanes 8"),
    KernelCost("softmax", (("bits", 8), ("rows", 3)), 1, 9, 2, 70, 60, 0, 0, "build softmax, 2"),
)
HEAD = ",".join(COLUMNS)


def test_a_table_survives_its_text():
    assert read_table(write_table(COSTS)) == COSTS
    assert read_table(write_table([])) == ()


def test_cycles_of_a_stream():
    one, eight, slow = COSTS
    assert (one.cycles(1), one.cycles(10)) == (4, 13)
    assert (eight.cycles(8), eight.cycles(9)) == (4, 5)
    assert (slow.cycles(10), slow.cycles(0)) == (27, 0)


def test_builds_are_found_by_what_tells_them_apart():
    assert find(COSTS, "gelu", lanes=8) is COSTS[1]
    assert find(COSTS, "softmax", rows=3) is COSTS[2]
    with pytest.raises(UnknownNameError, match="did you mean softmax"):
        find(COSTS, "sofmax")
    with pytest.raises(AcceleratorError, match="0 builds with lanes=1 bits=8"):
        find(COSTS, "gelu", bits=8)
    with pytest.raises(AcceleratorError, match="2 builds"):
        find([*COSTS, COSTS[2]], "softmax")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns must be kernel"),
        ("kernel,lut\n", "columns must be kernel"),
        (f"{HEAD}\ngelu,,1,4,1,1,1,1\n", "line 2: must have 10 fields"),
        (f"{HEAD}\ngelu,,1,4,1,1,1,1,1,c,d\n", "line 2: must have 10 fields"),
        (f"{HEAD}\ngelu,,0,4,1,1,1,1,1,c\n", "lanes = '0': must be a whole number >= 1"),
        (f"{HEAD}\ngelu,,1,-4,1,1,1,1,1,c\n", "latency_cycles = '-4'"),
        (f"{HEAD}\ngelu,bits,1,4,1,1,1,1,1,c\n", "bits = ''"),
        (f"{HEAD}\ngelu,,1,4,1,1,1,1,1,\n", "the command that built it"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(text, message):
    with pytest.raises(AcceleratorError, match=message) as error:
        read_table(text)
    assert "\n" not in str(error.value)
