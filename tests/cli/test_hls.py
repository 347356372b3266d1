"""Kernels from the command line: lists, builds, checks, and what is refused."""

import json
import shutil
import sys

import pytest

from dovetail.arch.kernels import read_table
from dovetail.hls import KERNELS
from dovetail.verify import hls_run, hls_table
from tests.cli.driver import run, succeed
from tests.rtl.icarus import require_icarus


@pytest.fixture(autouse=True)
def _needs_xls():
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")


def test_kernels_are_listed_with_their_parameters():
    out = succeed("hls", "list")
    assert "ReLU minus an interpolated table" in out
    assert "mantissa" in out


def test_a_build_writes_verilog_and_a_summary(tmp_path):
    out = succeed(
        *("hls", "build", "lmul", "--set", "mantissa=3", "--set", "exponent=4", "--lanes", 2),
        *("--clock-ps", 5000, "--no-synth", "--out", tmp_path / "made"),
    )
    assert "latency 2 cycles, initiation interval 1" in out
    module = "dovetail_lmul_exponent4_mantissa3_lanes2"
    assert f"module {module}(" in (tmp_path / "made" / f"{module}.v").read_text()
    summary = json.loads((tmp_path / "made" / f"{module}.json").read_text())
    assert summary["ports"] == {"x": 16, "y": 16}
    assert summary["latency_cycles"] == 2
    assert summary["provenance"]["clock_ps"] == 5000
    assert summary["synthesis"] == {}


def test_a_build_counts_gates_and_luts():
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt-get install yosys)")
    form = ("--set", "exponent=4", "--set", "mantissa=3", "--set", "finite=1")
    summary = json.loads(succeed("hls", "build", "lmul", *form, "--json", "-"))
    gates, luts = summary["synthesis"]["gates"], summary["synthesis"]["xilinx"]
    # Two registered arguments, a registered result, and a valid bit beside each.
    assert gates["flip_flops"] == luts["flip_flops"] == 3 * 8 + 2
    assert gates["gate_equivalents"] > 100
    assert (luts["luts"] > 8, luts["dsps"]) == (True, 0)


def test_a_table_of_kernels_is_read_by_the_model(tmp_path, monkeypatch):
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt-get install yosys)")
    form = {"exponent": 4, "mantissa": 3, "finite": 1}
    monkeypatch.setattr(hls_table, "points", lambda names: [("lmul", 1, form), ("gelu", 1, {})])
    limit = hls_table.measure

    def measure(point, limit_s):
        return limit(point, limit_s=limit_s if point[0] == "lmul" else 0.01)

    monkeypatch.setattr(hls_table, "measure", measure)
    done = run("hls", "table", "--out", tmp_path / "kernels.csv")
    assert done.code == 1
    [cost] = read_table((tmp_path / "kernels.csv").read_text())
    assert (cost.kernel, cost.latency_cycles, cost.initiation_interval) == ("lmul", 2, 1)
    assert (cost.ff, cost.dsp, cost.bram18) == (3 * 8 + 2, 0, 0)
    assert (
        cost.command == "dovetail hls build lmul --set exponent=4 --set mantissa=3 --set finite=1"
    )
    assert "dovetail hls build gelu: yosys took more than 0.01 s" in done.err


def test_points_are_the_defaults_wide_pipelines_and_further_forms():
    found = hls_table.points(["gelu", "softmax"])
    assert [(name, lanes) for name, lanes, _ in found] == [
        ("gelu", 1), ("gelu", 8), ("softmax", 1), ("softmax", 1),
    ]  # fmt: skip
    for name, lanes, form in hls_table.points(KERNELS):
        assert KERNELS[name].module(form, lanes)  # legal


def test_kernels_are_verified():
    require_icarus()
    document = succeed("verify", "hls", "--kernel", "lmul", "--transactions", 20, "--json", "-")
    runs = json.loads(document)["runs"]
    assert len(runs) == 4
    assert all(done["faults"] == [] and done["transactions"] == 20 for done in runs)


def test_finished_runs_are_kept(tmp_path, monkeypatch):
    require_icarus()
    command = ("verify", "hls", "--kernel", "lmul", "--transactions", 20, "--work", tmp_path)
    first = succeed(*command)
    assert len(list(tmp_path.glob("lmul-*.json"))) == 4
    monkeypatch.setattr(hls_run, "simulate", None)
    assert succeed(*command) == first
    with pytest.raises(TypeError, match="not callable"):
        run(*command, "--seed", 1)
    some = next(tmp_path.glob("lmul-*.json"))
    some.write_text("{")
    assert f"run '{some}' is corrupt" in run(*command).complaint
    assert "cannot write" in run(*command[:-1], some / "below").complaint


def test_a_table_shows_what_was_verified():
    require_icarus()
    out = succeed("verify", "hls", "--kernel", "requantize", "--transactions", 20)
    assert "2 runs, 40 vectors: 0 differ" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "gelo"), "unknown kernel 'gelo'; did you mean gelu?"),
        (("build", "gelu", "--set", "bits=3"), "parameter of kernel 'gelu' 'bits'"),
        (("build", "gelu", "--set", "width=x"), "--set width=x: must be a whole number"),
        (("build", "gelu", "--set", "width=99"), "width 99: must be within 8 to 48"),
        (("build", "gelu", "--clock-ps", 50), "cannot achieve the specified clock period"),
        (("build", "gelu", "--delay-model", "tsmc"), "known: asap7, sky130"),
        (("build", "gelu", "--lanes", 0), "0 lanes: must be within 1 to 64"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(arguments, words):
    assert words in run("hls", *arguments, "--no-synth").complaint


def test_missing_tools_are_named_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "apt-get install yosys" in run("hls", "build", "gelu").complaint
    assert "'iverilog', which is not installed" in run("verify", "hls").complaint
    monkeypatch.setitem(sys.modules, "xls", None)
    assert "dovetail[hls]" in run("hls", "build", "gelu", "--no-synth").complaint
    assert "dovetail[hls]" in run("verify", "hls").complaint
    assert "unknown kernel 'gelo'" in run("verify", "hls", "--kernel", "gelo").complaint
