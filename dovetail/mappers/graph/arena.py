"""TensorFlow Lite's arena allocator, a baseline of placement: greedy by size."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.mappers.graph.packing import Block


def arena(blocks: Sequence[Block], steps: int) -> list[int]:
    """Addresses of all blocks; the arena is as large as it comes out.

    Blocks that live over all steps come first, then larger before smaller, then earlier first
    use. Each goes into the smallest gap that holds it among the placed blocks whose steps it
    shares, or on top of them.

    Args:
        blocks: rectangles.
        steps: number of steps of the schedule.

    References:
        COSMA (arXiv 2311.18246), section V-A; TensorFlow Lite's simple memory arena.
    """
    queue = sorted(
        range(len(blocks)),
        key=lambda i: (
            blocks[i].end - blocks[i].start + 1 < steps,
            -blocks[i].size,
            blocks[i].start,
        ),
    )
    addresses: dict[int, int] = {}
    for i in queue:
        taken = sorted(
            (addresses[j], addresses[j] + blocks[j].size)
            for j in addresses
            if blocks[j].start <= blocks[i].end and blocks[i].start <= blocks[j].end
        )
        addresses[i] = _best_fit(taken, blocks[i].size)
    return [addresses[i] for i in range(len(blocks))]


def _best_fit(taken: Sequence[tuple[int, int]], size: int) -> int:
    """Start of the smallest gap of at least `size`, or the top."""
    best, low = None, 0
    for start, end in taken:
        gap = start - low
        if gap >= size and (best is None or gap < best[0]):
            best = (gap, low)
        low = max(low, end)
    return low if best is None else best[1]
