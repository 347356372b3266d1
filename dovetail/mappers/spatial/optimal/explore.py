"""Which choice is looked at next, and how closely, until nothing open can be better."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dovetail.mappers.spatial.optimal import screen, tables
from dovetail.mappers.spatial.optimal.family import Family, Run
from dovetail.mappers.spatial.optimal.padding import variants
from dovetail.mappers.spatial.optimal.problem import Ints, Reals
from dovetail.mappers.spatial.optimal.symmetry import distinct

FIRST = 4
"""Choices that are searched for a first solution before all are bounded."""

CHUNK = 16
"""Choices that are bounded between two looks at the clock, at least."""

SHARE = 500
"""At least one in so many of the open choices is bounded before the next look."""


@dataclass
class _Open:
    """Choices that may be better than the best so far.

    Attributes:
        owner: position of the family, (open,).
        index: position of the spatial counts, (open,).
        variant: position of the totals among `padding.variants`, (open,).
        bounds: lower bounds of all mappings of the choice, (open,).
        level: how closely it was looked at, see `screen`, (open,).
    """

    owner: Ints
    index: Ints
    variant: Ints
    bounds: Reals
    level: Ints

    def only(self, rows: Ints | np.ndarray) -> _Open:
        """Some of the choices."""
        return _Open(
            self.owner[rows], self.index[rows], self.variant[rows], self.bounds[rows],
            self.level[rows],
        )  # fmt: skip

    def and_also(self, more: _Open) -> _Open:
        """These choices and others."""
        return _Open(
            np.concatenate((self.owner, more.owner)), np.concatenate((self.index, more.index)),
            np.concatenate((self.variant, more.variant)),
            np.concatenate((self.bounds, more.bounds)), np.concatenate((self.level, more.level)),
        )  # fmt: skip


class Exploration:
    """All choices of all families.

    Padded totals never cost less by the quick bound than the choice without padding, so they join
    only when that one is looked at more closely: most never do.

    Args:
        run: the search.
        families: one per way to bypass stores.
        counts: spatial counts, (counts, dimensions, ranks).
    """

    def __init__(self, run: Run, families: list[Family], counts: Ints) -> None:
        self.run, self.families = run, families
        counts = distinct(run.einsum, run.accelerator, counts)
        self.counts = counts
        extents = np.array([extent for _, extent in run.einsum.ranks])
        self.least: Ints = -(-extents // counts.prod(axis=1))
        quick = [family.quick(self.least, counts) for family in families]
        n = len(counts)
        self.open = _Open(
            np.repeat(np.arange(len(families)), n), np.tile(np.arange(n), len(families)),
            np.zeros(n * len(families), np.int64), np.concatenate([e[0] for e in quick]),
            np.full(n * len(families), screen.QUICK),
        )  # fmt: skip
        self.compute: Reals = np.concatenate([e[1] for e in quick])
        self.settled = math.inf  # the least bound of what is no longer open
        self.slides = any(store.sliding for store in run.accelerator.stores)

    @property
    def bound(self) -> float:
        """No mapping is better."""
        return float(min(self.open.bounds.min(initial=math.inf), self.settled, self.run.best))

    def search(self) -> bool:
        """Searches until the best is proven; returns whether it was cut short."""
        run, made = self.run, self.open
        try:
            if run.objective == tables.LATENCY:
                # Something good first: the fewest cycles, of these the least bound.
                for i in np.lexsort((made.bounds, self.compute))[:FIRST]:
                    if run.mapping is None:
                        self._solve(int(i))
            while not run.late and self._refine():
                pass
            made = self.open
            for i in np.argsort(made.bounds, kind="stable"):
                left = made.level[i] < screen.SOLVED and math.isfinite(made.bounds[i])
                if run.mapping is None and left:
                    self._solve(int(i))
        except KeyboardInterrupt:
            if run.mapping is None:
                raise
            return True
        return self.bound < run.target

    def _totals(self, index: int, variant: int) -> Ints:
        found: Ints = variants(tuple(self.least[index].tolist()))[variant]
        return found

    def _solve(self, i: int) -> None:
        made = self.open
        index, variant = int(made.index[i]), int(made.variant[i])
        if variant == 0 and made.level[i] == screen.QUICK:
            self._pad(np.array([i]))
        totals = self._totals(index, variant)
        bound = self.families[made.owner[i]].solve(totals, self.counts[index], made.bounds[i])
        # Others may have been appended: the position still holds.
        self.open.bounds[i] = bound
        self.open.level[i] = screen.SOLVED

    def _refine(self) -> bool:
        """Works on the most promising choices; False if none is left."""
        made, run = self.open, self.run
        left = np.flatnonzero((made.level < screen.SOLVED) & (made.bounds < run.target))
        if not len(left):
            return False
        chunk = max(CHUNK, len(left) // SHARE)
        few = left[np.argpartition(made.bounds[left], min(chunk, len(left)) - 1)[:chunk]]
        few = few[np.argsort(made.bounds[few], kind="stable")]
        now = made.level[few[0]]
        if now == screen.EXACT or (now == screen.FINE and not self.slides):
            self._solve(int(few[0]))
            return True
        few = few[(made.level[few] == now) & (made.owner[few] == made.owner[few[0]])]
        if now == screen.QUICK:
            self._pad(few[made.variant[few] == 0])
            made = self.open
        totals = np.array(
            [self._totals(int(made.index[i]), int(made.variant[i])) for i in few], np.int64
        )
        family, counts = self.families[made.owner[few[0]]], self.counts[made.index[few]]
        made.bounds[few] = family.screen(totals, counts, made.bounds[few], now + 1)
        made.level[few] += 1
        return True

    def _pad(self, chosen: Ints) -> None:
        """Opens the padded totals of choices of one family that may be better."""
        index, variant, totals = [], [], []
        for i in chosen:
            for v, row in enumerate(variants(tuple(self.least[self.open.index[i]].tolist()))[1:]):
                index.append(int(self.open.index[i]))
                variant.append(v + 1)
                totals.append(row)
        if not index:
            return
        owner = int(self.open.owner[chosen[0]])
        bounds, _ = self.families[owner].quick(np.array(totals), self.counts[index])
        n = len(index)
        more = _Open(
            np.full(n, owner), np.array(index), np.array(variant), bounds.copy(),
            np.full(n, screen.QUICK),
        )  # fmt: skip
        good = bounds < self.run.target
        self.settled = min(self.settled, float(bounds[~good].min(initial=math.inf)))
        if good.any():
            self.open = self.open.and_also(more.only(good))
