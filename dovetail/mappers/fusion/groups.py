"""Layer fusion: which neighbouring operators run depth first, tile by tile, and in which tiles.

A dynamic program over the operators in order chooses the groups: a group is a run with one result
(see `fusion_tiles`), priced by its best tiling. Tilings are ranked by a closed form; groups that
the program chooses are then priced by the mapping analysis (see `fusion_cost`), and it runs again
until it chooses only what was priced so. The result is never worse than operator by operator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import AcceleratorError, MappingError
from dovetail.ir.network import Network
from dovetail.ir.schedule import Placement
from dovetail.mappers.found import check_objective
from dovetail.mappers.fusion.cost import Pricing, estimate, fits, priced, unfused
from dovetail.mappers.fusion.price import Price
from dovetail.mappers.fusion.tiles import Run, Tiling, tilings
from dovetail.mappers.patches.token_view import tokens_as_images
from dovetail.mappers.schedule import schedule
from dovetail.mappers.spatial.mapper import check_mapper

PRICED = 6
"""Tilings of a run that are priced by the mapping analysis, the best by the closed form."""


@dataclass(frozen=True, slots=True)
class Group:
    """Operators that run together.

    Attributes:
        placements: in order, with what is fused into their output paths.
        tiling: how their result is cut; None for an operator alone.
        parts: costs by placement.
        alone: costs of its operators one by one.
    """

    placements: tuple[Placement, ...]
    tiling: Tiling | None
    parts: tuple[Price, ...]
    alone: tuple[Price, ...]

    @property
    def cost(self) -> Price:
        """Of the group."""
        return sum(self.parts, Price())

    @property
    def unfused_cost(self) -> Price:
        """Of its operators one by one."""
        return sum(self.alone, Price())

    @property
    def intermediates(self) -> tuple[str, ...]:
        """Tensors that never leave the chip."""
        if self.tiling is None:
            return ()
        last = ((p.fused[-1] if p.fused else p.operator).outputs[0] for p in self.placements[:-1])
        return tuple(last)


@dataclass(frozen=True, slots=True)
class FusedSchedule:
    """A network's operators in groups.

    Attributes:
        network: name.
        objective: that groups and mappings minimise.
        groups: in order.
    """

    network: str
    objective: str
    groups: tuple[Group, ...]

    @property
    def cost(self) -> Price:
        """Of all groups, one after the other."""
        return sum((group.cost for group in self.groups), Price())

    @property
    def unfused_cost(self) -> Price:
        """Of all operators, one by one."""
        return sum((group.unfused_cost for group in self.groups), Price())


def fuse(
    network: Network,
    accelerator: SpatialArray,
    objective: str = "energy",
    *,
    mapper: str = "optimal",
    seed: int = 0,
    time_limit_s: float | None = None,
    max_length: int = 12,
) -> FusedSchedule:
    """Groups a network's operators so that the sum of the groups' costs is small.

    Convolutions, poolings and pointwise functions of images N C H W fuse, and products of rows of
    tokens with weights; other operators stay alone.

    Args:
        network: what is computed.
        accelerator: what computes it.
        objective: `latency`, `energy` or `edp` (of each group).
        mapper: of operators and of their parts.
        seed: of mappers that draw at random.
        time_limit_s: of the mapper, for each operator or part.
        max_length: operators in a group.

    Raises:
        AcceleratorError: if the accelerator is illegal.
        MappingError: if an operator alone cannot be mapped, or `max_length` is below 1.
        UnknownNameError: if objective or mapper are unknown.

    References:
        Alwani et al., Fused-Layer CNN Accelerators, MICRO 2016; Gilbert et al., LoopTree, 2024.
    """
    if reasons := accelerator.validate():
        raise AcceleratorError(f"accelerator '{accelerator.name}' is illegal: {reasons[0]}")
    if max_length < 1:
        raise MappingError(f"groups of at most {max_length} operators: must be at least 1")
    pricing = Pricing(
        accelerator, check_objective(objective), check_mapper(mapper), seed, time_limit_s
    )
    placements = schedule(network).placements
    alone = [unfused(one, network, pricing) for one in placements]
    spans = _candidates(tokens_as_images(network), alone, pricing, max_length)
    settled: _Settled = {}
    while True:
        chosen = _partition(len(placements), alone, spans, settled, objective)
        open_spans = [span for span in chosen if span in spans and span not in settled]
        if not open_spans:
            break
        for span in open_spans:
            _settle(span, spans, settled, pricing)
    groups = []
    for begin, end in chosen:
        before = tuple(alone[begin:end])
        tiling, parts = settled.get((begin, end), (None, before))
        groups.append(Group(tuple(placements[begin:end]), tiling, parts, before))
    return FusedSchedule(network.name, objective, tuple(groups))


_Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A run worth fusing.

    Attributes:
        tilings: those that look best, the best first.
        rough: cost of the first by the closed form.
    """

    tilings: tuple[Tiling, ...]
    rough: Price


_Spans = dict[_Span, _Candidate]
_Settled = dict[_Span, tuple[Tiling | None, tuple[Price, ...]]]


def runs(
    network: Network, placements: Sequence[Placement], max_length: int
) -> Iterator[tuple[_Span, Run]]:
    """All fusible runs of two or more operators, by the positions of their ends."""
    for begin in range(len(placements)):
        for end in range(begin + 2, min(begin + max_length, len(placements)) + 1):
            run = Run(network, tuple(placements[begin:end]))
            if placements[end - 1].engine == "none":
                break
            if run.is_fusible:
                yield (begin, end), run


def _candidates(
    network: Network, alone: Sequence[Price], pricing: Pricing, max_length: int
) -> _Spans:
    """The tilings of every run that look best, if the best looks better than unfused."""
    found: _Spans = {}
    for (begin, end), run in runs(network, schedule(network).placements, max_length):
        own = tuple(alone[begin:end])
        before = _value(own, pricing.objective)
        choices = [
            (cost.value(pricing.objective), cost.traffic_bits, i, one, cost)
            for i, one in enumerate(tilings(run))
            if fits(one, pricing)
            for cost in [estimate(one, own, pricing)]
        ]
        choices.sort(key=lambda choice: choice[:3])
        if choices and choices[0][0] < before:
            best = tuple(choice[3] for choice in choices[:PRICED])
            found[begin, end] = _Candidate(best, choices[0][4])
    return found


def _value(prices: Sequence[Price], objective: str) -> float:
    return sum(price.value(objective) for price in prices)


def _partition(
    count: int,
    alone: Sequence[Price],
    spans: _Spans,
    settled: _Settled,
    objective: str,
) -> list[_Span]:
    """The groups of the least total value; an operator alone where a group gains nothing."""
    best: list[tuple[float, _Span | None]] = [(0.0, None)]
    by_end: dict[int, list[_Span]] = {}
    for span in spans:
        by_end.setdefault(span[1], []).append(span)
    for end in range(1, count + 1):
        options = [(best[end - 1][0] + alone[end - 1].value(objective), (end - 1, end))]
        for span in by_end.get(end, []):
            known = span in settled
            price = sum(settled[span][1], Price()) if known else spans[span].rough
            options.append((best[span[0]][0] + price.value(objective), span))
        best.append(min(options, key=lambda option: option[0]))
    chosen: list[_Span] = []
    while (last := best[chosen[-1][0] if chosen else count][1]) is not None:
        chosen.append(last)
    return chosen[::-1]


def _settle(span: _Span, spans: _Spans, settled: _Settled, pricing: Pricing) -> None:
    """Prices a group by the mapping analysis; one that cannot be mapped costs infinitely much."""
    found: list[tuple[float, Tiling, tuple[Price, ...]]] = []
    for one in spans[span].tilings:
        with suppress(MappingError):
            parts = priced(one, pricing)
            found.append((sum(parts, Price()).value(pricing.objective), one, parts))
    best = min(found, key=lambda choice: choice[0], default=None)
    settled[span] = best[1:] if best else (None, (Price(math.inf, math.inf),))
