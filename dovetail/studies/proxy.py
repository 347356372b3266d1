"""Trains a proxy cost model on a data set, and scores it on designs that it has not seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from dovetail.agents.base import require
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem
from dovetail.envs.proxy_model import Proxy, Weights, features
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray
from dovetail.studies.parquet import DataSet

LEAST = 200
"""Distinct feasible designs to train on."""

SHARES = (80, 10)
"""Percent of designs to train on and to calibrate intervals with; the rest is for scores."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Odd multiplier whose high bits mix a design's number (Knuth, TAOCP 3, 6.4)."""


@dataclass(frozen=True, slots=True)
class TrainingArgs:
    """Settings of the training.

    Attributes:
        members: networks of the ensemble.
        width: units of each hidden layer.
        depth: hidden layers.
        steps: of Adam, each on `batch` designs.
        batch: designs per step and member.
        learning_rate: at its peak; it rises and falls within the steps.
        coverage: of the intervals.
        seed: same seed and data, same proxy.
    """

    members: int = 3
    width: int = 128
    depth: int = 3
    steps: int = 8000
    batch: int = 256
    learning_rate: float = 4e-3
    coverage: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (("members", 64), ("width", 4096), ("depth", 16), ("steps", 10**7),
                           ("batch", 2**20)):  # fmt: skip
            check_range(name, getattr(self, name), 1, most)
        check_range("learning_rate", self.learning_rate, 0, above=True)
        check_range("coverage", self.coverage, 0.5, 0.999)
        check_range("seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class Score:
    """How well one metric is predicted on held-out designs.

    Attributes:
        metric: its name.
        rmse: root mean square error as a share of the mean, as ArchGym states it.
        median: median of the relative errors.
        r2: coefficient of determination of what was learnt.
        spearman: rank correlation.
        covered: share of the truth within the intervals.
        width: median width of the intervals, as a share of the prediction.
    """

    metric: str
    rmse: float
    median: float
    r2: float
    spearman: float
    covered: float
    width: float


@dataclass(frozen=True, slots=True)
class Split:
    """Distinct feasible designs with their metrics, and what each is for.

    Attributes:
        designs: (n, knobs).
        metrics: by name, each (n,).
        part: (n,) 0 to train on, 1 to calibrate with, 2 for scores.
    """

    designs: IntArray
    metrics: Mapping[str, FloatArray]
    part: IntArray


def split(data: DataSet, fidelity: str | None = None) -> Split:
    """Distinct feasible designs of a data set, dealt out by a hash of the design.

    Args:
        data: evaluations.
        fidelity: which of them to take; the most frequent one if None.

    Raises:
        ProblemError: if there are too few.
    """
    names, counts = np.unique(data.fidelity, return_counts=True)
    wanted = fidelity or (str(names[np.argmax(counts)]) if len(names) else "")
    finite = np.all([np.isfinite(v) for v in data.evaluation.metrics.values()], axis=0)
    rows = np.flatnonzero(data.evaluation.feasible & finite & (data.fidelity == wanted))
    keys = Seen(data.spec.space).keys(data.designs[rows])
    _, first = np.unique(keys, return_index=True)
    if len(first) < LEAST:
        raise ProblemError(
            f"the data set has {len(first)} distinct feasible designs at fidelity '{wanted}': a "
            f"proxy needs {LEAST} at least"
        )
    rows = rows[np.sort(first)]
    metrics = {name: values[rows] for name, values in data.evaluation.metrics.items()}
    designs = data.designs[rows]
    return Split(designs, metrics, _dealt(Seen(data.spec.space).keys(designs)))


def _dealt(keys: Any) -> IntArray:
    percent = ((keys * GOLDEN) >> np.uint64(32)).astype(np.int64) % 100
    return np.searchsorted(np.cumsum(SHARES), percent, side="right").astype(np.int64)


def train(
    data: DataSet,
    parts: Split,
    args: TrainingArgs,
    about: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
) -> Proxy:
    """Trains the ensemble.

    Args:
        data: where the space stands.
        parts: what `split` gave.
        args: settings.
        about: what the proxy's file is to say besides.
        progress: called with the steps made.

    Raises:
        MissingExtraError: if torch is not installed.
    """
    require("a proxy model", "torch", "torch")
    kept = {name: v for name, v in parts.metrics.items() if v.std() > 0}
    logs = np.array([bool((values > 0).all()) for values in kept.values()])
    targets = _learnable(kept, logs)
    fit = parts.part == 0
    centre, scale = targets[fit].mean(axis=0), targets[fit].std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    inputs = features(data.spec.space, parts.designs)
    layers = _fit(inputs[fit], (targets[fit] - centre) / scale, args, progress)
    blank = np.ones(len(kept))
    whole = {**about, "training": asdict(args), "designs": int(fit.sum())}
    proxy = Proxy(
        data.spec.space, tuple(kept), logs, centre, scale, layers, blank, blank, args.coverage,
        whole,
    )  # fmt: skip
    return _calibrated(proxy, parts, targets)


def _learnable(metrics: Mapping[str, FloatArray], logs: BoolArray) -> FloatArray:
    columns = zip(metrics.values(), logs, strict=True)
    return np.stack([np.log(values) if log else values for values, log in columns], axis=1)


def _calibrated(proxy: Proxy, parts: Split, targets: FloatArray) -> Proxy:
    """Intervals of spread + floor, widened until they cover what was held back for it."""
    held = parts.part == 1
    mean, spread = proxy.learnt(parts.designs[held])
    floor = np.maximum(np.median(spread, axis=0), 1e-9)
    scores = np.abs(targets[held] - mean) / (spread + floor)
    count = len(scores)
    level = min(1.0, np.ceil((count + 1) * proxy.coverage) / count)
    return replace(proxy, floor=floor, widths=np.quantile(scores, level, axis=0, method="higher"))


def _fit(
    inputs: Weights,
    targets: FloatArray,
    args: TrainingArgs,
    progress: Callable[[int], None] | None,
) -> tuple[Weights, ...]:
    import torch

    chance = torch.Generator().manual_seed(args.seed)
    sizes = [inputs.shape[1], *[args.width] * args.depth, targets.shape[1]]
    layers = _layers(sizes, args.members, chance)
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets.astype(np.float32))
    optimiser = torch.optim.Adam(layers)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, args.learning_rate, total_steps=args.steps
    )
    for step in range(args.steps):
        rows = torch.randint(len(x), (args.members, args.batch), generator=chance)
        loss = (_forward(layers, x[rows]) - y[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress and (step % 50 == 49 or step + 1 == args.steps):
            progress(step + 1)
    return tuple(layer.detach().numpy().copy() for layer in layers)


def _layers(sizes: list[int], members: int, chance: Any) -> list[Any]:
    """Weights of He's deviation and zero biases, in turn."""
    import torch

    layers = []
    for wide, narrow in pairwise(sizes):
        weight = torch.randn(members, wide, narrow, generator=chance) * (2 / wide) ** 0.5
        layers += [weight.requires_grad_(), torch.zeros(members, 1, narrow, requires_grad=True)]
    return layers


def _forward(layers: list[Any], values: Any) -> Any:
    """Outputs (m, n, t) of inputs (m, n, f)."""
    import torch

    for place in range(0, len(layers), 2):
        values = torch.baddbmm(layers[place + 1], values, layers[place])
        if place < len(layers) - 2:
            values = torch.relu(values)
    return values


def score(proxy: Proxy, parts: Split) -> list[Score]:
    """Scores a proxy on the designs that it has not seen."""
    held = parts.part == 2
    designs = parts.designs[held]
    predicted = proxy.predict(designs)
    low, high = proxy.interval(designs)
    truth = {name: parts.metrics[name][held] for name in proxy.names}
    return [
        _score(name, truth[name], predicted[name], low[name], high[name], bool(log))
        for name, log in zip(proxy.names, proxy.logs, strict=True)
    ]


def _score(
    name: str, truth: FloatArray, found: FloatArray, low: FloatArray, high: FloatArray, log: bool
) -> Score:
    from scipy.stats import spearmanr

    learnt, wanted = (np.log(found), np.log(truth)) if log else (found, truth)
    variance = float(wanted.var())
    relative = np.abs(found - truth) / np.maximum(np.abs(truth), 1e-300)
    return Score(
        name,
        float(np.sqrt(np.mean((found - truth) ** 2)) / abs(truth.mean())),
        float(np.median(relative)),
        1.0 - float(np.mean((learnt - wanted) ** 2)) / variance if variance else float("nan"),
        float(spearmanr(found, truth).statistic),
        float(np.mean((low <= truth) & (truth <= high))),
        float(np.median((high - low) / np.maximum(np.abs(found), 1e-300))),
    )


def rate(problem: DesignProblem, designs: IntArray, *, one_by_one: bool = False) -> float:
    """Designs (n, knobs) evaluated per second of processor time, after one that is not counted."""
    problem.evaluate(designs[:1])
    start = time.process_time()
    for part in np.array_split(designs, len(designs)) if one_by_one else (designs,):
        problem.evaluate(part)
    return len(designs) / max(time.process_time() - start, 1e-9)
