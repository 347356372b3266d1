"""What the kernel `deformable` is held to: whole images, one after the other, in one stream."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.special.deformable import deformable
from dovetail.verify.hls_checks import StreamCheck, Values, as_bits, packed

IMAGES = 8
"""At least so many whole images come out, half of them under backpressure."""


def lag(values: Values) -> int:
    """Words between a pixel and the word that gives its sum."""
    return values["range"] * (values["width"] + 1)


def _vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Rows (x of each channel, offset, weights): images of extremes, ordinary ones, then any.

    Weights differ from pixel to pixel, so that a kernel which takes others than those of an image's
    first pixel is found.
    """
    size, channels = values["width"] * values["height"], values["channels"]
    count = max(count, IMAGES * size + lag(values))
    table = rng.integers(-128, 128, (count, 10 * channels + 1))
    offsets = table[:, channels]
    unit = 1 << values["fraction"]
    spread = np.clip(rng.integers(-unit, (values["range"] + 1) * unit, count), -128, 127)
    offsets[2 * size :] = spread[2 * size :]
    offsets[:size] = 127
    table[:size, :channels] = -128
    table[0, channels + 1 :] = -128
    # The second image is an ordinary convolution.
    offsets[size : 2 * size] = unit
    return table


def _words(values: Values, vectors: IntArray) -> list[int]:
    channels = values["channels"]
    width = 72 * channels
    x, w = packed(vectors[:, :channels], 8), packed(vectors[:, channels + 1 :], 8)
    offsets = as_bits(vectors[:, channels], 8).tolist()
    return [(a << 8 | o) << width | b for a, o, b in zip(x, offsets, w, strict=True)]


def images(values: Values, vectors: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Pixels (n, c, h, w), offsets (n, h, w) and weights (n, c, 3, 3); zeros complete the last."""
    height, width, channels = values["height"], values["width"], values["channels"]
    whole = np.pad(vectors, ((0, -len(vectors) % (height * width)), (0, 0)))
    shaped = whole.reshape(-1, height, width, whole.shape[1])
    weights = shaped[:, 0, 0, channels + 1 :].reshape(-1, channels, 3, 3)
    return np.moveaxis(shaped[..., :channels], -1, 1), shaped[..., channels], weights


def _sums(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    x, offsets, weights = images(values, vectors)
    sums = deformable(x, offsets, weights, values["range"], values["fraction"], values["acc"])
    known = len(vectors) - lag(values)
    flat = np.moveaxis(sums, 1, -1).reshape(-1, values["channels"])[:known]
    return list(range(lag(values), len(vectors))), packed(flat, values["acc"])


DEFORMABLE = StreamCheck(
    (
        {},
        {"width": 6, "height": 7, "range": 3, "channels": 2, "fraction": 0, "acc": 16},
        {"width": 4, "height": 6, "range": 4, "fraction": 5},
    ),
    _vectors,
    _words,
    _sums,
    large=({"width": 300, "height": 6, "range": 4, "channels": 2},),
)
