"""The machine that plays task programs, and leaps over their loops.

When a task ends depends on earlier ends only through max and +, in an order that the program fixes.
So an iteration maps the state (when each engine is free, and the queues of token times) by a matrix
of the max-plus algebra: the state shifted by t leads to the next one shifted by t. Two ways past a
long loop follow, both exact:

- iterations are played one by one; once the state equals an earlier one up to one shift, all that
  follows repeats, and whole periods are added up;
- if that does not happen for long, because engines drift apart, the iteration's matrix is raised to
  the power of the count by squaring.

References:
    Baccelli, Cohen, Olsder, Quadrat, Synchronization and Linearity, 1992: timed event graphs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram, balance
from dovetail.sim.task_machine.maxplus import Matrix, MaxPlus, work_of_power

MAX_PLAYED = 30_000_000
"""Tasks played one by one before a run is given up, some twenty seconds."""

Ports: TypeAlias = tuple[
    tuple[Callable[[], int], ...],
    tuple[Callable[[int], None], ...],
    tuple[int, ...],
    tuple[int, ...],
]
"""How to take what a task waits for and to leave what it signals; and the same as queue numbers."""

Step: TypeAlias = tuple[int, int, int, Ports]
State: TypeAlias = list[int]


def counted(body: Body, times: int = 1) -> Iterator[tuple[Task, int]]:
    """Every task of the text and how often it runs."""
    for item in body:
        if isinstance(item, TaskLoop):
            yield from counted(item.body, times * item.count)
        else:
            yield item, times


@dataclass(slots=True)
class _Mark:
    """Follows the first task of an engine in the text: notes when it began."""

    engine: int
    cycles: int


@dataclass(slots=True)
class _Loop:
    """A compiled loop.

    Attributes:
        count: iterations.
        code: of its body.
        tasks: in the text of its body, those of inner loops left out.
        engines: that it uses.
        queues: that it touches.
        adrift: a token of which an iteration leaves more, or fewer; "" if there is none.
        powers: matrix of all its iterations, by lengths of its queues.
    """

    count: int
    code: list[Step | _Mark | _Loop]
    tasks: int
    engines: list[int]
    queues: list[int]
    adrift: str
    powers: dict[tuple[int, ...], Matrix]


class Machine:
    """Engines and queues, and the program compiled for them."""

    def __init__(self, program: TaskProgram, engines: Sequence[str], total: int) -> None:
        """Compiles.

        Args:
            program: what runs.
            engines: names of all its engines.
            total: cycles and delays of all its tasks: no time is beyond it.
        """
        awaited = sorted({token for task, _ in counted(program.body) for token in task.waits})
        self.engines = {name: i for i, name in enumerate(engines)}
        self.tokens = {name: i for i, name in enumerate(awaited)}
        self.held = [deque([0] * program.tokens.get(name, 0)) for name in awaited]
        self.free = [0] * len(engines)
        self.first: dict[int, int] = {}
        self.ports: dict[tuple[tuple[str, ...], tuple[str, ...]], Ports] = {}
        self.played = 0
        self.algebra = MaxPlus(total)
        self.code = self._compile(program.body, set())

    def _compile(self, body: Body, begun: set[int]) -> list[Step | _Mark | _Loop]:
        code: list[Step | _Mark | _Loop] = []
        for item in body:
            if isinstance(item, TaskLoop):
                code.append(self._compile_loop(item, begun))
                continue
            engine = self.engines[item.engine]
            ports = self._ports(item.waits, item.signals)
            code.append((engine, item.cycles, item.delay, ports))
            if engine not in begun:
                begun.add(engine)
                code.append(_Mark(engine, item.cycles))
        return code

    def _ports(self, waits: tuple[str, ...], signals: tuple[str, ...]) -> Ports:
        if (waits, signals) not in self.ports:
            taken = tuple(self.tokens[token] for token in waits)
            given = tuple(self.tokens[token] for token in signals if token in self.tokens)
            self.ports[waits, signals] = (
                tuple(self.held[queue].popleft for queue in taken),
                tuple(self.held[queue].append for queue in given),
                taken,
                given,
            )
        return self.ports[waits, signals]

    def _compile_loop(self, loop: TaskLoop, begun: set[int]) -> _Loop:
        code = self._compile(loop.body, begun)
        nets = {t: found.net for t, found in balance(loop.body).items() if t in self.tokens}
        return _Loop(
            count=loop.count,
            code=code,
            tasks=sum(isinstance(item, Task) for item in loop.body),
            engines=sorted({self.engines[task.engine] for task, _ in counted(loop.body)}),
            queues=sorted(self.tokens[token] for token in nets),
            adrift=next((token for token, net in nets.items() if net), ""),
            powers={},
        )

    def play(self, code: list[Step | _Mark | _Loop]) -> None:
        """Runs code from the present state."""
        free = self.free
        for item in code:
            if item.__class__ is tuple:
                engine, cycles, delay, (pops, pushes, _, _) = item
                end = free[engine]
                for pop in pops:
                    there = pop()
                    if there > end:
                        end = there
                end += cycles
                free[engine] = end
                for push in pushes:
                    push(end + delay)
            elif isinstance(item, _Loop):
                self._play_loop(item)
            elif isinstance(item, _Mark):
                self.first.setdefault(item.engine, free[item.engine] - item.cycles)

    def _iterate(self, loop: _Loop, count: int) -> None:
        for _ in range(count):
            self.play(loop.code)
        self._account(loop, count)

    def _account(self, loop: _Loop, count: int) -> None:
        """Counts what is played one by one; gives up before it takes too long."""
        self.played += loop.tasks * count
        if self.played > MAX_PLAYED:
            raise MappingError(
                f"loop of {loop.count:,} iterations does not repeat within {MAX_PLAYED:,} tasks: "
                "shorten its queues or its loops"
            )

    def _play_loop(self, loop: _Loop) -> None:
        """Runs a loop; compares with the state at a power of two (Brent's cycle detection)."""
        if loop.adrift and loop.count * loop.tasks > MAX_PLAYED:
            raise MappingError(
                f"loop of {loop.count:,} iterations does not repeat: each leaves more or fewer "
                f"tokens '{loop.adrift}' than it found"
            )
        if loop.adrift or loop.count < 4:
            self._iterate(loop, loop.count)
            return
        entry = seen = self._state(loop)
        lengths = tuple(len(self.held[queue]) for queue in loop.queues)
        patience = self.played + work_of_power(len(entry), loop.count)
        seen_at = done = 0
        while done < loop.count:
            if lengths in loop.powers or self.played > patience:
                self._set_state(loop, self._leap(loop, lengths, entry))
                return
            self._iterate(loop, 1)
            done += 1
            shift = self._shift(loop, seen)
            if shift is not None:
                periods, rest = divmod(loop.count - done, done - seen_at)
                self._set_state(loop, [at + periods * shift for at in self._state(loop)])
                self._iterate(loop, rest)
                return
            if done & (done - 1) == 0:
                seen, seen_at = self._state(loop), done

    def _state(self, loop: _Loop) -> State:
        """When each engine of a loop is free, then the times in its queues."""
        state = [self.free[engine] for engine in loop.engines]
        for queue in loop.queues:
            state += self.held[queue]
        return state

    def _set_state(self, loop: _Loop, state: State) -> None:
        """Puts a state in place whose queues are as long as the present ones."""
        at = iter(state)
        for engine in loop.engines:
            self.free[engine] = next(at)
        for queue in loop.queues:
            times = self.held[queue]
            for i in range(len(times)):
                times[i] = next(at)

    def _shift(self, loop: _Loop, seen: State) -> int | None:
        """By how much all of the present state is later than one seen; None if not alike."""
        free = self.free
        shift = free[loop.engines[0]] - seen[0]
        if any(free[e] - at != shift for e, at in zip(loop.engines, seen, strict=False)):
            return None
        same = all(now - at == shift for now, at in zip(self._state(loop), seen, strict=True))
        return shift if same else None

    def _leap(self, loop: _Loop, lengths: tuple[int, ...], state: State) -> State:
        """The state after all iterations of a loop that finds this state."""
        return self.algebra.apply(self._power(loop, lengths), state)

    def _power(self, loop: _Loop, lengths: tuple[int, ...]) -> Matrix:
        """Max-plus matrix of all iterations of a loop."""
        if lengths not in loop.powers:
            size = len(loop.engines) + sum(lengths)
            once = self._after(loop, lengths, self.algebra.identity(size))
            loop.powers[lengths] = self.algebra.power(once, loop.count)
        return loop.powers[lengths]

    def _after(self, loop: _Loop, lengths: tuple[int, ...], rows: Matrix) -> Matrix:
        """Rows of a loop's state after one iteration, from rows before it."""
        free = dict(zip(loop.engines, rows, strict=False))
        held: dict[int, deque[Matrix]] = {}
        at = len(loop.engines)
        for queue, length in zip(loop.queues, lengths, strict=True):
            held[queue] = deque(rows[at : at + length])
            at += length
        self._play_rows(loop.code, free, held)
        self._account(loop, 1)
        return np.stack(_rows(loop, free, held))

    def _play_rows(
        self,
        code: list[Step | _Mark | _Loop],
        free: dict[int, Matrix],
        held: dict[int, deque[Matrix]],
    ) -> None:
        """Runs code on rows of max-plus matrices in place of times."""
        for item in code:
            if isinstance(item, tuple):
                engine, cycles, delay, (_, _, waits, signals) = item
                row = free[engine]
                for queue in waits:
                    row = np.maximum(row, held[queue].popleft())
                free[engine] = row = row + cycles
                for queue in signals:
                    held[queue].append(row + delay)
            elif isinstance(item, _Loop):
                self._play_rows_loop(item, free, held)

    def _play_rows_loop(
        self, loop: _Loop, free: dict[int, Matrix], held: dict[int, deque[Matrix]]
    ) -> None:
        if loop.adrift:
            for _ in range(loop.count):
                self._play_rows(loop.code, free, held)
            self._account(loop, loop.count)
            return
        lengths = tuple(len(held[queue]) for queue in loop.queues)
        after = self.algebra.times(self._power(loop, lengths), np.stack(_rows(loop, free, held)))
        free.update(zip(loop.engines, after, strict=False))
        rows = iter(after[len(loop.engines) :])
        for queue, length in zip(loop.queues, lengths, strict=True):
            held[queue] = deque(next(rows) for _ in range(length))


def _rows(loop: _Loop, free: dict[int, Matrix], held: dict[int, deque[Matrix]]) -> list[Matrix]:
    """Rows of a loop's state, in the order of `Machine._state`."""
    rows = [free[engine] for engine in loop.engines]
    for queue in loop.queues:
        rows += held[queue]
    return rows
