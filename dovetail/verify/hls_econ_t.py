"""What the encoder `econ_t` is held to: its reference, words, and forms to check."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.special.econ_t import CELL_BITS, CELLS, CODE_BITS, WEIGHT_BITS, Encoder, econ_t
from dovetail.verify.hls_checks import StreamCheck, Values, packed

PER_WORD = 80
"""Weights in a word: as many as fit in the bits of 48 cells."""


def encoder(values: Values) -> Encoder:
    """Size that the parameters mean."""
    return Encoder(values["filters"], values["outputs"])


def weight_words(values: Values) -> int:
    """Words that set all weights."""
    return -(-encoder(values).parameters // PER_WORD)


def draw_weights(values: Values, rng: Generator, top: int) -> IntArray:
    """Weights within -top to top - 1, as many as their words hold."""
    return rng.integers(-top, top, weight_words(values) * PER_WORD)


def draw_events(rng: Generator, count: int) -> IntArray:
    """Cells (count, 48): some of the whole format, most sparse and between 0 and 1."""
    cells = rng.integers(0, 64, (count, CELLS)) * (rng.random((count, CELLS)) < 0.5)
    wild = rng.random(count) < 0.2
    top = 1 << (CELL_BITS - 1)
    cells[wild] = rng.integers(-top, top, (int(wild.sum()), CELLS))
    return cells


def _vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """(count, 81): weights or cells, and a mark of weights.

    Events before any weights, of both ends under weights of both ends, under small weights, amid
    a change of weights, then under others.
    """
    words, top = weight_words(values), 1 << (WEIGHT_BITS - 1)
    corners = draw_events(rng, 6)
    corners[0], corners[1] = (1 << (CELL_BITS - 1)) - 1, -(1 << (CELL_BITS - 1))
    extreme = rng.choice([-top, top - 1], words * PER_WORD)
    rows = [_events(corners), _weights(extreme), _events(corners)]
    left = max(count - len(corners) * 2 - words, 1)
    small, other = (draw_weights(values, rng, most) for most in (4, 8))
    split = words // 2
    rows += [_weights(small), _events(draw_events(rng, left // 2))]
    rows += [_weights(other)[:split], _events(corners), _weights(other)[split:]]
    return np.concatenate([*rows, _events(draw_events(rng, left))])[:count]


def _weights(flat: IntArray) -> IntArray:
    return np.pad(flat.reshape(-1, PER_WORD), ((0, 0), (0, 1)), constant_values=1)


def _events(cells: IntArray) -> IntArray:
    return np.pad(cells, ((0, 0), (0, PER_WORD + 1 - CELLS)))


def _words(values: Values, vectors: IntArray) -> list[int]:
    weights = packed(vectors[:, :PER_WORD], WEIGHT_BITS)
    cells = packed(vectors[:, :CELLS], CELL_BITS)
    marks = vectors[:, PER_WORD].tolist()
    return [
        (w if mark else c) << 1 | mark for w, c, mark in zip(weights, cells, marks, strict=True)
    ]


def _reference(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    size = encoder(values)
    rounding = "AP_TRN" if values["truncate"] else "AP_RND_CONV"
    held = np.zeros(weight_words(values) * PER_WORD, dtype=np.int64)
    marks = vectors[:, PER_WORD]
    codes = []
    for run in np.split(vectors, np.flatnonzero(np.diff(marks)) + 1):
        if run[0, PER_WORD]:
            shifted = np.concatenate([held, run[:, :PER_WORD].ravel()])
            held = shifted[-len(held) :]
        else:
            weights = held[: size.parameters]
            codes.append(econ_t(run[:, :CELLS], weights, size, values["fraction"], rounding))
    return np.flatnonzero(marks == 0).tolist(), packed(np.concatenate(codes), CODE_BITS)


ECON_T = StreamCheck(
    ({}, {"filters": 2, "outputs": 3, "fraction": 3, "truncate": 1}),
    _vectors,
    _words,
    _reference,
    large=({"outputs": 16},),
)
