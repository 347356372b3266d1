"""Do our accelerators rank NAS-Bench-201's networks as devices were measured to rank them?

    python experiments/nasbench201_latency.py --table nasbench201.npz [--cells 300]

Spearman's rank correlation between our latency of random cells and each device's latency in the
table (CIFAR-100), and that of the number of MACs alone: a model is worth something where it beats
the count. `eyeriss` in the table is simulated (HW-NAS-Bench), the others are measured; latencies
were collected by HayeonLee/HELP. Two readings of ours: all operators, and those on the array alone.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from dovetail.arch import presets
from dovetail.envs.nasbench201_slots import all_cells
from dovetail.envs.nasbench201_table import load
from dovetail.flow import map_network
from dovetail.networks.nasbench201 import nasbench201

ACCELERATORS = ("eyeriss_like", "eyeriss_v1", "edge")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", required=True, help="the .npz file of measurements")
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--accelerators", nargs="+", default=list(ACCELERATORS))
    args = parser.parse_args()
    measured = load(args.table).latency_ms
    chosen = np.random.default_rng(0).choice(5**6, args.cells, replace=False)
    networks = [nasbench201(cell.tolist(), classes=100) for cell in all_cells()[chosen]]
    ours = {"MACs": np.array([float(network.macs) for network in networks])}
    for name in args.accelerators:
        accelerator = presets.load(name)
        reports = [map_network(network, accelerator).report() for network in networks]
        ours[name] = np.array([report.cycles for report in reports])
        ours[f"{name}, array alone"] = np.array(
            [sum(op.cycles for op in r.operators if op.engine == "array") for r in reports]
        )
    table = Table("ours", title=f"Spearman's rank correlation over {args.cells} cells")
    for device in measured:
        table.add_column(device, justify="right")
    for name, values in ours.items():
        table.add_row(
            name, *(f"{spearman(values, latency[chosen]):.3f}" for latency in measured.values())
        )
    Console(width=110).print(table)
    return 0


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of ranks, ties averaged."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, ties averaged."""
    _, back, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[back]


if __name__ == "__main__":
    sys.exit(main())
