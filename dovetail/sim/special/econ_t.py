"""Encoder of the ECON-T autoencoder: 48 trigger cells to 16 numbers, in fixed point.

Formats: cells 10 bits, signed, 6 of them fractional; weights and biases 6 bits, signed, 4
fractional; after the convolution 11 bits, unsigned, 8 fractional; codes 9 bits, unsigned, 8
fractional. Sums are exact. Each ReLU rounds to nearest with ties to even and saturates, as QKeras's
`quantized_relu` does, which the network was trained with.

References:
    Di Guglielmo et al., "A Reconfigurable Neural Network ASIC for Detector Front-End Data
    Compression at the HL-LHC", arXiv 2105.01683.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray
from dovetail.networks.operators import Window
from dovetail.sim.special.quantize import quantize
from dovetail.sim.values import conv2d_int

CELLS, CELL_BITS, CELL_FRACTION = 48, 10, 6
WEIGHT_BITS, WEIGHT_FRACTION = 6, 4
HIDDEN_BITS, CODE_BITS, CODE_FRACTION = 11, 9, 8
SIDE, PLACES, TAPS = 8, 16, 9


@dataclass(frozen=True, slots=True)
class Encoder:
    """Size of the encoder.

    Attributes:
        filters: of the convolution.
        outputs: of the dense layer.
    """

    filters: int = 8
    outputs: int = 16

    @property
    def parameters(self) -> int:
        """Weights and biases of both layers."""
        return self.filters * (TAPS + 1) + self.outputs * (PLACES * self.filters + 1)

    @property
    def macs(self) -> int:
        """Multiplications per event, those with the padding included."""
        return PLACES * TAPS * self.filters + self.outputs * PLACES * self.filters

    def split(self, weights: NDArray[Any]) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Kernels (filters, 9), their biases, dense weights (outputs, 16 filters), their biases.

        Raises:
            NetworkError: if their number or a value is wrong.
        """
        flat = np.asarray(weights, dtype=np.int64).ravel()
        top = 1 << (WEIGHT_BITS - 1)
        if flat.size != self.parameters:
            raise NetworkError(f"{flat.size} weights of the encoder: must be {self.parameters}")
        if ((flat < -top) | (flat >= top)).any():
            raise NetworkError(f"a weight of the encoder is outside {-top} to {top - 1}: clip it")
        values = PLACES * self.filters
        ends = np.cumsum([TAPS * self.filters, self.filters, self.outputs * values])
        kernels, biases, dense, dense_biases = np.split(flat, ends)
        return kernels.reshape(-1, TAPS), biases, dense.reshape(-1, values), dense_biases


def arrange(cells: NDArray[Any]) -> IntArray:
    """Cells (N, 48) on the map (N, 8, 8): three 4 x 4 sensors around the centre, zeros elsewhere.

    Each sensor is turned by a quarter against the next; the fourth quadrant is empty.
    """
    row, column = np.indices((SIDE // 2, SIDE // 2))
    plane = np.zeros((len(cells), SIDE, SIDE), dtype=np.int64)
    plane[:, :4, :4] = cells[:, 28 - 4 * row + column]
    plane[:, :4, 4:] = cells[:, row + 4 * column]
    plane[:, 4:, :4] = cells[:, 47 - row - 4 * column]
    return plane


def econ_t(
    cells: NDArray[Any],
    weights: NDArray[Any],
    size: Encoder | None = None,
    fraction: int = WEIGHT_FRACTION,
    rounding: str = "AP_RND_CONV",
) -> IntArray:
    """Encodes events.

    Args:
        cells: (N, 48) integers in units of 2^-6, within -512 to 511.
        weights: integers in units of 2^-fraction, within -32 to 31: the kernel of each filter by
            rows, the bias of each filter, the weights of each output (place by rows, then filter),
            the bias of each output.
        size: of the encoder; that of ECON-T if not given.
        fraction: fractional bits of the weights, 2 to 5.
        rounding: of both ReLUs, one of `dovetail.sim.special.quantize.ROUNDINGS`.

    Returns:
        (N, outputs), within 0 to 511, in units of 2^-8.

    Raises:
        NetworkError: if a shape or value is wrong.
    """
    size = size or Encoder()
    cells = np.asarray(cells, dtype=np.int64)
    top = 1 << (CELL_BITS - 1)
    if cells.ndim != 2 or cells.shape[1] != CELLS:
        raise NetworkError(f"cells of shape {cells.shape}: must be (events, {CELLS})")
    if ((cells < -top) | (cells >= top)).any():
        raise NetworkError(f"a cell is outside {-top} to {top - 1}: clip it")
    kernels, biases, dense, dense_biases = size.split(weights)
    # 'same' padding of an even side under stride 2: one row below, one column to the right.
    plane = np.pad(arrange(cells), ((0, 0), (0, 1), (0, 1)))[:, None]
    sums = conv2d_int(plane, kernels.reshape(-1, 1, 3, 3), Window((3, 3), (2, 2)))
    sums += (biases << CELL_FRACTION)[:, None, None]
    drop = CELL_FRACTION + fraction - CODE_FRACTION
    hidden = _relu(sums, drop, HIDDEN_BITS, rounding)
    values = hidden.transpose(0, 2, 3, 1).reshape(len(cells), -1)
    codes = values @ dense.T + (dense_biases << CODE_FRACTION)
    return _relu(codes, fraction, CODE_BITS, rounding)


def _relu(x: IntArray, drop: int, bits: int, rounding: str) -> IntArray:
    """Unsigned, with `drop` fractional bits fewer; one bit more makes it signed for `quantize`."""
    return quantize(np.maximum(x, 0), drop, bits + 1, rounding, "AP_SAT")
