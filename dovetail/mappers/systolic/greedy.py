"""The `greedy` mapper on a block of (design, operator) pairs at once.

For every width it tries the deepest tile and the shallowest that fills the array's rows; widths are
halved until that stops paying. Then width, depth and pixels of the best are halved and doubled as
long as one of these pays. All pairs of a block take each step together; those that have ended wait.
"""

from __future__ import annotations

from enum import IntEnum, auto

import numpy as np
from numpy import ceil, floor

from dovetail.ir.space import FloatArray
from dovetail.mappers.systolic.bound import LATENCY, place, regular_keys
from dovetail.mappers.systolic.terms import LANES, Term
from dovetail.sim.kernel import inlined, kernel

ROUNDS = 4
"""Times that the neighbours of the best candidate are tried."""


class Best(IntEnum):
    """Where each pair's best tiling and the state of its search start (float64)."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last: list[int]) -> int:
        return count * LANES

    KEY = auto()  # infinite if none fits yet
    ORDER = auto()
    G = auto()
    N = auto()
    P = auto()
    Q = auto()
    K = auto()  # units of output channels
    C = auto()  # units of input channels
    TRY_K = auto()  # the candidate
    TRY_C = auto()  # 0: none
    TRY_PIXELS = auto()
    FOUND = auto()  # lowest key of the present width
    WIDTH = auto()  # units of output channels of the present width
    DEPTH = auto()  # units of input channels at the start of the present round
    WORSE = auto()  # widths in a row that did not pay
    ACTIVE = auto()  # 0 or 1
    BEFORE = auto()  # key before the present round


BESTS = len(Best) * LANES


@inlined
def _attempt(terms: FloatArray, best: FloatArray, lane: int, objective: int) -> None:
    """Keeps a pair's candidate where its better loop order beats the best so far."""
    tn, tc = best[Best.TRY_K + lane], best[Best.TRY_C + lane]
    tried = tc >= 1
    tc = max(tc, 1.0)
    tg, tb, tp, tq = place(terms, lane, tn, tc, best[Best.TRY_PIXELS + lane])
    first, second = regular_keys(terms, lane, objective, tg, tb, tp, tq, tn, tc)
    fits = tried & (tg >= 1)
    first = first if fits else np.inf
    both = (tc == terms[Term.C + lane]) & (tn < terms[Term.K + lane])
    second = second if fits & both else np.inf
    key = min(first, second)
    best[Best.FOUND + lane] = min(best[Best.FOUND + lane], key)
    better = key < best[Best.KEY + lane]
    best[Best.KEY + lane] = key if better else best[Best.KEY + lane]
    order = 1.0 if second < first else 0.0
    best[Best.ORDER + lane] = order if better else best[Best.ORDER + lane]
    best[Best.G + lane] = tg if better else best[Best.G + lane]
    best[Best.N + lane] = tb if better else best[Best.N + lane]
    best[Best.P + lane] = tp if better else best[Best.P + lane]
    best[Best.Q + lane] = tq if better else best[Best.Q + lane]
    best[Best.K + lane] = tn if better else best[Best.K + lane]
    best[Best.C + lane] = tc if better else best[Best.C + lane]


@kernel
def _attempts(terms: FloatArray, best: FloatArray, objective: int) -> None:
    """Tries every pair's candidate."""
    if objective == LATENCY:
        for lane in range(LANES):
            _attempt(terms, best, lane, LATENCY)
    else:
        for lane in range(LANES):
            _attempt(terms, best, lane, objective)


@kernel
def greedy(terms: FloatArray, best: FloatArray, objective: int, count: int) -> None:
    """Writes the best of few candidates, ranked as if all their tiles were alike.

    Args:
        terms: of a block, from `fill_terms`; all lanes hold some pair.
        best: (BESTS,), written.
        objective: LATENCY, ENERGY or EDP.
        count: pairs in the block; what is found for further lanes is not finished.
    """
    for lane in range(LANES):
        best[Best.KEY + lane] = np.inf
        best[Best.WIDTH + lane] = terms[Term.K + lane]
        best[Best.WORSE + lane] = 0.0
        best[Best.ACTIVE + lane] = 1.0 if lane < count else 0.0
    _widths(terms, best, objective)
    _narrowest(terms, best, objective, count)
    _neighbours(terms, best, objective, count)


@kernel
def _widths(terms: FloatArray, best: FloatArray, objective: int) -> None:
    active = 1.0
    while active > 0:
        shallower = 0.0
        for lane in range(LANES):
            tn, C = best[Best.WIDTH + lane], terms[Term.C + lane]
            deep = min(C, floor(floor(terms[Term.ROOM_W + lane] / terms[Term.KERNEL + lane]) / tn))
            tried = (best[Best.ACTIVE + lane] > 0) & (deep >= 1)
            best[Best.TRY_K + lane] = tn
            best[Best.TRY_C + lane] = ceil(C / ceil(C / max(deep, 1.0))) if tried else 0.0
            best[Best.TRY_PIXELS + lane] = np.inf
            best[Best.FOUND + lane] = np.inf
        _attempts(terms, best, objective)
        for lane in range(LANES):
            shallow = ceil(terms[Term.ROWS + lane] / terms[Term.KERNEL + lane])
            shallow = min(terms[Term.C + lane], shallow)
            tried = shallow < best[Best.TRY_C + lane]
            best[Best.TRY_C + lane] = shallow if tried else 0.0
            shallower = max(shallower, best[Best.TRY_C + lane])
        if shallower > 0:
            _attempts(terms, best, objective)
        active = 0.0
        for lane in range(LANES):
            tn, cols = best[Best.WIDTH + lane], terms[Term.COLS + lane]
            pays = best[Best.FOUND + lane] <= best[Best.KEY + lane]
            worse = 0.0 if pays else best[Best.WORSE + lane] + 1
            goes_on = (best[Best.ACTIVE + lane] > 0) & (tn > 1) & (worse < 2)
            half = ceil(tn / 2)
            # Whole array columns if it is more than one array wide.
            best[Best.WIDTH + lane] = ceil(half / cols) * cols if half > cols else half
            best[Best.WORSE + lane] = worse
            best[Best.ACTIVE + lane] = 1.0 if goes_on else 0.0
            active = max(active, best[Best.ACTIVE + lane])


@kernel
def _narrowest(terms: FloatArray, best: FloatArray, objective: int, count: int) -> None:
    """Where no full rows fit, a single input channel still may."""
    for lane in range(LANES):
        room = floor(terms[Term.ROOM_W + lane] / terms[Term.KERNEL + lane])
        best[Best.TRY_K + lane] = min(terms[Term.K + lane], max(1.0, room))
    while True:
        lost = 0.0
        for lane in range(LANES):
            tried = (best[Best.KEY + lane] == np.inf) & (best[Best.TRY_K + lane] >= 1)
            best[Best.TRY_C + lane] = 1.0 if tried & (lane < count) else 0.0
            best[Best.TRY_PIXELS + lane] = np.inf
            lost = max(lost, best[Best.TRY_C + lane])
        if lost == 0:
            return
        _attempts(terms, best, objective)
        for lane in range(LANES):
            best[Best.TRY_K + lane] = floor(best[Best.TRY_K + lane] / 2)


@kernel
def _neighbours(terms: FloatArray, best: FloatArray, objective: int, count: int) -> None:
    for lane in range(LANES):
        found = (best[Best.KEY + lane] < np.inf) & (lane < count)
        best[Best.ACTIVE + lane] = 1.0 if found else 0.0
    for _ in range(ROUNDS):
        for step in range(3):
            wanted = 0.0
            for lane in range(LANES):
                best[Best.TRY_C + lane] = _neighbour(terms, best, lane, step)
                wanted = max(wanted, best[Best.TRY_C + lane])
            if wanted > 0:
                _attempts(terms, best, objective)
        active = 0.0
        for lane in range(LANES):
            pays = best[Best.KEY + lane] < best[Best.BEFORE + lane]
            best[Best.ACTIVE + lane] = best[Best.ACTIVE + lane] if pays else 0.0
            active = max(active, best[Best.ACTIVE + lane])
        if active == 0:
            return


@inlined
def _neighbour(terms: FloatArray, best: FloatArray, lane: int, step: int) -> float:
    """Units of input channels of a round's next candidate, 0 if none; writes what else it is.

    The best at the start of the round has half its pixels taken, then its depth halved, then
    doubled.
    """
    if step == 0:
        pixels = best[Best.G + lane] * best[Best.N + lane] * best[Best.P + lane]
        best[Best.BEFORE + lane] = best[Best.KEY + lane]
        best[Best.TRY_K + lane] = best[Best.K + lane]
        best[Best.DEPTH + lane] = best[Best.C + lane]
        best[Best.TRY_PIXELS + lane] = pixels * best[Best.Q + lane] / 2
        return best[Best.C + lane] if best[Best.ACTIVE + lane] > 0 else 0.0
    tn, tc, C = best[Best.TRY_K + lane], best[Best.DEPTH + lane], terms[Term.C + lane]
    best[Best.TRY_PIXELS + lane] = np.inf
    if step == 1:
        tried = (best[Best.ACTIVE + lane] > 0) & (ceil(tc / 2) < tc)
        return ceil(tc / 2) if tried else 0.0
    room = floor(terms[Term.ROOM_W + lane] / terms[Term.KERNEL + lane])
    tried = (best[Best.ACTIVE + lane] > 0) & (tc < C) & (2 * tc * tn <= room)
    return ceil(C / max(1.0, floor(C / (2 * tc)))) if tried else 0.0
