"""Which stages run together: sections of least total time.

The time of a network is the sum over its sections, so that partitions are paths. `fused` cuts the
network's own order, all cuts of which it weighs (sections of up to `WINDOW` stages); `exact` weighs
all partitions whose sections can run one after the other, whatever the order of the stages, for
small networks; `greedy` adds stages while that is faster; `unfused` runs stage by stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from dovetail.errors import MappingError, UnknownNameError
from dovetail.mappers.rdu.sections import Section, Sectioner, placed
from dovetail.sim.rdu.pipeline import Pipeline

MAPPERS = ("fused", "exact", "greedy", "unfused")

WINDOW = 32
"""Stages of a section of `fused` at most: more than a decoder layer has."""

MAX_IDEALS = 4000
"""Sets of stages that `exact` visits at most."""


def partition(
    pipeline: Pipeline, mapper: str = "fused", shares: Sequence[float] | None = None
) -> list[Section]:
    """Sections of a pipeline in the order in which they run.

    Args:
        pipeline: all stages.
        mapper: one of `MAPPERS`.
        shares: see `Sectioner`.

    Raises:
        UnknownNameError: if there is no such mapper.
        MappingError: if a stage alone does not fit, or the network is too large for `exact`.
    """
    if mapper not in MAPPERS:
        raise UnknownNameError("mapper", mapper, MAPPERS)
    finder = Sectioner(pipeline, shares)
    found = {"fused": fused, "exact": exact, "greedy": greedy, "unfused": unfused}[mapper](finder)
    known: dict[int, Section] = {}
    return [_placed(section, finder, known) for section in found]


def _placed(section: Section, finder: Sectioner, known: dict[int, Section]) -> Section:
    """The section with better places; costs of equal sections are one object, placed once."""
    key = id(section.costs)
    if key not in known:
        known[key] = placed(section, finder.table)
    return replace(known[key], outline=section.outline)


def cut(finder: Sectioner, bounds: Sequence[int]) -> list[Section] | None:
    """Sections between bounds (0, …, stages); None if one of them does not fit."""
    found = [finder.best(range(*pair)) for pair in pairwise(bounds)]
    sections = [section for section in found if section is not None]
    return sections if len(sections) == len(found) else None


def unfused(finder: Sectioner) -> list[Section]:
    """Every stage a section of its own."""
    return [_alone(finder, index) for index in range(len(finder.pipeline.stages))]


def _alone(finder: Sectioner, index: int) -> Section:
    found = finder.best((index,))
    if found is None:
        raise MappingError(
            f"operator '{finder.pipeline.operators[index]}' alone does not fit on the units of "
            f"'{finder.pipeline.rdu.name}': enlarge pmu_kib or add sockets"
        )
    return found


def fused(finder: Sectioner, window: int = WINDOW) -> list[Section]:
    """The fastest cuts of the network's order, each section of at most `window` stages.

    Where longer ones help, `greedy` may find them: the faster of the two.
    """
    count = len(finder.pipeline.stages)
    best: list[tuple[float, int, Section | None]] = [(0, 0, None)]
    for end in range(1, count + 1):
        _alone(finder, end - 1)
        options = []
        for start in range(end - 1, max(end - window, 0) - 1, -1):
            section = finder.best(range(start, end))
            if section is not None:
                options.append((best[start][0] + section.cycles, -start, section))
        cycles, start, section = min(options, key=lambda option: option[:2])
        best.append((cycles, -start, section))
    found: list[Section] = []
    end = count
    while end:
        _, start, section = best[end]
        assert section is not None
        found.append(section)
        end = start
    return min(found[::-1], greedy(finder), key=lambda path: sum(s.cycles for s in path))


def greedy(finder: Sectioner) -> list[Section]:
    """Adds stages to a section while one section is faster than two."""
    found: list[Section] = []
    for index in range(len(finder.pipeline.stages)):
        alone = _alone(finder, index)
        if found:
            joined = finder.best((*found[-1].outline.members, index))
            if joined is not None and joined.cycles <= found[-1].cycles + alone.cycles:
                found[-1] = joined
                continue
        found.append(alone)
    return found


def exact(finder: Sectioner) -> list[Section]:
    """The fastest of all partitions into sections that can run one after the other.

    Sets of stages that hold all that they read are the states: a section leads from one to a
    larger one, and the fastest path from none to all is the optimum.

    Raises:
        MappingError: if there are more than `MAX_IDEALS` such sets.
    """
    ideals = _ideals(finder.pipeline)
    best: dict[int, tuple[float, list[Section]]] = {0: (0, [])}
    for larger in ideals[1:]:
        options = []
        for smaller, (cycles, path) in best.items():
            if smaller & ~larger:
                continue
            members = tuple(_members(larger & ~smaller))
            section = finder.best(members)
            if section is not None:
                options.append((cycles + section.cycles, len(path), [*path, section]))
        if not options:
            _alone(finder, next(_members(larger)))
            continue
        cycles, _, path = min(options, key=lambda option: option[:2])
        best[larger] = (cycles, path)
    everything = (1 << len(finder.pipeline.stages)) - 1
    if everything not in best:
        for index in range(len(finder.pipeline.stages)):
            _alone(finder, index)
    return best[everything][1]


def _ideals(pipeline: Pipeline) -> list[int]:
    """All sets of stages, as bits, that hold what they read, the smaller ones first."""
    needs = [
        sum({1 << (index - read.producer) for read in stage.reads if read.producer})
        for index, stage in enumerate(pipeline.stages)
    ]
    found, edge = {0}, [0]
    while edge:
        grown = {
            ideal | 1 << index
            for ideal in edge
            for index, need in enumerate(needs)
            if not ideal >> index & 1 and not need & ~ideal
        }
        edge = sorted(grown - found)
        found |= grown
        if len(found) > MAX_IDEALS:
            raise MappingError(
                f"mapper 'exact': {len(needs)} stages have more than {MAX_IDEALS:,} sets that can "
                "run first: use 'fused'"
            )
    return sorted(found, key=lambda ideal: (ideal.bit_count(), ideal))


def _members(bits: int) -> Iterator[int]:
    index = 0
    while bits:
        if bits & 1:
            yield index
        bits >>= 1
        index += 1
