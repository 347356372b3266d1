"""`dovetail simulate`, `sweep`, `diff`, `build` on spatial arrays and systems."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.flow import map_network, simulate
from dovetail.mappers.formats import write_mappings
from dovetail.networks.registry import load_network
from tests.cli.driver import records, run, succeed

TOPOLOGY = "Layer, M, N, K,\nfirst, 16, 8, 12,\nsecond, 16, 6, 8,\n"

CHIP = """\
family: spatial
name: chip
array: {x: 4, y: 2}
unrolls: {x: [K, P], y: [C]}
memories:
  - name: rf
    operands: [input, weight, output]
    capacity_bytes: 64
  - name: dram
    operands: [input, weight, output]
    serves: [x, y]
    access_bits: 64
    read_bits_per_cycle: 32
    write_bits_per_cycle: shared
"""


@pytest.fixture(autouse=True)
def _files(_home: None) -> None:
    with open("net.csv", "w") as file:
        file.write(TOPOLOGY)
    with open("chip.yaml", "w") as file:
        file.write(CHIP)


def test_a_report_of_a_file_is_that_of_the_flow() -> None:
    report = json.loads(succeed("simulate", "net.csv", "-a", "chip.yaml", "--json", "-"))
    direct = simulate(load_network("net.csv"), presets.load("chip.yaml"))
    assert report == json.loads(json.dumps(direct.to_dict()))
    assert report["accelerator"]["family"] == "spatial"
    assert report["accelerator"]["memories.rf.capacity_bytes"] == 64
    for op in report["operators"]:
        assert op["cycles"] == op["compute_cycles"] + sum(op["stall_cycles"].values())
        assert set(op["sram_bytes"]) == {"rf_read", "rf_write"}


def test_the_table_and_the_rows() -> None:
    out = succeed("simulate", "net.csv", "-a", "chip.yaml", "--csv", "rows.csv")
    assert "net on chip: 4 x 2" in out
    assert "2 on the array" in out
    assert "8-bit weights and 8-bit activations, 32-bit sums" in out
    with open("rows.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["first", "second"]
    assert "stall_padding" in rows[0]
    assert "stall_tiling" not in rows[0]


def test_knobs_reach_memories() -> None:
    knob = "memories.dram.read_bits_per_cycle"
    command = ("simulate", "net.csv", "-a", "chip.yaml", "--json", "-")
    slow, fast = (json.loads(succeed(*command, "--set", f"{knob}={bits}")) for bits in (8, 256))
    assert slow["total"]["cycles"] > fast["total"]["cycles"]
    assert slow["accelerator"][knob] == 8


def test_a_file_of_mappings_is_replayed() -> None:
    network, chip = load_network("net.csv"), presets.load("chip.yaml")
    mapped = map_network(network, chip, mapper="random")
    write_mappings("m.yaml", mapped.mappings, "chip")
    arguments = ("simulate", "net.csv", "-a", "chip.yaml", "--mapping", "m.yaml")
    report = json.loads(succeed(*arguments, "--json", "-"))
    assert report["total"]["cycles"] == mapped.report().cycles


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fidelity", "cycle"), "fidelity 'cycle': the spatial family supports estimate"),
        (("--fidelity", "cycle", "--trace", "t.json"), "the spatial family supports estimate"),
        (("--trace", "t.json"), "--trace shows a simulation: add --fidelity cycle"),
        (("--mapper", "greedy"), "unknown mapper 'greedy'"),
        (("--objective", "speed"), "unknown objective 'speed'"),
        (("--mapping", "missing.yaml"), "missing.yaml"),
        (("--schedule", "fuse"), "unknown schedule 'fuse'; did you mean fused?"),
        (("--set", "rows=4"), "unknown key 'rows'"),
        (("--set", "memories.rf.capacity_kib=-3"), "memories.rf.capacity_kib = -3: must be"),
        (("--set", "memories.l1.capacity_kib=3"), "unknown memory; it has rf, dram"),
        (("--set", "memories.rf.capacity_bytes=1"), "'chip' is illegal: 'rf' holds 1 B; one"),
        (("--set", "clock_mhz=1_000"), "clock_mhz = '1_000': must be a number"),
        (
            ("--set", "memories.rf.capacity_kib=1", "--set", "memories.rf.capacity_bytes=9"),
            "memories.rf.capacity_kib and capacity_bytes: give one of them",
        ),
        (("--set", "unrolls.x=k"), "unrolls.x names rank 'k', which no operator of 'net' has; did"),
        (("--set", "unrolls.x=XYZ"), "rank 'XYZ', which no operator of 'net' has: legal are N G K"),
        (("--set", "array.z=3"), "unknown key 'array.z'; legal keys: array.x"),
        (("--set", "memories.rf.serves=z"), "'z' is no dimension; the array has x, y"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    done = run("simulate", "net.csv", "-a", "chip.yaml", *arguments)
    assert words in done.complaint


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("capacity_bytes: 64", "capacity_bytes: lots", "chip.yaml: memories[0].capacity_bytes ="),
        ("capacity_bytes: 64", "capacity: 64", "memories[0]: unknown key 'capacity'"),
        ("array: {x: 4, y: 2}", "array: [4, 2]", "chip.yaml: array = [4, 2]: must be PEs"),
        ("memories:", "memory:", "chip.yaml: memories = None: must be a list"),
        ("family: spatial", "family: cubic", "family = 'cubic': must be one of systolic, spatial"),
        ("name: chip", "name: [chip", "chip.yaml: not valid YAML"),
    ],
)
def test_a_bad_file_is_one_line(old: str, new: str, words: str) -> None:
    with open("chip.yaml", "w") as file:
        file.write(CHIP.replace(old, new))
    for command in (("simulate", "net.csv"), ("sweep", "net.csv", "--vary", "array.x=1")):
        assert words in run(*command, "-a", "chip.yaml").complaint


def test_a_mapping_that_is_wrong_names_its_file() -> None:
    network, chip = load_network("net.csv"), presets.load("chip.yaml")
    first = map_network(network, chip, mapper="random").mappings["first"]
    for name in ("second", "third"):
        write_mappings(f"{name}.yaml", {name: dataclasses.replace(first, operator=name)}, "chip")
    command = ("simulate", "net.csv", "-a", "chip.yaml", "--mapping")
    words = "third.yaml: network 'net' has no Einsum called 'third'"
    assert words in run(*command, "third.yaml").complaint
    small = ("--set", "memories.rf.capacity_bytes=6")
    done = run(*command, "second.yaml", "--set", "unrolls.x=N", *small)
    assert done.complaint.startswith("second.yaml: operator 'second': ")


def test_mappings_and_schedules_are_refused_by_other_families() -> None:
    with open("m.yaml", "w") as file:
        file.write("x")
    done = run("simulate", "net.csv", "--mapping", "m.yaml")
    assert "accelerator 'edge' is of family 'systolic'; mappings of files are" in done.complaint
    done = run("simulate", "net.csv", "--schedule", "fused")
    assert "schedule 'fused': the systolic family runs operators" in done.complaint
    done = run("simulate", "net.csv", "-a", "hda", "--schedule", "fused", "--mapper", "random")
    assert "schedule 'fused': the system family" in done.complaint


def test_a_system_reports_its_cores() -> None:
    out = succeed("simulate", "net.csv", "-a", "hda", "--mapper", "random")
    assert "net on hda" in out
    assert "every core runs tensors at its own operand widths" in out
    report = json.loads(
        succeed("simulate", "net.csv", "-a", "hda", "--mapper", "random", "--json", "-")
    )
    moved = sum(report["total"]["dram_bytes"].values())
    assert report["total"]["cycles"] >= moved / report["dram_bytes_per_cycle"] - 1
    assert {op["engine"] for op in report["operators"]} <= {"nvdla_large", "shidiannao"}


def test_a_sweep_varies_dotted_knobs_and_shows_what_is_illegal() -> None:
    arguments = ("sweep", "net.csv", "-a", "chip.yaml", "--csv", "-")
    out = succeed(*arguments, "--vary", "array.x=2,4,0", "--vary", "memories.rf.capacity_bytes=64")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["array.x"] for row in rows] == ["2", "4", "0"]
    assert int(rows[1]["cycles"]) <= int(rows[0]["cycles"])
    assert "array.x = 0: must be a whole number" in rows[2]["illegal"]
    done = run("sweep", "net.csv", "-a", "chip.yaml", "--vary", "memories.l9.capacity_kib=1")
    assert "unknown memory; it has rf, dram" in done.complaint


def test_two_reports_differ_in_a_dotted_parameter() -> None:
    for name, bits in (("a.json", 8), ("b.json", 16)):
        knob = f"memories.dram.read_bits_per_cycle={bits}"
        succeed("simulate", "net.csv", "-a", "chip.yaml", "--set", knob, "--json", name)
    out = succeed("diff", "a.json", "b.json")
    assert "memories.dram.read_bits_per_cycle" in out


@pytest.mark.parametrize("name", ["eyeriss_v1", "hda"])
def test_what_needs_gates_refuses_other_families(name: str) -> None:
    assert "the RTL needs a systolic array" in run("build", name).complaint
    done = run("verify", "network", "resnet8", "-a", name)
    assert "the RTL needs a systolic array" in done.complaint


def test_a_search_over_a_spatial_array_records_and_resumes() -> None:
    command = ("search", "--env", "accelerator", "--network", "net.csv", "-a", "chip.yaml")
    options = ("--agent", "random", "--seed", 1, "--study")
    succeed(*command, *options, "whole.db", "--budget", 6)
    succeed(*command, *options, "parts.db", "--budget", 3)
    out = succeed("search", "--study", "parts.db", "--resume", "--budget", 6)
    assert "6 designs (3 of them stored before)" in out
    assert "array.x" in out
    whole, parts = records(Path("whole.db")), records(Path("parts.db"))
    np.testing.assert_array_equal(whole.designs, parts.designs)
    np.testing.assert_array_equal(whole.evaluation.objectives, parts.evaluation.objectives)
    assert "no systolic arrays: nothing to build" in run("build", "whole.db#0").complaint


def test_schedules_keep_tensors_on_chip() -> None:
    arguments = ("simulate", "resnet8", "-a", "tpu_like", "--mapper", "random")
    serial = json.loads(succeed(*arguments, "--json", "-"))
    for schedule in ("fused", "cosma"):
        report = json.loads(succeed(*arguments, "--schedule", schedule, "--json", "-"))
        moved = sum(report["total"]["dram_bytes"].values())
        assert moved < sum(serial["total"]["dram_bytes"].values())
        assert report["total"]["macs"] == serial["total"]["macs"]
    fused = (*arguments, "--schedule", "fused")
    assert "operators run in" in succeed(*fused)
    assert "nothing is fused" in succeed(*fused[:3], "nvdla_small", *fused[4:])
    out = succeed("simulate", "resnet8", "--schedule", "cosma", "--scratchpad-kib", 64)
    assert "activations stay in a scratchpad of 64 KiB: 0 non-compulsory bytes (proven" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--schedule", "cosma", "--scratchpad-kib", 1),
            "scratchpad of 1024 B cannot run operator",
        ),
        (("--schedule", "cosma", "--scratchpad-kib", "1e300"), "'--scratchpad-kib'"),
        (("--scratchpad-kib", 1), "--scratchpad-kib: goes with --schedule cosma"),
        (("--schedule", "cosma", "-a", "hda"), "schedule 'cosma': the system family"),
        (
            ("--schedule", "cosma", "--fidelity", "cycle", "--trace", "t.json"),
            "--trace shows operators one by one: leave out --schedule",
        ),
    ],
)
def test_schedules_that_cannot_be(arguments: tuple[object, ...], words: str) -> None:
    assert words in run("simulate", "resnet8", *arguments).complaint
