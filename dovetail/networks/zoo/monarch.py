"""Long convolutions as products of small Fourier matrices."""

from __future__ import annotations

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder


def monarch_fft(
    *, batch: int = 1, channels: int = 64, rows: int = 1024, columns: int = 1024
) -> Network:
    """Half of a Monarch FFT convolution: Gemm0 - Mul - Transpose - Gemm1, real numbers.

    A sequence of rows x columns elements lies as a matrix; Gemm0 transforms its rows, Mul turns
    by the twiddle factors, and Gemm1 transforms the columns.

    Args:
        batch: sequences per inference.
        channels: of each.
        rows: of the matrix that a sequence is.
        columns: of the same.

    References:
        Fu et al., FlashFFTConv, arXiv 2311.05908; simplified as in arXiv 2405.07518, figure 3.
    """
    net = NetworkBuilder("monarch_fft")
    x = net.input("x", (batch * channels, rows, columns))
    x = net.linear(x, columns, bias=False, name="gemm0")
    x = net.mul(x, net.parameter("twiddle", (rows, columns)), name="mul")
    x = net.transpose(x, (0, 2, 1), name="transpose")
    return net.build([net.linear(x, rows, bias=False, name="gemm1")])
