"""How often a cascade must walk a whole rank: its passes, found from what depends on what.

A pass over a rank is one walk along whole fibers of a tensor. Two Einsums that walk fibers of the
same data are in different passes if, and only if, the later one needs a value that is reduced over
a whole fiber of the data that it reads once more. What is reduced over the inner part of a
partitioned rank is a summary: as long as the outer part, and no pass of its own. What is carried
along a rank is there in every iteration, without waiting for the last.

References:
    Nayak et al., FuseMax, MICRO 2024 (arXiv 2406.10491), section III.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dovetail.errors import NetworkError
from dovetail.ir.cascade import Cascade, CascadeEinsum, Read

FULL, PART, NONE = "full", "part", "none"


@dataclass(frozen=True, slots=True)
class Kept:
    """A tensor that a later pass reads once more.

    Attributes:
        tensor: what it is.
        reader: Einsum that reads it.
        written: pass in which it appears.
        read: pass in which it is read again.
        ranks: its ranks, whole ones.
        whole: True if it has the whole rank, False for a summary of tiles.
    """

    tensor: str
    reader: str
    written: int
    read: int
    ranks: tuple[str, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes of a cascade over a rank.

    Attributes:
        rank: what is walked.
        count: the fewest passes, over the data that needs the most.
        of_inputs: passes over each input that has the rank, and what is made of it.
        of_einsums: pass in which each Einsum walks the rank; 0 for those that do not.
        kept: what a later pass reads again: to be kept along the whole rank, or made again.
    """

    rank: str
    count: int
    of_inputs: dict[str, int]
    of_einsums: dict[str, int]
    kept: tuple[Kept, ...]

    @property
    def grows(self) -> bool:
        """True if what must live, or be read or made again, grows with the whole rank."""
        return any(kept.whole for kept in self.kept)


@dataclass
class _Value:
    """When a tensor is there.

    Attributes:
        streams: pass over each input in which its elements appear one after the other.
        complete: passes over each input after which it is there.
    """

    streams: dict[str, int] = field(default_factory=dict)
    complete: dict[str, int] = field(default_factory=dict)


def passes(cascade: Cascade, rank: str) -> Passes:
    """Counts the passes over a rank.

    Args:
        cascade: Einsums.
        rank: one of `cascade.ranks`.

    Raises:
        NetworkError: if the cascade has no such rank, or a carried tensor needs its own last value.
    """
    if rank not in cascade.ranks:
        raise NetworkError(
            f"cascade '{cascade.name}' has no rank '{rank}': its ranks are "
            f"{', '.join(cascade.ranks)}"
        )
    walk = _Walk(cascade, cascade.parts(rank))
    walk.settle()
    levels = {einsum.name: walk.levels(einsum) for einsum in cascade.steps}
    of_inputs = {
        name: max((level.get(name, 0) for level in levels.values()), default=0)
        for name in walk.roots
    }
    return Passes(
        rank,
        max(of_inputs.values(), default=0),
        of_inputs,
        {name: max(level.values(), default=0) for name, level in levels.items()},
        tuple(walk.kept()),
    )


class _Walk:
    """One analysis; `values` grows until nothing changes."""

    def __init__(self, cascade: Cascade, parts: tuple[str, ...]) -> None:
        self.cascade, self.parts = cascade, parts
        reads = [read for einsum in cascade.steps for read in einsum.reads]
        self.roots = [
            name
            for name in cascade.inputs
            if any(r.tensor == name and self.grain(r.ranks) == FULL for r in reads)
        ]
        self.values = {name: _Value({name: 1}) for name in self.roots}

    def grain(self, ranks: Iterable[str]) -> str:
        """Whether ranks hold all parts of the rank, some, or none."""
        held = len(set(self.parts).intersection(ranks))
        return FULL if held == len(self.parts) else PART if held else NONE

    def value(self, read: Read) -> _Value:
        """When what is read is there; at a fixed index it is the value after the last iteration."""
        value = self.values.get(read.tensor, _Value())
        if self.grain(read.ranks) == NONE:
            return _Value({}, _latest([value.streams, value.complete]))
        return value

    def levels(self, einsum: CascadeEinsum) -> dict[str, int]:
        """Pass over each input in which an Einsum walks the rank; {} if it does not."""
        if not any(self.grain(read.ranks) == FULL for read in einsum.reads):
            return {}
        values = [self.value(read) for read in einsum.reads]
        streams = _latest([value.streams for value in values])
        after = _latest([value.complete for value in values])
        return {root: max(level, after.get(root, 0) + 1) for root, level in streams.items()}

    def result(self, einsum: CascadeEinsum) -> _Value:
        """When an Einsum's output is there."""
        values = [self.value(read) for read in einsum.reads]
        streams = _latest([value.streams for value in values])
        complete = _latest([value.complete for value in values])
        walked = self.levels(einsum)
        if walked:
            complete = {root: count for root, count in complete.items() if root not in walked}
            streams = walked
        else:  # summaries only: those that need the end of the pass wait for it
            late = {root for root, level in streams.items() if complete.get(root, 0) >= level}
            streams = {root: level for root, level in streams.items() if root not in late}
        if self.grain(einsum.output.ranks) == NONE:
            return _Value({}, _latest([streams, complete]))
        return _Value(streams, complete)

    def settle(self) -> None:
        """Repeats all Einsums until what is carried has its final values."""
        for _ in range(len(self.cascade.steps) + 2):
            before = {name: (v.streams, v.complete) for name, v in self.values.items()}
            for einsum in self.cascade.steps:
                self.values[einsum.name] = self.result(einsum)
            if before == {name: (v.streams, v.complete) for name, v in self.values.items()}:
                return
        raise NetworkError(
            f"cascade '{self.cascade.name}': a tensor that is carried along "
            f"{' or '.join(self.parts)} needs its own last value"
        )

    def kept(self) -> Iterator[Kept]:
        """What is read in a later pass than it appeared in."""
        for einsum in self.cascade.steps:
            after = _latest([self.value(read).complete for read in einsum.reads])
            needed = self.levels(einsum) or {root: count + 1 for root, count in after.items()}
            for read in dict.fromkeys(einsum.reads):
                streams = self.value(read).streams
                late = [root for root, level in streams.items() if level < needed.get(root, 0)]
                if late:
                    yield Kept(
                        read.tensor,
                        einsum.name,
                        max(streams[root] for root in late),
                        max(needed[root] for root in late),
                        self._whole(read.ranks),
                        self.grain(read.ranks) == FULL,
                    )

    def _whole(self, ranks: Iterable[str]) -> tuple[str, ...]:
        """Ranks with a partitioned one instead of all its parts."""
        found = list(ranks)
        for rank, parts in self.cascade.partitions.items():
            if set(parts) <= set(found):
                found[found.index(parts[0])] = rank
                found = [name for name in found if name not in parts]
        return tuple(found)


def _latest(tables: Iterable[dict[str, int]]) -> dict[str, int]:
    """The largest number under each name."""
    found: dict[str, int] = {}
    for table in tables:
        for name, number in table.items():
            found[name] = max(found.get(name, 0), number)
    return found
