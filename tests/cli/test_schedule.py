"""`dovetail schedule`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.driver import run


def test_it_says_what_moves_and_that_it_is_optimal() -> None:
    done = run("schedule", "resnet50", "--with-parameters", "--scratchpad-kib", "2430")
    assert done.code == 0
    assert "2,526.50 KiB" in done.out
    assert "602,112 non-compulsory off-chip bytes, proven optimal" in done.out
    assert "layer4.1.relu" in done.out


def test_by_default_the_best_order_just_fits() -> None:
    done = run("schedule", "resnet8")
    assert "scratchpad 48.00 KiB: 0 non-compulsory off-chip bytes, proven optimal" in done.out


def test_it_writes_the_schedule(tmp_path: Path) -> None:
    done = run("schedule", "resnet8", "--json", "-")
    plan = json.loads(done.out)
    assert plan["proven"]
    assert plan["non_compulsory_bytes"] == 0
    assert sorted(plan["order"]) == sorted(set(plan["order"]))
    assert all(s["address"] + s["bytes"] <= plan["scratchpad_bytes"] for s in plan["stays"])
    file = tmp_path / "plan.json"
    assert run("schedule", "resnet8", "--heuristic", "--json", str(file)).code == 0
    assert json.loads(file.read_text())["order"] == plan["order"]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_it_draws_the_memory(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"memory.{suffix}"
    assert run("schedule", "resnet8", "--with-parameters", "--picture", str(file)).code == 0
    assert file.stat().st_size > 10_000
    if suffix == "svg":
        assert "address (KiB)" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("resnet50", "--scratchpad-kib", "100"), "cannot run operator 'layer1.0.add'"),
        (("resnet8", "--scratchpad-kib", "0"), "0"),
        (("resnet8", "--picture", "memory.txt"), ".png, .svg, .pdf"),
        (("resnet8", "--scratchpad-kib", "nan"), "--scratchpad-kib"),
        (("resnet8", "--scratchpad-kib", "inf"), "--scratchpad-kib"),
        (("resnet8", "--time-limit", "nan"), "--time-limit"),
        (("resnet9",), "did you mean"),
        (("resnet8", "--time-limit", "0"), "time-limit"),
        (("resnet8", "--heuristic", "--keep-order"), "--heuristic: reorders operators"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    assert says in run("schedule", *arguments).complaint


def test_without_time_it_gives_the_gap() -> None:
    done = run("schedule", "transformer", "--scratchpad-kib", "520", "--time-limit", "0.5")
    assert done.code == 0
    assert "above the optimum: no proof in the time given" in done.out


def test_the_order_of_the_network_can_be_kept() -> None:
    done = run("schedule", "resnet50", "--with-parameters", "--keep-order")
    assert "401,408 non-compulsory off-chip bytes, proven optimal in this order" in done.out
    free = run("schedule", "resnet50", "--with-parameters")
    assert " 0 non-compulsory off-chip bytes, proven optimal" in free.out
