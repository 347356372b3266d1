"""Requantization and the store engine: the gates against values and cycles."""

import pytest

from dovetail.rtl import sources
from tests.rtl.icarus import require_icarus, simulate

WIDTHS = [(8, 32), (4, 8), (16, 24), (2, 19), (16, 8)]


@pytest.mark.parametrize(("input_bits", "acc_bits"), WIDTHS)
def test_requantization_is_that_of_the_values(tmp_path, input_bits, acc_bits):
    require_icarus()
    elaboration = {"Cols": 3, "InputBits": input_bits, "AccBits": acc_bits}
    simulate(
        tmp_path,
        sources=sources(),
        top="dovetail_requantize",
        bench="tests.rtl.bench_requantize_rtl",
        case={**elaboration, "seed": input_bits, "words": 60},
        parameters=elaboration,
    )


@pytest.mark.parametrize(
    ("cols", "input_bits", "acc_bits", "bus_bits"),
    [(4, 8, 32, 32), (4, 8, 32, 8), (16, 8, 32, 128), (2, 16, 32, 32), (6, 4, 8, 8), (1, 8, 8, 8)],
)
def test_stores_write_the_right_beats_in_the_documented_cycles(
    tmp_path, cols, input_bits, acc_bits, bus_bits
):
    require_icarus()
    elaboration = {
        "Cols": cols, "InputBits": input_bits, "AccBits": acc_bits, "BusBits": bus_bits,
    }  # fmt: skip
    simulate(
        tmp_path,
        sources=sources(),
        top="dovetail_store",
        bench="tests.rtl.bench_store_rtl",
        case={**elaboration, "seed": cols + bus_bits, "rounds": 2},
        parameters=elaboration,
    )
