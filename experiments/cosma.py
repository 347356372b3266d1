"""COSMA (arXiv 2311.18246): order, placement and replacement together, against four baselines.

    python experiments/cosma.py [--networks A,B] [--time-limit S] [--nas-time-limit S] [--out DIR]

Schedules the paper's ten hand-made networks exactly and its four NAS-generated ones by divide and
conquer, with activations only and with parameters, into scratchpads of M_R (the largest working set
of an operator), M_P (the smallest peak of any order, proven) and M_H (halfway). All bytes are
non-compulsory off-chip bytes as the replay counts them. The baselines are TensorFlow Lite's arena
x {default order, order of minimum peak} x {Belady, greedy}; `fail` says that the arena exceeds the
scratchpad. The paper does not say what a baseline does then, so that a second table lets the same
policy evict more until the arena fits ("repaired"). Each row is a JSON file in DIR: rows that exist
are not run again.

Exits with 1 if a schedule at M_P moves bytes although it is not proven that it must.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from dovetail.errors import DovetailError
from dovetail.ir.network import Network
from dovetail.mappers.graph import PeakOrder, Problem, minimum_peak, read_problem, schedule
from dovetail.mappers.graph.baselines import CHOOSERS, run_baseline
from dovetail.networks.registry import load_network

HAND_MADE = (
    "resnet50", "densenet121", "resnext50", "r2plus1d_18", "s3d",
    "fcn_resnet50", "lraspp", "deeplabv3", "transformer", "vit_b16",
)  # fmt: skip
NAS = ("pnasnet5", "amoebanet_d", "nasnet_a", "darts")
BUDGETS = ("M_R", "M_H", "M_P")
POLICIES = tuple((order, chooser) for order in ("default", "peak") for chooser in CHOOSERS)
PAPER_MEAN, PAPER_NAS, PAPER_SECONDS = 0.84, 0.85, 0.296


@dataclass(frozen=True)
class Row:
    """One network in one scratchpad; bytes of a baseline are None if its placement fails."""

    network: str
    parameters: bool
    budget: str
    budget_bytes: int
    peak_proven: bool
    bytes: int
    bound: int
    seconds: float
    extent: int
    baselines: tuple[int | None, ...]
    repaired: tuple[int | None, ...]

    @property
    def key(self) -> str:
        """Name of the row's file."""
        kind = "parameters" if self.parameters else "activations"
        return f"{self.network}-{kind}-{self.budget}"


def main() -> int:
    """Runs the rows that are missing, prints all of them; 1 if a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join((*HAND_MADE, *NAS)), help="comma-separated")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds per schedule")
    parser.add_argument(
        "--nas-time-limit", type=float, default=60.0, help="the same for NAS graphs"
    )
    parser.add_argument("--out", type=Path, default=Path("cosma_rows"), help="rows as JSON")
    options = parser.parse_args()
    names = options.networks.split(",")
    if min(options.time_limit, options.nas_time_limit) <= 0:
        parser.error("time limits: must be above 0")
    try:
        networks = {name: load_network(name) for name in names}
    except DovetailError as error:
        parser.error(f"--networks: {error}")
    options.out.mkdir(parents=True, exist_ok=True)
    kept = sum(1 for _ in options.out.glob("*.json"))
    if kept:
        print(f"{kept} rows in {options.out} are of earlier runs: remove them to run them again")
    rows: list[Row] = []
    print_head()
    for name, network in networks.items():
        limit = options.nas_time_limit if name in NAS else options.time_limit
        for parameters in (False, True):
            rows += network_rows(network, parameters, limit, options.out)
    summary(rows)
    return int(any(row.budget == "M_P" and row.bytes > row.bound for row in rows))


def network_rows(network: Network, parameters: bool, limit: float, out: Path) -> list[Row]:
    """Rows of one network at the three budgets, from files where they exist."""
    kind = "parameters" if parameters else "activations"
    files = {budget: out / f"{network.name}-{kind}-{budget}.json" for budget in BUDGETS}
    rows: dict[str, Row] = {}
    problem: Problem | None = None
    for budget, file in files.items():
        if file.exists():
            data = json.loads(file.read_text(encoding="utf-8"))
            lists = {k: tuple(data[k]) for k in ("baselines", "repaired")}
            rows[budget] = Row(**{**data, **lists})
        else:
            if problem is None:
                problem = read_problem(network, with_parameters=parameters)
                peak = minimum_peak(problem)
            rows[budget] = run(network.name, parameters, budget, problem, peak, limit)
            text = json.dumps(asdict(rows[budget]), indent=1)
            file.write_text(text + "\n", encoding="utf-8")
        show(rows[budget])
    return list(rows.values())


def run(
    network: str, parameters: bool, budget: str, problem: Problem, peak: PeakOrder, limit: float
) -> Row:
    """One schedule and its baselines."""
    least, most = problem.required_bytes, peak.peak_bytes
    size = {"M_R": least, "M_H": (least + most) // 2, "M_P": most}[budget]
    begin = time.perf_counter()
    found = schedule(problem, size, time_limit_s=limit, exact=network not in NAS)
    seconds = time.perf_counter() - begin
    orders = {"default": problem.default_order, "peak": peak.order}
    outcomes = [
        [run_baseline(problem, size, orders[order], chooser, repair=repair) for order, chooser
         in POLICIES]
        for repair in (False, True)
    ]  # fmt: skip
    plain, repaired = (
        tuple(b.traffic.bytes if b.traffic else None for b in some) for some in outcomes
    )
    return Row(
        network, parameters, budget, size, peak.proven, found.traffic.bytes, found.bound_bytes,
        seconds, found.traffic.extent_bytes, plain, repaired,
    )  # fmt: skip


def print_head() -> None:
    policies = " ".join(f"{f'{order}/{chooser}':>15s}" for order, chooser in POLICIES)
    print(f"{'network':14s}{'':12s}{'':4s}{'KiB':>10s}{'COSMA B':>12s}{'bound B':>12s}{'s':>8s} "
          f"{policies}   (repaired where the arena fails)")  # fmt: skip


def show(row: Row) -> None:
    """One line: the baselines' bytes; after a failed placement, the repaired bytes."""
    cells = []
    for plain, repaired in zip(row.baselines, row.repaired, strict=True):
        text = f"{plain}" if plain is not None else f"fail:{'-' if repaired is None else repaired}"
        cells.append(f"{text:>15s}")
    kind = "parameters" if row.parameters else "activations"
    proven = "" if row.peak_proven else " (M_P not proven)"
    print(f"{row.network:14s}{kind:12s}{row.budget:4s}{row.budget_bytes / 1024:10.1f}"
          f"{row.bytes:12d}{row.bound:12d}{row.seconds:8.2f} {' '.join(cells)}{proven}",
          flush=True)  # fmt: skip


def reductions(rows: list[Row], *, repaired: bool) -> tuple[list[float], int, int]:
    """1 - COSMA / baseline of every pair that defines it; pairs of 0 / 0; failed placements."""
    ratios, zero, failed = [], 0, 0
    for row in rows:
        for value in row.repaired if repaired else row.baselines:
            if value is None:
                failed += 1
            elif value == 0:
                zero += 1
            else:
                ratios.append(1 - row.bytes / value)
    return ratios, zero, failed


def summary(rows: list[Row]) -> None:
    """Means beside the paper's."""
    groups = {
        "ten hand-made at M_R": ([r for r in rows if r.network in HAND_MADE and r.budget == "M_R"],
                                 PAPER_MEAN),
        "ten hand-made, all budgets": ([r for r in rows if r.network in HAND_MADE], PAPER_MEAN),
        "NAS at M_R": ([r for r in rows if r.network in NAS and r.budget == "M_R"], PAPER_NAS),
        "NAS, all budgets": ([r for r in rows if r.network in NAS], PAPER_NAS),
    }  # fmt: skip
    print("\nmean reduction of non-compulsory bytes; pairs left out: 0/0, failed placements")
    for name, (some, paper) in groups.items():
        for repaired in (False, True):
            ratios, zero, failed = reductions(some, repaired=repaired)
            mean = f"{100 * fmean(ratios):5.1f} %" if ratios else "    - "
            kind = "repaired" if repaired else "as placed"
            print(f"  {name:28s}{kind:10s}{mean} of {len(ratios):3d} pairs (0/0: {zero}, failed: "
                  f"{failed}); the paper: {100 * paper:.0f} %")  # fmt: skip
    ahead = [b - g for r in rows for b, g in zip(r.baselines[::2], r.baselines[1::2], strict=True)
             if b is not None and g is not None and b + g]  # fmt: skip
    if ahead:
        print(f"  Belady moves {fmean(ahead):,.0f} B more than greedy on average (same order, both "
              f"placed, {len(ahead)} pairs); the paper: not fewer")  # fmt: skip
    hand = [r.seconds for r in rows if r.network in HAND_MADE]
    if hand:
        print(f"  mean seconds per hand-made schedule {fmean(hand):.3f}, longest {max(hand):.2f}; "
              f"the paper: {PAPER_SECONDS} s on average (Gurobi, Apple M1 Pro)")  # fmt: skip
    peak = [r for r in rows if r.budget == "M_P"]
    print(f"  at M_P: {sum(r.bytes == 0 for r in peak)} of {len(peak)} schedules move no byte; "
          f"proven that they must: {sum(0 < r.bytes == r.bound for r in peak)}; open: "
          f"{sum(r.bytes > r.bound for r in peak)}")  # fmt: skip
    proven = sum(r.bytes == r.bound for r in rows)
    print(f"  proven optimal: {proven} of {len(rows)}")


if __name__ == "__main__":
    sys.exit(main())
