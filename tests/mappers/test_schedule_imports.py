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
        assert view == network.tensor[op.einsum.operands[0].tensor].elements, op.name


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
