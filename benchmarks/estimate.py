"""Throughput of the batched estimate: (design, operator) pairs mapped and costed per second.

    python benchmarks/estimate.py [--network resnet50] [--designs 2000] [--runs 7]

Every pair gets its own tiling search. Two figures, best and median of several runs on one core, in
processor time: pairs with each operator of the network counted (repeated ones are costed once per
design), and distinct pairs only. The last lines compare `greedy`, which searches use, with
`exhaustive`, and the closed form with the cycle simulator.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from dovetail.arch import presets
from dovetail.arch.space import DEFAULT_KNOBS, SystolicSpace
from dovetail.flow import map_network, read_report
from dovetail.mappers.batch import batch_totals
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.networks.registry import load_network
from dovetail.sim.columns import NONE, Cost, Op


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

    batch_totals(designs[:2], distinct, index)  # compile
    seconds = []
    for _ in range(args.runs):
        start = time.process_time()
        batch_totals(designs, distinct, index)
        seconds.append(time.process_time() - start)
    best, median = min(seconds), statistics.median(seconds)
    print(
        f"{args.network}: {len(rows)} operators, {len(distinct)} distinct; {len(designs)} designs"
    )
    for what, count in (("operators", len(rows)), ("distinct", len(distinct))):
        pairs = count * len(designs)
        print(
            f"  (design, operator) pairs/s, {what:9}: best {pairs / best:.3g}, "
            f"median {pairs / median:.3g}"
        )
    few = designs[:100]
    greedy = batch_totals(few, distinct, index)[:, Cost.CYCLES]
    exhaustive = batch_totals(few, distinct, index, mapper="exhaustive")[:, Cost.CYCLES]
    ratio = greedy / exhaustive
    print(f"  greedy / exhaustive cycles: mean {ratio.mean():.4f}, worst {ratio.max():.4f}")
    errors = []
    for design in legal[:20]:
        mapped = map_network(network, hardware.decode(design))
        estimate, cycle = read_report(mapped), read_report(mapped, "cycle")
        pairs = zip(estimate.operators, cycle.operators, strict=True)
        errors += [abs(a.cycles / b.cycles - 1) for a, b in pairs if b.cycles]
    p99 = np.quantile(errors, 0.99)
    print(
        f"  |estimate / cycle - 1| over {len(errors)} pairs: p99 {p99:.2%}, max {max(errors):.2%}"
    )


if __name__ == "__main__":
    main()
