"""`estimate` against `cycle`, family by family: error, and how long both take.

    python benchmarks/families.py [--family NAME ...] [--network NAME ...] [--repeat N]

Every row is a network on a preset, mapped once. The error is that of the closed form against the
simulated cycles of the whole network; times are processor time: of mapping, of reading the
estimate (the least of several runs), and of the simulation. `cycle` counts events, not clock ticks:
the last column says how many cycles it simulates per second.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from dovetail.arch import presets
from dovetail.flow import map_network
from dovetail.networks.registry import load_network

ROWS: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "rdu": (
        (
            ("llama2_7b_prefill", "llama2_7b_decode", "llama2_70b_prefill", "llama2_70b_decode",
             "bloom_176b_prefill", "mistral_7b_decode", "falcon_40b_prefill", "llava15_7b_prefill"),
            ("sn40l_node",),
        ),
        (("llama2_7b_prefill", "llama2_7b_decode", "flash_fft_conv", "vit_b16", "resnet18"),
         ("sn40l",)),
    ),
    "engines": (
        (("m3vit",), ("edge_moe_zcu102", "engines_ultra96")),
        (("vit_b16",), ("engines_vcu1525",)),
        (("gpt2_prefill", "resnet50", "alexnet"), ("engines_u280",)),
    ),
    "attention": (
        (("bert_base", "vit_b16", "t5", "gpt2_prefill", "gpt2_decode", "llama2_7b_prefill"),
         ("fusemax", "fusemax_architecture", "flat_cascade", "flat", "flat_unfused")),
    ),
    "npu": (
        (("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder", "mobilenet_v2", "resnet50"),
         ("ethos_u55_32", "ethos_u55_128", "ethos_u55_256", "ethos_u65_256", "ethos_u65_512")),
    ),
    "gpu": (
        (("resnet50", "bert_base", "gpt2_prefill", "llama2_7b_decode"), ("a100", "mi210", "h100")),
    ),
}  # fmt: skip
"""Networks x presets by family; a family adds a line."""

Result = TypeVar("Result")


def main() -> None:
    """Prints a table per family, and the errors of all its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--network", nargs="*", default=None, help="only these")
    parser.add_argument("--repeat", type=int, default=3, help="runs; the least time counts")
    options = parser.parse_args()
    for family in options.family:
        print(f"\n{family:9s}{'network':22s}{'preset':17s}{'estimate':>14s}{'cycle':>14s}{'error':>9s}"
              f"{'map s':>8s}{'est ms':>8s}{'cycle ms':>9s}{'Gcycles/s':>10s}")  # fmt: skip
        errors = [
            compare(network, preset, options.repeat)
            for networks, names in ROWS[family]
            for preset in names
            for network in networks
            if options.network is None or network in options.network
        ]
        if errors:
            sizes = sorted(map(abs, errors))
            print(f"{family}: median error {statistics.median(sizes):.2%}, largest {sizes[-1]:.2%}")


def compare(network: str, preset: str, repeat: int) -> float:
    """Prints a row; returns the relative error of the estimate."""
    net, design = load_network(network), presets.load(preset)
    mapped, mapping = timed(lambda: map_network(net, design), 1)
    estimate, reading = timed(lambda: mapped.report("estimate"), repeat)
    # What a mapped network has simulated it may keep: the first run counts.
    cycle, simulating = timed(lambda: mapped.report("cycle"), 1)
    error = estimate.cycles / cycle.cycles - 1
    print(
        f"{'':9s}{network:22s}{preset:17s}{estimate.cycles:14,d}{cycle.cycles:14,d}{error:9.2%}"
        f"{mapping:8.2f}{1e3 * reading:8.1f}{1e3 * simulating:9.1f}"
        f"{cycle.cycles / max(simulating, 1e-9) / 1e9:10.3f}",
        flush=True,
    )
    return error


def timed(call: Callable[..., Result], repeat: int, *given: object) -> tuple[Result, float]:
    """What a call returns, and the least processor seconds of several."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        result = call(*given)
        seconds.append(time.process_time() - start)
    return result, min(seconds)


if __name__ == "__main__":
    main()
