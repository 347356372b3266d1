"""`dovetail patches`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.driver import run


def test_mobilenet_v2_in_an_eighth_of_its_memory() -> None:
    done = run("patches", "mobilenet_v2", "--memory-kib", "172")
    assert done.code == 0
    assert "4 x 4 patches up to 'stage3.0.project.norm' need 171.5 KiB" in done.out
    assert "1,372.0 KiB layer by layer, 8.0x less" in done.out
    assert "(+9.3%)" in done.out


def test_it_writes_the_schedule(tmp_path: Path) -> None:
    done = run("patches", "resnet8", "--cut", "stage1.relu", "--grid", "2x3", "--json", "-")
    plan = json.loads(done.out)
    assert plan["grid"] == [2, 3]
    assert len(plan["patches"]) == 6
    assert plan["patches"][0]["stage1.relu"] == {"rows": [0, 16], "columns": [0, 10]}
    assert plan["peak_bytes"] == max(step["bytes"] for step in plan["steps"])
    assert sum(step["macs"] for step in plan["steps"]) == plan["macs"] + plan["extra_macs"]
    file = tmp_path / "memory.svg"
    assert run("patches", "resnet8", "--naive", "--picture", str(file)).code == 0
    assert "<svg" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("resnet8", "--memory-kib", "1"), "raise the limit"),
        (("resnet8", "--cut", "stage1.relu"), "--cut and --grid go together"),
        (("resnet8", "--cut", "stage1.relu", "--grid", "four"), "must be ROWSxCOLUMNS"),
        (("resnet8", "--cut", "nowhere", "--grid", "2x2"), "choose one of"),
        (("resnet8", "--cut", "stage1.relu", "--grid", "99x1"), "within 1 to 32"),
        (
            ("resnet8", "--cut", "stage1.relu", "--grid", "2x2", "--memory-kib", "9"),
            "is for a search",
        ),
        (
            ("resnet8", "--cut", "stage1.relu", "--grid", "2x2", "--max-side", "4"),
            "--max-side is for a search",
        ),
        (("autoencoder",), "no cut"),
        (("resnet8", "--picture", "memory.txt"), ".png, .svg, .pdf"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    assert says in run("patches", *arguments).complaint
