"""A section as a task program: stages, edges of the mesh and memories pass tiles through FIFOs.

Everything that handles a tile has a level (`dovetail.sim.rdu.section.Levels`): tile t is its turn
in step t + level. All steps that every level takes part in are one hardware loop; those before
fill the pipeline, those after drain it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dovetail.ir.tasks import Task, TaskLoop, TaskProgram
from dovetail.mappers.rdu.sections import Section
from dovetail.sim.rdu.section import PARTS

HBM, DDR, SOCKETS = "hbm", "ddr", "sockets"

Emit = Callable[[bool], Iterator[Task | TaskLoop]]
"""Tasks of one tile; given whether it is the first."""


@dataclass(frozen=True)
class _Turn:
    """What handles a tile: its level, its place in a step among others of that level, its tasks."""

    level: int
    rank: int
    emit: Emit


@dataclass
class _Writer:
    """Collects what handles tiles, and the places of the FIFOs between."""

    section: Section

    def __post_init__(self) -> None:
        outline, costs = self.section.outline, self.section.costs
        count = len(outline.members)
        self.at = self.section.column
        self.waits: list[list[str]] = [[] for _ in range(count)]
        self.signals: list[list[str]] = [[] for _ in range(count)]
        self.once: list[list[str]] = [[] for _ in range(count)]
        self.tokens: dict[str, int] = {}
        self.turns: list[_Turn] = []
        self.before: dict[int, list[Task]] = {}
        self.after: dict[int, list[Task]] = {}
        self.kept = {HBM: 0, DDR: 0}
        for index in range(len(outline.edges)):
            self._edge(index)
        for position in range(count):
            self._loads(position, HBM, costs.near.loads, costs.near.once)
            self._loads(position, DDR, costs.far.loads, costs.far.once)
            self._store(position)
        for position in range(count):
            self._stage(position)
        self.turns.sort(key=lambda turn: (-turn.level, turn.rank))

    def of(self, table: Any, position: int) -> int:
        """An entry of a table of costs (s, t) or (e, t), for the number of tiles chosen."""
        return int(table[position, self.at])

    def _turn(self, level: int, rank: int, *tasks: Task) -> None:
        self.turns.append(_Turn(level, rank, lambda first: iter(tasks)))

    def _edge(self, index: int) -> None:
        edge, levels = self.section.outline.edges[index], self.section.costs.levels
        name = f"{edge.producer}>{edge.consumer}"
        self.tokens |= {f"{name}.room": 2, f"{name}.free": self.of(levels.held, index)}
        self.waits[edge.producer].append(f"{name}.room")
        self.signals[edge.producer].append(f"{name}.out")
        self.waits[edge.consumer].append(f"{name}.in")
        self.signals[edge.consumer].append(f"{name}.free")
        cycles = self.of(self.section.costs.wires, index)
        waits, signals = (f"{name}.out", f"{name}.free"), (f"{name}.room", f"{name}.in")
        task = Task(f"wire {name}", f"wire {name}", cycles, waits, signals)
        self._turn(self.of(levels.wires, index), 3 * edge.producer + 2, task)

    def _loads(self, position: int, memory: str, loads: Any, once: Any) -> None:
        """What stays, in the first steps in which its memory has room, and a load per tile."""
        name = f"{memory}.{position}"
        if fixed := self.of(once, position):
            self._keep(position, memory, fixed)
        if not (cycles := self.of(loads, position)):
            return
        self.tokens[f"{name}.free"] = 2
        self.waits[position].append(f"{name}.in")
        self.signals[position].append(f"{name}.free")
        load = Task(f"load {position}", memory, cycles, (f"{name}.free",), (f"{name}.in",))
        if self.section.tiles == 1:
            self.before.setdefault(0, []).append(load)
        else:
            self._turn(self.of(self.section.costs.levels.stages, position), 3 * position, load)

    def _keep(self, position: int, memory: str, cycles: int) -> None:
        name = f"{memory}.{position}.kept"
        self.once[position].append(name)
        room = int(self.section.costs.rooms[int(memory == DDR), self.at])
        last = self.of(self.section.costs.levels.stages, position)
        begin, end = self.kept[memory], self.kept[memory] + cycles
        self.kept[memory] = end
        while begin < end:
            step = min(begin // room, last)
            until = end if step == last else min(end, (step + 1) * room)
            signals = (name,) if until == end else ()
            keep = Task(f"keep {position}", memory, until - begin, (), signals)
            # What no stage of this step waits for comes after the step's tiles.
            (self.before if step == last else self.after).setdefault(step, []).append(keep)
            begin = until

    def _store(self, position: int) -> None:
        if not self.section.outline.stored[position]:
            return
        name, levels = f"store.{position}", self.section.costs.levels
        self.tokens[f"{name}.free"] = self.of(levels.stored, position)
        self.waits[position].append(f"{name}.free")
        self.signals[position].append(f"{name}.out")
        cycles = self.of(self.section.costs.near.stores, position)
        store = Task(f"store {position}", HBM, cycles, (f"{name}.out",), (f"{name}.free",))
        self._turn(int(levels.stores[self.at]), position, store)

    def _stage(self, position: int) -> None:
        """All of a tile at once, or in parts, each with its part of what does not stay."""
        costs, name = self.section.costs, f"stage {position}"
        engine = name if self.section.outline.computing[position] else SOCKETS
        cycles = self.of(costs.compute, position)
        waits, signals = tuple(self.waits[position]), tuple(self.signals[position])
        once = tuple(self.once[position])
        loads, taken, given = self._streams(position)

        def whole(first: bool) -> Iterator[Task | TaskLoop]:
            yield Task(name, engine, cycles, waits + once * first, signals)

        def parts(first: bool) -> Iterator[Task | TaskLoop]:
            share = -(-cycles // PARTS)
            yield from (*loads, Task(name, engine, share, waits + once * first + taken, given))
            middle = Task(name, engine, share, taken, given)
            yield TaskLoop(PARTS - 2, (*loads, middle))
            yield from (*loads, Task(name, engine, share, taken, given + signals))

        level = self.of(costs.levels.stages, position)
        self.turns.append(_Turn(level, 3 * position + 1, parts if loads else whole))

    def _streams(self, position: int) -> tuple[tuple[Task, ...], tuple[str, ...], tuple[str, ...]]:
        """Loads of a part of what does not stay, and the tokens that a part takes and gives."""
        loads, names = [], []
        costs = self.section.costs
        for memory, table in ((HBM, costs.near.streams), (DDR, costs.far.streams)):
            if cycles := self.of(table, position):
                name = f"{memory}.{position}.part"
                self.tokens[f"{name}.free"] = 2
                names.append(name)
                share = -(-cycles // PARTS)
                ends = (f"{name}.free",), (f"{name}.in",)
                loads.append(Task(f"stream {position}", memory, share, *ends))
        return tuple(loads), tuple(f"{n}.in" for n in names), tuple(f"{n}.free" for n in names)


def program(section: Section) -> TaskProgram:
    """The task program of a section, without its launch.

    Later levels come first within a step: what they free is there for earlier ones.
    """
    writer = _Writer(section)
    last, tiles = max(turn.level for turn in writer.turns), section.tiles
    body: list[Task | TaskLoop] = []
    for step in range(last):
        body += _step(writer, step, tiles)
    if tiles > last:
        body.append(TaskLoop(tiles - last, tuple(_step(writer, last, tiles))))
    for step in range(max(tiles, last), tiles + last):
        body += _step(writer, step, tiles)
    return TaskProgram(tuple(body), writer.tokens)


def _step(writer: _Writer, step: int, tiles: int) -> Iterator[Task | TaskLoop]:
    yield from writer.before.get(step, ())
    for turn in writer.turns:
        if 0 <= step - turn.level < tiles:
            yield from turn.emit(step == turn.level)
    yield from writer.after.get(step, ())
