"""Throughput of the batched estimate: (design, operator) pairs costed per second on one core.

    python benchmarks/estimate.py [--network resnet50] [--designs 2000] [--runs 7]

Best and median of several runs, in processor time: the closed form alone, under given tilings, and
with the search for a tiling of every pair, as design searches run it. A network repeats operators;
each distinct one is costed once per design, so that two counts are printed: distinct pairs, and
pairs with every operator of the network. The last lines compare `greedy` tilings, which searches
use, with `exhaustive` ones, and the closed form with the cycle simulator.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from dovetail.arch import presets
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import DEFAULT_KNOBS
from dovetail.flow import map_network, read_report
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.systolic.batch import batch_totals
from dovetail.mappers.systolic.bound import LATENCY
from dovetail.mappers.systolic.tiling import GREEDY, cost_pairs
from dovetail.networks.registry import load_network
from dovetail.sim.columns import NONE, Cost, Op, Tile
from dovetail.sim.estimate import estimate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--designs", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()

    hardware = SystolicSpace(presets.load("edge"), DEFAULT_KNOBS)
    candidates = hardware.space.sample(np.random.default_rng(0), 40 * args.designs)
    legal = candidates[hardware.violations(candidates) <= 0][: args.designs]
    designs = hardware.rows(legal)
    network = load_network(args.network)
    rows = op_rows(network, schedule(network))
    rows = rows[rows[:, Op.ENGINE] != NONE]
    distinct, index = np.unique(rows, axis=0, return_inverse=True)
    index = index.reshape(-1)

    print(
        f"{args.network}: {len(rows)} operators, {len(distinct)} distinct; {len(designs)} designs"
    )
    pair_design, pair_op = (
        axis.ravel()
        for axis in np.meshgrid(np.arange(len(designs)), np.arange(len(distinct)), indexing="ij")
    )
    tiles = np.zeros((len(pair_op), len(Tile)), dtype=np.int64)
    costs = np.zeros((len(pair_op), len(Cost)))
    cost_pairs(designs, distinct, pair_design, pair_op, LATENCY, GREEDY, tiles, costs)
    works = {
        "given tilings": lambda: estimate(designs, distinct, pair_design, pair_op, tiles),
        "tiling search": lambda: batch_totals(designs, distinct, index),
    }
    for name, work in works.items():
        work()  # compile
        seconds = [timed(work) for _ in range(args.runs)]
        best, median = min(seconds), statistics.median(seconds)
        for what, count in (("distinct", len(distinct)), ("all operators", len(rows))):
            pairs = count * len(designs)
            print(
                f"  {name}, {what:13}: best {pairs / best:.3g} pairs/s, median {pairs / median:.3g}"
            )
    few = designs[:100]
    greedy = batch_totals(few, distinct, index)[:, Cost.CYCLES]
    exhaustive = batch_totals(few, distinct, index, mapper="exhaustive")[:, Cost.CYCLES]
    ratio = greedy / exhaustive
    print(f"  greedy / exhaustive cycles: mean {ratio.mean():.4f}, worst {ratio.max():.4f}")
    errors = []
    for design in legal[:20]:
        mapped = map_network(network, hardware.decode(design))
        closed, simulated = read_report(mapped), read_report(mapped, "cycle")
        pairs = zip(closed.operators, simulated.operators, strict=True)
        errors += [abs(a.cycles / b.cycles - 1) for a, b in pairs if b.cycles]
    p99 = np.quantile(errors, 0.99)
    print(
        f"  |estimate / cycle - 1| over {len(errors)} pairs: p99 {p99:.2%}, max {max(errors):.2%}"
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time that a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
