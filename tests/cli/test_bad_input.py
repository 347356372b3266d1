"""Whatever is wrong with the input: one line, exit code 2, and no file left or damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from dovetail.arch.systolic import SystolicArray
from dovetail.networks.registry import load_network
from dovetail.networks.tflite_export import to_tflite
from tests.cli.driver import run, spawn, succeed
from tests.networks.onnx_models import model, small_cnn, weights

node = helper.make_node

MODELS = {
    "unknown operator": (
        model([node("Frobnicate", ["x"], ["y"], "f")], {"x": (1, 2)}, ["y"]),
        "node 'f': operator Frobnicate",
    ),
    "named open dimension": (
        model([node("Relu", ["x"], ["y"])], {"x": ("batch", 2)}, ["y"]),
        "--dim batch=1",
    ),
    "nameless open dimension": (
        model([node("Relu", ["x"], ["y"])], {"x": (2, None)}, ["y"]),
        "--dim x[1]=1",
    ),
    "zero dimension": (model([node("Relu", ["x"], ["y"])], {"x": (0, 2)}, ["y"]), "dimension 0"),
    "huge tensor": (
        model([node("Relu", ["x"], ["y"])], {"x": (2**40, 2**40)}, ["y"]),
        "exceeds 2^48 elements",
    ),
    "huge product": (
        model(
            [node("MatMul", ["x", "w"], ["y"])], {"x": (2**24, 2**24), "w": (2**24, 2**24)}, ["y"]
        ),
        "2^50",
    ),
    "shapes that do not fit": (
        model([node("MatMul", ["x", "w"], ["y"])], {"x": (4, 5)}, ["y"], {"w": weights(6, 7)}),
        "MatMul",
    ),
    "no operator": (model([], {"x": (1, 2)}, ["x"]), "no operators"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_cannot_be_imported(case: str) -> None:
    proto, words = MODELS[case]
    onnx.save(proto, "model.onnx")
    assert words in run("simulate", "model.onnx", "--json", "out.json").complaint
    assert os.listdir() == ["model.onnx"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.onnx", b"\x08\x07garbage" * 9, "does not decode"),
        ("a.onnx", b"", "no operators"),
        ("a.tflite", b"\x1c\0\0\0TFL3" + bytes(99), "schema version 0: must be 3"),
        ("a.tflite", b"", "is not a TFLite model"),
        ("a.csv", b"", "holds no layer"),
        ("a.csv", b"Layer,M,N\nfc,1,\n", "a.csv"),
        ("a.csv", b"Layer,M,N,K,\nfc,0,1,1,\n", "M"),
        ("a.csv", b"Layer,M,N,K,\nfc,99999999999999999999,1,1,\n", "M"),
        ("a.csv", bytes(range(256)), "not UTF-8"),
        ("a.txt", b"text", "unknown network"),
        ("a.onnx", None, "no such file"),
        ("a.csv", None, "no such file"),
    ],
)
def test_files_that_are_no_networks(name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    complaint = run("simulate", name, "--csv", "out.csv").complaint
    assert words in complaint or "networks are read from" in complaint
    assert not Path("out.csv").exists()


def test_a_truncated_model_is_refused_or_read_at_every_length() -> None:
    content = small_cnn().SerializeToString()
    for length in range(0, len(content), 97):
        Path("cut.onnx").write_bytes(content[:length])
        done = run("simulate", "cut.onnx")
        assert done.code == 0 or done.complaint


def test_a_truncated_tflite_model_is_refused_at_every_length() -> None:
    content = to_tflite(load_network("autoencoder"))
    for length in range(0, len(content) - 64, 9973):
        Path("cut.tflite").write_bytes(content[:length])
        assert "cut.tflite" in run("simulate", "cut.tflite").complaint


def test_files_of_hostile_size() -> None:
    for name in ("big.onnx", "big.tflite", "big.csv", "big.yaml", "big.json"):
        with open(name, "wb") as file:
            file.truncate(3 << 30)
    assert "2 GiB" in run("simulate", "big.onnx").complaint
    assert "2 GiB" in run("simulate", "big.tflite").complaint
    assert "larger than" in run("simulate", "big.csv").complaint
    assert "larger than" in run("simulate", "resnet8", "-a", "big.yaml").complaint
    assert "larger than" in run("diff", "big.json", "big.json").complaint


YAMLS = [
    ("rows: 8\nrosw: 8\n", "'rosw'"),
    ("rows: many\n", "rows = 'many'"),
    ("rows: 8.5\n", "rows = 8.5: must be a whole number within 1 to 4096 PEs"),
    ("rows: 0\n", "rows = 0"),
    ("rows: 10000000000000000000\n", "rows = 10000000000000000000"),
    ("rows: .nan\n", "rows = nan"),
    ("rows: true\n", "rows = True"),
    ("rows: [8]\n", "rows = [8]"),
    ("dataflow: rs\n", "must be one of ws, os, is"),
    ("family: cgra\n", "must be one of systolic"),
    ("rows: [8\n", "not valid YAML"),
    ("rows: 8\nrows: 16\n", "'rows' stands twice"),
    ("rows: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ("- rows\n", "must hold 'key: value' lines"),
    ("", "must hold 'key: value' lines"),
    ("a: &a {b: *a}\n", "aliases are not read"),
    ("{" * 600, "nested deeper than 40 levels"),
    ("\0", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "words"), YAMLS)
def test_accelerator_files_that_are_wrong(text: str, words: str) -> None:
    Path("a.yaml").write_text(text)
    complaint = run("simulate", "resnet8", "-a", "a.yaml", "--json", "out.json").complaint
    assert words in complaint
    assert "a.yaml" in complaint
    assert Path("a.yaml").read_text() == text
    assert not Path("out.json").exists()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["rows"], "must be KEY=VALUE"),
        (["rows="], "must be KEY=VALUE"),
        (["=8"], "must be KEY=VALUE"),
        (["rosw=8"], "unknown key 'rosw'"),
        (["rows=8", "rows=16"], "'rows' is set twice"),
        (["rows=0"], "rows = 0"),
        (["rows=-8"], "rows = -8"),
        (["rows=8.5"], "rows = 8.5"),
        (["rows=eight"], "rows = 'eight'"),
        (["rows=nan"], "rows = nan"),
        (["clock_mhz=inf"], "clock_mhz = inf"),
        (["rows=" + "9" * 5000], "rows = inf"),
        (["dataflow=xs"], "must be one of ws, os, is"),
        (["rows=4096"], "accelerator 'edge' is illegal: half of 'input_sram' holds"),
    ],
)
def test_overrides_that_are_wrong(texts: list[str], words: str) -> None:
    options = [part for text in texts for part in ("--set", text)]
    assert words in run("simulate", "resnet8", *options).complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", "resnet-50"), "did you mean resnet50"),
        (("simulate", "resnet8", "-a", "tpu"), "unknown accelerator 'tpu'"),
        (("simulate", "resnet8", "-a", "none.yaml"), "none.yaml: cannot be read"),
        (("simulate", "resnet8", "--fidelity", "rtl"), "estimate, cycle"),
        (("simulate", "resnet8", "--mapper", "best"), "known: exhaustive, greedy"),
        (("simulate", "resnet8", "--objective", "area"), "known: edp, energy, latency"),
        (("simulate", "resnet8", "--trace", "t.json"), "add --fidelity cycle"),
        (("simulate", "resnet8", "--dim", "N=1"), "has no dimension 'N' to set: it has "),
        (("simulate", "resnet8", "--dim", "N=0"), "whole number of at least 1"),
        (("simulate", "resnet8", "--dim", "N=x"), "whole number of at least 1"),
        (("simulate", "resnet8", "--batch", 10**24), "exceeds 2^48 elements"),
        (("simulate", "\x1b[31m[/red]:smile:"), "[/red]:smile:'"),
        (("simulate", "x" * 300 + ".onnx"), "name too long"),
        (("list", "network"), "did you mean networks"),
        (("report", "none.db"), "no study file 'none.db'"),
        (("export", "none.db", "x.csv"), "no study file 'none.db'"),
        (("diff", "a.json", "b.json"), "a.json: cannot be read"),
    ],
)
def test_names_and_values_that_are_wrong(arguments: tuple[object, ...], words: str) -> None:
    complaint = run(*arguments).complaint
    assert words in complaint or words in complaint.lower()
    assert "\x1b" not in complaint
    assert not os.listdir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate",), "Missing argument 'NETWORK'"),
        (("simulate", "resnet8", "--colour"), "No such option: --colour"),
        (("simulate", "resnet8", "vgg16"), "unexpected extra argument"),
        (("simulate", "resnet8", "--top", "ten"), "Invalid value for '--top'"),
        (("simulate", "resnet8", "--top", "-1"), "Invalid value for '--top'"),
        (("simulate", "resnet8", "--batch", "0"), "Invalid value for '--batch'"),
        (("simulate", "resnet8", "--json"), "requires an argument"),
        (("search", "--budget", "0"), "Invalid value for '--budget'"),
        (("search", "--budget", "-5"), "Invalid value for '--budget'"),
        (("search", "--budget", "many"), "Invalid value for '--budget'"),
        (("search", "--seed", "-1"), "Invalid value for '--seed'"),
        (("search", "--seed", 2**32), "Invalid value for '--seed'"),
        (("explode",), "No such command 'explode'"),
        (("--colour",), "No such option: --colour"),
    ],
)
def test_usage_errors_name_the_help(arguments: tuple[object, ...], words: str) -> None:
    complaint = run(*arguments).complaint
    assert words in complaint
    assert "--help'" in complaint


OUTPUTS = [
    ("simulate", "resnet8", "--json"),
    ("simulate", "resnet8", "--csv"),
    ("simulate", "resnet8", "--fidelity", "cycle", "--trace"),
    ("sweep", "resnet8", "--vary", "rows=8", "--csv"),
    ("search", "--env", "accelerator", "--network", "resnet8", "--study"),
    ("search", "--env", "accelerator", "--network", "resnet8", "--report"),
]


@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
@pytest.mark.parametrize("path", ["none/out", "/proc/out", "file/out", ".", ""])
def test_outputs_that_cannot_be_written_fail_first(arguments: tuple[str, ...], path: str) -> None:
    Path("file").write_text("kept")
    assert "cannot write" in run(*arguments, path).complaint
    assert os.listdir() == ["file"]
    assert Path("file").read_text() == "kept"


def test_one_file_is_not_two_things() -> None:
    Path("net.csv").write_text("Layer,M,N,K,\nfc,4,5,6,\n")
    same = run("simulate", "net.csv", "--json", "x", "--csv", "x").complaint
    assert same == "--csv x: is the output of --json, too; name another file"
    assert "--json, too" in run("simulate", "net.csv", "--json", "-", "--csv", "-").complaint
    assert "is the input, too" in run("simulate", "net.csv", "--csv", "./net.csv").complaint
    assert "name a file" in run("sweep", "net.csv", "--vary", "rows=8", "--plot", "-").complaint
    assert Path("net.csv").read_text() == "Layer,M,N,K,\nfc,4,5,6,\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_full_disk_is_one_line_and_the_device_stays(option: str) -> None:
    assert "No space left on device" in run("simulate", "resnet8", option, "/dev/full").complaint
    assert not Path("/dev/full").is_file()


def test_a_disk_that_fills_while_writing_keeps_the_old_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    Path("out.json").write_text("old")
    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left" in run("simulate", "resnet8", "--json", "out.json").complaint
    assert os.listdir() == ["out.json"]
    assert Path("out.json").read_text() == "old"


MISSING = [
    ("plotly", ("search", "--report", "r.html"), "report"),
    ("plotly", ("report", "none.db"), "report"),
    ("plotly", ("demo",), "report"),
    ("matplotlib", ("sweep", "resnet8", "--vary", "rows=8", "--plot", "p.png"), "report"),
    ("torch", ("search",), "torch"),
    ("botorch", ("search", "--agent", "bayesian"), "bo"),
    ("ray", ("search", "--workers", "ray"), "distributed"),
    ("stable_baselines3", ("search", "--agent", "ppo"), "rl"),
    ("sb3_contrib", ("search", "--agent", "maskable_ppo"), "rl"),
]


@pytest.mark.parametrize(("module", "arguments", "extra"), MISSING)
def test_a_missing_extra_names_its_installation(
    module: str, arguments: tuple[str, ...], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    complaint = run(*arguments).complaint
    assert complaint.endswith(f"pip install 'dovetail[{extra}]'")
    assert module in complaint
    assert not [name for name in os.listdir() if name != "out"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not SQLite at all" * 99,
        b"SQLite format 3\0" + bytes(2000),
    ],
    ids=["empty", "text", "header only"],
)
def test_files_that_are_no_studies(content: bytes) -> None:
    Path("s.db").write_bytes(content)
    for command in (("report", "s.db"), ("export", "s.db", "x.csv")):
        assert "s.db" in run(*command).complaint
    assert "s.db" in run("search", "--study", "s.db", "--resume").complaint
    assert "exists" in run("search", "--study", "s.db").complaint
    assert Path("s.db").read_bytes() == content
    assert not Path("x.csv").exists()


@settings(max_examples=30)
@given(place=st.floats(0, 1), value=st.binary(min_size=1, max_size=64))
def test_a_damaged_study_is_one_line_or_still_whole(
    finished: Path, place: float, value: bytes
) -> None:
    content = bytearray(finished.read_bytes())
    start = int(place * (len(content) - len(value)))
    content[start : start + len(value)] = value
    damaged = finished.with_name("damaged.db")
    damaged.write_bytes(content)
    out = finished.with_name("damaged.csv")
    done = run("export", damaged, out)
    assert done.code == 0 or done.complaint
    assert out.exists() == (done.code == 0)
    out.unlink(missing_ok=True)


def test_a_study_with_a_missing_evaluation(finished: Path) -> None:
    Path("s.db").write_bytes(finished.read_bytes())
    with sqlite3.connect("s.db") as connection:
        connection.execute("DELETE FROM evaluations WHERE id = 17")
    connection.close()
    assert "1 evaluations missing" in run("search", "--study", "s.db", "--resume").complaint


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=60)
KEYS = st.sampled_from([name for name, *_ in SystolicArray.parameters()])


@settings(max_examples=60)
@given(text=TEXT | st.lists(st.tuples(KEYS | TEXT, TEXT | st.floats() | st.integers())))
@example(text=[("name", "[/red]")])
@example(text=[("rows", "1" * 5000)])
def test_any_accelerator_file_is_loaded_or_refused(
    text: str | list[tuple[str, object]], cache: Path
) -> None:
    path = cache / "any.yaml"
    lines = text if isinstance(text, str) else "\n".join(f"{k}: {v}" for k, v in text)
    path.write_text(lines, encoding="utf-8")
    done = run("simulate", "resnet8", "-a", path, "--top", 1)
    assert done.code == 0 or done.complaint


@settings(max_examples=60)
@given(key=KEYS | TEXT, value=TEXT | st.integers().map(str) | st.floats().map(str))
def test_any_override_is_taken_or_refused(key: str, value: str) -> None:
    done = run("simulate", "resnet8", "--set", f"{key}={value}".replace("\0", ""), "--top", 1)
    assert done.code == 0 or done.complaint


CELLS = st.integers(-1, 300).map(str) | st.sampled_from(["", "1e9", "x", "2:4", "9" * 30])


@settings(max_examples=60)
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=8), max_size=4), header=st.booleans())
def test_any_topology_is_loaded_or_refused(
    rows: list[list[str]], header: bool, cache: Path
) -> None:
    lines = ["Layer,M,N,K,"] * header + ["l," + ",".join(row) for row in rows]
    path = cache / "any.csv"
    path.write_text("\n".join(lines))
    done = run("simulate", path, "--top", 1)
    assert done.code == 0 or done.complaint


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), count=st.integers(0, 8))
def test_any_model_is_loaded_or_refused(place: float, value: int, count: int, cache: Path) -> None:
    content = bytearray(small_cnn().SerializeToString())
    start = int(place * len(content))
    content[start : start + count] = bytes([value] * max(1, count))
    path = cache / "any.onnx"
    path.write_bytes(content)
    done = run("simulate", path, "--batch", 1, "--top", 1)
    assert done.code == 0 or done.complaint


def test_names_in_files_are_shown_as_they_are() -> None:
    name = "[/red] :smile:\x1b[31m\n[bold]"
    proto = model(
        [node("Relu", ["x"], ["y"], name)], {"x": (2, 3)}, ["y"], elem_type=TensorProto.FLOAT
    )
    onnx.save(proto, "m.onnx")
    out = succeed("simulate", "m.onnx", "--top", 0)
    assert "[/red] :smile:" in out
    assert "[bold]" in out
    assert "\x1b" not in out


def test_as_processes() -> None:
    for arguments in (
        ("simulate", "nothing"),
        ("simulate", "resnet8", "--set", "rows=0"),
        ("search", "--budget", "0"),
    ):
        done = spawn(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("dovetail: ")
        assert done.stderr.count("\n") == 1
        assert not done.stdout


def test_the_installed_command() -> None:
    script = Path(sys.executable).with_name("dovetail")
    if not script.exists():
        pytest.skip("the command is not installed beside this Python")
    done = subprocess.run([script, "simulate", "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("dovetail: unknown network 'none'")
    assert done.stderr.count("\n") == 1


def test_an_unknown_fidelity_is_refused_before_the_network_is_mapped() -> None:
    arguments = ("simulate", "resnet50", "--set", "machine=rtl", "--fidelity", "gates")
    assert "supports estimate, cycle" in run(*arguments).complaint
