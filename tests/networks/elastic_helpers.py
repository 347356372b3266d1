"""A tiny family, and a numpy reference of one integer convolution block."""

from __future__ import annotations

import numpy as np

from dovetail.networks.elastic import ElasticFamily

TINY = ElasticFamily(
    resolutions=(4, 8), widths=((4, 8), (8, 16)), depths=(1, 2), weight_bits=(2, 8)
)


def convolve(x, weight, stride):
    """Integer convolution of (n, C, H, H) with (K, C, R, R), zero padded by R // 2."""
    kernel = weight.shape[-1]
    pad, out = kernel // 2, (x.shape[-1] - 1) // stride + 1
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    result = np.zeros((len(x), len(weight), out, out), dtype=np.int64)
    for row in range(kernel):
        for column in range(kernel):
            rows = slice(row, row + stride * out, stride)
            columns = slice(column, column + stride * out, stride)
            window = padded[:, :, rows, columns][:, :, :out, :out]
            result += np.einsum("ncpq,kc->nkpq", window, weight[:, :, row, column])
    return result


def integer_block(x, weight, bias, multiplier, block, bits, steps):
    """Output codes of one block by the formula in the inference module's docstring."""
    x_step, y_step, step = steps
    y = (convolve(x, weight, block.stride) + bias[:, None, None]) * multiplier[:, None, None]
    if block.residual:
        y = np.clip(np.round(y), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        y = (y * y_step + x * x_step) / step
    return np.clip(np.round(y), 0, 2**bits - 1)
