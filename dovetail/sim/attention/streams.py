"""Task programs of kernels that stream: loads, work and stores of successive chunks overlap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise

from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram
from dovetail.sim.attention.programs import ARRAY, DRAM, VECTOR


@dataclass(frozen=True, slots=True)
class Streamed:
    """A kernel whose chunks are loaded, computed and stored, each while others are.

    Attributes:
        chunks: how many.
        steps: (engine, ticks) of a chunk, in order.
        load: ticks of memory before them.
        store: ticks of memory after them.
    """

    chunks: int
    steps: tuple[tuple[str, int], ...]
    load: int
    store: int

    def program(self) -> TaskProgram:
        """The tasks: two buffers between any two of them."""
        ends = len(self.steps)
        load = Task("load", DRAM, self.load, ("free 0",), ("full 0",))
        body = []
        for i, (engine, ticks) in enumerate(self.steps):
            waits = (f"full {i}", f"free {i + 1}")
            body.append(Task(f"step {i}", engine, ticks, waits, (f"full {i + 1}", f"free {i}")))
        store = Task("store", DRAM, self.store, (f"full {ends}",), (f"free {ends}",))
        # Two chunks are loaded, and the first step taken, before the one before is finished.
        begin, rest = (*body[:1],), (*body[1:], store)
        tokens = {f"free {i}": 2 for i in range(ends + 1)}
        if self.chunks == 1:
            return TaskProgram((load, *begin, *rest), tokens)
        more: Body = ()
        if self.chunks > 2:
            more = (TaskLoop(self.chunks - 2, (load, *begin, *rest)),)
        return TaskProgram((load, load, *begin, *more, *begin, *rest, *rest), tokens)


@dataclass(frozen=True, slots=True)
class SlicedProduct:
    """A matrix product, one tile of outputs after the other, operands in slices of the sum.

    Attributes:
        tiles: of outputs.
        slices: of each.
        array: ticks of a slice.
        vector: ticks of a tile's outputs on 1D PEs; 0 for none.
        load: ticks of memory for the operands of a slice.
        store: ticks of memory for the outputs of a tile.
    """

    tiles: int
    slices: int
    array: int
    vector: int
    load: int
    store: int

    def program(self) -> TaskProgram:
        """The tasks: two slices are loaded ahead; a tile is stored beside the next one."""
        ahead = min(2, self.tiles * self.slices)
        load = Task("load", DRAM, self.load, ("free",), ("full",))
        # The last slices are loaded already: they are in the last tile, or the last two tiles.
        short = self.tiles - (1 if self.slices > 1 else ahead)
        ends = sorted({0, 1, short, self.tiles})
        body: list[Task | TaskLoop] = [load] * ahead
        for first, end in pairwise(ends):
            loads = self.slices if first < short else max(0, self.slices - ahead)
            body.append(TaskLoop(end - first, self._tile(load, loads, stores=first > 0)))
        tokens = {"free": 2, "room": 2, "place": 2}
        return TaskProgram((*body, self._store()), tokens)

    def _tile(self, load: Task, loads: int, *, stores: bool) -> Body:
        """The slices of a tile, the first `loads` with a load of a later one; then its outputs."""
        body: list[Task | TaskLoop] = []
        for (loaded, ends), run in groupby(
            (i < loads, i == self.slices - 1) for i in range(self.slices)
        ):
            waits, signals = ("full", *["room"] * ends), ("free", *["sums"] * ends)
            inner = (Task("product", ARRAY, self.array, waits, signals), *[load] * loaded)
            body.append(TaskLoop(len(list(run)), inner))
        store = (self._store(),) * stores
        if not self.vector:
            return (*store, *body)
        # Results come late: loads must not queue behind their store.
        waits, signals = ("sums", "place"), ("results", "room")
        return (*body, Task("outputs", VECTOR, self.vector, waits, signals), *store)

    def _store(self) -> Task:
        waits, signals = (("results",), ("place",)) if self.vector else (("sums",), ("room",))
        return Task("store", DRAM, self.store, waits, signals)
