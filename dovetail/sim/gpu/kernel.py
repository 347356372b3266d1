"""A kernel as waves of tiles: its closed form and its task program.

A wave is one tile on every multiprocessor. Each of its steps loads operands, of which `STAGES`
steps fit, and works on them; what a wave made is stored piece by piece between the loads of the
next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram
from dovetail.sim.tasks import run

STAGES = 2
"""Steps whose operands a multiprocessor holds."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One launch; all times in cycles.

    Attributes:
        launch: from call to first load.
        waves: tiles one after the other on a multiprocessor.
        steps: of every wave.
        load: of a step's operands from off-chip memory.
        work: of a step.
        store: of as many pieces of a wave's results as it has steps, to off-chip memory.
        tail: after the last wave: adds what multiprocessors have summed apart.
    """

    launch: int
    waves: int
    steps: int
    load: int
    work: int
    store: int
    tail: int = 0

    @property
    def memory_cycles(self) -> int:
        """Off-chip memory's."""
        return self.waves * self.steps * (self.load + self.store)

    @property
    def work_cycles(self) -> int:
        """The multiprocessors'."""
        return self.waves * self.steps * self.work + self.tail

    @property
    def cycles(self) -> int:
        """Closed form: the busier engine in every step, the first fill and the last stores."""
        fill = min(self.load, self.work)
        first = self.steps * max(self.load, self.work)
        later = (self.waves - 1) * self.steps * max(self.load + self.store, self.work)
        return self.launch + fill + first + later + self.steps * self.store + self.tail

    def program(self) -> TaskProgram:
        """The kernel as tasks on the engines `host`, `memory` and `sm`."""
        launch = Task("launch", "host", self.launch, signals=("free",) * STAGES)
        rest = self.steps * self.store
        end = Task("store", "memory", rest, waits=("done",), signals=("stored",))
        tail = Task("tail", "sm", self.tail, waits=("stored",))
        later = (TaskLoop(self.waves - 1, self._wave(store=True)),) if self.waves > 1 else ()
        return TaskProgram((launch, *self._wave(store=False), *later, end, tail))

    def simulate(self) -> int:
        """Cycles of the program, exactly."""
        return run(self.program()).cycles

    def _wave(self, *, store: bool) -> Body:
        """A wave, which stores what the one before it has made, if there is one."""
        load = Task("load", "memory", self.load, waits=("free",), signals=("full",))
        work = Task("work", "sm", self.work, waits=("full",), signals=("free",))
        last = Task("work", "sm", self.work, waits=("full",), signals=("free", "done"))
        piece: Body = (Task("store", "memory", self.store),) if store else ()
        first: Body = (Task("store", "memory", self.store, waits=("done",)),) if store else ()
        if self.steps == 1:
            return (load, *first, last)
        several = self.steps > 2
        middle: Body = (TaskLoop(self.steps - 2, (load, *piece, work)),) if several else ()
        return (load, *first, work, *middle, load, *piece, last)
