"""`dovetail simulate`: what it prints and writes."""

from __future__ import annotations

import csv
import io
import json
import re

import onnx
import pytest

from dovetail.arch import presets
from dovetail.flow import simulate
from dovetail.networks.registry import load_network
from tests.cli.driver import succeed
from tests.networks.onnx_models import LIGHT, model, weights

GRAPHS = sorted(LIGHT.glob("*.onnx"))


def test_json_is_the_report_and_nothing_else() -> None:
    report = json.loads(succeed("simulate", "resnet8", "--json", "-"))
    direct = simulate(load_network("resnet8"), presets.load("edge"))
    assert report == json.loads(json.dumps(direct.to_dict()))
    assert report["total"]["cycles"] == sum(op["cycles"] for op in report["operators"])
    assert report["total"]["macs"] == 12_501_632  # counted by hand from the MLPerf Tiny graph
    assert report["total"]["energy_pj"] > 0
    for op in report["operators"]:
        assert {"name", "cycles", "stall_cycles", "compute_cycles", "utilization"} <= op.keys()
        assert op["cycles"] == op["compute_cycles"] + sum(op["stall_cycles"].values())


def test_files_and_terminal_in_one_call() -> None:
    options = ("--json", "r.json", "--csv", "r.csv", "--fidelity", "cycle", "--trace", "t.json")
    out = succeed("simulate", "resnet8", *options)
    with open("r.json") as file:
        report = json.load(file)
    assert f"{report['total']['cycles']:,} cycles" in out
    assert report["fidelity"] == "cycle"
    with open("r.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [op["name"] for op in report["operators"]]
    assert sum(int(row["cycles"]) for row in rows) == report["total"]["cycles"]
    energy = sum(float(row["energy_pj"]) for row in rows)
    assert energy == pytest.approx(report["total"]["energy_pj"])
    with open("t.json") as file:
        trace = json.load(file)
    assert trace["otherData"]["cycles"] == report["total"]["cycles"]


def test_csv_alone_on_the_output() -> None:
    rows = list(csv.DictReader(io.StringIO(succeed("simulate", "resnet8", "--csv", "-"))))
    assert rows[0]["name"] == "stem.conv"
    assert rows[1]["fused_into"] == "stem.conv"


def test_the_longest_operators_in_network_order() -> None:
    report = simulate(load_network("resnet8"), presets.load("edge"))
    longest = sorted(report.operators, key=lambda op: -op.cycles)[:3]
    out = succeed("simulate", "resnet8", "--top", 3)
    lines = out.splitlines()
    assert "3 longest of 15 operators" in lines[0]
    shown = [line.split()[0] for line in lines[3:6]]
    assert shown == [op.name for op in report.operators if op in longest]
    assert not lines[6].strip()


def test_top_0_shows_every_operator_and_what_ran_it() -> None:
    out = succeed("simulate", "resnet8", "--top", 0)
    report = simulate(load_network("resnet8"), presets.load("edge"))
    lines = out.splitlines()[3:]
    for line, op in zip(lines, report.operators, strict=False):
        assert op.name in line
        assert op.kind in line
        engine = "fused" if op.fused_into else op.engine
        assert engine in line
        assert line.startswith("└") == bool(op.fused_into)
    assert (
        "30 operators: 10 on the array, 5 on the vector unit, 14 fused into others, 1 views" in out
    )


def test_fused_operators_show_beside_their_host() -> None:
    assert "conv2d + batchnorm + relu" in succeed("simulate", "resnet8", "--top", 3)


def test_the_number_formats_of_the_deployment_are_told() -> None:
    out = succeed("simulate", "resnet8", "--set", "input_bits=4", "--set", "weight_bits=2")
    assert "float32 tensors deployed as 2-bit weights and 4-bit activations, 32-bit sums" in out


@pytest.mark.parametrize("network", ["resnet50", "bert_base", "mobilenet_v2"])
def test_tables_fit_a_page_and_cut_no_number(network: str) -> None:
    out = succeed("simulate", network, "--top", 0)
    assert max(map(len, out.splitlines())) <= 120
    assert "…" not in out
    report = simulate(load_network(network), presets.load("edge"))
    text = re.sub(r"\s+", " ", out)
    for op in report.operators:
        if op.engine == "array":
            assert f" {op.cycles:,} " in text


def test_every_line_tells_the_units() -> None:
    out = succeed("simulate", "resnet8")
    for words in (" cycles = ", " ms at 500 MHz", "J: dram ", "MAC, utilization ", "mm2"):
        assert words in out


def test_open_dimensions_are_given_by_name_or_as_batch() -> None:
    proto = model(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": ("batch", "sequence", 4)},
        ["y"],
        {"w": weights(4, 5)},
    )
    onnx.save(proto, "m.onnx")
    options = ("--dim", "sequence=6", "--json", "-")
    for batch in (("--batch", 3), ("--dim", "batch=3"), ("--dim", "x[0]=3")):
        report = json.loads(succeed("simulate", "m.onnx", *batch, *options))
        assert report["total"]["macs"] == 3 * 6 * 4 * 5


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_nine_real_graphs_on_every_preset_in_both_fidelities(path) -> None:  # type: ignore[no-untyped-def]
    assert len(GRAPHS) == 9
    for accelerator in presets.names("systolic"):
        totals = []
        for fidelity in ("estimate", "cycle"):
            options = ("-a", accelerator, "--fidelity", fidelity, "--json", "-")
            report = json.loads(succeed("simulate", path, *options))
            assert report["fidelity"] == fidelity
            totals.append(report["total"])
        estimate, cycle = totals
        assert estimate["cycles"] == cycle["cycles"] > 0
        assert estimate["stall_cycles"] == cycle["stall_cycles"]
        assert estimate["energy_pj"] == pytest.approx(cycle["energy_pj"], rel=1e-12)


@pytest.mark.parametrize(
    "preset", ["edge", "shidiannao", "fusemax", "sn40l", "ethos_u55_128", "a100", "engines_u280"]
)
def test_a_csv_holds_all_stalls_of_every_family(preset: str) -> None:
    text = succeed("simulate", "resnet8", "-a", preset, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 30
    for row in rows:
        stalls = sum(int(value) for key, value in row.items() if key.startswith("stall_"))
        assert int(row["cycles"]) == int(row["compute_cycles"]) + stalls
