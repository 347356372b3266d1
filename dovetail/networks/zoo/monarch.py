"""Long convolutions as products of small Fourier matrices."""

from __future__ import annotations

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder


def flash_fft_conv(
    *, batch: int = 1, channels: int = 64, planes: int = 128, rows: int = 128, columns: int = 64
) -> Network:
    """Convolution of sequences of 2^20 elements through Monarch FFTs of order 3.

    A sequence of planes x rows x columns elements lies as a cube. The transform multiplies along
    each axis by a small Fourier matrix, turns by twiddle factors between, and transposes; then
    comes the product with the filter's spectrum, and the same way back. Real numbers stand for
    complex ones: the same operators in the same order, at a lower intensity.

    Args:
        batch: sequences of each channel.
        channels: each has a filter of its own.
        planes: of the cube.
        rows: of the cube.
        columns: of the cube.

    References:
        Fu et al., FlashFFTConv, arXiv 2311.05908.
    """
    net = NetworkBuilder("flash_fft_conv")
    x = net.input("x", (batch, channels, planes, rows, columns))
    with net.scope("forward"):
        x = _transform(net, x)
    x = net.mul(x, net.parameter("spectrum", net.shape(x)[1:]), name="filter")
    with net.scope("backward"):
        x = _transform(net, x)
    return net.build([x])


def _transform(net: NetworkBuilder, x: str) -> str:
    """Products along all axes of the cube, the last one first; then the axes stand as before."""
    for step in range(3):
        size = net.shape(x)[-1]
        x = net.linear(x, size, bias=False, name=f"gemm{step}")
        if step < 2:
            twiddle = net.parameter(f"twiddle{step}", net.shape(x)[2:])
            x = net.mul(x, twiddle, name=f"mul{step}")
        x = net.transpose(x, (0, 1, 4, 2, 3), name=f"transpose{step}")
    return x
