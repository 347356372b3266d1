"""Random small operators, arrays and mappings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import strategies as st

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Access, Affine, Einsum
from tests.sim.nest.cases import ALL, index, plain

MAX_STEPS = 300
"""Iterations of all temporal loops, so that a literal walk takes milliseconds."""


@dataclass(frozen=True)
class Nest:
    einsum: Einsum
    array: SpatialArray
    mapping: Mapping


def product(extents: dict[str, int]) -> Einsum:
    """A matrix product, batched over B."""
    ranks = tuple((rank, extents[rank]) for rank in "BMNK")
    factors = (Access("a", plain("B", "M", "K")), Access("b", plain("B", "K", "N")))
    return Einsum(ranks, factors, Access("c", plain("B", "M", "N")))


def windows(extents: dict[str, int], steps: dict[str, tuple[int, int]], depthwise: bool) -> Einsum:
    """A convolution over one to three dimensions; steps: per output rank stride and dilation."""
    pairs = dict(zip("OPQ", "TRS", strict=True))
    out = list(steps)
    kernel = [pairs[rank] for rank in out]
    channels = ["G"] if depthwise else ["C"]
    rows: list[Affine] = [
        index((rank, steps[rank][0]), (pairs[rank], steps[rank][1])) for rank in out
    ]
    ranks = tuple((rank, extents[rank]) for rank in ["G", "K", "C", *out, *kernel])
    return Einsum(
        ranks,
        (
            Access("x", (*plain(*channels), *rows)),
            Access("w", plain("G", "K", "C", *kernel)),
        ),
        Access("y", plain("G", "K", *out)),
    )


@st.composite
def einsums(draw: st.DrawFn) -> Einsum:
    extents = {rank: draw(st.integers(1, 3)) for rank in "BMNKGCOPQTRS"}
    if draw(st.booleans()):
        return product(extents)
    depth = draw(st.integers(1, 3))
    step = st.tuples(st.integers(1, 3), st.integers(1, 2))
    steps = {rank: draw(step) for rank in "OPQ"[-depth:]}
    if depth == 3:
        extents |= {"C": 1, "K": 1}
    return windows(extents, steps, draw(st.booleans()))


@st.composite
def arrays(draw: st.DrawFn, sizes: dict[str, int]) -> SpatialArray:
    """An array of these dimensions under two to four stores without limits."""
    names = tuple(sizes)
    levels = draw(st.integers(2, 4))
    cuts = [sorted(draw(st.integers(0, levels - 1)) for _ in range(1))[0] for _ in names]
    stores = []
    for level in range(levels):
        outermost = level + 1 == levels
        operands = ALL if outermost else tuple(e for e in ALL if draw(st.integers(0, 3)))
        serves = tuple(e for e, cut in zip(names, cuts, strict=True) if cut <= level or outermost)
        bypass = tuple(e for e in operands if draw(st.integers(0, 3)) == 0)
        stores.append(
            Store(
                f"m{level}",
                operands,
                serves,
                bypass=bypass,
                sliding=draw(st.booleans()),
                access_bits=draw(st.sampled_from([1, 8, 24, 64])),
                read_pj=draw(st.sampled_from([0.0, 1.0, 3.0])),
                write_pj=draw(st.sampled_from([0.0, 1.0, 3.0])),
                read_bits_per_cycle=draw(st.sampled_from([8.0, 64.0, math.inf])),
                write_bits_per_cycle=draw(st.sampled_from([None, 8.0, math.inf])),
                buffering=draw(st.sampled_from(["ideal", "single", "double"])),
            )
        )
    every = tuple("BMNKGCOPQTRS")
    latched = tuple(e for e in ALL[:2] if draw(st.booleans()))
    return SpatialArray(
        "random",
        tuple(sizes.items()),
        tuple(stores),
        tuple((name, every) for name in names),
        latched,
        draw(st.booleans()),
        mac_pj=1.0,
    )


@st.composite
def nests(draw: st.DrawFn) -> Nest:
    einsum = draw(einsums())
    names = ("x", "y")[: draw(st.integers(0, 2))]
    temporal: list[Temporal] = []
    spread: list[Spatial] = []
    for rank, extent in einsum.ranks:
        left = extent
        if names and draw(st.integers(0, 2)) == 0:
            spread.append(Spatial(rank, draw(st.integers(1, 3)), draw(st.sampled_from(names))))
            left = -(-left // spread[-1].count)
        if draw(st.integers(0, 2)) == 0:
            temporal.append(Temporal(rank, 2))
            left = -(-left // 2)
        if left > 1 or draw(st.integers(0, 5)) == 0:
            temporal.append(Temporal(rank, left))
    while math.prod(e.count for e in temporal) > MAX_STEPS:
        temporal.sort(key=lambda e: e.count)
        big = temporal.pop()
        einsum = shrunk(einsum, big.rank, big.count)
    sizes = {e: math.prod(s.count for s in spread if s.dimension == e) for e in names} or {"x": 1}
    array = draw(arrays(sizes))
    order = draw(st.permutations(temporal))
    path = draw(paths(einsum, array, list(order), spread))
    return Nest(einsum, array, Mapping(tuple(path), "op"))


def shrunk(einsum: Einsum, rank: str, factor: int) -> Einsum:
    ranks = tuple((e, -(-n // factor) if e == rank else n) for e, n in einsum.ranks)
    return Einsum(ranks, einsum.operands, einsum.output)


@st.composite
def paths(
    draw: st.DrawFn,
    einsum: Einsum,
    array: SpatialArray,
    order: list[Temporal],
    spread: list[Spatial],
) -> list[Node]:
    """Keeps at any cut of the temporal loops, each operand's at its own.

    Spatial loops stand anywhere, but for those over ranks of a sliding window: they stand where
    instances of a store part, so that neighbouring instances get neighbouring parts of the window.
    """
    at: list[list[Node]] = [[] for _ in range(len(order) + 1)]
    chain: list[tuple[Store, int]] = []
    for operand in ALL:
        outer = 0
        for store in reversed(array.hierarchy(operand)):
            outermost = store is array.stores[-1]
            if operand in store.bypass and not outermost and draw(st.booleans()):
                continue
            outer = 0 if outermost else draw(st.integers(outer, len(order)))
            if operand == "input":
                chain.append((store, outer))
            at[outer].append(Keep(store.name, (operand,)))
    levels = [store.name for store in array.stores]
    for nodes in at:
        nodes.sort(key=lambda e: -levels.index(e.memory))
    windowed = {
        rank for term in einsum.operands[0].indices if len(term.terms) > 1 for rank, _ in term.terms
    }
    last: list[Node] = []
    for loop in spread:
        parts = [(s, cut) for s, cut in chain if loop.dimension not in s.serves]
        if loop.rank not in windowed:
            nodes = at[draw(st.integers(0, len(order)))]
            nodes.insert(draw(st.integers(0, len(nodes))), loop)
        elif parts:
            store, cut = parts[0]
            at[cut].insert(at[cut].index(Keep(store.name, ("input",))), loop)
        else:
            last.append(loop)
    path: list[Node] = []
    for cut, nodes in enumerate(at):
        path += [*nodes, *order[cut : cut + 1]]
    return [*path, *last]
