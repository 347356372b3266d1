"""Queues, memory channel and segments of the RTL accelerator, module by module."""

import pytest

from dovetail.rtl import sources
from tests.rtl.icarus import require_icarus, simulate


def check(folder, module, parameters=None, **case):
    """Runs the module's bench on it."""
    require_icarus()
    parameters = parameters or {}
    simulate(
        folder,
        sources=sources(),
        top=f"dovetail_{module}",
        bench=f"tests.rtl.bench_{module}",
        case={"seed": 1} | parameters | case,
        parameters=parameters,
    )


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_fifo(tmp_path, depth):
    check(tmp_path, "fifo", {"Width": 7, "Depth": depth})


@pytest.mark.parametrize("bits", [8, 64, 512])
def test_bursts_keep_to_256_beats_and_4_kib(tmp_path, bits):
    check(tmp_path, "burst", {"BusBits": bits}, transfers=60)


def test_sequencer_runs_loops_at_two_cycles_per_entry(tmp_path):
    check(tmp_path, "sequencer", {"EntryBits": 348, "Depth": 64}, programs=12)


def test_channel(tmp_path):
    check(tmp_path, "channel")


def test_tokens(tmp_path):
    check(tmp_path, "tokens")


CHANNELS = [(0, 64), (7, 3), (100, 8)]


@pytest.mark.parametrize(("bits", "width"), [(8, 32), (64, 192), (512, 512)])
def test_load(tmp_path, bits, width):
    widths = {"InputWidth": width, "WeightWidth": 2 * width}
    channels = [(latency, min(bandwidth, bits // 8)) for latency, bandwidth in CHANNELS]
    check(tmp_path, "load", {"BusBits": bits} | widths, channels=channels, loads=20)


@pytest.mark.parametrize(("bits", "width"), [(8, 128), (64, 1024), (512, 512)])
def test_fetch(tmp_path, bits, width):
    channels = [(latency, min(bandwidth, bits // 8)) for latency, bandwidth in CHANNELS]
    widths = {"EntryBits": 393, "ParamWidth": width}
    check(tmp_path, "fetch", {"BusBits": bits} | widths, channels=channels, entries=4 + bits // 8)
