"""Estimate against cycle: how far closed forms are from the exact simulation, family by family.

    python benchmarks/families.py [--family NAME]

One line for each network and preset: cycles of both, their difference, the seconds of the mapping,
which both share, and the processor time that each takes behind it. The last line of a family is its
worst difference. Exits with 1 if one is beyond what its family promises.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dovetail.arch import presets
from dovetail.flow import map_network
from dovetail.networks.registry import load_network


class Row(NamedTuple):
    """A network on a preset, some of whose parameters are set."""

    network: str
    preset: str
    changes: Mapping[str, object] = MappingProxyType({})


NO_LAUNCHES = dict.fromkeys(("matmul_us", "softmax_us", "norm_us", "elementwise_us"), 0)
"""Of a GPU: launches are the same in both, and most of small kernels' time."""

ROWS: dict[str, tuple[Row, ...]] = {
    "engines": (
        Row("m3vit", "edge_moe_zcu102"),
        Row("m3vit", "engines_ultra96"),
        Row("vit_b16", "engines_vcu1525"),
        Row("gpt2_prefill", "engines_u280"),
        Row("gpt2_decode", "engines_u280"),
        Row("resnet50", "engines_ultra96"),
        Row("resnet8", "engines_u280"),
        Row("alexnet", "engines_u280"),
    ),
    "rdu": (
        *(
            Row(network, "sn40l_node")
            for network in (
                "llama2_7b_prefill", "llama2_7b_decode", "llama2_70b_prefill", "llama2_70b_decode",
                "bloom_176b_prefill", "mistral_7b_decode", "falcon_40b_prefill",
                "llava15_7b_prefill",
            )
        ),
        *(
            Row(network, "sn40l")
            for network in (
                "llama2_7b_prefill", "llama2_7b_decode", "flash_fft_conv", "vit_b16", "resnet18"
            )
        ),
    ),
    "attention": tuple(
        Row(network, preset)
        for preset in ("fusemax", "fusemax_architecture", "flat_cascade", "flat", "flat_unfused")
        for network in (
            "bert_base", "vit_b16", "t5", "gpt2_prefill", "gpt2_decode", "llama2_7b_prefill"
        )
    ),
    "npu": tuple(
        Row(network, preset)
        for preset in (
            "ethos_u55_32", "ethos_u55_128", "ethos_u55_256", "ethos_u65_256", "ethos_u65_512"
        )
        for network in (
            "resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder", "mobilenet_v2", "resnet50"
        )
    ),
    "gpu": (
        Row("resnet50", "a100"),
        *(
            Row(network, preset, NO_LAUNCHES)
            for preset in ("a100", "mi210", "h100")
            for network in ("resnet50", "bert_base", "gpt2_prefill", "llama2_7b_decode")
        ),
    ),
}  # fmt: skip
"""By family."""

PROMISED = {"gpu": 0.01, "engines": 0.0002, "rdu": 0.02, "attention": 0.02}
"""The largest relative difference of whole networks in these rows; a family that is not here
promises none, and its differences are only measured."""


def main() -> int:
    """Prints the tables; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=tuple(ROWS), help="only this one")
    chosen = parser.parse_args().family
    broken = False
    for family in (chosen,) if chosen else ROWS:
        print(f"{family}\n{'network':20s}{'preset':20s}{'estimate':>16s}{'cycle':>16s}"
              f"{'difference':>12s}{'map s':>8s}{'ms':>9s}{'ms':>9s}")  # fmt: skip
        worst = max((compared(row) for row in ROWS[family]), key=abs)
        limit = PROMISED.get(family)
        told = "" if limit is None else f"   promised {limit:.2%}"
        print(f"{'worst':72s}{worst:+12.4%}{told}\n")
        broken |= limit is not None and abs(worst) > limit
    return int(broken)


def compared(row: Row) -> float:
    """Prints a line; the relative difference."""
    design = presets.load(row.preset).replace(row.changes)
    network, begin = load_network(row.network), time.process_time()
    mapped = map_network(network, design)
    mapping = time.process_time() - begin
    cycles, times = {}, {}
    for fidelity in ("estimate", "cycle"):
        begin = time.process_time()
        cycles[fidelity] = mapped.report(fidelity).cycles
        times[fidelity] = 1e3 * (time.process_time() - begin)
    difference = cycles["estimate"] / cycles["cycle"] - 1
    print(f"{row.network:20s}{row.preset:20s}{cycles['estimate']:16,d}{cycles['cycle']:16,d}"
          f"{difference:+12.4%}{mapping:8.2f}"
          f"{times['estimate']:9.1f}{times['cycle']:9.1f}")  # fmt: skip
    return difference


if __name__ == "__main__":
    sys.exit(main())
