"""NEMO: kinds of genomes share one front, and each is resized by its share of it.

Every generation each species breeds among itself. All old and new individuals are ranked together
by non-dominated sorting and crowding, a species keeps its best, and grows or shrinks with the
share of the common front that it holds.

Read from the abstract alone: genomes, sizes of networks and rates are this package's.

References:
    NEMO, "Neuroevolution-Enhanced Multi-Objective Optimization for Mixed-Precision Quantization",
    2021 (species, resizing); Deb et al., NSGA-II, 2002 (ranks, crowding).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from dovetail.agents.nemo_species import (
    Boltzmann,
    Direct,
    Genomes,
    GraphPolicy,
    Species,
    node_features,
)
from dovetail.agents.nsga2 import constrained_ranks, crowding_distances
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import ATTEMPTS, Variation
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.networks.bits.layers import LayerGraph

SPECIES = ("direct", "graph", "boltzmann")


@runtime_checkable
class LayeredProblem(Protocol):
    """What a problem offers beside `DesignProblem`: layers, and equally many knobs for each."""

    @property
    def graph(self) -> LayerGraph:
        """The layers and who feeds whom."""

    @property
    def sensitivity(self) -> FloatArray:
        """How much each layer's coarsest choice perturbs the network (layers,)."""

    def solved(self, count: int) -> IntArray:
        """Designs (k <= count, knobs) that integer programs find."""


@dataclass(frozen=True, slots=True)
class NEMOArgs:
    """Settings of NEMO.

    Attributes:
        species: comma-separated, of direct, graph and boltzmann.
        population: individuals of all species, and children per ask.
        min_size: least individuals of a species.
        resize: whether sizes follow the front; else they stay equal.
        messages: rounds of messages of the graph policies; 0 leaves the graph out.
        hidden: width of their states.
        seeds: integer programs whose answers enter boltzmann, some per generation; 0 for none.
        fresh: share of boltzmann's children that are such newcomers while there are any.
        crossover: probability that two direct parents exchange knobs.
        mutated_knobs: expected number of knobs that mutate in a direct child.
        spread: mean step of their mutation, as a share of the number of values.
        noise: deviation of mutated weights, in units of their first deviation, and of logits.
        mutated_share: share of weights, or of boltzmann's knobs, that mutate.
    """

    species: str = "direct,graph,boltzmann"
    population: int = 100
    min_size: int = 5
    resize: bool = True
    messages: int = 2
    hidden: int = 8
    seeds: int = 200
    fresh: float = 0.5
    crossover: float = 0.9
    mutated_knobs: float = 1.5
    spread: float = 0.15
    noise: float = 0.5
    mutated_share: float = 0.1

    def __post_init__(self) -> None:
        names = self.names
        for name in names:
            if name not in SPECIES or names.count(name) > 1:
                raise UnknownNameError("species", name, SPECIES)
        check_range("population", self.population, 4)
        check_range("min_size", self.min_size, 2, self.population / len(names))
        check_range("messages", self.messages, 0, 8)
        check_range("hidden", self.hidden, 1, 256)
        check_range("seeds", self.seeds, 0)
        check_range("fresh", self.fresh, 0, 1)
        check_range("crossover", self.crossover, 0, 1)
        check_range("mutated_knobs", self.mutated_knobs, 0, above=True)
        check_range("spread", self.spread, 0, 1)
        check_range("noise", self.noise, 0, above=True)
        check_range("mutated_share", self.mutated_share, 0, 1, above=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The species."""
        return tuple(name.strip() for name in self.species.split(","))


@dataclass
class Population:
    """Individuals of one species.

    Attributes:
        kind: of genome.
        size: individuals that may live, and children per generation.
        genomes: (n, genes).
        objectives: (n, m).
        violation: (n,).
        rank: (n,) among all species.
        crowding: (n,) among all species.
    """

    kind: Species
    size: int
    objectives: FloatArray
    genomes: Genomes | None = None
    violation: FloatArray = field(default_factory=lambda: np.zeros(0))
    rank: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    crowding: FloatArray = field(default_factory=lambda: np.zeros(0))

    def breed(self, rng: np.random.Generator, count: int) -> Genomes:
        """Genomes (count, genes): random ones at first, then children of tournaments' winners."""
        if self.genomes is None or len(self.genomes) < 2:
            return self.kind.initial(rng, count)
        a, b = self._select(rng, count), self._select(rng, count)
        return self.kind.children(rng, self.genomes[a], self.genomes[b])

    def _select(self, rng: np.random.Generator, count: int) -> IntArray:
        """Binary tournaments by rank, then crowding: rows (count,)."""
        a, b = rng.integers(0, len(self.rank), size=(2, count))
        tie = (self.rank[a] == self.rank[b]) & (self.crowding[a] >= self.crowding[b])
        return np.where((self.rank[a] < self.rank[b]) | tie, a, b)

    def join(self, genomes: Genomes, objectives: FloatArray, violation: FloatArray) -> None:
        """Adds evaluated children."""
        known = [] if self.genomes is None else [self.genomes]
        self.genomes = np.concatenate([*known, genomes])
        self.objectives = np.concatenate([self.objectives, objectives])
        self.violation = np.concatenate([self.violation, violation])

    def cull(self) -> None:
        """Keeps the best `size`."""
        assert self.genomes is not None
        keep = np.lexsort((-self.crowding, self.rank))[: self.size]
        self.genomes, self.objectives = self.genomes[keep], self.objectives[keep]
        self.violation, self.rank = self.violation[keep], self.rank[keep]
        self.crowding = self.crowding[keep]


class NEMOAgent:
    """Evolves species side by side; never asks a design twice while it can find a new one."""

    Args = NEMOArgs

    def __init__(self, problem: DesignProblem, seed: int, args: NEMOArgs) -> None:
        if not isinstance(problem, LayeredProblem):
            raise ProblemError(
                f"agent 'nemo' reads the layers of a network, and problem '{problem.name}' has "
                "none: search --env mixed_precision"
            )
        self._args, self._rng = args, np.random.default_rng(seed)
        self._keys = Seen(problem.space)
        self._told: set[int] = set()
        even = shares(np.ones(len(args.names)), args.population, args.min_size)
        none = np.zeros((0, len(problem.objectives)))
        self.populations = {
            name: Population(make_species(name, problem, problem, args), int(size), none)
            for name, size in zip(args.names, even, strict=True)
        }
        self._asked: list[tuple[str, Genomes]] = []

    def ask(self) -> IntArray:
        """Children of every species, (population, knobs)."""
        self._asked, designs = [], []
        met = set(self._told)
        for name, population in self.populations.items():
            genomes, made = self._fresh(population, met)
            self._asked.append((name, genomes))
            designs.append(made)
        return np.concatenate(designs)

    def _fresh(self, population: Population, met: set[int]) -> tuple[Genomes, IntArray]:
        """Genomes (size, genes) and designs (size, knobs), new ones as far as that succeeds.

        Args:
            population: that breeds.
            met: keys of designs not wanted; those made here are added.
        """
        kept: list[tuple[Genomes, IntArray]] = []
        missing = population.size
        for attempt in range(ATTEMPTS):
            genomes = population.breed(self._rng, missing)
            made = population.kind.designs(self._rng, genomes)
            rows = []
            for row, key in enumerate(self._keys.keys(made).tolist()):
                if key not in met or attempt == ATTEMPTS - 1:
                    rows.append(row)
                    met.add(key)
            kept.append((genomes[rows], made[rows]))
            missing -= len(rows)
            if not missing:
                break
        return np.concatenate([g for g, _ in kept]), np.concatenate([d for _, d in kept])

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Ranks old and new individuals of all species together, resizes and culls species."""
        self._told.update(self._keys.keys(designs).tolist())
        start = 0
        for name, genomes in self._asked:
            rows = slice(start, min(start + len(genomes), len(designs)))
            told = rows.stop - rows.start
            if told > 0:
                self.populations[name].join(
                    genomes[:told], evaluation.objectives[rows], evaluation.violation[rows]
                )
            start += len(genomes)
        living = [p for p in self.populations.values() if p.genomes is not None]
        self._rank(living)
        if self._args.resize and len(living) == len(self.populations):
            self._resize(living)
        for population in living:
            population.cull()

    def _rank(self, living: list[Population]) -> None:
        objectives = np.concatenate([p.objectives for p in living])
        violation = np.concatenate([p.violation for p in living])
        rank = constrained_ranks(objectives, violation)
        crowding = crowding_distances(objectives, rank, violation <= 0)
        ends = np.cumsum([len(p.violation) for p in living])[:-1]
        ranks, crowdings = np.split(rank, ends), np.split(crowding, ends)
        for population, its_rank, its_crowding in zip(living, ranks, crowdings, strict=True):
            population.rank, population.crowding = its_rank, its_crowding

    def _resize(self, living: list[Population]) -> None:
        held = np.array([float(((p.rank == 0) & (p.violation <= 0)).sum()) for p in living])
        if held.sum():
            sizes = shares(held, self._args.population, self._args.min_size)
            for population, size in zip(living, sizes, strict=True):
                population.size = int(size)


def shares(weights: FloatArray, total: int, least: int) -> IntArray:
    """Whole numbers (k,) of sum `total`: `least` each, and shares of the rest by weights (k,)."""
    free = total - least * len(weights)
    exact = free * weights / weights.sum()
    sizes = np.floor(exact).astype(np.int64)
    rest = free - int(sizes.sum())
    sizes[np.argsort(sizes - exact, kind="stable")[:rest]] += 1
    return sizes + least


def make_species(
    name: str, problem: DesignProblem, layered: LayeredProblem, args: NEMOArgs
) -> Species:
    """A species over a problem's designs.

    Raises:
        ProblemError: if knobs differ in their number of values or do not divide among layers.
    """
    space, graph = problem.space, layered.graph
    if len(set(space.cardinalities)) > 1 or len(space.knobs) % len(graph):
        raise ProblemError(
            f"agent 'nemo': problem '{problem.name}' must have equally many knobs for each of its "
            f"{len(graph)} layers, with equally many values"
        )
    if name == "direct":
        return Direct(Variation(space, args.mutated_knobs, args.spread, args.crossover))
    if name == "graph":
        return GraphPolicy(
            node_features(graph, layered.sensitivity), graph.edges, space,
            hidden=args.hidden, messages=args.messages, noise=args.noise,
            mutated=args.mutated_share,
        )  # fmt: skip
    return Boltzmann(
        space, layered.solved(args.seeds), fresh=args.fresh, noise=args.noise,
        mutated=args.mutated_share,
    )  # fmt: skip
