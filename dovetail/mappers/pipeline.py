"""Pipeline schedules over stages: micro-batches forward, then back, as a task program.

References:
    Huang et al., GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism,
    NeurIPS 2019, arXiv 1811.06965, section 2 and figure 2c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dovetail.errors import MappingError
from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram


@dataclass(frozen=True, slots=True)
class Stage:
    """What one micro-batch takes on one stage; cycles of any length of time.

    Attributes:
        forward: its layers forward.
        backward: their gradients; 0 if the stages only infer.
    """

    forward: int
    backward: int = 0


def pipeline(
    stages: Sequence[Stage],
    micro_batches: int,
    *,
    rematerialize: bool = True,
    early: bool = False,
    depth: int | None = None,
) -> TaskProgram:
    """Every micro-batch through all stages, then, if they train, back.

    Engines are named `stage0`, `stage1` and so on; tasks `forward`, `recompute` and `backward`.

    Args:
        stages: in order; each is an engine of its own.
        micro_batches: of one mini-batch.
        rematerialize: a stage keeps only what enters it and computes the rest again before its
            backward pass.
        early: computes again while the gradient is still on its way, instead of once it is there.
        depth: places in the FIFO between two stages of a forward pass, taken until their reader
            has ended; None for no bound.

    Raises:
        MappingError: without a stage or a micro-batch.
    """
    if not stages:
        raise MappingError("a pipeline of no stages: give one at least")
    if micro_batches < 1:
        raise MappingError(f"{micro_batches} micro-batches: must be at least 1")
    body: Body = (TaskLoop(micro_batches, _forward(stages, depth is not None)),)
    if any(stage.backward for stage in stages):
        back = _backward(stages, rematerialize, early)
        body = (*body, TaskLoop(micro_batches, back))
    places = {} if depth is None else {f"place{i}": depth for i in range(1, len(stages))}
    return TaskProgram(body, places)


def _forward(stages: Sequence[Stage], bounded: bool) -> Body:
    last = len(stages) - 1
    tasks = []
    for i, stage in enumerate(stages):
        waits = [f"activation{i}"] if i else []
        signals = [f"activation{i + 1}"] if i < last else []
        if bounded:
            waits += [f"place{i + 1}"] if i < last else []
            signals += [f"place{i}"] if i else []
        tasks.append(Task("forward", f"stage{i}", stage.forward, tuple(waits), tuple(signals)))
    return tuple(tasks)


def _backward(stages: Sequence[Stage], rematerialize: bool, early: bool) -> Body:
    tasks = []
    for i, stage in reversed(list(enumerate(stages))):
        engine = f"stage{i}"
        waits = (f"gradient{i}",) if i < len(stages) - 1 else ()
        if rematerialize:
            gradient_first = () if early else waits
            tasks.append(Task("recompute", engine, stage.forward, gradient_first))
            waits = waits if early else ()
        signals = (f"gradient{i - 1}",) if i else ()
        tasks.append(Task("backward", engine, stage.backward, waits, signals))
    return tuple(tasks)


def bubble(cycles: int, busy: Iterable[int]) -> float:
    """Share of all stages' time in which they have nothing to do.

    Args:
        cycles: of the whole schedule.
        busy: cycles of each stage.
    """
    times = list(busy)
    return 1 - sum(times) / (cycles * len(times))


def peak_activations(
    events: Iterable[tuple[str, str, int, int]], layers: float, samples: float, kept: bool
) -> float:
    """Activations that a stage holds at most, counted along a schedule that was simulated.

    Args:
        events: (task name, engine, start, end) of all runs.
        layers: of one stage, each with one activation per sample.
        samples: of a micro-batch.
        kept: a stage keeps all its layers' activations from the forward to the backward pass;
            otherwise what entered it, and all of one micro-batch while it runs that back.
    """
    held: Counter[str] = Counter()
    most = 0.0
    for name, engine, _, _ in events:
        if name == "forward":
            held[engine] += 1
            each = layers if kept else 1
            most = max(most, held[engine] * each * samples)
        elif name == "backward":
            if not kept:
                most = max(most, (held[engine] + layers) * samples)
            held[engine] -= 1
    return most
