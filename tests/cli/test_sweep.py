"""`dovetail sweep`: grids and lists, illegal designs, plots."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from dovetail.arch import presets
from dovetail.cli import sweep
from tests.cli.driver import run, succeed


def table(*options: object) -> list[dict[str, str]]:
    out = succeed("sweep", "resnet8", *options, "--csv", "-")
    return list(csv.DictReader(io.StringIO(out)))


def test_a_grid_agrees_with_single_simulations() -> None:
    rows = table("--vary", "rows=16,32", "--vary", "dataflow=ws,os,is", "--set", "cols=16")
    assert [(r["rows"], r["dataflow"]) for r in rows] == [
        (n, flow) for n in ("16", "32") for flow in ("ws", "os", "is")
    ]
    for row in rows[::4]:
        sets = ("--set", f"rows={row['rows']}", "--set", f"dataflow={row['dataflow']}")
        single = succeed("simulate", "resnet8", "--set", "cols=16", *sets, "--json", "-")
        report = json.loads(single)
        assert int(row["cycles"]) == report["total"]["cycles"]
        assert float(row["energy_pj"]) == pytest.approx(report["total"]["energy_pj"])
        assert float(row["area_mm2"]) == pytest.approx(report["area_mm2"])


def test_lists_side_by_side() -> None:
    rows = table("--zip", "--vary", "rows=16,32", "--vary", "cols=8,64")
    assert [(r["rows"], r["cols"]) for r in rows] == [("16", "8"), ("32", "64")]
    assert "lists of one length, has rows 2, cols 1 values" in (
        run("sweep", "resnet8", "--zip", "--vary", "rows=8,16", "--vary", "cols=8").complaint
    )


@pytest.mark.parametrize(
    ("values", "legal", "reason"),
    [
        ("rows=0,8", 1, "rows = 0: must be a whole number within 1 to 4096"),
        ("rows=8,4096", 1, "enlarge input_sram_kib"),
        ("dataflow=ws,rs", 1, "must be one of ws, os, is"),
        ("node_nm=28,0", 1, "node_nm = 0"),
        ("clock_mhz=inf,nan,-1,500", 1, "clock_mhz = inf"),
        ("rows=" + "9" * 400 + ",8", 1, "rows = 999"),
        ("input_sram_kib=0.0625,64", 1, "input_sram"),
    ],
)
def test_an_illegal_design_is_a_row_with_its_reason(values: str, legal: int, reason: str) -> None:
    rows = table("--vary", values)
    assert len(rows) == values.count(",") + 1
    assert sum(not row["illegal"] for row in rows) == legal
    broken = next(row for row in rows if row["illegal"])
    assert reason in broken["illegal"]
    assert broken["cycles"] == broken["area_mm2"] == ""
    assert "illegal because" in succeed("sweep", "resnet8", "--vary", values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--vary", "rosw=8"), "unknown key 'rosw'"),
        (("--vary", "rows=8,b"), "rows = 'b'"),
        (("--vary", "rows=8,8.5"), "rows = 8.5"),
        (("--vary", "clock_mhz=fast"), "clock_mhz = 'fast'"),
        (("--vary", "rows"), "must be KEY=VALUE"),
        (("--vary", "rows=,"), "needs values separated by commas"),
        (("--vary", "rows=8", "--vary", "rows=9"), "'rows' is set twice"),
        (("--vary", "rows=8", "--fidelity", "rtl"), "fidelity 'rtl'"),
        (("--vary", "rows=8", "--mapper", "best"), "unknown mapper 'best'"),
        (("--vary", "rows=8", "--objective", "area"), "unknown mapping objective"),
        (("--vary", "rows=8", "--plot", "x.jpeg2000"), "must end in .png, .svg, .pdf"),
        (("--vary", "rows=8", "--set", "cols=0"), "cols = 0"),
    ],
)
def test_what_no_design_can_mend_aborts(options: tuple[str, ...], words: str) -> None:
    assert words in run("sweep", "resnet8", *options, "--csv", "out.csv").complaint
    assert not os.listdir()


def test_a_grid_too_large_for_a_table_is_refused_at_once() -> None:
    lists = [("--vary", f"{key}=" + ",".join(map(str, range(1, 400)))) for key in ("rows", "cols")]
    complaint = run("sweep", "resnet8", *lists[0], *lists[1]).complaint
    assert "159,201 designs" in complaint


def test_outputs_are_checked_before_the_first_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("simulated")

    monkeypatch.setattr("dovetail.flow.simulate", never)
    for option in ("--csv", "--plot"):
        path = f"none/out{'.png' * (option == '--plot')}"
        assert "cannot write" in run("sweep", "resnet8", "--vary", "rows=8", option, path).complaint


def test_the_table_fits_a_page_and_cuts_no_number() -> None:
    out = succeed("sweep", "resnet8", "--vary", "rows=0,8,32", "--vary", "cols=8,4096")
    assert max(map(len, out.splitlines())) <= 120
    assert "…" not in out
    assert out.splitlines()[0] == "resnet8 on edge"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".SVG"])
def test_plots(suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = Path(f"plot{suffix}")
    succeed("sweep", "resnet8", "--vary", "rows=8,16", "--vary", "dataflow=ws,rs", "--plot", path)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix.lower()]
    assert path.read_bytes().startswith(start)
    assert os.listdir() == [path.name]


def test_a_plot_of_nothing_legal() -> None:
    pytest.importorskip("matplotlib")
    succeed("sweep", "resnet8", "--vary", "rows=0,5000", "--set", "name=$x$", "--plot", "p.png")
    assert Path("p.png").exists()


def test_the_types_of_values() -> None:
    base = presets.load("edge")
    assert sweep._values(base, "rows", "8, 16,") == [8, 16]
    assert sweep._values(base, "rows", "8.0,1e1") == [8, 10]
    assert sweep._values(base, "clock_mhz", "1,2.5") == [1, 2.5]
    assert sweep._values(base, "name", "1,a") == ["1", "a"]


def test_lengths_and_batches_of_a_language_model() -> None:
    out = succeed(
        "sweep", "gpt2_decode", "-a", "sn40l", "--lengths", "63,127", "--batches", "1,4",
        "--dim", "layers=1", "--mapper", "greedy", "--csv", "-",
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(r["length"], r["batch"]) for r in rows] == [
        ("63", "1"), ("63", "4"), ("127", "1"), ("127", "4")
    ]  # fmt: skip
    for row in rows:
        rate = 1e3 * int(row["batch"]) / float(row["latency_ms"])
        assert float(row["inputs_per_s"]) == pytest.approx(rate)
    single = succeed(
        "simulate", "gpt2_decode", "-a", "sn40l", "--batch", "4", "--dim", "context=127", "--dim",
        "layers=1", "--mapper", "greedy", "--json", "-",
    )  # fmt: skip
    assert int(rows[3]["cycles"]) == json.loads(single)["total"]["cycles"]


def test_lengths_with_parameters_as_json_and_as_a_table() -> None:
    sizes = ("sweep", "gpt2_prefill", "--lengths", "8", "--dim", "layers=1")
    rows = json.loads(succeed(*sizes, "--vary", "rows=8,16", "--json", "-"))
    assert [(row["length"], row["rows"]) for row in rows] == [(8, 8), (8, 16)]
    shown = succeed(*sizes, "--batches", "1,2")
    assert "inputs/s" in shown
    assert "gpt2_prefill on edge" in shown


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "give --vary, --lengths or --batches"),
        (("--lengths", "5"), "'resnet8' has no length in tokens"),
        (("--batches", "0"), "--batches 0: needs whole numbers >= 1"),
        (("--batches", ","), "needs whole numbers"),
    ],
)
def test_bad_lengths_and_batches_are_one_line(options: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("sweep", "resnet8", *options).complaint
