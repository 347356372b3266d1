"""What each kernel is held to: its reference, corner and random vectors, and forms to check."""

from __future__ import annotations

import itertools
from importlib.metadata import entry_points

import numpy as np
from numpy.random import Generator

from dovetail.errors import AcceleratorError
from dovetail.hls import find_kernel
from dovetail.ir.space import IntArray
from dovetail.sim.special.exponential import exponential
from dovetail.sim.special.gelu import ENTRIES, STEP_BITS, gelu
from dovetail.sim.special.layernorm import layernorm_rows, layernorm_scale
from dovetail.sim.special.lmul import lmul
from dovetail.sim.special.quantize import OVERFLOWS, ROUNDINGS, quantize
from dovetail.sim.special.softmax import softmax_weights
from dovetail.sim.values import requantize
from dovetail.verify.hls_attention import ATTENTION_SCORES
from dovetail.verify.hls_attention_values import ATTENTION_VALUES
from dovetail.verify.hls_checks import Check, StreamCheck, Values, signed_corners, stack
from dovetail.verify.hls_deformable import DEFORMABLE
from dovetail.verify.hls_econ_t import ECON_T
from dovetail.verify.hls_linear_layer import LINEAR_LAYER
from dovetail.verify.hls_streams import STREAMS, layernorm_elements


def _quantize_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Ends of the format, then numbers of any size, half of them at or beside a tie."""
    bits, most, out = values["in"], 1 << (values["shift"] - 1), values["out"]
    top = 1 << (bits - 1)
    corners = itertools.product(signed_corners(bits), (-most, -1, 0, 1, most - 1))
    shifts = rng.integers(-most, most, count)
    x = rng.integers(-top, top, count) >> rng.integers(0, bits, count)
    shifts[::2] = drop = rng.integers(1, max(min(most, bits - out + 1), 2), len(x[::2]))
    whole = rng.integers(-(1 << (out - 1)), 1 << (out - 1), len(drop))
    near = (whole << drop) + (1 << (drop - 1)) + rng.integers(-1, 2, len(drop))
    x[::2] = np.clip(near, -top, top - 1)
    return stack(corners, np.stack([x, shifts], axis=1), count)


def _quantize(values: Values, vectors: IntArray) -> IntArray:
    modes = ROUNDINGS[values["rounding"]], OVERFLOWS[values["saturate"]]
    return quantize(vectors[:, 0], vectors[:, 1], values["out"], *modes)


def _requantize_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """All corners, then random vectors, half of them with results inside the output's range."""
    acc, multiplier, out = values["acc"], values["multiplier"], values["out"]
    top = min(2 ** values["shift"] - 1, 62)
    corners = itertools.product(
        (-(2 ** (acc - 1)), max(-3, -(2 ** (acc - 1))), 0, 2 ** (acc - 1) - 1),
        (1, 2**multiplier - 1),
        (0, 1, top),
        (-(2 ** (out - 1)), 0, 2 ** (out - 1) - 1),
    )
    accs = rng.integers(-(2 ** (acc - 1)), 2 ** (acc - 1), count)
    multipliers = rng.integers(0, 2**multiplier, count)
    shifts = rng.integers(0, top + 1, count)
    sized = np.frompyfunc(lambda a, m: (int(a) * int(m)).bit_length(), 2, 1)(accs, multipliers)
    inside = sized[::2].astype(np.int64) - out + rng.integers(0, 3, len(sized[::2]))
    shifts[::2] = np.clip(inside, 0, top)
    zeros = rng.integers(-(2 ** (out - 1)), 2 ** (out - 1), count)
    return stack(corners, np.stack([accs, multipliers, shifts, zeros], axis=1), count)


def _requantize(values: Values, vectors: IntArray) -> IntArray:
    acc, multiplier, shift, zero_point = vectors.T
    return requantize(acc, multiplier, shift, zero_point, values["out"])


def _exponential_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Both ends and where results become nothing; then any number, half of them below 16."""
    top = 1 << values["width"]
    some = min(16 << values["fraction"], top)
    corners = [(t,) for t in (0, 1, 2, some - 1, top // 2, top - 2, top - 1)]
    t = rng.integers(0, top, count)
    t[::2] = rng.integers(0, some, len(t[::2]))
    return stack(corners, t[:, None], count)


def _exponential(values: Values, vectors: IntArray) -> IntArray:
    return exponential(vectors[:, 0], values["fraction"])


def _gelu_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Ends of the format and of the table, then numbers of the whole format and of the table."""
    width, fraction = values["width"], values["fraction"]
    top, step = 1 << (width - 1), 1 << (fraction - STEP_BITS)
    last = min(step * ENTRIES, top)
    near = [sign * (end + off) for end in (last, last - step) for off in (-2, -1, 0, 1)
            for sign in (-1, 1)]  # fmt: skip
    corners = [x for x in (*signed_corners(width), *near) if -top <= x < top]
    x = rng.integers(-top, top, count)
    x[::2] = rng.integers(-last, last, len(x[::2]))
    return stack(((x,) for x in corners), x[:, None], count)


def _gelu(values: Values, vectors: IntArray) -> IntArray:
    return gelu(vectors[:, 0], values["fraction"])


def _scale_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Two elements of each of many rows, with what the row gives."""
    x = layernorm_elements(values, rng, -(-count // 2))
    total, inverse = layernorm_rows(x)
    picked = [np.stack([x[:, i], total, inverse], axis=1) for i in (0, 1)]
    return np.concatenate(picked)[:count]


def _scale(values: Values, vectors: IntArray) -> IntArray:
    x, total, inverse = vectors.T
    return layernorm_scale(x, total, inverse, values["count"], values["fraction"], values["out"])


def _lmul_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Pairs of special and extreme numbers, then random ones, half of them of middle exponents."""
    mantissa, fields = values["mantissa"], values["exponent"] + values["mantissa"]
    ones, infinity = (1 << fields) - 1, (1 << fields) - (1 << mantissa)
    one = ((1 << (values["exponent"] - 1)) - 1) << mantissa
    special = (0, 1 << mantissa, one + (1 << mantissa) - 1, infinity - 1, infinity, ones)
    corners = [(x, y ^ (1 << fields) * ((x + y) & 1)) for x in special for y in special]
    pairs = rng.integers(0, 1 << (fields + 1), (count, 2))
    middle = one + rng.integers(-(one >> 1), one >> 1, (count, 2), endpoint=True)
    pairs[::2] = middle[::2] | pairs[::2] & (1 << fields)
    return stack(corners, pairs, count)


def _lmul(values: Values, vectors: IntArray) -> IntArray:
    x, y = vectors.T
    return lmul(x, y, values["exponent"], values["mantissa"], bool(values["finite"]))


def _weight_vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """Distances from nothing to the whole format, and sums of one to many scores."""
    top = 1 << (values["width"] - 1)
    corners = [(-top, top - 1, 1 << 24), (top - 1, top - 1, 1 << 24), (0, 0, 1 << 12), (0, 1, 0)]
    largest = rng.integers(-top, top, count)
    distance = rng.integers(0, min(12 << values["fraction"], 2 * top), count)
    scores = np.maximum(largest - distance, -top)
    inverse = (1 << 24) // rng.integers(1, 64, count)
    return stack(corners, np.stack([scores, largest, inverse], axis=1), count)


def _weight(values: Values, vectors: IntArray) -> IntArray:
    scores, largest, inverse = vectors.T
    return softmax_weights(scores, largest, inverse, values["fraction"])


CHECKS: dict[str, Check | StreamCheck] = {
    **STREAMS,
    "attention_scores": ATTENTION_SCORES,
    "attention_values": ATTENTION_VALUES,
    "econ_t": ECON_T,
    "deformable": DEFORMABLE,
    "linear_layer": LINEAR_LAYER,
    "exponential": Check(
        ({}, {"width": 24, "fraction": 20}, {"width": 14, "fraction": 7}),
        _exponential_vectors,
        _exponential,
    ),
    "gelu": Check(
        ({}, {"width": 16, "fraction": 10}, {"width": 12, "fraction": 8}), _gelu_vectors, _gelu
    ),
    "layernorm_scale": Check(
        ({}, {"width": 8, "count": 12, "out": 20, "fraction": 12}), _scale_vectors, _scale
    ),
    "lmul": Check(
        (
            {},
            {"exponent": 5, "mantissa": 10},
            {"exponent": 5, "mantissa": 2},
            {"exponent": 4, "mantissa": 3, "finite": 1},
        ),
        _lmul_vectors,
        _lmul,
    ),
    "quantize": Check(
        (
            {},
            {"in": 16, "out": 8, "rounding": 0, "saturate": 0},
            *({"in": 20, "out": 10, "rounding": i, "saturate": i % 2} for i in range(2, 7)),
        ),
        _quantize_vectors,
        _quantize,
    ),
    "requantize": Check(
        ({}, {"acc": 24, "multiplier": 15, "shift": 5, "out": 4}),
        _requantize_vectors,
        _requantize,
    ),
    "softmax_weight": Check(({}, {"width": 20, "fraction": 12}), _weight_vectors, _weight),
}
"""By kernel; every kernel of this package has one."""

GROUP = "dovetail.kernel_checks"
"""Entry points of this group name the `Check` or `StreamCheck` of another package's kernel."""


def find_check(kernel: str) -> Check | StreamCheck:
    """How a kernel is checked.

    Raises:
        AcceleratorError: if nothing says so, or another package's check fails to load.
    """
    if kernel in CHECKS:
        return CHECKS[kernel]
    for point in entry_points(group=GROUP, name=kernel):
        try:
            found = point.load()
        except (Exception, SystemExit) as error:
            raise AcceleratorError(
                f"check of kernel '{kernel}' from {point.value} fails: "
                f"{type(error).__name__}: {error}"
            ) from error
        known = isinstance(found, Check | StreamCheck) and bool(found.forms)
        if known and isinstance(found, StreamCheck) == find_kernel(kernel).stream:
            return found
    raise AcceleratorError(
        f"kernel '{kernel}' has no check: name a Check, or of a stream a StreamCheck, of one form "
        f"or more in the group '{GROUP}'"
    )
