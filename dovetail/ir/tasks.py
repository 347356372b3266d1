"""Task programs: tasks of given lengths on engines that meet through tokens, with hardware loops.

The program form of families whose engines work side by side. One sequence; each engine takes its
own tasks in order. A task starts when its engine is free and every token that it waits for is
there, ends `cycles` later, and hands out its signals `delay` cycles after that: a pipeline that
holds nobody up. Tokens of one name form a queue; a task takes the one that was signalled first.

A bounded FIFO of depth d between a producer and a consumer is two tokens: `free`, d of which are
there at the start, and `full`. The producer waits for `free` and signals `full`; the consumer waits
for `full` and signals `free`: a place is taken until its reader has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from dovetail.errors import MappingError

MAX_INITIAL = 1_000_000
"""Tokens of one name at the start: a queue is kept one by one."""


@dataclass(frozen=True, slots=True)
class Task:
    """Work that holds one engine.

    Attributes:
        name: for reports; tasks of one name are counted together.
        engine: where it runs.
        cycles: how long; 0 only passes tokens on.
        waits: tokens that it takes, one for each mention.
        signals: tokens that it hands out when it ends, one for each mention. One that no task
            waits for has no effect.
        delay: cycles between its end and its signals.

    Raises:
        MappingError: if it takes less than no time, or no whole number of cycles.
    """

    name: str
    engine: str
    cycles: int
    waits: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    delay: int = 0

    def __post_init__(self) -> None:
        for what, cycles in (("takes", self.cycles), ("signals after", self.delay)):
            if not isinstance(cycles, int) or cycles < 0:
                raise MappingError(
                    f"task '{self.name}' {what} {cycles!r} cycles: must be an int >= 0"
                )


@dataclass(frozen=True, slots=True)
class TaskLoop:
    """Repeats its body `count` times.

    Raises:
        MappingError: if it has no iterations, or nothing to repeat.
    """

    count: int
    body: tuple[Task | TaskLoop, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 1 or not self.body:
            raise MappingError(
                f"loop of {self.count!r} x {len(self.body)} items: must repeat something at least "
                "once"
            )


Body: TypeAlias = tuple[Task | TaskLoop, ...]


class Balance(NamedTuple):
    """What a body does to the queue of one token.

    Attributes:
        net: tokens more after it than before.
        low: the fewest on the way, counted from those before it; 0 or negative.
        taker: task that leaves the fewest.
    """

    net: int = 0
    low: int = 0
    taker: str = ""


def balance(body: Body) -> dict[str, Balance]:
    """What a body does to the queues of the tokens that its tasks mention."""
    found: dict[str, Balance] = {}
    for item in body:
        for token, step in _steps(item).items():
            before = found.get(token, Balance())
            low = before.net + step.low
            lowest = (low, step.taker) if low < before.low else (before.low, before.taker)
            found[token] = Balance(before.net + step.net, *lowest)
    return found


def _steps(item: Task | TaskLoop) -> dict[str, Balance]:
    if isinstance(item, TaskLoop):
        return {
            token: Balance(
                item.count * once.net, once.low + min(0, (item.count - 1) * once.net), once.taker
            )
            for token, once in balance(item.body).items()
        }
    found = {}
    for token in (*item.waits, *item.signals):
        taken = item.waits.count(token)
        found[token] = Balance(item.signals.count(token) - taken, -taken, item.name)
    return found


@dataclass(frozen=True)
class TaskProgram:
    """Tasks in an order in which they could run one by one.

    Attributes:
        body: the sequence.
        tokens: how many of each token are there at the start; of others, none.

    Raises:
        MappingError: if a task waits for a token that is not signalled before it in the sequence:
            engines would wait for each other.
    """

    body: Body
    tokens: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for token, count in self.tokens.items():
            if not isinstance(count, int) or not 0 <= count <= MAX_INITIAL:
                raise MappingError(
                    f"{count!r} tokens '{token}' at the start: must be 0 to {MAX_INITIAL:,}; where "
                    "room is unlimited, do not wait for it"
                )
        for token, found in balance(self.body).items():
            held = self.tokens.get(token, 0)
            if held + found.low < 0:
                raise MappingError(_starved(self, token, held, found))


def _starved(program: TaskProgram, token: str, held: int, found: Balance) -> str:
    if not _signalled(program.body, token) and token not in program.tokens:
        return f"task '{found.taker}' waits for unknown token '{token}': no task signals it"
    return (
        f"program deadlocks: task '{found.taker}' lacks {-(held + found.low)} tokens '{token}' "
        f"({held} at the start): signal them earlier in the sequence"
    )


def _signalled(body: Body, token: str) -> bool:
    return any(
        _signalled(item.body, token) if isinstance(item, TaskLoop) else token in item.signals
        for item in body
    )
