"""Bit-exact integer semantics: what the gates compute, as numpy functions.

Integers are two's complement. Accumulators wrap around; only requantization saturates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray
from dovetail.networks.operators import Window

EXACT_IN_DOUBLE = 2**53


def wrap(values: NDArray[Any], bits: int) -> IntArray:
    """The signed number that the low `bits` bits of each value mean.

    Args:
        values: integers of any shape.
        bits: 1 to 64.

    Returns:
        Same shape, within -2^(bits-1) to 2^(bits-1) - 1.

    Raises:
        NetworkError: if `bits` or the type of `values` is illegal.
    """
    if not 1 <= bits <= 64:
        raise NetworkError(f"accumulator of {bits} bits: must be within 1 to 64")
    room = 64 - bits
    return (_integers("values", values) << room) >> room


def matmul_int(a: NDArray[Any], b: NDArray[Any], accumulator_bits: int = 32) -> IntArray:
    """Matrix product in an accumulator that wraps around.

    The order of additions does not matter: they are exact modulo 2^accumulator_bits.

    Args:
        a: (..., M, K) integers.
        b: (..., K, N) integers; leading dimensions broadcast as in numpy.matmul.
        accumulator_bits: width of the accumulator, 1 to 64.

    Returns:
        (..., M, N), signed numbers of `accumulator_bits`.

    Raises:
        NetworkError: if the operands are not integers or do not fit each other.
    """
    a, b = _integers("left operand", a), _integers("right operand", b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise NetworkError(
            f"matrix product of {list(a.shape)} and {list(b.shape)}: must be (M, K) and (K, N)"
        )
    if a.shape[-1] * _magnitude(a) * _magnitude(b) < EXACT_IN_DOUBLE:
        exact = np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.int64)
    else:
        exact = np.matmul(a, b)
    return wrap(exact, accumulator_bits)


def conv2d_int(
    x: NDArray[Any], w: NDArray[Any], window: Window, groups: int = 1, accumulator_bits: int = 32
) -> IntArray:
    """Convolution with zero padding in an accumulator that wraps around.

    Args:
        x: (N, C, H, W) integers.
        w: (K, C/groups, R, S) integers.
        window: kernel (R, S), stride, padding and dilation.
        groups: consecutive channel groups; C makes it depthwise.
        accumulator_bits: width of the accumulator, 1 to 64.

    Returns:
        (N, K, P, Q), signed numbers of `accumulator_bits`.

    Raises:
        NetworkError: if the operands are not integers or do not fit each other or the window.
    """
    x, w = _integers("input", x), _integers("weight", w)
    _check_conv2d(x, w, window, groups)
    n, _, height, width = x.shape
    k, c_group, r, s = w.shape
    p, q = window.output(height, width)
    patches = _patches(x, window)[:, :, :p, :q].transpose(0, 1, 4, 5, 2, 3)
    columns = patches.reshape(n, groups, c_group * r * s, p * q)
    rows = w.reshape(groups, k // groups, c_group * r * s)
    return matmul_int(rows, columns, accumulator_bits).reshape(n, k, p, q)


def requantize(
    acc: NDArray[Any],
    multiplier: NDArray[Any] | int,
    shift: NDArray[Any] | int,
    zero_point: NDArray[Any] | int = 0,
    bits: int = 8,
) -> IntArray:
    """Rescales accumulators to a narrow format: clip(round(acc * multiplier / 2^shift) + zero).

    Ties round half up, towards plus infinity: round(x) = floor(x + 1/2), which takes one adder
    and an arithmetic shift in hardware. Saturation comes last.

    Args:
        acc: accumulators.
        multiplier: >= 0; broadcasts: (K, 1, 1) scales each channel of accumulators (N, K, P, Q).
        shift: bits to shift right, 0 to 62; broadcasts.
        zero_point: added after rounding; broadcasts.
        bits: width of the signed result, 1 to 32.

    Returns:
        Broadcast shape, within -2^(bits-1) to 2^(bits-1) - 1.

    Raises:
        NetworkError: if a parameter is out of range, or a product could exceed 63 bits.
    """
    acc, multiplier = _integers("accumulator", acc), _integers("multiplier", multiplier)
    shift, zero_point = _integers("shift", shift), _integers("zero point", zero_point)
    low, high = _check_requantize(acc, multiplier, shift, zero_point, bits)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    rounded = (acc * multiplier + half) >> shift
    # Clipping first keeps the sum with the zero point inside 64 bits; the result is the same.
    return np.clip(np.clip(rounded, low - zero_point, high - zero_point) + zero_point, low, high)


def _integers(what: str, values: NDArray[Any] | int) -> IntArray:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise NetworkError(f"{what} of type {array.dtype}: must be integers")
    return array.astype(np.int64)


def _magnitude(values: IntArray) -> int:
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def _check_conv2d(x: IntArray, w: IntArray, window: Window, groups: int) -> None:
    fits = x.ndim == w.ndim == 4 and groups >= 1 and w.shape[0] % groups == 0
    if not fits or x.shape[1] != w.shape[1] * groups or w.shape[2:] != window.kernel:
        raise NetworkError(
            f"convolution of {list(x.shape)} with weight {list(w.shape)}, kernel {window.kernel} "
            f"and groups {groups}: must be (N, C, H, W) and (K, C/groups, R, S), K in equal groups"
        )


def _patches(x: IntArray, window: Window) -> IntArray:
    """All windows of the padded input: a view (N, C, P, Q, R, S)."""
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (rows, cols), (row_gap, col_gap) = window.kernel, window.dilation
    extent = (row_gap * (rows - 1) + 1, col_gap * (cols - 1) + 1)
    dense = sliding_window_view(padded, extent, axis=(2, 3))
    row_step, col_step = window.stride
    return dense[:, :, ::row_step, ::col_step, ::row_gap, ::col_gap]


def _check_requantize(
    acc: IntArray, multiplier: IntArray, shift: IntArray, zero_point: IntArray, bits: int
) -> tuple[int, int]:
    if not 1 <= bits <= 32:
        raise NetworkError(f"requantization to {bits} bits: must be within 1 to 32")
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if multiplier.min(initial=0) < 0:
        raise NetworkError(f"multiplier {multiplier.min()}: must be >= 0")
    if shift.min(initial=0) < 0 or shift.max(initial=0) > 62:
        raise NetworkError(f"shift {shift.min()} to {shift.max()}: must be within 0 to 62")
    if zero_point.min(initial=0) < low or zero_point.max(initial=0) > high:
        raise NetworkError(
            f"zero point {zero_point.min()} to {zero_point.max()}: must be within {low} to {high}"
        )
    bound = _magnitude(acc) * _magnitude(multiplier) + 2 ** max(int(shift.max(initial=0)) - 1, 0)
    if bound >= 2**63:
        raise NetworkError(
            f"accumulator {_magnitude(acc)} x multiplier {_magnitude(multiplier)} exceeds 63 bits: "
            "narrow the accumulator or the multiplier"
        )
    return low, high
