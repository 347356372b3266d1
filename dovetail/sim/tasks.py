"""What a task program takes, to the cycle, however often its loops repeat.

Loops are leapt over as `dovetail.sim.task_machine` says, exactly. How busy engines are depends on
the counts alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram
from dovetail.sim.task_machine.machine import Machine, counted


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """What a task program took; all in cycles from 0.

    Attributes:
        cycles: until its last task has ended.
        busy: by engine: cycles in which it had a task.
        wait: by engine: cycles without one between its first task and the end of its last.
        first_start: by engine.
        last_end: by engine.
        task_busy: by task name, over all its runs.
        task_count: by task name: runs.
        events: (name, engine, start, end) of the first runs in program order, if asked for.
    """

    cycles: int
    busy: dict[str, int]
    wait: dict[str, int]
    first_start: dict[str, int]
    last_end: dict[str, int]
    task_busy: dict[str, int]
    task_count: dict[str, int]
    events: tuple[tuple[str, str, int, int], ...] = ()


def run(program: TaskProgram, *, trace: int = 0) -> TaskTimes:
    """Simulates a task program.

    Args:
        program: what runs.
        trace: how many runs of tasks to record.

    Raises:
        MappingError: if a loop too long to be played one by one leaves more, or fewer, tokens of
            some name in each iteration, so that nothing ever repeats.
    """
    busy: dict[str, int] = {}
    task_busy: dict[str, int] = {}
    task_count: dict[str, int] = {}
    for task, count in counted(program.body):
        cycles = count * task.cycles
        busy[task.engine] = busy.get(task.engine, 0) + cycles
        task_busy[task.name] = task_busy.get(task.name, 0) + cycles
        task_count[task.name] = task_count.get(task.name, 0) + count
    delays = sum(count * task.delay for task, count in counted(program.body))
    machine = Machine(program, list(busy), sum(busy.values()) + delays)
    machine.play(machine.code)
    last = dict(zip(busy, machine.free, strict=True))
    first = {name: machine.first[i] for i, name in enumerate(busy)}
    return TaskTimes(
        cycles=max(last.values(), default=0),
        busy=busy,
        wait={name: last[name] - first[name] - busy[name] for name in busy},
        first_start=first,
        last_end=last,
        task_busy=task_busy,
        task_count=task_count,
        events=tuple(_events(program, trace)),
    )


def _unrolled(body: Body) -> Iterator[Task]:
    for item in body:
        if isinstance(item, TaskLoop):
            for _ in range(item.count):
                yield from _unrolled(item.body)
        else:
            yield item


def _events(program: TaskProgram, limit: int) -> Iterator[tuple[str, str, int, int]]:
    """The first runs in program order, played one by one."""
    free: dict[str, int] = {}
    held = {token: deque([0] * count) for token, count in program.tokens.items()}
    for task, _ in zip(_unrolled(program.body), range(limit), strict=False):
        there = [held[token].popleft() for token in task.waits]
        start = max([free.get(task.engine, 0), *there])
        free[task.engine] = end = start + task.cycles
        for token in task.signals:
            held.setdefault(token, deque()).append(end + task.delay)
        yield task.name, task.engine, start, end
