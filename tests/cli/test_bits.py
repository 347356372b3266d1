"""`dovetail bits`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dovetail.networks.registry import load_network
from tests.cli.driver import run, succeed

NARROW = ("-a", "edge", "--set", "weight_bits=4", "--set", "input_bits=4")


def chosen(*arguments: str) -> dict[str, object]:
    return json.loads(succeed("bits", *arguments, "--json", "-"))


def test_limits_hold_and_totals_are_sums() -> None:
    limits = {"size_mb": 0.03, "latency_ms": 0.15, "energy_mj": 0.05}
    options = [text for name, x in limits.items() for text in ("--limit", f"{name}<={x}")]
    found = chosen("resnet8", *options, *NARROW)
    network = load_network("resnet8")
    for name, limit in limits.items():
        assert found["total"][name] <= limit * (1 + 1e-9)
    layers = found["layers"]
    assert layers[0]["name"] == "stem.conv"
    assert found["total"]["size_mb"] == pytest.approx(sum(e["size_mb"] for e in layers))
    # Operators without weights take time, too.
    assert found["total"]["latency_ms"] > sum(entry["latency_ms"] for entry in layers)
    sizes = {
        op.name: network.tensor[op.inputs[1]].elements for op in network.operators if op.einsum
    }
    for entry in layers:
        assert entry["size_mb"] == sizes[entry["name"]] * entry["weight_bits"] / 8e6


def test_sensitive_layers_keep_their_bits(tmp_path: Path) -> None:
    free = chosen("resnet8")
    assert {(e["weight_bits"], e["input_bits"]) for e in free["layers"]} == {(8, 8)}
    names = [entry["name"] for entry in free["layers"]]
    file = tmp_path / "s.json"
    file.write_text(json.dumps({name: 1000.0 if name == names[7] else 0.001 for name in names}))
    arguments = ("resnet8", "--sensitivity", str(file), "--limit", "size_mb<=0.06")
    found = chosen(*arguments, "--bits", "4,8", "--together")
    layer = found["layers"][7]
    assert (layer["weight_bits"], layer["input_bits"]) == (8, 8)
    assert all(e["weight_bits"] == e["input_bits"] for e in found["layers"])
    assert min(entry["weight_bits"] for entry in found["layers"]) == 4


def test_it_prints_layers_and_totals() -> None:
    out = succeed("bits", "resnet8", "--limit", "gbops<=0.2")
    assert "stage3.second.conv" in out
    assert "all at 8 bits" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--limit", "size_mb<=0.001"), "the fewest bits need 0.0193"),
        (("--limit", "latency_ms<=1"), "needs --accelerator"),
        (("--limit", "size<=1"), "did you mean size_mb"),
        (("--limit", "size_mb=1"), "must be NAME<=NUMBER"),
        (("--limit", "size_mb<=1e"), "must be NAME<=NUMBER"),
        (("--limit", "size_mb<=-1"), "must be NAME<=NUMBER"),
        (("--limit", "size_mb<=1", "--limit", "size_mb<=2"), "bounded twice"),
        (("--bits", "8,4"), "ascending"),
        (("--bits", "few"), "must be whole numbers"),
        (("--sensitivity", "nowhere.json"), "cannot be read"),
        (("-a", "eyeriss_v1"), "on systolic arrays"),
        (("-a", "edge", "--set", "machine=rtl"), "machine 'ideal'"),
    ],
)
def test_ill_formed_options_are_one_line(arguments: tuple[str, ...], says: str) -> None:
    assert says in run("bits", "resnet8", *arguments).complaint
