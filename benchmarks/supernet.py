"""Trains the digits supernet and measures its sub-networks: `python benchmarks/supernet.py`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from dovetail.networks.elastic.accuracy import AccuracyOracle, train_or_load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="digits", help="digits, or a folder")
    parser.add_argument("--cache", type=Path, help="keep or reuse the supernet in this file")
    parser.add_argument("--epochs", type=int, help="default: that of TrainingArgs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=200, help="random sub-networks")
    args = parser.parse_args()

    wall, cpu = time.perf_counter(), time.process_time()
    oracle = train_or_load(args.cache, args.dataset, args.seed, args.epochs)
    print(f"training or loading {_since(wall, cpu)}")
    space = oracle.family.space
    choices = space.sample(np.random.default_rng(1), args.samples)
    wall, cpu = time.perf_counter(), time.process_time()
    accuracy = 1.0 - oracle.errors(choices)
    done = oracle.measured
    print(f"{done} of {space.size} sub-networks {_since(wall, cpu, per=done)}")
    for share in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        print(f"  quantile {share:4.2f} of accuracy: {np.quantile(accuracy, share):.4f}")
    order = np.argsort(accuracy, kind="stable")
    largest = space.cardinalities - 1
    _show(oracle, "worst of the sample", choices[order[0]])
    _show(oracle, "median of the sample", choices[order[len(order) // 2]])
    _show(oracle, "best of the sample", choices[order[-1]])
    _show(oracle, "largest", largest)
    _show(oracle, "smallest", largest * 0)
    for column in (-2, -1):
        for shape, base in (("largest", largest), ("smallest", largest * 0)):
            for index, value in enumerate(space.knobs[column].values):
                choice = np.concatenate([base[:-2], largest[-2:]])
                choice[column] = index
                _show(oracle, f"{shape} shape, {space.names[column]} {value}", choice)
    if args.cache:
        oracle.save(args.cache)


def _since(wall: float, cpu: float, per: int = 0) -> str:
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    each = f", {1e3 * used / per:.2f} ms of CPU each" if per else ""
    return f"took {seconds:.1f} s ({used:.1f} s of CPU{each})"


def _show(oracle: AccuracyOracle, what: str, choice: np.ndarray) -> None:
    error = float(oracle.errors(choice[None])[0])
    low, high = oracle.interval(choice)
    print(f"  {what}: accuracy {1 - error:.4f} [{1 - high:.4f}, {1 - low:.4f}] (95 %)")


if __name__ == "__main__":
    main()
