"""The optimal mapper against ZigZag's search: value, proof, and processor time per layer.

    python benchmarks/mapping.py [--table tests/golden/zigzag_search.csv] [--runs 3]
        [--network resnet50] [--accelerators eyeriss_like,eyeriss_v1] [--threads 2]

Every row is one layer on one of ZigZag's own architectures, with what its LOMA search (for latency)
found, and the processor seconds that it took per layer on a busy machine of two cores. Its mapping
is replayed by our analysis; ours is searched for latency and for energy: once under the spatial
counts that ZigZag was given, as its search is over loops in time alone, and once under all spatial
choices of the preset. Times are processor time with compiled kernels, the median of several runs.
Strides are not in the table: they stand below. Then a whole network is mapped, identical operators
once, in the given number of threads.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import Mapping, Spatial
from dovetail.ir.operator import Einsum
from dovetail.ir.tensor import Tensor
from dovetail.mappers.formats.zigzag import read_zigzag
from dovetail.mappers.found import Found
from dovetail.mappers.spatial.optimal import optimal
from dovetail.networks.operators import Window, conv2d
from dovetail.networks.registry import load_network
from dovetail.sim.nest import analyse

TABLE = Path(__file__).parents[1] / "tests" / "golden" / "zigzag_search.csv"
STRIDES = {"resnet18_conv3_1": 2, "mbv2_b1_dw": 2, "alexnet_conv1": 4}
LPF = "5"
"""Loop prime factors of ZigZag's search whose time is compared; the table has others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--accelerators", default="eyeriss_like,eyeriss_v1")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    lines = [line for line in args.table.read_text().splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["lpf"] == LPF]
    for given in (True, False):
        for objective in ("latency", "energy"):
            compare(rows, objective, args.runs, given)
    for name in args.accelerators.split(","):
        for objective in ("latency", "energy"):
            whole(args.network, name, objective, args.threads)


def compare(rows: list[dict[str, str]], objective: str, runs: int, fixed: bool) -> None:
    print(f"\nspatial counts: {'those that ZigZag was given' if fixed else 'all'}")
    print(f"{objective:27} {'ours':>14} {'ZigZag':>14} {'ours/its':>8} proven     ms  speedup")
    ratios, speedups, times = [], [], []
    for row in rows:
        accelerator = load(row["arch"])
        einsum = layer(row)
        given = read_zigzag(row["temporal_mapping"], row["spatial_mapping"], einsum, accelerator)
        replayed = analyse(einsum, accelerator, given)
        theirs = replayed.cycles if objective == "latency" else replayed.energy_pj
        spatial = spread(given) if fixed else None
        search = partial(optimal, einsum, accelerator, objective, spatial=spatial)
        found, seconds = timed(search, runs)
        ratios.append(found.value / theirs)
        times.append(seconds)
        speedups.append(float(row["cpu_s"]) / seconds)
        print(
            f"{row['arch']:12} {row['layer']:14} {found.value:14.6g} {theirs:14.6g} "
            f"{ratios[-1]:8.4f} {found.proven!s:6} {1e3 * seconds:6.1f} {speedups[-1]:8.0f}"
        )
    its = statistics.median(float(row["cpu_s"]) for row in rows)
    print(
        f"at least as good on {sum(ratio <= 1 + 1e-9 for ratio in ratios)} of {len(rows)}; median "
        f"{1e3 * statistics.median(times):.1f} ms against {its:.2f} s: "
        f"{its / statistics.median(times):.0f}x; median speedup {statistics.median(speedups):.0f}x"
    )


def spread(mapping: Mapping) -> dict[str, dict[str, int]]:
    """Spatial counts of a mapping per dimension and rank."""
    found: dict[str, dict[str, int]] = {}
    for node in mapping.nodes:
        if isinstance(node, Spatial):
            found.setdefault(node.dimension, {})[node.rank] = node.count
    return found


def load(name: str) -> SpatialArray:
    accelerator = presets.load(name)
    assert isinstance(accelerator, SpatialArray)
    return accelerator


def layer(row: dict[str, str]) -> Einsum:
    """The Einsum of a row of the table."""
    g, k, c, p, q, r, s = (int(row[name]) for name in "G K C OY OX FY FX".split())
    stride = STRIDES.get(row["layer"], 1)
    window = Window((r, s), (stride, stride))
    rows, columns = stride * (p - 1) + r, stride * (q - 1) + s
    x = Tensor("x", (1, g * c, rows, columns))
    weight, y = Tensor("w", (g * k, c, r, s)), Tensor("y", (1, g * k, p, q))
    einsum = conv2d(row["layer"], x, weight, y, window, groups=g).einsum
    assert einsum is not None
    return einsum


def timed(search: Callable[[], Found], runs: int) -> tuple[Found, float]:
    """What a search finds, and its processor seconds once its kernels are compiled."""
    found = search()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        found = search()
        seconds.append(time.process_time() - start)
    return found, statistics.median(seconds)


def whole(network: str, name: str, objective: str, threads: int) -> None:
    accelerator = load(name)
    shapes = {}
    operators = [op.einsum for op in load_network(network).operators if op.einsum]
    for einsum in operators:
        indices = tuple(e.indices for e in (*einsum.operands, einsum.output))
        shapes[einsum.ranks, str(indices)] = einsum
    optimal(next(iter(shapes.values())), accelerator, objective)
    wall, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda e: optimal(e, accelerator, objective), shapes.values()))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    proven = sum(e.proven for e in found)
    print(
        f"\n{network} on {name} for {objective}: {len(operators)} operators, {len(shapes)} "
        f"distinct, {proven} proven optimal, {wall:.1f} s on {threads} threads "
        f"({processor:.1f} s of processor)"
    )


if __name__ == "__main__":
    main()
