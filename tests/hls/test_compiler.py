"""Builds: reproducible, stages follow the clock, and errors say what to change."""

import shutil
import subprocess
import sys

import pytest

from dovetail.errors import AcceleratorError, MissingExtraError, UnknownNameError
from dovetail.hls import KERNELS, build, interpret
from dovetail.verify.hls_cases import CHECKS

NARROW = {"acc": 24, "multiplier": 15, "shift": 5, "out": 4}


@pytest.fixture(autouse=True)
def _needs_xls():
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")


@pytest.mark.parametrize("kernel", KERNELS)
def test_yosys_reads_the_pipeline(tmp_path, kernel):
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt-get install yosys)")
    made = build(kernel, CHECKS[kernel].forms[-1])  # the smallest
    (tmp_path / "kernel.v").write_text(made.verilog)
    script = f"read_verilog kernel.v; hierarchy -check -top {made.module}; proc; check -assert"
    done = subprocess.run(
        ["yosys", "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_faster_clock_never_takes_fewer_stages():
    latencies = [
        build("requantize", NARROW, clock_ps=clock).latency_cycles
        for clock in (1200, 1500, 2000, 4000)
    ]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[0] > latencies[-1] == 2  # one stage between input and output registers


@pytest.mark.parametrize("stages", [1, 2, 5])
def test_stages_can_be_given_instead_of_a_clock(stages):
    made = build("requantize", NARROW, stages=stages)
    assert made.latency_cycles == stages + 1
    assert made.provenance["stages"] == stages
    assert "clock_ps" not in made.provenance


def test_builds_are_reproducible():
    first, second = (build("requantize", clock_ps=2000) for _ in range(2))
    assert first == second
    assert first.provenance["tool"] == "xls-python 0.1.9934"
    assert first.provenance["clock_ps"] == 2000


def test_ports_and_modules_follow_parameters_and_lanes():
    made = build("requantize", NARROW, lanes=2, clock_ps=4000)
    assert made.ports == (("acc", 48), ("multiplier", 30), ("shift", 10), ("zero_point", 8))
    assert made.out_bits == 8
    assert made.module == "dovetail_requantize_acc24_multiplier15_shift5_out4_lanes2"
    assert f"module {made.module}(" in made.verilog
    assert build("requantize").module == "dovetail_requantize"


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"kernel": "requantise"}, UnknownNameError, "did you mean requantize"),
        ({"parameters": {"bits": 3}}, UnknownNameError, "parameter of kernel 'requantize' 'bits'"),
        ({"parameters": {"out": 1}}, AcceleratorError, "out 1: must be within 2 to 32"),
        ({"parameters": {"acc": 8, "multiplier": 4}}, AcceleratorError, "shift 6.* PRODUCT"),
        (
            {"parameters": {"acc": 8, "multiplier": 7, "shift": 1, "out": 17}},
            AcceleratorError,
            "out 17: OUT <= PRODUCT must hold, with OUT 17, PRODUCT 16; change a parameter$",
        ),
        (
            {"kernel": "gelu", "parameters": {"width": 8, "fraction": 24}},
            AcceleratorError,
            r"24: FRACTION <= WIDTH \+ 5 must hold, with FRACTION 24, WIDTH 8; change",
        ),
        ({"kernel": "softmax", "lanes": 2}, AcceleratorError, "is a stream: it has one lane"),
        ({"kernel": "softmax", "clock_ps": 1500}, AcceleratorError, "raise clock_ps or interval$"),
        ({"kernel": "softmax", "interval": 65}, AcceleratorError, "must be within 1 to 64"),
        ({"interval": 2}, AcceleratorError, "interval 2: must be within 1 to 1"),
        ({"kernel": "deformable", "interval": 2}, AcceleratorError, "must be within 1 to 1"),
        ({"kernel": "deformable", "stages": 1}, AcceleratorError, "raise clock_ps or stages"),
        ({"lanes": 0}, AcceleratorError, "0 lanes: must be within 1 to 64"),
        ({"stages": 0}, AcceleratorError, "0 stages: must be within 1 to 100"),
        ({"delay_model": "tsmc5"}, UnknownNameError, "known: asap7, sky130"),
        ({"clock_ps": 100}, AcceleratorError, r"100 ps with 'asap7': .*; raise clock_ps$"),
        ({"clock_ps": 900, "stages": 1}, AcceleratorError, "raise clock_ps or stages$"),
    ],
)
def test_errors_say_what_to_change(options, kind, words):
    kernel = options.pop("kernel", "requantize")
    with pytest.raises(kind, match=words) as error:
        build(kernel, **options)
    assert "\n" not in str(error.value)


def test_streams_are_not_interpreted():
    with pytest.raises(AcceleratorError, match="is a stream"):
        interpret("softmax", [[0]])


def test_a_missing_compiler_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "xls", None)
    with pytest.raises(MissingExtraError, match=r"dovetail\[hls\]"):
        build("requantize")


def test_kernels_are_package_data():
    files = {path.stem for path in KERNELS["requantize"].path.parent.glob("*.x")}
    assert files == {*KERNELS, "skew"}  # what the kernels of attention share
