"""FPGA engines on the command line."""

from __future__ import annotations

import json

from tests.cli.driver import run, succeed


def test_resources_stand_below_the_table_at_both_fidelities() -> None:
    for fidelity in ("estimate", "cycle"):
        out = succeed("simulate", "m3vit", "-a", "edge_moe_zcu102", "--fidelity", fidelity)
        assert "5,544,396 cycles = 18.48 ms at 300 MHz" in out
        assert "458 DSP (18%)" in out
        assert "tensors deployed as 16-bit numbers; activations take 32 bits in memory" in out
        assert "mm2" not in out


def test_the_json_report_says_what_is_used() -> None:
    words = ("simulate", "resnet8", "-a", "engines_u280", "--json", "-")
    report = json.loads(succeed(*words))
    assert report["accelerator"]["used_dsp"] == 3392
    assert set(report["total"]["stall_cycles"]) == {"weights", "ports", "lanes", "memory", "fill"}


def test_what_does_not_fit_is_one_line() -> None:
    for words, network, *more in (
        ("lut: the engines need", "m3vit", "--set", "share=0.1"),
        ("no build of kernel 'linear'", "m3vit", "--set", "linear_inputs=20"),
        ("'layer0.attention_norm' (rmsnorm) has no engine", "t5"),
        ("set norm_features = 768", "vit_b16"),
        ("no energy is known of the engines family", "m3vit", "--objective", "energy"),
    ):
        assert words in run("simulate", network, "-a", "edge_moe_zcu102", *more).complaint


def test_designs_sweep_and_are_listed() -> None:
    out = succeed("sweep", "m3vit", "-a", "edge_moe_zcu102", "--vary", "queries=2,8")
    assert "4,354,116" in out
    assert "linear_outputs" in succeed("list", "parameters")
