"""Convolutions and golden tables that the tests of the mapping analysis share."""

from __future__ import annotations

import ast
import csv
import re
from collections import defaultdict
from collections.abc import Mapping as Table
from pathlib import Path

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Access, Affine, Einsum

GOLDEN = Path(__file__).parents[2] / "golden"
ALL = ("input", "weight", "output")
RANKS = "NGKCPQRS"


def table(name: str) -> list[dict[str, str]]:
    """Rows of a golden table."""
    lines = (GOLDEN / f"{name}.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def index(*terms: tuple[str, int]) -> Affine:
    return Affine(terms)


def plain(*ranks: str) -> tuple[Affine, ...]:
    return tuple(index((rank, 1)) for rank in ranks)


def convolution(extents: Table[str, int], stride: int = 1) -> Einsum:
    """A grouped convolution over ranks N G K C P Q R S; those that are missing have extent 1."""
    rows, columns = index(("P", stride), ("R", 1)), index(("Q", stride), ("S", 1))
    return Einsum(
        tuple((rank, extents.get(rank, 1)) for rank in RANKS),
        (
            Access("input", (*plain("N", "G", "C"), rows, columns)),
            Access("weight", plain("G", "K", "C", "R", "S")),
        ),
        Access("output", plain("N", "G", "K", "P", "Q")),
    )


ZIGZAG_RANKS = {"B": "N", "G": "G", "K": "K", "C": "C", "OY": "P", "OX": "Q", "FY": "R", "FX": "S"}
ZIGZAG_OPERANDS = {"O": "output", "W": "weight", "I": "input"}


def zigzag_layer(row: dict[str, str], stride: int) -> Einsum:
    """The layer of a row."""
    return convolution({ours: int(row.get(e) or 1) for e, ours in ZIGZAG_RANKS.items()}, stride)


def literal(text: str) -> dict:
    """`{O: [[(C, 2)], []]}` with its bare names as strings."""
    return ast.literal_eval(re.sub(r"\b([A-Z][A-Z0-9]*)\b", r"'\1'", text))


def zigzag_mapping(
    array: SpatialArray, temporal: dict[str, list], spatial: dict[str, dict[str, int]]
) -> Mapping:
    """A mapping of ZigZag: per operand the loops of every level from the innermost outwards."""
    order = [loop for level in temporal["O"] for loop in level]
    keeps: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for name, operand in ZIGZAG_OPERANDS.items():
        inside = 0
        for store, loops in zip(array.hierarchy(operand), temporal[name], strict=True):
            inside += len(loops)
            keeps[inside].append((store.name, operand))
    levels = [store.name for store in array.stores]
    nodes: list[Node] = []
    for inside in range(len(order), -1, -1):
        for store, operand in sorted(keeps[inside], key=lambda e: -levels.index(e[0])):
            nodes.append(Keep(store, (operand,)))
        if inside:
            rank, count = order[inside - 1]
            nodes.append(Temporal(ZIGZAG_RANKS[rank], count))
    for dimension, loops in spatial.items():
        nodes += [Spatial(ZIGZAG_RANKS[rank], n, dimension) for rank, n in loops.items() if n > 1]
    return Mapping(tuple(nodes), "layer")
