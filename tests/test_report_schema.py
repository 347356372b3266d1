"""The JSON form of reports, as docs/report.md promises it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dovetail.arch import presets
from dovetail.flow import simulate
from dovetail.networks.registry import load_network


@pytest.fixture(scope="module", params=["estimate", "cycle"])
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    return simulate(load_network("resnet8"), presets.load("edge"), fidelity=request.param).to_dict()


def documented(root: Path, section: str) -> list[str]:
    """Keys in the first column of a section's table."""
    text = (root / "docs" / "report.md").read_text(encoding="utf-8")
    body = re.split(r"^## ", text.split(f"## {section}\n")[1], flags=re.MULTILINE)[0]
    cells = [line.split("|")[1] for line in body.splitlines() if line.startswith("| `")]
    return [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]


def test_every_key_is_documented_and_no_other(root: Path, report: dict[str, Any]) -> None:
    assert sorted(documented(root, "Top level")) == sorted(report)
    assert sorted(documented(root, "The total")) == sorted(report["total"])
    keys = sorted(documented(root, "An operator"))
    assert all(sorted(operator) == keys for operator in report["operators"])


def test_cycles_and_energy_add_up(report: dict[str, Any]) -> None:
    total = report["total"]
    for part in [*report["operators"], total]:
        assert part["cycles"] == part["compute_cycles"] + sum(part["stall_cycles"].values())
        assert all(count >= 0 for count in part["stall_cycles"].values())
    assert total["cycles"] == sum(operator["cycles"] for operator in report["operators"])
    assert total["energy_pj"] == pytest.approx(sum(total["energy_by_component_pj"].values()))
    parts = [sum(operator["energy_pj"].values()) for operator in report["operators"]]
    assert total["energy_pj"] == pytest.approx(sum(parts))
    assert total["latency_ms"] == pytest.approx(total["cycles"] / report["clock_mhz"] / 1e3)
    assert total["edp_pj_s"] == pytest.approx(total["energy_pj"] * total["latency_ms"] / 1e3)


def test_fused_operators_cost_time_and_traffic_in_their_host(report: dict[str, Any]) -> None:
    operators = {operator["name"]: operator for operator in report["operators"]}
    fused = [operator for operator in operators.values() if operator["fused_into"]]
    assert fused
    for operator in fused:
        assert operators[operator["fused_into"]]["engine"] in ("array", "vector")
        assert (operator["cycles"], operator["macs"]) == (0, 0)
        assert not any(operator[key] for key in ("stall_cycles", "dram_bytes", "sram_bytes"))


def test_it_is_json_without_special_numbers(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False)) == report
