"""Addresses of all stays of a plan, or the stays that cannot lie side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dovetail.mappers.graph.packing import Block, Packed, pack
from dovetail.mappers.graph.plan import Stay
from dovetail.mappers.graph.problem import Problem

SHRINK_NODES = 5_000
"""Bound of each search that makes a conflict smaller."""

GROUP_NODES = 1_000
"""Bound of each search for a group between its neighbours."""

GROUP_STEPS = (1_000_000, 96, 32, 12)
"""About the steps of a group where many stays cross everywhere, in the order of trial."""

MAX_WHOLE = 40
"""Blocks that one exact search takes on together."""

MAX_NEIGHBOURS = 8
"""Neighbouring groups that are refuted together."""

REFUTE_SECONDS = 10.0
"""Time of refuting: cuts without proof go on sooner."""

MAX_PACKINGS = 3_000
"""Groups that are packed before the chain gives up."""


@dataclass(frozen=True)
class Placement:
    """Outcome of placing stays.

    Attributes:
        addresses: one per stay; None if none were found.
        conflict: if none were found, stays (cut to the steps that matter) to blame for it.
        proven: whether the conflict provably has no placement.
    """

    addresses: tuple[int, ...] | None
    conflict: tuple[Stay, ...] = ()
    proven: bool = False


def place(
    problem: Problem, stays: Sequence[Stay], budget: int, *, deadline: float = float("inf")
) -> Placement:
    """Finds contiguous addresses within a budget.

    Steps that few stays cross cut the problem into groups. A group is solved with the addresses
    that stays carry in; what they carry out is tried low, high and anywhere.
    """
    blocks = [Block(s.start, s.end, problem.items[s.item].size) for s in stays]
    for steps in GROUP_STEPS:
        groups = _groups(blocks, steps)
        share = time.monotonic() + 0.3 * (deadline - time.monotonic())
        chain = Chain(blocks, groups, budget, share)
        addresses = chain.run()
        if addresses is not None:
            return Placement(tuple(addresses[i] for i in range(len(blocks))))
    found = _refute(stays, blocks, groups, budget, chain.deepest, deadline)
    return found or Placement(None, tuple(stays[i] for i in groups[chain.deepest]))


def _refute(
    stays: Sequence[Stay],
    blocks: Sequence[Block],
    groups: list[list[int]],
    budget: int,
    deepest: int,
    deadline: float,
) -> Placement | None:
    """A proof that some neighbouring groups have no placement, or the placement of all."""
    deadline = min(deadline, time.monotonic() + REFUTE_SECONDS)
    for low, high in _spans(len(groups), deepest):
        some = sorted({i for group in groups[low : high + 1] for i in group})
        if len(some) > MAX_WHOLE and low < high:
            continue
        packed = pack([blocks[i] for i in some], budget, max_nodes=SHRINK_NODES, deadline=deadline)
        if packed.addresses is not None and len(some) == len(blocks):
            return Placement(packed.addresses)
        if packed.addresses is None and packed.proven:
            blamed = _conflict([stays[i] for i in some], blocks, some, budget)
            return Placement(None, blamed, proven=True)
    return None


def _spans(count: int, deepest: int) -> Iterator[tuple[int, int]]:
    """First and last of neighbouring groups: around the deepest, then each alone, then all."""
    for width in range(1, min(count, MAX_NEIGHBOURS) + 1):
        for low in range(max(0, deepest - width + 1), min(deepest, count - width) + 1):
            yield low, low + width - 1
    yield from ((g, g) for g in range(count) if g != deepest)
    yield 0, count - 1


def _groups(blocks: Sequence[Block], steps: int) -> list[list[int]]:
    """Blocks between cuts: where at most one block crosses, and after at most about `steps`.

    A block that crosses a cut is in the groups on both sides.
    """
    last = max(b.end for b in blocks)
    crossing = [0] * (last + 1)
    for block in blocks:
        for t in range(block.start, block.end):
            crossing[t] += 1
    cuts, start = [], 0
    while start <= last:
        stop = next((t for t in range(start, last) if crossing[t] <= 1), last)
        while stop - start > 2 * steps:
            near = range(start + steps // 2, start + 2 * steps)
            cut = min(near, key=lambda t: (crossing[t], t))
            cuts.append((start, cut))
            start = cut + 1
        cuts.append((start, stop))
        start = stop + 1
    members = (
        [i for i, b in enumerate(blocks) if b.start <= high and b.end >= low] for low, high in cuts
    )
    return [group for group in members if group]


class Chain:
    """Groups one after the other; a group that fails makes the one before try another way."""

    def __init__(
        self, blocks: Sequence[Block], groups: list[list[int]], budget: int, deadline: float
    ) -> None:
        self.blocks, self.groups, self.budget, self.deadline = blocks, groups, budget, deadline
        self.known: dict[object, Packed] = {}
        self.deepest = 0
        pairs = pairwise(groups)
        self.shared = [set[int](), *(set(a) & set(b) for a, b in pairs), set[int]()]

    def run(self) -> dict[int, int] | None:
        """Addresses by block, or None if this way finds none."""
        chosen: list[dict[int, int]] = []
        options = [self._options(0, {})]
        dead: set[tuple[int, object]] = set()
        while options and time.monotonic() < self.deadline and len(self.known) < MAX_PACKINGS:
            number = len(options)
            found = next(options[-1], None)
            if found is None:
                options.pop()
                if chosen:
                    dead.add((number - 1, self._carried(number - 1, chosen.pop())))
            elif number == len(self.groups):
                return {i: a for part in (*chosen, found) for i, a in part.items()}
            elif (number, self._carried(number, found)) not in dead:
                self.deepest = max(self.deepest, number)
                chosen.append(found)
                options.append(self._options(number, found))
        return None

    def _carried(self, number: int, found: dict[int, int]) -> object:
        """Addresses that group `number` takes over."""
        return tuple(sorted((i, found[i]) for i in self.shared[number]))

    def _options(self, number: int, before: dict[int, int]) -> Iterator[dict[int, int]]:
        """Placements of a group: what goes on at the bottom, at the top, or anywhere."""
        pinned = {i: before[i] for i in self.shared[number]}
        out = self.shared[number + 1] - set(pinned)
        if len(out) == 1:
            (one,) = out
            for end in (0, self.budget - self.blocks[one].size):
                yield from self._pack(number, {**pinned, one: end}, set(), False)
        for upside_down in (False, True):
            yield from self._pack(number, pinned, out, upside_down)

    def _pack(
        self, number: int, pinned: dict[int, int], first: set[int], upside_down: bool
    ) -> Iterator[dict[int, int]]:
        group = self.groups[number]
        local = {group.index(i): address for i, address in pinned.items()}
        key = (number, tuple(sorted(local.items())), upside_down)
        if key not in self.known:
            self.known[key] = pack(
                [self.blocks[i] for i in group],
                self.budget,
                local,
                first={group.index(i) for i in first},
                upside_down=upside_down,
                max_nodes=GROUP_NODES if len(group) <= MAX_WHOLE else 0,
                deadline=self.deadline,
            )
        packed = self.known[key].addresses
        if packed is not None:
            yield dict(zip(group, packed, strict=True))


def _conflict(
    stays: Sequence[Stay], blocks: Sequence[Block], group: Sequence[int], budget: int
) -> tuple[Stay, ...]:
    """A small part of stays that has no placement either: fewer steps, then fewer stays."""
    kept = [(stay, blocks[i]) for stay, i in zip(stays, group, strict=True)]
    low, high = min(b.start for _, b in kept), max(b.end for _, b in kept)
    step = max(1, (high - low) // 2)
    while step:
        for narrow in ((low + step, high), (low, high - step)):
            if narrow[0] <= narrow[1] and _impossible(_clip(kept, *narrow), budget):
                low, high = narrow
                break
        else:
            step //= 2
    kept = _clip(kept, low, high)
    for row in sorted(kept, key=lambda row: row[1].size):
        rest = [r for r in kept if r is not row]
        if _impossible(rest, budget):
            kept = rest
    return tuple(stay for stay, _ in kept)


def _clip(kept: list[tuple[Stay, Block]], low: int, high: int) -> list[tuple[Stay, Block]]:
    return [
        (
            Stay(stay.item, max(stay.start, low), min(stay.end, high)),
            Block(max(block.start, low), min(block.end, high), block.size),
        )
        for stay, block in kept
        if block.start <= high and block.end >= low
    ]


def _impossible(kept: list[tuple[Stay, Block]], budget: int) -> bool:
    if not kept:
        return False
    packed = pack([block for _, block in kept], budget, max_nodes=SHRINK_NODES)
    return packed.addresses is None and packed.proven
