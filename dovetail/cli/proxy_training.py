"""Trains a proxy for its command, and prints how good and how fast it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dovetail.agents.base import require
from dovetail.cli.output import console, make_table, show
from dovetail.envs.fidelity import at_fidelity
from dovetail.envs.hardware import HardwareProblem
from dovetail.envs.problem import DesignProblem
from dovetail.envs.proxy import ProxyProblem
from dovetail.envs.proxy_model import Proxy
from dovetail.envs.registry import make_problem
from dovetail.errors import FidelityError, ProblemError
from dovetail.ir.space import IntArray
from dovetail.studies.executor import check_workers, executor_for
from dovetail.studies.parquet import DataSet, read
from dovetail.studies.proxy import LEAST, Score, Split, TrainingArgs, rate, score, split, train
from dovetail.studies.records import join

CHUNK = 64
"""Designs between two moves of the progress bar."""

BATCH, SINGLE = 20_000, 24
"""Designs whose evaluation is timed: in a batch, and one by one."""

ARCHGYM = "ArchGym states 0.61 % RMSE and 2,000x for its proxy of another simulator (DRAMSys)"


@dataclass(frozen=True)
class Request:
    """What to train on.

    Attributes:
        data: path of a data set.
        out: path of the proxy.
        fidelity: to learn from; the data set's most frequent if None.
        designs: to evaluate anew at most.
        workers: who evaluates, see `check_workers`.
    """

    data: str
    out: str
    fidelity: str | None
    designs: int
    workers: str


def run(request: Request, args: TrainingArgs) -> None:
    """Trains, scores, times and writes a proxy."""
    require("a proxy model", "torch", "torch")
    check_workers(request.workers)
    data = read(request.data)
    problem = make_problem(data.spec.problem)
    if not isinstance(problem, HardwareProblem):
        raise ProblemError(
            f"'{data.spec.name}' has no accelerators: a proxy has nothing to speed up"
        )
    # A few designs of it may be there: elites that a comparison evaluated again.
    if request.fidelity is not None and (data.fidelity == request.fidelity).sum() < LEAST:
        data = _anew(data, problem, request, request.fidelity)
    parts = split(data, request.fidelity)
    about = {"problem": data.spec.problem, "fidelity": request.fidelity or ""}
    with _bar() as bar:
        task = bar.add_task("train", total=args.steps)
        proxy = train(data, parts, args, about, lambda step: bar.update(task, completed=step))
    scores = score(proxy, parts)
    proxy = replace(proxy, about={**proxy.about, "scores": [asdict(one) for one in scores]})
    proxy.save(request.out)
    _print(request, parts, scores)
    _print_speed(proxy, problem, parts.designs)
    print(f"proxy: {request.out}")


def _anew(data: DataSet, problem: DesignProblem, request: Request, fidelity: str) -> DataSet:
    """The data set's designs, as many as are wanted, at another fidelity."""
    other = at_fidelity(problem, fidelity)
    known = split(data).designs
    rng = np.random.default_rng(0)
    chosen = known[np.sort(rng.permutation(len(known))[: request.designs])]
    with _bar() as bar, executor_for(other, request.workers) as executor:
        task = bar.add_task(f"evaluate at fidelity {fidelity}", total=len(chosen))
        found = []
        for start in range(0, len(chosen), CHUNK):
            found.append(executor.evaluate(chosen[start : start + CHUNK]))
            bar.update(task, completed=start + CHUNK)
    return DataSet(data.spec, chosen, join(found), np.full(len(chosen), fidelity))


def _bar() -> Progress:
    screen = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )


def _print(request: Request, parts: Split, scores: Sequence[Score]) -> None:
    trained, calibrated, held = np.bincount(parts.part, minlength=3)
    print(
        f"{request.data}: {len(parts.designs):,} distinct feasible designs; {trained:,} trained, "
        f"{calibrated:,} calibrated, {held:,} held out"
    )
    heads = (
        "metric",
        "RMSE / mean, %",
        "median error, %",
        "R2",
        "Spearman",
        "covered, %",
        "width, %",
    )
    table = make_table(heads, words=("metric",))
    for one in scores:
        shares = (one.rmse, one.median, one.covered, one.width)
        rmse, median, covered, width = (f"{100 * share:.2f}" for share in shares)
        row = (rmse, median, f"{one.r2:.4f}", f"{one.spearman:.4f}", covered, width)
        table.add_row(one.metric, *row)
    show(table, "errors on held-out designs; intervals")
    print(f"{ARCHGYM}\n")


def _print_speed(proxy: Proxy, problem: HardwareProblem, designs: IntArray) -> None:
    """Designs per second of processor time: the proxy's, and those of what it stands in for."""
    batch = problem.space.sample(np.random.default_rng(1), BATCH)
    rates = {"proxy, batched": rate(ProxyProblem(proxy, problem), batch)}
    singles = designs[np.linspace(0, len(designs) - 1, SINGLE).astype(int)]
    try:
        simulated = at_fidelity(problem, "cycle")
        rates["cycle simulation, one by one"] = rate(simulated, singles, one_by_one=True)
    except FidelityError as error:
        print(f"no cycle simulation to compare with: {error}")
    rates["estimate, one by one"] = rate(problem, singles, one_by_one=True)
    few = batch[: BATCH if rates["estimate, one by one"] > 100 else SINGLE]
    rates["estimate, batched"] = rate(problem, few)
    table = make_table(
        ("evaluated by", "designs/s", "the proxy is faster by"), words=("evaluated by",)
    )
    for name, found in rates.items():
        table.add_row(name, f"{found:,.0f}", f"{rates['proxy, batched'] / found:,.3g}x")
    show(table, f"per second of processor time, {os.cpu_count()} cores in sight")
