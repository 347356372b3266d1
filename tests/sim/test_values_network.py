import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.networks.operators import Window
from dovetail.networks.quantized import (
    Activation,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)
from dovetail.sim.values_network import reference


def _law(multiplier: int = 1, shift: int = 0, bias: int = 0, zero_point: int = 0, **limits: int):
    ones = np.ones(1, dtype=np.int64)
    return Requantization(bias * ones, multiplier * ones, shift * ones, zero_point, **limits)


def _run(
    layer: Layer, image: list[list[int]], out: Activation, zero_point: int = 0, bits: int = 32
):
    values = np.array([image])
    x = Activation("x", *values.shape, zero_point)
    network = QuantizedNetwork("net", (x, out), (layer,), "x", "y", accumulator_bits=bits)
    return reference(network, values)["y"][0].tolist()


def test_convolution_pads_with_the_zero_point() -> None:
    window = Window((1, 3), padding=(0, 1, 0, 1))
    layer = Convolution("conv", "x", "y", np.array([[[[1, 10, 100]]]]), window, 1, _law(bias=-7))
    got = _run(layer, [[1, 0]], Activation("y", 1, 1, 2), zero_point=-1)
    assert got == [[-1 + 10 + 0 - 7, 1 + 0 - 100 - 7]]


@pytest.mark.parametrize(("kind", "want"), [("max", [[1, 3, 3]]), ("sum", [[-4, 4, -2]])])
def test_pooling_pads_with_the_least_code_or_the_zero_point(kind: str, want: list) -> None:
    layer = Pooling("pool", "x", "y", kind, Window((1, 2), padding=(0, 1, 0, 1)), _law())
    assert _run(layer, [[1, 3]], Activation("y", 1, 1, 3), zero_point=-5) == want


def test_addition_weighs_its_operands_and_clips() -> None:
    law = _law(multiplier=3, shift=1, zero_point=2, low=-4, high=20)
    got = _run(Addition("add", "x", "x", "y", 2, -1, law), [[1, -1, 9, -9]], Activation(
        "y", 1, 1, 4, 2))  # fmt: skip
    # 1.5 rounds to 2, -1.5 to -1; 13.5 to 14; -13.5 to -13, clipped
    assert got == [[4, 1, 16, -4]]


def test_sums_wrap_at_the_width_of_the_accumulator() -> None:
    law = Requantization.wide_of(np.array([1]))
    got = _run(
        Addition("add", "x", "x", "y", 1, 0, law), [[127, -128]],
        Activation("y", 1, 1, 2, wide=True), bits=8,
    )  # fmt: skip
    assert got == [[-128, -127]]


@given(scale=st.integers(0, 2**26 - 1), shift=st.integers(0, 62), code=st.integers(-128, 127))
def test_rounding_is_the_floor_of_half_more(scale: int, shift: int, code: int) -> None:
    got = _run(
        Addition("add", "x", "x", "y", 1, 0, _law(scale, shift)), [[code]],
        Activation("y", 1, 1, 1),
    )  # fmt: skip
    rounded = (2 * code * scale + (1 << shift)) // (2 << shift)
    assert got == [[min(127, max(-128, rounded))]]


@pytest.mark.parametrize("image", [np.zeros((1, 1, 2), dtype=int), np.full((1, 1, 1), 128)])
def test_images_must_be_codes_of_the_input(image: np.ndarray) -> None:
    network = QuantizedNetwork("net", (Activation("x", 1, 1, 1),), (), "x", "x")
    with pytest.raises(NetworkError, match=r"must be .* codes of 8 bits"):
        reference(network, image)
