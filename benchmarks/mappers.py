"""Mappers against the proven optimum: how close they come, and in how much time.

    python benchmarks/mappers.py [--network resnet18] [--operators 4] [--accelerators NAME ...]
        [--objectives latency energy edp] [--seeds 3] [--time-limit 60]

For the distinct operators of the network with most multiply-accumulates, prints the value that
each mapper finds over the optimum, and its processor time. Mappers that draw at random run under
several seeds: mean and largest ratio, mean time. Where the optimal mapper did not end in time its
ratios are to its best, marked by `~`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import OBJECTIVES, Found
from dovetail.mappers.spatial.mapper import SEEDED, find_mapping, forget, shape_key
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.mappers.spatial.mapspace_size import mapspace_size
from dovetail.mappers.spatial.milp import milp_mapping
from dovetail.networks.registry import load_network

PLAIN_MILP = "milp alone"
"""The integer program without the descent after it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--operators", type=int, default=4)
    parser.add_argument("--accelerators", nargs="+", default=["eyeriss_v1", "tpu_like"])
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--time-limit", type=float, default=60.0)
    args = parser.parse_args()

    layers = largest(args.network, args.operators)
    warm_up(*next(iter(layers)))
    for accelerator in map(presets.load, args.accelerators):
        assert isinstance(accelerator, SpatialArray), f"{accelerator.name} is no spatial array"
        ratios: dict[str, list[float]] = {}
        for (name, einsum), objective in product(layers, args.objectives):
            compare(name, einsum, accelerator, objective, args, ratios)
        print(f"\n{accelerator.name}: geometric mean of value / optimum")
        for mapper, values in ratios.items():
            mean, worst = statistics.geometric_mean(values), max(values)
            print(f"  {mapper:12} {mean:6.3f}, largest {worst:6.3f}")


def largest(network: str, count: int) -> list[tuple[str, Einsum]]:
    """Distinct operators with most multiply-accumulates."""
    found = {shape_key(op.einsum): (op.name, op.einsum)
             for op in reversed(load_network(network).operators) if op.einsum}  # fmt: skip
    return sorted(found.values(), key=lambda item: -item[1].macs)[:count]


def warm_up(name: str, einsum: Einsum) -> None:
    """Compiles kernels, so that no mapper is charged for them."""
    small = Einsum(
        tuple((rank, min(extent, 2)) for rank, extent in einsum.ranks),
        einsum.operands,
        einsum.output,
    )
    accelerator = presets.load("tpu_like")
    assert isinstance(accelerator, SpatialArray), name
    for mapper in ("optimal", "milp", "random"):
        find_mapping(small, accelerator, "edp", mapper)


def compare(
    name: str, einsum: Einsum, accelerator: SpatialArray, objective: str,
    args: argparse.Namespace, ratios: dict[str, list[float]],
) -> None:  # fmt: skip
    """Prints one operator's rows."""
    best, seconds = timed(
        lambda: find_mapping(
            einsum, accelerator, objective, "optimal", time_limit_s=args.time_limit
        )
    )
    mark = " " if best.proven else "~"
    size = mapspace_size(Mapspace(einsum, accelerator))
    print(f"\n{name} on {accelerator.name}, {objective}: {best.value:.6g}, {size:.1e} points")
    print(f"  {'optimal':12} {mark}1.000 {'':15} {seconds:7.2f} s")
    for mapper, answers in others(einsum, accelerator, objective, args.seeds):
        values = [found.value / best.value for found, _ in answers]
        ratios.setdefault(mapper, []).append(statistics.geometric_mean(values))
        spread = f"(largest {max(values):.3f})" if len(values) > 1 else ""
        cpu = statistics.mean(seconds for _, seconds in answers)
        print(f"  {mapper:12} {mark}{statistics.mean(values):.3f} {spread:15} {cpu:7.2f} s")


def others(
    einsum: Einsum, accelerator: SpatialArray, objective: str, seeds: int
) -> Iterator[tuple[str, list[tuple[Found, float]]]]:
    """Answers of the mappers that prove nothing, one per seed."""
    plain = timed(lambda: milp_mapping(einsum, accelerator, objective, polish=False))
    yield PLAIN_MILP, [plain]
    for mapper in ("milp", *sorted(SEEDED)):
        answers = []
        for seed in range(seeds if mapper in SEEDED else 1):
            forget()
            answers.append(timed(_asked(einsum, accelerator, objective, mapper, seed)))
        yield mapper, answers


def _asked(
    einsum: Einsum, accelerator: SpatialArray, objective: str, mapper: str, seed: int
) -> Callable[[], Found]:
    return lambda: find_mapping(einsum, accelerator, objective, mapper, seed=seed)


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    """A result, and processor seconds of this process."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


if __name__ == "__main__":
    main()
