"""Steps of the FPGA engines as a program of tasks, for exact simulation.

Every stage is an engine; a row is a task in each of its stages. Between stages there is room for
two rows, each weight buffer is a token, and a step begins when the one before it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dovetail.ir.tasks import Task, TaskLoop, TaskProgram
from dovetail.sim.fpga.steps import Step

ROOM = 2
"""Rows between two stages, the one that is read among them."""

BUFFERS = 2
"""For weights."""

MOST_STAGES = 8

END = "step END"
"""The engine that marks the end."""


def program(steps: Iterable[Step]) -> TaskProgram:
    """The tasks of steps that run one after the other.

    The engine `step N` only marks when step N begins; `END`, when all have ended.
    """
    every = list(steps)
    loads = [i for i, step in enumerate(every) if step.load]
    body: list[Task | TaskLoop] = [_load(every[i]) for i in loads[:BUFFERS]]
    ahead = dict(zip(loads, loads[BUFFERS:], strict=False))
    for i, step in enumerate(every):
        body += _tasks(i, step)
        if i in ahead:
            body.append(_load(every[ahead[i]]))
    body.append(Task("end", END, 0, waits=("done", "moved")))
    tokens = {"done": 1, "moved": 1, "buffer": BUFFERS}
    return TaskProgram(tuple(body), tokens | {f"free{i}": ROOM for i in range(MOST_STAGES)})


def _load(step: Step) -> Task:
    return Task("weights", "weights", step.load, ("buffer",), ("loaded",))


def _tasks(index: int, step: Step) -> Iterator[Task | TaskLoop]:
    yield Task("begin", f"step {index}", 0, ("done", "moved"), ("begin", "move"))
    yield Task("move", "memory", step.memory, ("move",), ("moved",))
    last = step.rows - 1
    yield from _row(step, first=True, last=last == 0)
    if last > 1:
        yield TaskLoop(last - 1, tuple(_row(step)))
    if last:
        yield from _row(step, last=True)
    yield Task("drain", step.stages[-1].engine, step.latency, ("written",), ("done",))


def _row(step: Step, *, first: bool = False, last: bool = False) -> Iterator[Task]:
    """One row through all stages."""
    end = len(step.stages) - 1
    for i, stage in enumerate(step.stages):
        waits = [f"full{i - 1}"] * (i > 0) + [f"free{i}"] * (i < end)
        signals = [f"free{i - 1}"] * (i > 0) + [f"full{i}"] * (i < end)
        waits += ["begin"] * (first and i == 0)
        signals += ["written"] * (last and i == end)
        if step.load and i == 1:
            waits += ["loaded"] * first
            signals += ["buffer"] * last
        yield Task(stage.engine, stage.engine, stage.cycles, tuple(waits), tuple(signals))
