import dataclasses

import numpy as np
import pytest

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

LAW = Requantization(np.array([5, -5]), np.array([3, 4]), np.array([1, 2]))
CONV = Convolution("conv", "x", "y", np.ones((2, 3, 1, 1), dtype=np.int8), Window((1, 1)), 1, LAW)
POOL = Pooling("pool", "y", "z", "max", Window((2, 2)), LAW)
ADD = Addition("add", "y", "y", "z", 1, 1, LAW)
TENSORS = (Activation("x", 3, 4, 5), Activation("y", 2, 4, 5), Activation("z", 2, 3, 4))
SAME = (*TENSORS[:2], Activation("z", 2, 4, 5))


def _network(
    *layers: Layer, tensors: tuple[Activation, ...] = TENSORS, output: str = "z", bits: int = 8
) -> QuantizedNetwork:
    return QuantizedNetwork("net", tensors, layers, "x", output, weight_bits=bits)


def test_a_legal_network_is_legal() -> None:
    network = _network(CONV, POOL)
    assert network.tensor("y").shape == (2, 4, 5)
    assert [layer.inputs for layer in network.layers] == [("x",), ("y",)]
    assert _network(CONV, ADD, tensors=SAME).layers[1].inputs == ("y", "y")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"window": Window((2, 1))}, "do not fit the window"),
        ({"groups": 2}, "2 groups, 3 channels do not fit"),
        ({"weight": np.ones((3, 3, 1, 1), dtype=int)}, r"output \(2, 4, 5\): must be \(3, 4, 5\)"),
        ({"weight": np.full((2, 3, 1, 1), 128)}, "weight: 128 .. 128: must be within -128 to 127"),
        ({"weight": np.ones((2, 3, 1, 1))}, "type float64: must be integers"),
        ({"input": "y"}, "not all written before"),
        ({"output": "other"}, "writes unknown tensor 'other'"),
        ({"output": "x"}, "writes 'x' again"),
    ],
)
def test_illegal_convolutions_say_why(change: dict[str, object], reason: str) -> None:
    with pytest.raises(NetworkError, match=reason):
        _network(dataclasses.replace(CONV, **change), output="x")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bias": np.zeros(3, dtype=int)}, r"bias \(3,\): not \(2,\)"),
        ({"bias": np.array([0, 2**31])}, "bias: 0 .. 2147483648"),
        ({"multiplier": np.array([1, 2**26])}, "multiplier: 1 .. 67108864"),
        ({"multiplier": np.array([-1, 0])}, "multiplier: -1 .. 0"),
        ({"shift": np.array([0, 63])}, "shift: 0 .. 63: must be within 0 to 62"),
        ({"high": 128}, "clipping to -128 .. 128"),
        ({"low": 5, "high": 4}, "clipping to 5 .. 4"),
        ({"zero_point": 3}, "another zero point than its output's"),
        ({"wide": True}, "differ in being wide"),
    ],
)
def test_illegal_requantizations_say_why(change: dict[str, object], reason: str) -> None:
    law = dataclasses.replace(LAW, **change)
    with pytest.raises(NetworkError, match=reason):
        _network(dataclasses.replace(CONV, requantization=law), POOL)


def test_illegal_vector_layers_say_why() -> None:
    with pytest.raises(NetworkError, match="kind 'mean': must be max or sum"):
        _network(CONV, dataclasses.replace(POOL, kind="mean"))
    with pytest.raises(NetworkError, match="operands differ in shape"):
        _network(CONV, dataclasses.replace(ADD, b="x"), tensors=SAME)
    with pytest.raises(NetworkError, match=r"weights: 1 \.\. 32768"):
        _network(CONV, dataclasses.replace(ADD, weight_b=2**15), tensors=SAME)


def test_illegal_tensors_say_why() -> None:
    with pytest.raises(NetworkError, match="two tensors have one name"):
        _network(CONV, tensors=(*TENSORS, TENSORS[0]), output="y")
    with pytest.raises(NetworkError, match="zero point 128: must fit 8 bits"):
        _network(tensors=(Activation("x", 1, 1, 1, 128),), output="x")
    with pytest.raises(NetworkError, match="must be >= 1"):
        Activation("x", 0, 1, 1)
    with pytest.raises(NetworkError, match="nothing writes the output 'z'"):
        _network(CONV)
    with pytest.raises(NetworkError, match="its input is wide"):
        _network(tensors=(Activation("x", 1, 1, 1, wide=True),), output="x")


def test_wide_tensors_are_read_by_nobody() -> None:
    wide = Requantization.wide_of(np.zeros(2, dtype=int))
    tensors = (TENSORS[0], dataclasses.replace(TENSORS[1], wide=True), TENSORS[2])
    with pytest.raises(NetworkError, match="reads a wide tensor"):
        _network(dataclasses.replace(CONV, requantization=wide), POOL, tensors=tensors)
