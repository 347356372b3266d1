"""The mixed-integer program of the mapper `milp`: prime factors assigned to slots, in logarithms.

CoSA's are the variables (each prime factor of an operator's bounds goes to one memory level,
temporal or spatial), the logarithms that make products of factors linear, the constraints on
capacity and PEs, and the objective: a weighted sum of buffer utilization, compute and traffic.
Ours are integer variables that count equal factors (CoSA has a binary one for each), a binary
variable for which operand is stationary at a level in place of CoSA's permutation ranks, traffic
over every boundary rather than the network on chip alone, and bounds with large primes padded.

References:
    Q. Huang et al.: "CoSA: scheduling by constrained optimization for spatial accelerators",
    ISCA 2021, section III.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.ir.mapping import OPERANDS
from dovetail.mappers.graph.milp import Answer, Model
from dovetail.mappers.spatial.mapspace import Mapspace, Point
from dovetail.mappers.spatial.mapspace_factors import Loop, prime_factors

UTILIZATION = 0.02
"""Weight of buffers left empty, against compute and traffic of about 1."""

SCALE = 1000.0
"""Of the objective, so that a solver's absolute gap is small beside it."""

SMOOTH = 7
"""Largest prime that bounds are padded to, where that costs at most `PADDING`."""

PADDING = 0.1

WINDOW_WEIGHT = 0.5
"""Part of a window's taps in the logarithm of a tile: sums of a window are no product."""

Boundary = tuple[int, int]
"""Position of an operand, and of the memory above the boundary among the operand's memories."""


@dataclass(frozen=True)
class Weights:
    """What a factor of e more costs.

    Attributes:
        compute: in iterations.
        traffic: in transfers over each boundary.
    """

    compute: float
    traffic: dict[Boundary, float]


class AssignmentModel:
    """The program of one operator on one accelerator.

    Args:
        space: both.
        weights: of its objective.
    """

    def __init__(self, space: Mapspace, weights: Weights) -> None:
        self._space = space
        self._model = Model()
        self._stores = space.accelerator.stores
        self._groups = Counter(
            (rank, prime)
            for rank, extent in enumerate(padded_extents(space))
            for prime in prime_factors(extent)
        )
        self._time: dict[tuple[Loop, int], int] = {}
        self._array: dict[tuple[Loop, int], int] = {}
        self._stationary: dict[tuple[int, int], int] = {}
        self._idle: dict[tuple[int, int], int] = {}
        self._add_variables(weights)
        self._add_idleness()
        self._add_array_limits()
        self._add_capacities()
        self._add_traffic(weights)

    def solve(self, time_limit_s: float | None) -> Answer:
        """Solves it; see `Model.solve`."""
        return self._model.solve(time_limit_s=time_limit_s)

    def point(self, answer: Answer) -> Point:
        """The mapping of a solution; its tiles fit up to what logarithms round."""
        spatial: list[dict[int, int]] = [{} for _ in self._space.accelerator.dimensions]
        for (loop, dimension), variable in self._array.items():
            rank, prime = loop
            count = prime ** round(answer.values[variable])
            if count > 1:
                spatial[dimension][rank] = spatial[dimension].get(rank, 1) * count
        loops: list[Loop] = []
        inside = []
        for level in range(len(self._stores)):
            loops += self._ordered(level, answer)
            inside.append(len(loops))
        index = {store.name: i for i, store in enumerate(self._stores)}
        cuts = tuple(
            tuple(inside[index[store.name]] for store in chain[:-1])
            for chain in self._space.hierarchies
        )
        return Point(tuple(tuple(pairs.items()) for pairs in spatial), tuple(loops), cuts)

    def _ordered(self, level: int, answer: Answer) -> list[Loop]:
        """Loops of a level from the inside out: those that leave its stationary operand alone."""
        still = [o for o in range(len(OPERANDS)) if answer.is_one(self._stationary[o, level])]
        relevant = self._space.relevant[still[0]] if still else frozenset()
        loops = [
            loop
            for loop in self._groups
            for _ in range(round(answer.values[self._time[loop, level]]))
        ]
        return sorted(loops, key=lambda loop: (loop[0] in relevant, loop[0]))

    def _add_variables(self, weights: Weights) -> None:
        """How many of each factor go to each level and dimension; every one goes somewhere."""
        model = self._model
        for loop, copies in self._groups.items():
            cost = SCALE * weights.compute * math.log(loop[1])
            for level in range(len(self._stores)):
                idle = SCALE * UTILIZATION * math.log(loop[1]) * self._emptied(loop, level)
                self._time[loop, level] = model.variable(cost + idle, high=copies)
            for dimension, ranks in enumerate(self._space.unrolls):
                if loop[0] in ranks:
                    self._array[loop, dimension] = model.variable(high=copies)
            everywhere = dict.fromkeys(self._places(loop), 1.0)
            model.add(everywhere, low=copies, high=copies)
        for level in range(len(self._stores)):
            chosen = [model.variable() for _ in OPERANDS]
            for operand, variable in enumerate(chosen):
                self._stationary[operand, level] = variable
            model.add(dict.fromkeys(chosen, 1.0), high=1)

    def _places(self, loop: Loop) -> Iterator[int]:
        for table in (self._time, self._array):
            for (other, _), variable in table.items():
                if other == loop:
                    yield variable

    def _emptied(self, loop: Loop, level: int) -> int:
        """Tiles that a loop at a level does not enlarge, because it runs outside of them."""
        return sum(
            loop[0] in self._space.relevant[operand] and self._stores.index(store) < level
            for operand, chain in enumerate(self._space.hierarchies)
            for store in chain[:-1]
        )

    def _add_array_limits(self) -> None:
        for dimension, (_, size) in enumerate(self._space.accelerator.dimensions):
            terms = {
                variable: math.log(loop[1])
                for (loop, d), variable in self._array.items()
                if d == dimension
            }
            self._model.add(terms, high=math.log(size) + 1e-9)

    def _add_capacities(self) -> None:
        """Every operand's tile stays within its part of a memory, in logarithms."""
        for level, store in enumerate(self._stores[:-1]):
            if not math.isfinite(store.tile_bits):
                continue
            kept = [o for o, chain in enumerate(self._space.hierarchies) if store in chain[:-1]]
            for operand in kept:
                width = self._space.accelerator.bits(OPERANDS[operand], final=False)
                room = store.tile_bits / len(kept) / width
                self._model.add(self._tile(operand, level), high=math.log(max(room, 1.0)) + 1e-9)

    def _tile(self, operand: int, level: int) -> dict[int, float]:
        """The logarithm of a tile: loops inside, and PEs that one instance serves."""
        minor = self._minor_ranks(operand)
        terms: dict[int, float] = {}
        for (loop, at), variable in self._time.items():
            if at <= level and loop[0] in self._space.relevant[operand]:
                part = WINDOW_WEIGHT if loop[0] in minor else 1.0
                terms[variable] = part * math.log(loop[1])
        serves = self._space.served[self._stores[level].name]
        for (loop, dimension), variable in self._array.items():
            if serves[dimension] and loop[0] in self._space.relevant[operand]:
                part = WINDOW_WEIGHT if loop[0] in minor else 1.0
                terms[variable] = part * math.log(loop[1])
        return terms

    def _minor_ranks(self, operand: int) -> set[int]:
        """Ranks that share a dimension of the tensor with a longer one."""
        minor = set()
        for dim in self._space.shapes[operand]:
            ranks = sorted((rank for rank, _ in dim), key=lambda r: -self._space.extents[r])
            minor |= set(ranks[1:])
        return minor

    def _add_traffic(self, weights: Weights) -> None:
        """Transfers of a tile, as far as they depend on where loops run.

        Loops over an operand's own ranks multiply either its tile or its transfers: their product
        does not change. Others repeat transfers, unless they stand right above a memory whose
        level keeps the operand stationary, or lie along PEs that share one instance.
        """
        model = self._model
        for (operand, upper), weight in weights.traffic.items():
            chain = self._space.hierarchies[operand]
            below = self._stores.index(chain[upper - 1]) if upper else -1
            serves = self._space.served[chain[upper].name]
            stays = upper > 0 or OPERANDS[operand] in self._space.accelerator.latched
            own = self._space.relevant[operand]
            foreign = [loop for loop in self._groups if loop[0] not in own]
            for loop in foreign:
                cost = SCALE * weight * math.log(loop[1])
                for level in range(below + 1, len(self._stores)) if not stays else ():
                    model.cost[self._time[loop, level]] += cost
                for dimension, shared in enumerate(serves):
                    if not shared and (loop, dimension) in self._array:
                        model.cost[self._array[loop, dimension]] += cost
            if stays and foreign:
                self._add_stationarity(operand, below + 1, foreign, SCALE * weight)

    def _add_stationarity(
        self, operand: int, lowest: int, foreign: list[Loop], weight: float
    ) -> None:
        """Foreign loops repeat transfers unless nothing but such loops is below them.

        At a level that holds the operand stationary foreign loops are innermost; they are free if
        all levels between them and the boundary are idle, that is without loops of its ranks.
        """
        model = self._model
        largest = sum(math.log(prime) * self._groups[rank, prime] for rank, prime in foreign)
        free_below: int | None = None
        for level in range(lowest, len(self._stores)):
            free = model.variable()
            idle = self._idle[operand, level]
            model.add({free: 1.0, self._stationary[operand, level]: -1.0, idle: -1.0}, high=0.0)
            if free_below is not None:
                model.add({free: 1.0, free_below: -1.0}, high=0.0)
                model.add({free: 1.0, self._idle[operand, level - 1]: -1.0}, high=0.0)
            repeats = model.variable(weight, high=largest, integer=False)
            terms = {self._time[loop, level]: -math.log(loop[1]) for loop in foreign}
            model.add({repeats: 1.0, **terms, free: largest}, low=0.0)
            free_below = free

    def _add_idleness(self) -> None:
        """Binary variables that are 1 only where a level has no loop over an operand's ranks."""
        for operand, own in enumerate(self._space.relevant):
            loops = [loop for loop in self._groups if loop[0] in own]
            copies = float(sum(self._groups[loop] for loop in loops))
            for level in range(len(self._stores)):
                idle = self._model.variable()
                self._idle[operand, level] = idle
                terms = {self._time[loop, level]: 1.0 for loop in loops}
                self._model.add({**terms, idle: copies}, high=copies)


def padded_extents(space: Mapspace) -> tuple[int, ...]:
    """Extents with large primes padded away where that adds little work."""
    return tuple(_padded(extent) for extent in space.extents)


def _padded(extent: int) -> int:
    for candidate in range(extent, int(extent * (1 + PADDING)) + 1):
        if max(prime_factors(candidate), default=1) <= SMOOTH:
            return candidate
    return extent
