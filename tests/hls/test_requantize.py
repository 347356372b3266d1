"""The DSLX kernel, its Verilog and sim.values agree bit by bit; the reported latency is real."""

import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dovetail.errors import AcceleratorError, MissingExtraError, UnknownNameError
from dovetail.hls import build, interpret, kernels
from dovetail.sim.values import requantize
from tests.rtl.icarus import require_icarus, simulate

ARGUMENTS = {  # widths of acc, multiplier, shift, zero_point; the result is as wide as the last
    "main": [("acc", 32), ("multiplier", 31), ("shift", 6), ("zero_point", 8)],
    "main_s4": [("acc", 24), ("multiplier", 15), ("shift", 5), ("zero_point", 4)],
}


@pytest.fixture(autouse=True)
def _needs_xls():
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")


def vectors(top, count):
    """All corners, then random vectors, half of them with results inside the output's range."""
    acc, multiplier, shift, zero = (width for _, width in ARGUMENTS[top])
    highest_shift = min(2**shift - 1, 62)
    corners = itertools.product(
        (-(2 ** (acc - 1)), -3, -1, 0, 1, 3, 2 ** (acc - 1) - 1),
        (0, 1, 2**multiplier - 1),
        (0, 1, 2, highest_shift),
        (-(2 ** (zero - 1)), 0, 2 ** (zero - 1) - 1),
    )
    rng = np.random.default_rng(3)
    accs = rng.integers(-(2 ** (acc - 1)), 2 ** (acc - 1), count)
    multipliers = rng.integers(0, 2**multiplier, count)
    shifts = rng.integers(0, highest_shift + 1, count)
    sized = np.frompyfunc(lambda a, m: (int(a) * int(m)).bit_length(), 2, 1)(accs, multipliers)
    shifts[::2] = np.clip(sized[::2] - zero + rng.integers(0, 3, len(sized[::2])), 0, highest_shift)
    zeros = rng.integers(-(2 ** (zero - 1)), 2 ** (zero - 1), count)
    return [*corners, *np.stack([accs, multipliers, shifts, zeros], axis=1).tolist()]


def expected(top, table):
    """sim.values, as bit patterns."""
    bits = ARGUMENTS[top][-1][1]
    columns = (np.array(column) for column in zip(*table, strict=True))
    return (requantize(*columns, bits) & (2**bits - 1)).tolist()


@pytest.mark.parametrize("top", ARGUMENTS)
def test_interpretation_equals_the_values(top):
    table = vectors(top, 2000)
    results = interpret("requantize", table, top=top)
    assert results == expected(top, table)
    # The vectors reach nearly every output value, not just the two that saturation gives.
    assert len(set(results)) > 0.9 * 2 ** ARGUMENTS[top][-1][1]


@pytest.mark.parametrize(
    ("top", "clock_ps", "delay_model"),
    [("main", 1500, "asap7"), ("main", 20000, "sky130"), ("main_s4", 1200, "asap7")],
)
def test_pipeline_equals_the_values_at_the_reported_latency(tmp_path, top, clock_ps, delay_model):
    require_icarus()
    made = build("requantize", clock_ps=clock_ps, delay_model=delay_model, top=top)
    assert made.initiation_interval == 1
    verilog = tmp_path / "kernel.v"
    verilog.write_text(made.verilog)
    table = vectors(top, 200)
    simulate(
        tmp_path,
        sources=[verilog],
        top=made.module,
        bench="tests.hls.bench_requantize",
        case={
            "arguments": ARGUMENTS[top],
            "vectors": table,
            "expected": expected(top, table),
            "latency": made.latency_cycles,
        },
    )


def test_yosys_reads_the_pipeline(tmp_path):
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt-get install yosys)")
    made = build("requantize", clock_ps=1500)
    (tmp_path / "kernel.v").write_text(made.verilog)
    script = f"read_verilog kernel.v; hierarchy -check -top {made.module}; proc; check -assert"
    done = subprocess.run(
        ["yosys", "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_faster_clock_never_takes_fewer_stages():
    latencies = [
        build("requantize", clock_ps=clock, top="main_s4").latency_cycles
        for clock in (1200, 1500, 2000, 4000)
    ]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[0] > latencies[-1] == 2  # one stage between input and output registers


def test_builds_are_reproducible():
    first, second = (build("requantize", clock_ps=2000) for _ in range(2))
    assert first == second
    assert first.provenance["tool"] == "xls-python 0.1.9934"
    assert first.provenance["clock_ps"] == 2000


def test_errors_say_what_to_change(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean requantize"):
        build("requantise", clock_ps=2000)
    with pytest.raises(UnknownNameError, match="main_s4"):
        build("requantize", clock_ps=2000, top="main_s8")
    with pytest.raises(UnknownNameError, match="known: asap7, sky130"):
        build("requantize", clock_ps=2000, delay_model="tsmc5")
    with pytest.raises(
        AcceleratorError, match=r"100 ps with 'asap7': .*; raise clock_ps$"
    ) as error:
        build("requantize", clock_ps=100)
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "xls", None)
    with pytest.raises(MissingExtraError, match=r"dovetail\[hls\]"):
        build("requantize", clock_ps=2000)


def test_kernels_are_package_data():
    assert [path.name for path in kernels()] == ["requantize.x"]
