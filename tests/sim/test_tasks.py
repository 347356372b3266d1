"""Task programs: exactness of the leaps over loops, and what is refused."""

from __future__ import annotations

import time
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram, balance
from dovetail.sim.task_machine import machine, maxplus
from dovetail.sim.tasks import TaskTimes, run

TOKENS = ("a", "b", "c", "d")


def unrolled(body: Body) -> list[Task]:
    found: list[Task] = []
    for item in body:
        if isinstance(item, TaskLoop):
            found += unrolled(item.body) * item.count
        else:
            found.append(item)
    return found


def reference(program: TaskProgram) -> TaskTimes:
    """Plays every task one by one, as the words of `dovetail.ir.tasks` say."""
    held = {token: deque([0] * count) for token, count in program.tokens.items()}
    events = []
    free: dict[str, int] = {}
    for task in unrolled(program.body):
        start = free.get(task.engine, 0)
        for token in task.waits:
            start = max(start, held[token].popleft())
        free[task.engine] = start + task.cycles
        for token in task.signals:
            held.setdefault(token, deque()).append(start + task.cycles + task.delay)
        events.append((task.name, task.engine, start, start + task.cycles))
    engines = dict.fromkeys(engine for _, engine, _, _ in events)
    names = dict.fromkeys(name for name, _, _, _ in events)
    first = {e: next(s for _, at, s, _ in events if at == e) for e in engines}
    busy = {e: sum(end - s for _, at, s, end in events if at == e) for e in engines}
    return TaskTimes(
        cycles=max([end for *_, end in events], default=0),
        busy=busy,
        wait={e: free[e] - first[e] - busy[e] for e in engines},
        first_start=first,
        last_end=free,
        task_busy={n: sum(end - s for at, _, s, end in events if at == n) for n in names},
        task_count={n: sum(at == n for at, *_ in events) for n in names},
        events=tuple(events),
    )


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    return Task(
        name=draw(st.sampled_from("pqr")),
        engine=draw(st.sampled_from("XYZW")),
        cycles=draw(st.integers(0, 12)),
        waits=tuple(draw(st.lists(st.sampled_from(TOKENS), max_size=2))),
        signals=tuple(draw(st.lists(st.sampled_from(TOKENS), max_size=2))),
        delay=draw(st.sampled_from((0, 0, 5, 30))),
    )


def evened(body: Body) -> Body:
    """The body and a task that puts back, or takes, what it took or left."""
    nets = {token: found.net for token, found in balance(body).items()}
    waits = tuple(t for t, net in nets.items() for _ in range(net))
    signals = tuple(t for t, net in nets.items() for _ in range(-net))
    return (*body, Task("even", "X", 3, waits, signals)) if waits or signals else body


@st.composite
def bodies(draw: st.DrawFn, depth: int = 2, times: int = 60) -> Body:
    items: list[Task | TaskLoop] = []
    for _ in range(draw(st.integers(1, 4))):
        if depth and draw(st.booleans()):
            count = draw(st.integers(1, times))
            inner = draw(bodies(depth - 1, max(1, times // 6)))
            items.append(TaskLoop(count, evened(inner) if draw(st.integers(0, 3)) else inner))
        else:
            items.append(draw(tasks()))
    return tuple(items)


@st.composite
def programs(draw: st.DrawFn) -> TaskProgram:
    body = draw(bodies())
    spare = draw(st.integers(0, 5))
    return TaskProgram(body, {t: spare - found.low for t, found in balance(body).items()})


def same(program: TaskProgram) -> None:
    want = reference(program)
    found = run(program, trace=50)
    assert found == TaskTimes(
        want.cycles, want.busy, want.wait, want.first_start, want.last_end, want.task_busy,
        want.task_count, want.events[:50],
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(programs())
def test_equals_playing_every_task(program: TaskProgram) -> None:
    same(program)


def soon(size: int, _count: int) -> int:
    """Matrices at once, where they are small."""
    return 0 if size < 40 else 10**9


@settings(max_examples=60, deadline=None)
@given(programs())
def test_matrix_powers_equal_playing_every_task(program: TaskProgram) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "work_of_power", soon)
        same(program)


@settings(max_examples=10, deadline=None)
@given(programs())
def test_matrices_of_large_numbers_equal_playing_every_task(program: TaskProgram) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "work_of_power", soon)
        patch.setattr(maxplus, "WORD", 0)
        same(program)


def fifo(count: int, *cycles: int, depth: int = 2) -> TaskProgram:
    """A pipeline of engines with bounded FIFOs between them."""
    last = len(cycles) - 1
    body = tuple(
        Task(
            f"t{i}", f"e{i}", length,
            (*([f"full{i}"] if i else []), *([f"free{i + 1}"] if i < last else [])),
            (*([f"free{i}"] if i else []), *([f"full{i + 1}"] if i < last else [])),
        )
        for i, length in enumerate(cycles)
    )  # fmt: skip
    return TaskProgram((TaskLoop(count, body),), {f"free{i + 1}": depth for i in range(last)})


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_pipeline_converges_to_its_slowest_stage(depth: int) -> None:
    count = 10**12
    found = run(fifo(count, 3, 8, 5, depth=depth))
    pace = 8 if depth > 1 else 8 + 5  # a single place is taken until its reader has ended
    assert found.cycles == 3 + pace * count + (5 if depth > 1 else 0)
    assert found.busy == {"e0": 3 * count, "e1": 8 * count, "e2": 5 * count}


def test_engines_that_drift_apart() -> None:
    """The first is never held up; its tokens pile up in time, not in number."""
    count = 10**15
    body = (
        Task("fast", "x", 3, (), ("go",)),
        Task("slow", "y", 7, ("go",), ("done",)),
        Task("last", "z", 5, ("done",)),
    )
    found = run(TaskProgram((TaskLoop(count, body),)))
    assert found.last_end == {"x": 3 * count, "y": 3 + 7 * count, "z": 8 + 7 * count}
    assert found.wait == {"x": 0, "y": 0, "z": 2 * (count - 1)}


def test_overtaken_after_a_billion_iterations() -> None:
    """One engine starts far ahead and is slower; who is waited for changes once."""
    count, head = 10**10, 10**9
    body = (
        Task("a", "x", 4, (), ("a",)),
        Task("b", "y", 5, (), ("b",)),
        Task("c", "z", 1, ("a", "b")),
    )
    program = TaskProgram((Task("late", "x", head), TaskLoop(count, body)))
    assert run(program).cycles == 5 * count + 1
    program = TaskProgram((Task("late", "x", head), TaskLoop(head - 1, body)))
    assert run(program).cycles == head + 4 * (head - 1) + 1


def test_beyond_64_bits() -> None:
    body = (Task("a", "x", 10**15, (), ("a",)), Task("b", "y", 10**16, ("a",)))
    count = 10**12
    found = run(TaskProgram((TaskLoop(count, (*body, TaskLoop(count, body))),)))
    assert found.cycles == 10**15 + 10**16 * (count * (count + 1))


def test_nested_loops_are_quick() -> None:
    inner = TaskLoop(10**6, fifo(1, 3, 8, 5).body[0].body)  # type: ignore[union-attr]
    outer = TaskLoop(10**6, (Task("load", "e0", 40), inner, Task("store", "e2", 9)))
    begin = time.process_time()
    found = run(TaskProgram((outer,), {"free1": 2, "free2": 2}))
    assert time.process_time() - begin < 1
    assert found.busy["e1"] == 8 * 10**12
    small = TaskProgram(
        (TaskLoop(7, (outer.body[0], TaskLoop(50, inner.body), outer.body[2])),),
        {"free1": 2, "free2": 2},
    )
    same(small)


def test_tokens_left_by_a_loop_are_found_after_it() -> None:
    body = (
        TaskLoop(9, (Task("make", "x", 5, (), ("t",)),)),
        Task("other", "y", 1),
        TaskLoop(9, (Task("take", "y", 2, ("t",)),)),
    )
    same(TaskProgram(body))
    assert run(TaskProgram(body)).cycles == 47


def test_signals_that_nobody_awaits_do_not_pile_up() -> None:
    body = (Task("a", "x", 2, (), ("unread",)),)
    assert run(TaskProgram((TaskLoop(10**12, body),))).cycles == 2 * 10**12


def test_empty_program() -> None:
    assert run(TaskProgram(())).cycles == 0


def test_time_of_a_long_task_list() -> None:
    program = TaskProgram((TaskLoop(3, unrolled_pipeline(40_000)),), {"f": 4})
    begin = time.process_time()
    run(program)
    assert time.process_time() - begin < 2


def unrolled_pipeline(count: int) -> Body:
    pair = (Task("p", "x", 2, ("f",), ("g",)), Task("c", "y", 3, ("g",), ("f",)))
    return pair * (count // 2)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Task("t", "x", -1), "task 't' takes -1 cycles"),
        (lambda: Task("t", "x", 1.5), "task 't' takes 1.5 cycles"),  # type: ignore[arg-type]
        (lambda: TaskLoop(0, (Task("t", "x", 1),)), "loop of 0 x 1 items"),
        (lambda: TaskLoop(2, ()), "loop of 2 x 0 items"),
        (lambda: TaskProgram((Task("t", "x", 1, ("a",)),)), "waits for unknown token 'a'"),
        (
            lambda: TaskProgram((Task("t", "x", 1, ("a",)), Task("s", "y", 1, (), ("a",)))),
            "program deadlocks: task 't' lacks 1 tokens 'a'",
        ),
        (
            lambda: TaskProgram((TaskLoop(10**10, (Task("t", "x", 1, ("a",)),)),), {"a": 5}),
            "task 't' lacks 9999999995 tokens 'a'",
        ),
        (lambda: TaskProgram((), {"a": -1}), "-1 tokens 'a' at the start"),
        (lambda: TaskProgram((), {"a": 10**9}), "1000000000 tokens 'a' at the start"),
    ],
)
def test_illegal(make, line: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MappingError) as caught:
        make()
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loop_that_never_repeats_is_refused_at_once() -> None:
    body = (
        TaskLoop(10**10, (Task("make", "x", 1, (), ("t",)),)),
        TaskLoop(10**10, (Task("take", "y", 1, ("t",)),)),
    )
    with pytest.raises(MappingError, match="leaves more or fewer tokens 't'"):
        run(TaskProgram(body))
