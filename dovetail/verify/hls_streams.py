"""What each kernel with channels is held to: its reference, words, and forms to check."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.special.layernorm import layernorm_rows
from dovetail.sim.special.softmax import softmax_rows
from dovetail.sim.values import matmul_int
from dovetail.verify.hls_checks import StreamCheck, Values, as_bits, packed


def layernorm_elements(values: Values, rng: Generator, rows: int) -> IntArray:
    """Rows (rows, count): without deviation, of both ends, with one element aside, then any."""
    count, top = values["count"], 1 << (values["width"] - 1)
    spread = np.maximum(top >> rng.integers(0, values["width"] - 1, (rows, 1)), 1)
    middle = rng.integers(-top, top, (rows, 1))
    x = np.clip(middle + rng.integers(-spread, spread + 1, (rows, count)), -top, top - 1)
    corners = [
        np.full(count, top - 1),
        np.full(count, -top),
        np.where(np.arange(count) % 2, -top, top - 1),
    ]
    corners.append(np.where(np.arange(count) == 1, 1, 0))
    x[: len(corners)] = corners[:rows]
    return x


def _layernorm_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    rows = -(-count // values["count"])
    return layernorm_elements(values, rng, rows).reshape(-1, 1)[:count]


def _layernorm_words(values: Values, vectors: IntArray) -> list[int]:
    words: list[int] = as_bits(vectors[:, 0], values["width"]).tolist()
    return words


def _layernorm(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    count = values["count"]
    rows = len(vectors) // count
    total, inverse = layernorm_rows(vectors[: rows * count, 0].reshape(rows, count))
    sums = as_bits(total, values["width"] + 12).tolist()
    words = [(s << 48) | i for s, i in zip(sums, inverse.tolist(), strict=True)]
    return [count * (row + 1) - 1 for row in range(rows)], words


def _linear_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Tiles of extremes, whose sums wrap around in a narrow format, then any; short rows."""
    inputs, top = values["inputs"], 1 << (values["bits"] - 1)
    elements = inputs * (1 + values["outputs"])
    tiles = rng.integers(-top, top, (count, elements))
    tiles[: count // 10] = rng.choice([-top, top - 1], (count // 10, elements))
    last = rng.random(count) < 0.3
    last[0], last[5:] = True, last[5:] | last[:-5]
    return np.column_stack([tiles, last.astype(np.int64)])


def _linear_words(values: Values, vectors: IntArray) -> list[int]:
    bits, inputs = values["bits"], values["inputs"]
    x = packed(vectors[:, :inputs], bits)
    w = packed(vectors[:, inputs:-1], bits)
    width = bits * inputs * values["outputs"]
    last = vectors[:, -1].tolist()
    return [(a << width | b) << 1 | end for a, b, end in zip(x, w, last, strict=True)]


def _linear(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    inputs, outputs = values["inputs"], values["outputs"]
    ends = np.flatnonzero(vectors[:, -1])
    sums = []
    for begin, end in zip([0, *(ends[:-1] + 1)], ends, strict=True):
        rows = vectors[begin : end + 1]
        x = rows[:, :inputs].reshape(1, -1)
        w = rows[:, inputs:-1].reshape(-1, outputs, inputs).transpose(0, 2, 1)
        sums.append(matmul_int(x, w.reshape(-1, outputs), values["acc"])[0])
    return ends.tolist(), packed(np.array(sums), values["acc"])


def _softmax_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Rows of 1 to 20 scores with a mark at the last: ends of the format, ramps, then any."""
    bits, fraction = values["width"], values["fraction"]
    top, unit = 1 << (bits - 1), 1 << fraction
    rows = [[-top], [top - 1, -top], [-top, top - 1], [0] * 8, list(range(0, 20 * unit, unit))]
    rows += [[-x for x in rows[-1]], [x // 2 for x in rows[-1]]]
    rows = [row for row in rows if len(row) <= 1 << values["length"]]
    scores = sum(len(row) for row in rows)
    while scores < count:
        size = min(int(rng.integers(1, 21)), 1 << values["length"])
        spread = min(unit << int(rng.integers(0, 4)), top)
        rows.append(rng.integers(-spread, spread, size).tolist())
        scores += size
    pairs = [(x, int(i == len(row) - 1)) for row in rows for i, x in enumerate(row)]
    return np.clip(np.array(pairs[:count], dtype=np.int64), -top, top - 1)


def _softmax_words(values: Values, vectors: IntArray) -> list[int]:
    scores = as_bits(vectors[:, 0], values["width"]).tolist()
    return [score << 1 | last for score, last in zip(scores, vectors[:, 1].tolist(), strict=True)]


def _softmax(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    ends = np.flatnonzero(vectors[:, 1])
    words = []
    for begin, end in zip([0, *(ends[:-1] + 1)], ends, strict=True):
        largest, inverse = softmax_rows(vectors[None, begin : end + 1, 0], values["fraction"])
        words.append(int(as_bits(largest, values["width"])[0]) << 25 | int(inverse[0]))
    return ends.tolist(), words


STREAMS = {
    "layernorm": StreamCheck(
        ({}, {"width": 8, "count": 12}), _layernorm_vectors, _layernorm_words, _layernorm
    ),
    "linear": StreamCheck(
        ({}, {"inputs": 4, "outputs": 3, "bits": 8, "acc": 16}),
        _linear_vectors,
        _linear_words,
        _linear,
    ),
    "softmax": StreamCheck(
        ({}, {"width": 12, "fraction": 6, "length": 8}),
        _softmax_vectors,
        _softmax_words,
        _softmax,
    ),
}
"""By kernel."""
