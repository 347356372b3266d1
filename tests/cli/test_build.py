"""`dovetail build`: a folder that checks itself, and refusals in words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from dovetail.arch import presets
from dovetail.building.adapt import adapted, obstacles
from dovetail.cli import jobs, winner
from dovetail.errors import MissingToolError
from dovetail.rtl.synthesis import Synthesis
from dovetail.sim.simulators import require_tools
from tests.cli.driver import run, succeed
from tests.networks.onnx_models import small_cnn

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys")

SMALL = ("edge", "--network", "net.onnx", "--set", "rows=4", "--set", "cols=4")
RTL = (*SMALL, "--set", "machine=rtl", "--set", "fold_overlap=full", "--set", "bus_bits=32")


@pytest.fixture(autouse=True)
def _model() -> None:
    onnx.save(small_cnn(), "net.onnx")


@pytest.fixture
def folder() -> Path:
    succeed("build", *RTL, "--out", "chip", "--images", 2)
    return Path("chip")


def script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(folder / "run.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@needs_icarus
def test_the_folder_checks_itself(folder: Path) -> None:
    done = script(folder, "icarus")
    cycles = json.loads((folder / "build.json").read_text())["cycles"]
    assert done.returncode == 0, done
    last = f"PASS: 2 images, answers and {cycles} cycles exactly as expected (icarus)\n"
    assert done.stdout.endswith(last)


@needs_icarus
def test_a_wrong_answer_or_count_fails(folder: Path) -> None:
    expected = folder / "program" / "expected_1.hex"
    lines = expected.read_text().splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
    expected.write_text("\n".join(lines) + "\n")
    done = script(folder)
    assert done.returncode == 1
    assert "image 1: " in done.stdout
    assert done.stdout.endswith("FAIL: 1 of 2 images\n")
    text = (folder / "run.sh").read_text()
    (folder / "run.sh").write_text(re.sub(r"^cycles=\d+", "cycles=7", text, flags=re.M))
    assert script(folder).stdout.endswith("FAIL: 2 of 2 images\n")


def test_a_missing_simulator_is_named(folder: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", str(folder / "run.sh"), "icarus"],
        env={"PATH": str(Path("nothing").absolute()), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    unknown = script(folder, "spice")
    assert unknown.returncode == 2
    assert "unknown simulator 'spice'" in unknown.stderr


def test_what_the_folder_holds(folder: Path) -> None:
    named = {
        line for name in ("files.f", "bench.f") for line in (folder / name).read_text().split()
    }
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.sv")}
    assert there - named == {"tb/dovetail_clock.sv"}
    assert named <= there
    facts = json.loads((folder / "build.json").read_text())
    assert facts["changes"] == []
    assert facts["parameters"]["Rows"] == 4
    assert len(facts["answers"]) == 2
    assert "./run.sh" in (folder / "README.md").read_text()
    again = succeed("build", folder / "design.yaml", "--network", "net.onnx", "--out", "again")
    assert "adapted" not in again
    for name in ("run.sh", "rtl/dovetail_top.sv", "program/image_1.hex", "program/expected_0.hex"):
        assert (folder / name).read_text() == (Path("again") / name).read_text()


@needs_yosys
def test_synthesis_of_the_fixed_top(folder: Path) -> None:
    reads = [f"read_verilog -sv -defer rtl/{p.name}" for p in (folder / "rtl").glob("*.sv")]
    script_text = "; ".join([*sorted(reads, key=lambda r: "isa_pkg" not in r),
                             "hierarchy -check -top dovetail_top"])  # fmt: skip
    done = subprocess.run(
        ["yosys", "-q", "-p", script_text], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_earlier_build_is_replaced_and_other_folders_are_not(folder: Path) -> None:
    (folder / "stale").write_text("")
    succeed("build", *RTL, "--out", "chip", "--images", 1)
    assert not (folder / "stale").exists()
    assert not (folder / "program" / "image_1.hex").exists()
    Path("other").mkdir()
    (Path("other") / "thesis.tex").write_text("")
    assert "holds other files" in run("build", *RTL, "--out", "other").complaint
    assert "is a file" in run("build", *RTL, "--out", "net.onnx").complaint
    assert sorted(os.listdir()) == ["chip", "net.onnx", "other"]


def test_an_ideal_design_is_adapted_only_on_demand() -> None:
    complaint = run("build", *SMALL).complaint
    assert "machine 'ideal' is no RTL" in complaint
    assert "--adapt" in complaint
    assert not Path("build").exists()
    out = succeed("build", *SMALL, "--set", "arrays=2", "--adapt")
    assert "adapted: arrays 2 -> 1, machine ideal -> rtl, bus_bits 64 -> 32" in out
    assert re.search(r"the design as given: [\d,]+ cycles; as built [\d.]+ times as many", out)
    assert "arrays 2 -> 1" in (Path("build") / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing.yaml",), "nothing.yaml"),
        (("study.db#0",), "study.db"),
        ((*RTL, "--verify", "spice"), "unknown simulator 'spice'"),
        ((*RTL, "--synth", "lego"), "unknown synthesis target 'lego'"),
        (("edge", "--network", "bert_base", "--adapt"), "one input and one output"),
        ((*RTL, "--images", "0"), "--images"),
        ((*RTL, "--out", "/proc/nothing/chip"), "/proc/nothing/chip"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], words: str) -> None:
    assert words in run("build", *arguments).complaint
    assert os.listdir() == ["net.onnx"]


@needs_icarus
def test_the_command_runs_the_gates() -> None:
    out = succeed("build", *RTL, "--images", 1, "--verify", "icarus")
    words = (
        r"PASS: 1 of 1 answers exact in the gates \(icarus\); ([\d,]+) cycles counted, \1 expected"
    )
    assert re.search(words, out)


def test_the_command_counts_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(top: str, values: dict[str, int], target: str, **_: object) -> Synthesis:
        assert top == "dovetail_accelerator"
        return Synthesis(top, values, target, {"LUT6": 1234, "RAMB18E1": 3}, (), 1.0)

    monkeypatch.setattr(jobs, "synthesize", counted)
    monkeypatch.setattr(jobs.shutil, "which", lambda _: "/usr/bin/yosys")
    out = succeed("build", *RTL, "--images", 1, "--synth", "xilinx")
    assert "yosys, xilinx: 1,234 luts, 0 flip flops, 0 dsps, 1.5 block rams (1 s)" in out
    facts = json.loads((Path("build") / "build.json").read_text())["synthesis"]["xilinx"]
    assert facts["parameters"]["AccBits"] == 32
    assert facts["luts"] == 1234
    assert "Yosys, xilinx: 1,234 luts" in (Path("build") / "README.md").read_text()


def test_a_point_of_a_study(finished: Path) -> None:
    out = succeed("build", f"{finished}#7", "--adapt", "--images", 1)
    assert out.startswith("adapted: ")
    assert "resnet8 on edge: " in out
    assert "it holds 0 to 299" in run("build", f"{finished}#300", "--adapt").complaint
    assert "it holds 0 to 299" in run("build", f"{finished}#first", "--adapt").complaint
    network = run("build", f"{finished}#1", "--adapt", "--network", "resnet8").complaint
    assert "has a network of its own" in network


def test_every_design_of_a_space_has_a_buildable_neighbour() -> None:
    rng = np.random.default_rng(0)
    base = presets.load("edge")
    for _ in range(200):
        near = adapted(
            base.replace({
                "rows": int(rng.integers(1, 70)),
                "cols": int(rng.integers(1, 70)),
                "arrays": int(rng.integers(1, 4)),
                "dataflow": str(rng.choice(["ws", "os", "is"])),
                "input_bits": int(rng.integers(1, 20)),
                "weight_bits": int(rng.integers(1, 20)),
                "accumulator_bits": int(rng.integers(8, 64)),
                "bus_bits": int(rng.integers(8, 513)),
                "output_sram_kib": float(rng.choice([1, 4, 64])),
            })
        )  # fmt: skip
        assert obstacles(near) == []
        assert adapted(near) == near


def test_without_a_simulator_the_demo_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(simulator: str) -> None:
        raise MissingToolError(simulator, simulator, f"apt-get install {simulator}")

    job = jobs.job_of("edge", "net.onnx", ["rows=4", "cols=4"], images=1, seed=0)
    twin = job.twin(adapt=True)
    monkeypatch.setattr(winner, "require_tools", missing)
    assert winner.quickest(twin)[0] is None
    assert "apt-get install icarus" in winner.quickest(twin)[1]
    monkeypatch.setattr(winner, "require_tools", require_tools)
