"""3-D convolutions folded onto two dimensions compute the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dovetail.arch import presets
from dovetail.flow import simulate
from dovetail.ir.tensor import Tensor
from dovetail.ir.window import Windows
from dovetail.mappers.systolic.planar import Planar, planar
from dovetail.networks import operators
from dovetail.networks.builder import NetworkBuilder
from tests.networks.convolutions import convolve, volumes

Array = NDArray[np.int64]
Case = tuple[tuple[int, ...], tuple[int, ...], Windows, int]


def _view(case: Case) -> Planar:
    x_shape, w_shape, window, groups = case
    made = (x_shape[0], w_shape[0], *window.outputs(x_shape[2:]))
    tensors = Tensor("x", x_shape), Tensor("w", w_shape, is_parameter=True), Tensor("y", made)
    einsum = operators.conv3d("conv", *tensors, window, groups).einsum
    assert einsum is not None
    return planar(einsum, tensors[0])


def _frames(x: Array, window: Windows, taps: int, outputs: int) -> Array:
    """Every output frame's input frames as channels: (N x O, C x T, H, W)."""
    x = np.pad(x, ((0, 0), (0, 0), (window.begin[0], window.end[0]), (0, 0), (0, 0)))
    at = np.arange(outputs)[:, None] * window.stride[0] + np.arange(taps) * window.dilation[0]
    images = x[:, :, at].transpose(0, 2, 1, 3, 4, 5)
    n, o, c, t, h, w = images.shape
    return images.reshape(n * o, c * t, h, w)


@settings(max_examples=25, deadline=None)
@given(volumes(), st.integers(0, 2**32 - 1))
def test_the_planar_convolution_computes_the_same(case: Case, seed: int) -> None:
    x_shape, w_shape, window, groups = case
    rng = np.random.default_rng(seed)
    x, w = rng.integers(-9, 10, x_shape), rng.integers(-9, 10, w_shape)
    wanted = convolve(x, w, window, groups)
    view, taps, frames = _view(case), w_shape[2], wanted.shape[2]
    sizes = view.rows.size, view.columns.size
    if view.extents["R"] == taps > 1 and view.extents["C"] == w_shape[1]:
        images = x.reshape(*x_shape[:3], -1)
        kernel = w.reshape(*w_shape[:3], 1)
        end = (window.end[0], 0)
    else:
        images = _frames(x, window, taps, frames)
        kernel = w.reshape(w_shape[0], -1, *w_shape[3:])
        end = window.end[1:]
    assert images.shape == (view.extents["N"], view.extents["G"] * view.extents["C"], *sizes)
    assert kernel.shape[1:] == tuple(view.extents[rank] for rank in "CRS")
    axes = view.rows, view.columns
    flat = Windows(
        kernel.shape[2:], tuple(a.stride for a in axes), tuple(a.padding for a in axes), end,
        tuple(a.dilation for a in axes),
    )  # fmt: skip
    made = convolve(images, kernel, flat, groups)
    assert made.shape[2:] == (view.extents["P"], view.extents["Q"])
    ordered = (
        made.reshape(wanted.shape)
        if len(images) == len(x) and made.shape[2] == frames
        else (made.reshape(len(x), frames, -1, *wanted.shape[3:]).transpose(0, 2, 1, 3, 4))
    )
    np.testing.assert_array_equal(ordered, wanted)
    assert math.prod(view.extents.values()) == wanted.size * math.prod(w_shape[1:])


@pytest.mark.parametrize("kernel", [(3, 1, 1), (1, 3, 3), (3, 3, 3)])
@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
def test_systolic_arrays_run_3d_convolutions(kernel: tuple[int, int, int], fidelity: str) -> None:
    net = NetworkBuilder("net")
    x = net.input("x", (1, 16, 8, 14, 14))
    pads = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    network = net.build([net.conv3d(x, 32, kernel, padding=pads)])
    report = simulate(network, presets.load("edge"), fidelity=fidelity)
    assert report.macs == network.macs == 32 * 8 * 14 * 14 * 16 * math.prod(kernel)
    weights = report.operators[0].dram_bytes["weight"]
    assert weights >= 32 * 16 * math.prod(kernel) * presets.load("edge").weight_bits / 8
