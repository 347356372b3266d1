"""What is asked of an attention design, and how it was mapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dovetail.arch.attention import AttentionArray
from dovetail.ir.cascade import Cascade
from dovetail.networks.cascade_text import load_cascade

OPERANDS = ("Q", "K", "V", "AV")
"""Tensors of attention beside its scores."""


@dataclass(frozen=True, slots=True)
class AttentionWork:
    """Attention of every query of a group to every key of it.

    Attributes:
        groups: batch x heads; with grouped queries heads of keys.
        queries: of a group, P.
        keys: of a group, M.
        query_width: of a query and a key, E.
        value_width: of a value, F.
        score_ops: elementwise operations on each score before the softmax (masks, biases).
        score_reads: words read for them per score.
    """

    groups: int
    queries: int
    keys: int
    query_width: int
    value_width: int
    score_ops: int = 0
    score_reads: int = 0

    @property
    def scores(self) -> int:
        """Number of attention scores."""
        return self.groups * self.queries * self.keys

    @property
    def macs(self) -> int:
        """Multiply-accumulates of both products."""
        return self.scores * (self.query_width + self.value_width)

    @property
    def words(self) -> dict[str, int]:
        """Elements of Q, K, V and AV."""
        e, f = self.query_width, self.value_width
        rows, columns = self.groups * self.queries, self.groups * self.keys
        return {"Q": rows * e, "K": columns * e, "V": columns * f, "AV": rows * f}


@dataclass(frozen=True, slots=True)
class Resident:
    """Query tiles whose queries and running results stay on chip while all keys pass by.

    Attributes:
        query_tiles: P1, tiles of `dim` queries of a group.
        groups: that take turns, so that tiles of one drain while others are worked on.
    """

    query_tiles: int
    groups: int = 1

    def describe(self) -> dict[str, int | str]:
        """For reports."""
        return {"query_tiles": self.query_tiles, "groups_at_once": self.groups}


@dataclass(frozen=True, slots=True)
class FlatMapping:
    """What FLAT keeps on chip.

    Attributes:
        on_chip: those of Q, K, V, AV that stay in the global buffer.
        scores_on_chip: whether scores and weights do.
        stationary: `output` or `weight`.
        granularity: `head`, all scores of a head at once, or `row`.
        rows: queries at once, P1.
        spilled: part of what should stay that does not fit, 0 to 1.
    """

    on_chip: frozenset[str]
    scores_on_chip: bool
    stationary: str
    granularity: str
    rows: int
    spilled: float = 0.0

    def describe(self) -> dict[str, int | str]:
        """For reports."""
        kept = [name for name in OPERANDS if name in self.on_chip]
        return {
            "on_chip": " ".join(kept + ["scores"] * self.scores_on_chip) or "none",
            "stationary": self.stationary,
            "granularity": self.granularity,
            "rows": self.rows,
            "spilled": f"{self.spilled:.4g}",
        }


AttentionMapping = Resident | FlatMapping | None
"""Of cascades, of FLAT, and of an unfused design, which has nothing to choose."""


def tiles(extent: int, dim: int) -> int:
    """Tiles of `dim` that cover an extent."""
    return -(-extent // dim)


def operations(name: str, work: AttentionWork) -> Mapping[str, Counter[str]]:
    """Operations of each Einsum of a cascade per point of its ranks m (or m1, m0) and p."""
    found = _operations(name, work.query_width, work.value_width)
    if not work.score_ops:
        return found
    return {**found, "QK": found["QK"] + Counter({"add": work.score_ops})}


@lru_cache(maxsize=64)
def _operations(name: str, query_width: int, value_width: int) -> Mapping[str, Counter[str]]:
    extents = {"e": query_width, "f": value_width}
    return {e.name: e.operations(extents) for e in cascade(name).steps}


@lru_cache(maxsize=8)
def cascade(name: str) -> Cascade:
    """A cascade that comes with Dovetail."""
    return load_cascade(name)


def cycles_of(count: Counter[str], a: AttentionArray, *, unit: bool = False) -> int:
    """Cycles of a PE for some operations.

    Args:
        count: operations by kind.
        a: the design.
        unit: whether the PE has an exponential unit.
    """
    exponential = 1 if unit else a.exp_macs
    return sum(n * (exponential if kind == "exp" else 1) for kind, n in count.items())


def energy_of(count: Counter[str], a: AttentionArray, *, unit: bool = False) -> float:
    """Picojoules of some operations; as `cycles_of`."""
    exponential = a.exp_pj if unit else a.exp_macs * a.mac_pj
    table = {
        "mac": a.mac_pj, "add": a.add_pj, "max": a.max_pj, "divide": a.divide_pj,
        "exp": exponential,
    }  # fmt: skip
    return sum(n * table[kind] for kind, n in count.items())
