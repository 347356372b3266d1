"""The execute engine and its parts: the gates against values and cycles."""

import pytest

from dovetail.rtl import sources
from dovetail.sim.columns import OS, WS
from tests.rtl.icarus import require_icarus, simulate

SHAPES = [(3, 5, 4, 3, 16), (5, 2, 8, 8, 32), (2, 1, 16, 16, 24)]


@pytest.mark.parametrize("stationary", [0, 1])
@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize(("rows", "cols", "input_bits", "weight_bits", "acc_bits"), SHAPES)
def test_execute(tmp_path, stationary, overlap, rows, cols, input_bits, weight_bits, acc_bits):
    require_icarus()
    elaboration = {
        "Stationary": stationary, "Overlap": overlap, "Rows": rows, "Cols": cols,
        "InputBits": input_bits, "WeightBits": weight_bits, "AccBits": acc_bits,
    }  # fmt: skip
    simulate(
        tmp_path,
        sources=sources(),
        top="dovetail_execute",
        bench="tests.rtl.bench_execute",
        case={
            **elaboration,
            "dataflow": WS if stationary else OS,
            "seed": rows,
            "instructions": 8,
        },
        parameters=elaboration,
    )


@pytest.mark.parametrize(("depth", "readers"), [(1, 1), (5, 1), (8, 2)])
def test_double_buffer(tmp_path, depth, readers):
    require_icarus()
    elaboration = {"Width": 9, "Depth": depth, "Readers": readers}
    simulate(
        tmp_path,
        sources=sources(),
        top="dovetail_double_buffer",
        bench="tests.rtl.bench_double_buffer",
        case={**elaboration, "seed": depth},
        parameters=elaboration,
    )
