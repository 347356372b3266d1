"""Addresses of all stays of a plan, or the stays that cannot lie side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.mappers.graph.packing import Block, Packed, pack
from dovetail.mappers.graph.plan import Stay
from dovetail.mappers.graph.problem import Problem

SHRINK_NODES = 5_000
"""Bound of each search that makes a conflict smaller."""


@dataclass(frozen=True)
class Placement:
    """Outcome of placing stays.

    Attributes:
        addresses: one per stay; None if none were found.
        conflict: stays, cut to the steps that matter, which provably have no placement; empty if
            nothing is proven.
    """

    addresses: tuple[int, ...] | None
    conflict: tuple[Stay, ...] = ()


def place(
    problem: Problem, stays: Sequence[Stay], budget: int, *, deadline: float = float("inf")
) -> Placement:
    """Finds contiguous addresses within a budget.

    Steps that only one stay crosses cut the problem into groups. A group is solved with the
    address that the stay carries in; the one that it carries out is tried at either end.
    """
    blocks = [Block(s.start, s.end, problem.items[s.item].size) for s in stays]
    groups = _groups(blocks)
    chain = _Chain(blocks, groups, budget, deadline)
    addresses = chain.run()
    if addresses is not None:
        return Placement(tuple(addresses[i] for i in range(len(blocks))))
    for group in groups:
        alone = pack([blocks[i] for i in group], budget, deadline=deadline)
        if alone.addresses is None and alone.proven:
            return Placement(None, _conflict([stays[i] for i in group], blocks, group, budget))
    whole = pack(blocks, budget, deadline=deadline)
    if whole.addresses is None and whole.proven:
        return Placement(None, _conflict(stays, blocks, range(len(blocks)), budget))
    return Placement(whole.addresses)


def _groups(blocks: Sequence[Block]) -> list[list[int]]:
    """Blocks between steps that at most one block crosses; that one is in both groups."""
    last = max(b.end for b in blocks)
    crossing = [0] * (last + 1)
    for block in blocks:
        for t in range(block.start, block.end):
            crossing[t] += 1
    groups, start = [], 0
    for t in range(last + 1):
        if t == last or crossing[t] <= 1:
            members = [i for i, b in enumerate(blocks) if b.start <= t and b.end >= start]
            if members:
                groups.append(members)
            start = t + 1
    return groups


class _Chain:
    """Groups one after the other; a group that fails makes the one before try another end."""

    def __init__(
        self, blocks: Sequence[Block], groups: list[list[int]], budget: int, deadline: float
    ) -> None:
        self.blocks, self.groups, self.budget, self.deadline = blocks, groups, budget, deadline
        self.known: dict[tuple[int, tuple[tuple[int, int], ...]], Packed] = {}

    def run(self) -> dict[int, int] | None:
        """Addresses by block, or None if this way finds none."""
        chosen: list[dict[int, int]] = []
        options = [iter(self._options(0, {}))]
        dead: set[tuple[int, int]] = set()
        while options:
            found = next(options[-1], None)
            if found is None:
                options.pop()
                if chosen:
                    dead.add((len(chosen), self._carried(len(chosen), chosen.pop())))
                continue
            number = len(options)
            if number == len(self.groups):
                return {i: a for part in (*chosen, found) for i, a in part.items()}
            if (number, self._carried(number, found)) in dead:
                continue
            if time.monotonic() > self.deadline:
                return None
            chosen.append(found)
            options.append(iter(self._options(number, found)))
        return None

    def _shared(self, number: int) -> int | None:
        """The block that group `number` has in common with the group before."""
        if not 0 < number < len(self.groups):
            return None
        both = set(self.groups[number]) & set(self.groups[number - 1])
        return next(iter(both), None)

    def _carried(self, number: int, found: dict[int, int]) -> int:
        shared = self._shared(number)
        return -1 if shared is None else found[shared]

    def _options(self, number: int, before: dict[int, int]):  # type: ignore[no-untyped-def]
        """Placements of a group, its last block at the bottom, at the top, or anywhere."""
        shared, out = self._shared(number), self._shared(number + 1)
        pinned = {} if shared is None else {shared: before[shared]}
        ends = [{}] if out is None or out in pinned else [
            {out: 0}, {out: self.budget - self.blocks[out].size}, {}
        ]  # fmt: skip
        for end in ends:
            packed = self._pack(number, {**pinned, **end})
            if packed is not None:
                yield packed

    def _pack(self, number: int, pinned: dict[int, int]) -> dict[int, int] | None:
        group = self.groups[number]
        local = {group.index(i): address for i, address in pinned.items()}
        key = (number, tuple(sorted(local.items())))
        if key not in self.known:
            blocks = [self.blocks[i] for i in group]
            self.known[key] = pack(
                blocks, self.budget, local, max_nodes=SHRINK_NODES, deadline=self.deadline
            )
        packed = self.known[key].addresses
        return None if packed is None else dict(zip(group, packed, strict=True))


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
