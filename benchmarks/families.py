"""Estimate against cycle: how far closed forms are from the exact simulation, family by family.

    python benchmarks/families.py [--family NAME]

One line for each network and preset: cycles of both, their difference, and the processor time that
each takes behind the mapping, which both share. The last line of a family is its worst difference.
Exits with 1 if one is beyond what its family promises.
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
    "gpu": (
        Row("resnet50", "a100"),
        *(
            Row(network, preset, NO_LAUNCHES)
            for preset in ("a100", "mi210", "h100")
            for network in ("resnet50", "bert_base", "gpt2_prefill", "llama2_7b_decode")
        ),
    ),
}
"""By family."""

PROMISED = {"gpu": 0.01, "engines": 0.0002}
"""The largest relative difference of whole networks in these rows; 0.02 where none stands here."""


def main() -> int:
    """Prints the tables; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=tuple(ROWS), help="only this one")
    chosen = parser.parse_args().family
    broken = False
    for family in (chosen,) if chosen else ROWS:
        print(f"{family}\n{'network':20s}{'preset':20s}{'estimate':>16s}{'cycle':>16s}"
              f"{'difference':>12s}{'ms':>9s}{'ms':>9s}")  # fmt: skip
        worst = max((compared(row) for row in ROWS[family]), key=abs)
        limit = PROMISED.get(family, 0.02)
        print(f"{'worst':72s}{worst:+12.4%}   promised {limit:.2%}\n")
        broken |= abs(worst) > limit
    return int(broken)


def compared(row: Row) -> float:
    """Prints a line; the relative difference."""
    design = presets.load(row.preset).replace(row.changes)
    mapped = map_network(load_network(row.network), design)
    cycles, times = {}, {}
    for fidelity in ("estimate", "cycle"):
        begin = time.process_time()
        cycles[fidelity] = mapped.report(fidelity).cycles
        times[fidelity] = 1e3 * (time.process_time() - begin)
    difference = cycles["estimate"] / cycles["cycle"] - 1
    print(f"{row.network:20s}{row.preset:20s}{cycles['estimate']:16,d}{cycles['cycle']:16,d}"
          f"{difference:+12.4%}{times['estimate']:9.1f}{times['cycle']:9.1f}")  # fmt: skip
    return difference


if __name__ == "__main__":
    sys.exit(main())
