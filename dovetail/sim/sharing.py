"""Tasks on cores that share the bandwidth of one memory: an exact fluid simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One operator on one core.

    Attributes:
        core: index of the core.
        duration: time alone, with no other core at work.
        bytes: that it moves to and from the shared memory, evenly over its time.
        needs: indices of tasks that end before it starts; all before it.
    """

    core: int
    duration: float
    bytes: float
    needs: tuple[int, ...] = ()


def share(tasks: Sequence[Task], bandwidth: float) -> list[tuple[float, float]]:
    """Start and end of every task; each core runs its own in the order given.

    While the running tasks together want more than the bandwidth, all of them slow down by the
    same factor, so that exactly the bandwidth is moved: the total time is never below the total
    of bytes over the bandwidth.

    Args:
        tasks: in an order in which every one stands behind those that it needs.
        bandwidth: bytes per unit of time; no task alone wants more.
    """
    cores = 1 + max((task.core for task in tasks), default=0)
    queues: list[list[int]] = [[] for _ in range(cores)]
    for index in range(len(tasks) - 1, -1, -1):
        queues[tasks[index].core].append(index)
    times: list[tuple[float, float]] = [(0.0, 0.0)] * len(tasks)
    done = [False] * len(tasks)
    running: dict[int, float] = {}  # remaining time alone, by task
    now, count = 0.0, 0
    while count < len(tasks):
        busy = {tasks[index].core for index in running}
        for core, queue in enumerate(queues):
            if core not in busy and queue and all(done[need] for need in tasks[queue[-1]].needs):
                index = queue.pop()
                running[index] = tasks[index].duration
                times[index] = (now, now)
        rate = sum(_rate(tasks[index]) for index in running)
        speed = min(1.0, bandwidth / rate) if rate > 0 else 1.0
        step = min(running.values())
        now += step / speed
        for index in list(running):
            running[index] -= step
            if running[index] <= 0:
                del running[index]
                done[index] = True
                count += 1
                times[index] = (times[index][0], now)
    return times


def _rate(task: Task) -> float:
    return task.bytes / task.duration if task.duration > 0 else 0.0
