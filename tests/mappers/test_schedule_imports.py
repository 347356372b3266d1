"""Imported convolutions and products reach the array with all that they read."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from dovetail.arch import presets
from dovetail.flow import simulate
from dovetail.ir.network import Network
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.networks.onnx_import import from_onnx_model
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.columns import Op
from tests.networks.onnx_models import model, weights

node = helper.make_node


def check_moving_elements(network: Network) -> None:
    """The array's view of a moving operand has exactly the tensor's elements."""
    plan = schedule(network)
    for row, placement in zip(op_rows(network, plan), plan.placements, strict=True):
        op = placement.operator
        if op.einsum is None:
            continue
        view = np.prod(row[[Op.G, Op.N, Op.C, Op.HEIGHT, Op.WIDTH]])
        moving = network.tensor[op.einsum.operands[0].tensor]
        frames, taps = op.einsum.extent("O"), op.einsum.extent("T")
        if frames > 1 and taps == 1:  # a strided 1 x 1 x 1 skips frames
            assert view == moving.elements // moving.shape[2] * frames, op.name
        else:
            assert view == moving.elements, op.name


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_zoo_is_read_whole(name: str) -> None:
    check_moving_elements(NETWORKS[name]())


IMPORTS = {
    "conv1d": (
        node("Conv", ["x", "w"], ["y"], pads=[1, 2], strides=[2]),
        {"x": (2, 8, 33)},
        {"w": weights(16, 8, 3)},
    ),
    "depthwise conv1d": (
        node("Conv", ["x", "w"], ["y"], group=8, dilations=[3]),
        {"x": (2, 8, 33)},
        {"w": weights(8, 1, 5)},
    ),
    "matrix x batch": (
        node("MatMul", ["w", "x"], ["y"]),
        {"x": (4, 8, 9)},
        {"w": weights(16, 8)},
    ),
    "matrix x batch of batches": (
        node("MatMul", ["w", "x"], ["y"]),
        {"x": (4, 5, 8, 9)},
        {"w": weights(16, 8)},
    ),
    "row x batch": (node("MatMul", ["w", "x"], ["y"]), {"x": (4, 8, 9)}, {"w": weights(8)}),
    "conv over time": (
        node("Conv", ["x", "w"], ["y"], pads=[1, 0, 0, 1, 0, 0], strides=[2, 1, 1]),
        {"x": (2, 8, 6, 7, 9)},
        {"w": weights(16, 8, 3, 1, 1)},
    ),
    "conv over frames": (
        node("Conv", ["x", "w"], ["y"], pads=[0, 1, 1, 0, 1, 1], strides=[1, 2, 2], group=4),
        {"x": (2, 8, 6, 7, 9)},
        {"w": weights(16, 2, 1, 3, 3)},
    ),
    "transposed conv1d": (
        node("ConvTranspose", ["x", "w"], ["y"], strides=[2]),
        {"x": (2, 8, 33)},
        {"w": weights(8, 4, 3)},
    ),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_imports_are_read_whole_and_simulated(name: str) -> None:
    op, inputs, constants = IMPORTS[name]
    network = from_onnx_model(model([op], inputs, ["y"], constants))
    check_moving_elements(network)
    design = presets.load("edge")
    estimate, cycle = (simulate(network, design, fidelity=f) for f in ("estimate", "cycle"))
    assert estimate.cycles == cycle.cycles > 0
    assert estimate.macs == network.macs
