"""Tensors: sizes, and the quantization that they carry."""

from __future__ import annotations

import math

import pytest

from dovetail.errors import NetworkError
from dovetail.ir.tensor import INT8, Quantization, Tensor


def test_one_scale_per_element_of_an_axis() -> None:
    scales = Quantization((0.5, 0.25), (0, 3), axis=0)
    assert Tensor("w", (2, 3), INT8, True, scales).quantization == scales
    with pytest.raises(NetworkError, match=r"'w' of shape \[3, 2\] has 2 scales along axis 0"):
        Tensor("w", (3, 2), INT8, True, scales)
    with pytest.raises(NetworkError, match="axis 2"):
        Tensor("w", (2, 2), INT8, True, Quantization((0.5, 0.25), (0, 0), axis=2))


def test_another_shape_has_no_scales_along_an_axis() -> None:
    tensor = Tensor("w", (2, 3), INT8, True, Quantization((0.5, 0.25), (0, 0), axis=0))
    assert tensor.seen_as((6,)).quantization is None
    whole = Tensor("x", (2, 3), INT8, quantization=Quantization((0.5,), (3,)))
    assert whole.seen_as((6,)).quantization == whole.quantization


@pytest.mark.parametrize(
    ("scales", "points", "axis", "message"),
    [
        ((), (), None, "at least one"),
        ((1.0,), (0, 0), None, "as many of each"),
        ((1.0, 1.0), (0, 0), None, "needs an axis"),
        ((0.0,), (0,), None, "scale 0.0: must be positive"),
        ((math.nan,), (0,), None, "scale nan"),
        ((math.inf,), (0,), None, "scale inf"),
    ],
)
def test_illegal_quantization(
    scales: tuple[float, ...], points: tuple[int, ...], axis: int | None, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        Quantization(scales, points, axis)
