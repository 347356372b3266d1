"""What the kernel `linear_layer` is held to: whole layers, weights first, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.values import matmul_int
from dovetail.verify.hls_checks import StreamCheck, Values, packed

ELEMENTS, WEIGHTS, LAYER = range(3)
"""Kinds of words."""

TOKENS = 129
"""Rows of a layer that fills the memories: the tokens of Edge-MoE's M3ViT."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Sizes of a layer.

    Attributes:
        rows: vectors.
        tiles: of a vector.
        outputs: sums of a vector.
    """

    rows: int
    tiles: int
    outputs: int


def layers(values: Values, rng: Generator, count: int) -> list[Layer]:
    """Smallest ones and ones of incomplete tiles, then any; many vectors begin with full memories.

    A full layer meets no stall, so that it shows how long it takes; two more do.
    """
    most, lanes = values["row"], values["outputs"]
    deep = max(values["tiles"] // most, 1)
    found = [Layer(3, 1, 1), Layer(2, 2, lanes), Layer(3, min(2, most), min(2, deep) * lanes - 1)]
    if count >= 1000:
        full = Layer(TOKENS, most, deep * lanes)
        found = [full, *found, Layer(16, most, full.outputs), Layer(16, most, full.outputs)]
    while sum(len(_kinds(values, layer)) for layer in found) < count:
        tiles = int(rng.integers(1, min(most, values["tiles"], 4) + 1))
        top = lanes * min(3, values["tiles"] // tiles)
        found.append(Layer(int(rng.integers(1, 7)), tiles, int(rng.integers(1, top + 1))))
    return found


def _kinds(values: Values, layer: Layer) -> list[int]:
    weights = [WEIGHTS] * (layer.outputs * layer.tiles)
    return [LAYER, *weights, *[ELEMENTS] * (layer.rows * layer.tiles)]


def _vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """(count or more, inputs + 1): elements or the bytes of a layer's sizes, and a kind."""
    inputs, bits = values["inputs"], values["bits"]
    top = 1 << (bits - 1)
    parts = []
    for index, layer in enumerate(layers(values, rng, count)):
        kinds = np.array(_kinds(values, layer))
        table = rng.integers(-top, top, (len(kinds), inputs + 1))
        if index % 3 == 1:
            table[:] = rng.choice([-top, top - 1], table.shape)
        sizes = layer.tiles | layer.outputs << 16
        table[0, :inputs] = [sizes >> (bits * i) & ((1 << bits) - 1) for i in range(inputs)]
        table[:, inputs] = kinds
        parts.append(table)
    return np.concatenate(parts)


def _words(values: Values, vectors: IntArray) -> list[int]:
    data = packed(vectors[:, :-1], values["bits"])
    return [word << 2 | kind for word, kind in zip(data, vectors[:, -1].tolist(), strict=True)]


def _read(values: Values, vectors: IntArray) -> list[tuple[int, Layer]]:
    """Place of each layer's first word, and its sizes."""
    begins = np.flatnonzero(vectors[:, -1] == LAYER).tolist()
    found = []
    for begin, end in zip(begins, [*begins[1:], len(vectors)], strict=True):
        sizes = packed(vectors[begin : begin + 1, :-1], values["bits"])[0]
        tiles, outputs = sizes & 0xFFFF, sizes >> 16
        rows = (end - begin - 1 - outputs * tiles) // tiles
        found.append((begin, Layer(rows, tiles, outputs)))
    return found


def _reference(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    triggers: list[int] = []
    words: list[int] = []
    lanes, acc = values["outputs"], values["acc"]
    for begin, layer in _read(values, vectors):
        first = begin + 1 + layer.outputs * layer.tiles
        weights = vectors[begin + 1 : first, :-1].reshape(layer.outputs, -1)
        x = vectors[first : first + layer.rows * layer.tiles, :-1].reshape(layer.rows, -1)
        sums = matmul_int(x, weights.T, acc)
        groups = -(-layer.outputs // lanes)
        padded = np.zeros((layer.rows, groups * lanes), dtype=np.int64)
        padded[:, : layer.outputs] = sums
        words += packed(padded.reshape(-1, lanes), acc)
        last = first + layer.tiles - 1
        triggers += [last + layer.tiles * row for row in range(layer.rows) for _ in range(groups)]
    return triggers, words


def _turns(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    """A cycle per word, and of each row `tiles` per further group of outputs."""
    cycles = np.ones(len(vectors), dtype=np.int64)
    groups = []
    for begin, layer in _read(values, vectors):
        further = -(-layer.outputs // values["outputs"]) - 1
        last = begin + layer.outputs * layer.tiles + layer.tiles
        ends = last + layer.tiles * np.arange(layer.rows)
        cycles[ends] += further * layer.tiles
        groups += [(end, layer.tiles, further + 1) for end in ends.tolist()]
    turns = (np.cumsum(cycles) - cycles).tolist()
    results = [turns[end] + tiles * k for end, tiles, count in groups for k in range(count)]
    return turns, results


LINEAR_LAYER = StreamCheck(
    ({}, {"inputs": 4, "outputs": 3, "row": 5, "tiles": 15, "acc": 20}),
    _vectors,
    _words,
    _reference,
    turns=_turns,
)
