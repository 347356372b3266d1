"""Contiguous placement of one group of stays: a greedy that learns, then an exact search."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REPAIRS = 60
"""Blocks that move forward in an order before the next order is tried."""

FEW = 14
"""Blocks that the exact search takes on sooner than shaken orders."""

SHAKES = 16
"""Random orders of each kind."""

MAX_NODES = 200_000
"""States of the exact search."""


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle: bytes over the steps start to end, both included."""

    start: int
    end: int
    size: int


@dataclass(frozen=True)
class Packed:
    """Addresses of all blocks, or none; `proven` if there are none to be found."""

    addresses: tuple[int, ...] | None
    proven: bool = True


def pack(
    blocks: Sequence[Block],
    capacity: int,
    fixed: Mapping[int, int] | None = None,
    *,
    first: Collection[int] = (),
    upside_down: bool = False,
    max_nodes: int = MAX_NODES,
    deadline: float = float("inf"),
) -> Packed:
    """Places blocks so that those that share a step share no byte.

    Args:
        blocks: rectangles.
        capacity: bytes.
        fixed: addresses that are given, by block.
        first: blocks that the greedy places lowest, so that they leave one hole above them.
        upside_down: whether addresses count from the top.
        max_nodes: bound of the exact search.
        deadline: `time.monotonic()` at which it gives up.
    """
    pinned = dict(fixed or {})
    if upside_down:
        pinned = {i: capacity - a - blocks[i].size for i, a in pinned.items()}
        mirrored = pack(
            blocks, capacity, pinned, first=first, max_nodes=max_nodes, deadline=deadline
        )
        if mirrored.addresses is None:
            return mirrored
        flipped = zip(mirrored.addresses, blocks, strict=True)
        return Packed(tuple(capacity - a - b.size for a, b in flipped))
    over = [
        [j for j, b in enumerate(blocks) if j != i and b.start <= a.end and a.start <= b.end]
        for i, a in enumerate(blocks)
    ]
    if any(_clash(blocks, over, pinned, i, capacity) for i in pinned):
        return Packed(None)
    addresses = _greedy(blocks, over, capacity, pinned, first)
    if addresses is not None:
        return Packed(addresses)
    if max_nodes < 1:
        return Packed(None, proven=False)
    search = _Search(blocks, over, capacity, pinned, max_nodes, deadline)
    found = search.run()
    return Packed(found, proven=found is not None or not search.stopped)


def _clash(
    blocks: Sequence[Block], over: list[list[int]], pinned: dict[int, int], i: int, capacity: int
) -> bool:
    low, high = pinned[i], pinned[i] + blocks[i].size
    return (
        low < 0
        or high > capacity
        or any(j in pinned and pinned[j] < high and low < pinned[j] + blocks[j].size
               for j in over[i])
    )  # fmt: skip


def _greedy(
    blocks: Sequence[Block], over: list[list[int]], capacity: int, pinned: dict[int, int],
    first: Collection[int],
) -> tuple[int, ...] | None:  # fmt: skip
    """Lowest fit in several orders; what does not fit moves to an earlier place."""
    free = [i for i in range(len(blocks)) if i not in pinned]
    rng = np.random.default_rng(0)
    for queue in _queues(blocks, free, first, rng):
        for _ in range(REPAIRS):
            placed, failed = _lowest(blocks, over, capacity, pinned, queue)
            if failed is None:
                return tuple(placed[i] for i in range(len(blocks)))
            place = queue.index(failed)
            if not place:
                break
            queue.insert(int(place * rng.random()), queue.pop(place))
    return None


def _queues(
    blocks: Sequence[Block],
    free: Sequence[int],
    first: Collection[int],
    rng: np.random.Generator,
) -> Iterator[list[int]]:
    """Orders to place in: by size, by area, as they come; then sizes shaken a little."""
    size = np.array([blocks[i].size for i in free], dtype=np.float64)
    steps = np.array([_steps(blocks[i]) for i in free], dtype=np.float64)
    start = np.array([blocks[i].start for i in free], dtype=np.float64)
    later = np.array([i not in first for i in free])
    keys = [-size, -steps * size, start]
    keys += [-size * steps**power * rng.uniform(0.7, 1.0, len(free))
             for power in (0.5, 1.0) for _ in range(SHAKES if len(free) > FEW else 0)]  # fmt: skip
    for key in keys:
        yield [free[k] for k in np.lexsort((start, key, later))]


def _lowest(
    blocks: Sequence[Block], over: list[list[int]], capacity: int, pinned: dict[int, int],
    queue: list[int],
) -> tuple[dict[int, int], int | None]:  # fmt: skip
    placed = dict(pinned)
    for i in queue:
        taken = sorted((placed[j], placed[j] + blocks[j].size) for j in over[i] if j in placed)
        low = 0
        for start, end in taken:
            if start - low >= blocks[i].size:
                break
            low = max(low, end)
        if low + blocks[i].size > capacity:
            return placed, i
        placed[i] = low
    return placed, None


class _Search:
    """Depth first over placements in order of address, every block as low as it goes.

    Complete: pushing blocks down until each lies on the floor or on another leaves a placement
    that is found by placing blocks in order of address, each on the highest top below it.
    """

    def __init__(
        self, blocks: Sequence[Block], over: list[list[int]], capacity: int,
        pinned: dict[int, int], max_nodes: int, deadline: float,
    ) -> None:  # fmt: skip
        self.blocks, self.over, self.capacity, self.pinned = blocks, over, capacity, pinned
        self.nodes, self.max_nodes, self.deadline = 0, max_nodes, deadline
        self.stopped = False
        starts = sorted({b.start for b in blocks})
        self.columns = [[i for i, b in enumerate(blocks) if b.start <= t <= b.end] for t in starts]

    def run(self) -> tuple[int, ...] | None:
        placed: dict[int, int] = {}
        floor = [0] * len(self.blocks)
        if not self._descend(placed, floor, 0):
            return None
        return tuple(placed[i] for i in range(len(self.blocks)))

    def _descend(self, placed: dict[int, int], floor: list[int], level: int) -> bool:
        if len(placed) == len(self.blocks):
            return True
        self.nodes += 1
        if self.nodes > self.max_nodes or time.monotonic() > self.deadline:
            self.stopped = True
            return False
        for address, i in self._choices(placed, floor, level):
            top = address + self.blocks[i].size
            placed[i] = address
            raised = floor.copy()
            for j in self.over[i]:
                raised[j] = max(raised[j], top)
            if self._fits(placed, raised, address) and self._descend(placed, raised, address):
                return True
            del placed[i]
            if self.stopped:
                return False
        return False

    def _choices(
        self, placed: dict[int, int], floor: list[int], level: int
    ) -> list[tuple[int, int]]:
        """Blocks that may come next, lowest and largest first; equal blocks once."""
        open_ = [i for i in range(len(self.blocks)) if i not in placed]
        # A block that fits below the next address could move there: least sums never leave it.
        limit = min(
            (floor[i] + self.blocks[i].size for i in open_ if i not in self.pinned),
            default=self.capacity + 1,
        )
        found: list[tuple[int, int]] = []
        shapes: set[Block] = set()
        for i in open_:
            address = self.pinned.get(i, floor[i])
            if not max(level, floor[i]) <= address < limit:
                continue
            if address + self.blocks[i].size > self.capacity:
                continue
            if i in self.pinned:
                found.append((address, i))
            elif self.blocks[i] not in shapes and self._clears(placed, i, address):
                shapes.add(self.blocks[i])
                found.append((address, i))
        blocks = self.blocks
        found.sort(key=lambda row: (row[0], -blocks[row[1]].size * _steps(blocks[row[1]])))
        return found

    def _clears(self, placed: dict[int, int], i: int, address: int) -> bool:
        """Whether block i stays below the pinned blocks that come later."""
        top = address + self.blocks[i].size
        return all(
            self.pinned[j] >= top for j in self.over[i] if j in self.pinned and j not in placed
        )

    def _fits(self, placed: dict[int, int], floor: list[int], level: int) -> bool:
        """Whether every column can still hold what is not placed."""
        for column in self.columns:
            rest = [i for i in column if i not in placed]
            if not rest:
                continue
            low = min(max(floor[i], level) for i in rest)
            if low + sum(self.blocks[i].size for i in rest) > self.capacity:
                return False
            if any(max(floor[i], level) + self.blocks[i].size > self.capacity for i in rest):
                return False
        return True


def _steps(block: Block) -> int:
    return block.end - block.start + 1
