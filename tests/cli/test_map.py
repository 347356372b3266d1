"""`dovetail map`: finds, writes, replays and draws mappings; bad input is one line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from dovetail.mappers.formats import read_mappings
from dovetail.mappers.spatial import anytime
from dovetail.mappers.spatial import mapper as spatial
from tests.cli.driver import COMMAND, run, succeed

OP = "K=8,C=8,P=4,Q=4"
QUICK = ("map", "--op", OP, "-a", "tpu_like", "--mapper", "random")


@pytest.fixture(autouse=True)
def _forget() -> None:
    spatial.forget()


@pytest.fixture
def written() -> Path:
    succeed(*QUICK, "-o", "m.yaml")
    return Path("m.yaml")


def test_an_operator_is_mapped_and_its_nest_is_shown() -> None:
    out = succeed(*QUICK)
    assert f"operator {OP} on tpu_like" in out
    assert "1 Einsum, 1 of them distinct, " in out
    assert "[dram] input 128 B, weight 64 B, output 128 B" in out
    assert "spread K 8 along D1, C 8 along D2" in out
    assert "op: multiply, accumulate" in out


def test_identical_operators_of_a_network_share_a_line() -> None:
    out = succeed("map", "resnet8", "-a", "tpu_like", "--mapper", "random", "--json", "-")
    report = json.loads(out)
    names = [name for line in report["operators"] for name in line["operators"]]
    assert len(names) == len(set(names)) == report["total"]["operators"] == 10
    assert report["total"]["distinct"] == len(report["operators"]) < 10
    assert report["total"]["cycles"] == pytest.approx(
        sum(len(line["operators"]) * line["cycles"] for line in report["operators"])
    )
    assert {"objective": "latency", "mapper": "random", "seed": 0}.items() <= report.items()
    assert all(0 <= line["gap"] < 1 and line["nest"] for line in report["operators"])


def test_the_optimal_mapper_proves(written: Path) -> None:
    out = succeed("map", "--op", OP, "-a", "tpu_like", "--objective", "energy")
    assert "proven" in out
    assert "1 of these proven optimal in the mapspace" in out


def test_what_is_written_replays_at_the_same_cost(written: Path) -> None:
    assert yaml.safe_load(written.read_text())["accelerator"] == "tpu_like"
    first = json.loads(succeed(*QUICK, "--json", "-"))["operators"][0]
    check = json.loads(succeed(*QUICK, "--check", written, "--json", "-"))["operators"][0]
    assert check["cycles"] == first["cycles"]
    assert check["levels"] == first["levels"]
    assert check["nest"] == first["nest"]
    assert "proven" not in check
    out = succeed(*QUICK, "--check", written)
    assert "optimum" not in out
    assert "[dram]" in out


def test_a_network_s_file_holds_all_of_its_operators() -> None:
    arguments = ("map", "resnet8", "-a", "tpu_like")
    succeed(*arguments, "--mapper", "random", "-o", "all.yaml")
    assert len(read_mappings("all.yaml")) == 10
    assert "10 Einsums, 10 of them distinct" in succeed(*arguments, "--check", "all.yaml")
    document = yaml.safe_load(Path("all.yaml").read_text())
    document["mappings"] = document["mappings"][:3]
    Path("some.yaml").write_text(yaml.safe_dump(document))
    out = succeed(*arguments, "--check", "some.yaml")
    assert "3 Einsums, 3 of them distinct; 7 Einsums not in the file" in out


def test_faults_are_all_said_with_their_remedy(written: Path) -> None:
    document = yaml.safe_load(written.read_text())
    nest = document["mappings"][0]["nest"]
    nest[:] = [node for node in nest if node.get("for") != "P"]
    nest.append({"spread": "Q", "count": 99, "along": "D1"})
    written.write_text(yaml.safe_dump(document))
    done = run(*QUICK, "--check", written)
    assert done.code == 2
    assert not done.out
    lines = done.err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("dovetail: m.yaml: operator 'op': ") for line in lines)
    assert any("loops over P run 1 of 4 iterations" in line for line in lines)
    assert any("dimension 'D1' has 32 PEs" in line for line in lines)
    assert any("rank Q may not be spread over dimension 'D1'" in line for line in lines)


def test_a_mapping_of_another_accelerator_is_told(written: Path) -> None:
    complaint = run("map", "--op", OP, "-a", "simba", "--check", written).complaint
    assert "m.yaml: was made for 'tpu_like', not for 'simba': operator 'op': unknown" in complaint
    assert "more faults" in complaint


def test_operators_that_there_are_not_are_told(written: Path) -> None:
    done = run("map", "resnet8", "-a", "tpu_like", "--check", written)
    assert "unknown operator 'op'; " in done.complaint


def test_timeloop_out_and_in() -> None:
    text = """
    mapping:
    - {target: rf_128B, type: temporal, factors: ""}
    - {target: rf_2B, type: temporal, factors: ""}
    - {target: sram_2MB, type: temporal, factors: [P=4, Q=2], permutation: [Q, P]}
    - {target: sram_2MB, type: spatial, factors: [K=8, C=8], permutation: [K, C], split: 1}
    - {target: dram, type: temporal, factors: [Q=2]}
    """
    Path("t.yaml").write_text(text)
    first = json.loads(succeed(*QUICK, "--check", "t.yaml", "--json", "-"))
    succeed(*QUICK, "--check", "t.yaml", "-o", "ours.yaml")
    succeed(*QUICK, "--check", "ours.yaml", "-o", "again.timeloop.yaml")
    again = json.loads(succeed(*QUICK, "--check", "again.timeloop.yaml", "--json", "-"))
    assert again["operators"] == first["operators"]
    Path("t.yaml").write_text(text.replace("sram_2MB", "GlobalBuffer").replace("rf_2B", "Sums"))
    named = ("--level", "GlobalBuffer=sram_2MB", "--level", "Sums=rf_2B")
    other = json.loads(succeed(*QUICK, "--check", "t.yaml", *named, "--json", "-"))
    assert other["operators"] == first["operators"]
    assert "(--level Sums=MEMORY)" in run(*QUICK, "--check", "t.yaml", *named[:2]).complaint
    words = "Timeloop's form holds one operator: choose it by --operator NAME"
    assert words in run("map", "resnet8", "-o", "x.timeloop.yaml").complaint


def test_pictures() -> None:
    pytest.importorskip("matplotlib")
    for suffix in ("svg", "png", "html"):
        succeed(*QUICK, "--picture", f"nest.{suffix}")
    assert "<svg" in Path("nest.svg").read_text()
    assert Path("nest.png").read_bytes().startswith(b"\x89PNG")
    arguments = ("map", "resnet8", "-a", "tpu_like", "--mapper", "random", "--picture")
    succeed(*arguments, "all.html")
    assert Path("all.html").read_text().count("<svg") > 3
    assert "choose one by --operator NAME" in run(*arguments, "all.svg").complaint
    assert "must end in" in run(*arguments, "all.txt").complaint


def test_ctrl_c_leaves_quick_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = anytime.Incumbent.evaluate
    calls: list[int] = []

    def interrupted(self: anytime.Incumbent, points: list[object]) -> object:
        calls.append(len(points))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(self, points)  # type: ignore[arg-type]

    monkeypatch.setattr(anytime.Incumbent, "evaluate", interrupted)
    done = run("map", "resnet8", "-a", "tpu_like", "--mapper", "random", "-o", "m.yaml")
    assert done.code == 130
    assert "cut short" in done.out
    assert "interrupted: what was left has quick mappings" in done.err
    assert len(read_mappings("m.yaml")) == 10


def test_a_time_limit_is_said() -> None:
    op = "K=64,C=64,P=14,Q=14,R=3,S=3"
    out = succeed("map", "--op", op, "--mapper", "random", "--time-limit", "0.000001")
    assert re.search(r"gap <= \d+\.\d%, cut short", out)


BAD_FILES = {
    "yaml": ("a: [", "not valid YAML"),
    "empty": ("", "no mapping file"),
    "list": ("- 3\n", "no mapping file"),
    "twice": ("dovetail-mapping: 1\ndovetail-mapping: 1\n", "stands twice"),
    "version": ("dovetail-mapping: 9\nmappings: []\n", "reads version 1"),
    "nothing": ("dovetail-mapping: 1\nmappings: []\n", "maps nothing"),
    "count": (
        "dovetail-mapping: 1\nmappings:\n- operator: op\n  nest:\n  - {for: K, count: -1}\n",
        "mappings[0].nest[0].count: -1: must be a whole number",
    ),
    "rank": (
        "dovetail-mapping: 1\nmappings:\n- operator: op\n  nest:\n  - {for: Z, count: 2}\n",
        "operator 'op': unknown rank 'Z'",
    ),
    "memory": (
        "dovetail-mapping: 1\nmappings:\n- operator: op\n  nest:\n  - {keep: [input], in: l9}\n",
        "unknown memory 'l9'",
    ),
    "timeloop": ("- {target: L9, type: temporal}\n", "'L9' is no memory of 'tpu_like'"),
    "zigzag": ("temporal_mapping: {O: [[(Z, 2)]]}\n", "must have O, W and I"),
    "bytes": (b"\xff\xfe\x00", "not UTF-8"),
    "huge": (b" " * (4 << 20) + b"\n", "larger than 4 MiB"),
    "deep": ("[" * 5000, "nested deeper"),
    "bomb": ("a: &a [x, x]\nb: &b [*a, *a]\n", "aliases are not read"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_wrong_mapping_files(case: str) -> None:
    content, words = BAD_FILES[case]
    data = content if isinstance(content, bytes) else content.encode()
    Path("bad.yaml").write_bytes(data)
    complaint = run(*QUICK, "--check", "bad.yaml", "-o", "out.yaml").complaint
    assert words in complaint
    assert "bad.yaml" in complaint
    assert os.listdir() == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("map",), "name a network or give --op"),
        (("map", "resnet8", "--op", OP), "one of the two"),
        (("map", "resnet9"), "unknown network 'resnet9'"),
        (("map", "resnet8", "-a", "edge"), "family 'systolic'"),
        (("map", "resnet8", "-a", "none"), "unknown accelerator 'none'"),
        (("map", "resnet8", "--mapper", "exhaustive"), "unknown mapper 'exhaustive'"),
        (("map", "resnet8", "--objective", "area"), "unknown objective 'area'"),
        (("map", "resnet8", "--operator", "stemm"), "unknown operator 'stemm'"),
        (("map", "resnet8", "--time-limit", "0"), "must be above 0"),
        (("map", "resnet8", "--time-limit", "x"), "--time-limit"),
        (("map", "resnet8", "--seed", "-1"), "--seed"),
        (("map", "--op", OP, "--operator", "a"), "leave --op out"),
        (("map", "--op", "K"), "K = '': must be from 1 to 2^48"),
        (("map", "--op", "K=0"), "K = '0': must be from 1 to 2^48"),
        (("map", "--op", "K=-4"), "K = '-4': must be"),
        (("map", "--op", "K=" + "9" * 400), "must be from 1 to 2^48"),
        (("map", "--op", "K=4,K=5"), "K is given twice"),
        (("map", "--op", "Z=4"), "'Z=4' must be RANK=EXTENT"),
        (("map", "--op", "K=999999999,C=999999999"), "at most 2^50"),
        (("map", "--op", ""), "must be RANK=EXTENT"),
        (("map", "resnet8", "--check", "none.yaml"), "none.yaml: cannot be read"),
        (("map", "resnet8", "--level", "A=b"), "add --check FILE"),
        (("map", "resnet8", "-o", "-"), "-o -: cannot be printed"),
        (("map", "resnet8", "-o", "none/x.yaml"), "cannot write 'none/x.yaml'"),
        (("map", "resnet8", "--check", "."), "cannot be read: Is a directory"),
        (("map", "--op", OP, "--set", "memories.glb.capacity_kib=-1"), "glb"),
        (
            ("map", "--op", OP, "--set", "memories.glb.capacity_bytes=1", "--mapper", "random"),
            "glb",
        ),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], words: str) -> None:
    assert words in run(*arguments).complaint
    assert not os.listdir()


def test_a_file_is_not_read_and_overwritten(written: Path) -> None:
    assert "is the input, too" in run(*QUICK, "--check", written, "-o", written).complaint


def test_a_real_ctrl_c_leaves_a_file(tmp_path: Path) -> None:
    """Pressed while the genetic mapper is at work on a network of many operators."""
    process = subprocess.Popen(
        [*COMMAND, "map", "resnet50", "--mapper", "genetic", "-o", "m.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=120)
    early = process.returncode == 130 and "quick mappings" not in complaint
    if early or process.returncode == 0:
        pytest.skip("pressed before the search began, or after it ended")
    assert process.returncode == 130, complaint
    assert "Traceback" not in complaint
    assert len(read_mappings("m.yaml")) == 54
