"""Throughput of the mapping analysis: mappings of one convolution per second on one core.

    python benchmarks/analysis.py [--mappings 20000] [--runs 7]

Best and median of several runs, in processor time: a batch of arrays, the same batch given as
mapping trees, and `analyse` on one mapping after the other. The mappings are random orders of the
prime factors of a 3 x 3 convolution of 64 channels at 56 x 56 with random cuts per operand; every
memory is large enough for them, so that all are costed to the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import numpy as np

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.sim.nest import MappingBatch, analyse, analyse_batch

SPREAD = (("K", 8), ("C", 8))
FACTORS = (("K", 8), ("C", 8), *(("P", 2), ("Q", 2)) * 3, ("P", 7), ("Q", 7), ("R", 3), ("S", 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mappings", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    for name in ("tpu_like", "eyeriss_like", "simba"):
        print(f"{name}: mappings per second of one core, best (median) of {args.runs}")
        measure(unlimited(name), args.mappings, args.runs)


def measure(array: SpatialArray, n: int, runs: int) -> None:
    einsum = convolution()
    batch = mappings(einsum, array, n)
    few = batch[: min(n, 500)]
    trees = [few.mapping(i, einsum, array, "conv") for i in range(len(few))]
    assert analyse_batch(einsum, array, batch).valid.all()
    for what, count, run in (
        ("batch of arrays", len(batch), lambda: analyse_batch(einsum, array, batch)),
        ("batch of trees", len(few), lambda: analyse_batch(einsum, array, trees)),
        ("one by one", len(few), lambda: [analyse(einsum, array, e) for e in trees]),
    ):
        best, median = rates(run, count, runs)
        print(f"  {what:16} {best:10,.0f} ({median:,.0f})")


def rates(run: Callable[[], object], count: int, runs: int) -> tuple[float, float]:
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return count / min(seconds), count / statistics.median(seconds)


def unlimited(name: str) -> SpatialArray:
    """A preset with memories that hold any tile, on which K and C may be spread."""
    array = presets.load(name)
    assert isinstance(array, SpatialArray)
    stores = tuple(dataclasses.replace(store, capacity_bytes=2**40) for store in array.stores)
    unrolls = tuple((dimension, ("K", "C")) for dimension, _ in array.dimensions)
    return dataclasses.replace(array, stores=stores, unrolls=unrolls)


def convolution() -> Einsum:
    def index(*ranks: str) -> Affine:
        return Affine(tuple((rank, 1) for rank in ranks))

    extents = {"K": 64, "C": 64, "P": 56, "Q": 56, "R": 3, "S": 3}
    return Einsum(
        tuple(extents.items()),
        (
            Access("x", (index("C"), index("P", "R"), index("Q", "S"))),
            Access("w", (index("K"), index("C"), index("R"), index("S"))),
        ),
        Access("y", (index("K"), index("P"), index("Q"))),
    )


def mappings(einsum: Einsum, array: SpatialArray, n: int) -> MappingBatch:
    rng = np.random.default_rng(0)
    position = {rank: i for i, (rank, _) in enumerate(einsum.ranks)}
    loops = len(FACTORS)
    order = rng.permuted(np.tile(np.arange(loops), (n, 1)), axis=1)
    ranks = np.array([position[rank] for rank, _ in FACTORS])[order]
    counts = np.array([float(count) for _, count in FACTORS])[order]
    spatial = np.ones((n, len(array.dimensions), len(position)))
    sizes = [size for _, size in array.dimensions]
    for rank, count in SPREAD:
        axis = next(i for i, size in enumerate(sizes) if size >= count)
        sizes[axis] //= count
        spatial[:, axis, position[rank]] = count
    keeps = np.full((n, len(OPERANDS), len(array.stores)), -1)
    for i, operand in enumerate(OPERANDS):
        levels = [array.stores.index(store) for store in array.hierarchy(operand)]
        cuts = np.sort(rng.integers(0, loops + 1, (n, len(levels))), axis=1)[:, ::-1]
        cuts[:, -1] = 0
        keeps[:, i, levels] = cuts
    return MappingBatch(ranks, counts, spatial, keeps)


if __name__ == "__main__":
    main()
