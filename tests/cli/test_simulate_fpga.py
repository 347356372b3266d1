"""FPGA designs on the command line."""

from __future__ import annotations

from tests.cli.driver import run, succeed


def test_throughput_stands_below_the_table_and_no_energy() -> None:
    out = succeed("simulate", "resnet8", "-a", "finn_zcu102")
    assert "an inference every 16,384 cycles" in out
    assert "0 J:" not in out
    assert "mm2" not in out
    assert "32-bit sums" in out


def test_what_does_not_fit_is_one_line() -> None:
    for words, network, *more in (
        ("the budget has", "vgg16"),
        ("no UltraRAM", "resnet8", "--set", "weight_memory=ultra"),
    ):
        assert words in run("simulate", network, "-a", "finn_zcu102", *more).complaint


def test_designs_sweep() -> None:
    out = succeed("sweep", "autoencoder", "-a", "finn_zcu102", "--vary", "board=ultra96,zcu102")
    assert "ultra96" in out
