"""Operators as rows of numbers for the RTL machine: what the batched models read."""

from __future__ import annotations

import numpy as np

from dovetail.ir.schedule import Schedule
from dovetail.ir.space import IntArray
from dovetail.networks.quantized import Addition, Convolution, Layer, QuantizedNetwork
from dovetail.sim.columns import ARRAY, VECTOR, Op


def rtl_rows(plan: Schedule, twins: QuantizedNetwork) -> IntArray:
    """Rows of `Op` columns, one per placement; engine NONE for views and what the host runs.

    Args:
        plan: schedule of a network.
        twins: its layers, from `dovetail.mappers.rtl.twins`.
    """
    layers = {layer.name: layer for layer in twins.layers}
    rows = np.zeros((len(plan.placements), len(Op)), dtype=np.int64)
    for i, placement in enumerate(plan.placements):
        layer = layers.get(placement.operator.name)
        if layer is not None:
            rows[i] = layer_row(twins, layer)
    return rows


def layer_row(network: QuantizedNetwork, layer: Layer) -> IntArray:
    """The row of one layer: its shape, before groups are joined."""
    source, target = network.tensor(layer.inputs[0]), network.tensor(layer.output)
    row = np.zeros(len(Op), dtype=np.int64)
    convolution = isinstance(layer, Convolution)
    groups = layer.groups if isinstance(layer, Convolution) else 1
    row[Op.ENGINE] = ARRAY if convolution else VECTOR
    row[Op.G], row[Op.N] = groups, 1
    row[Op.K] = target.channels // groups
    row[Op.C] = source.channels // groups if convolution else 1
    row[[Op.P, Op.Q]] = target.height, target.width
    row[[Op.HEIGHT, Op.WIDTH]] = source.height, source.width
    row[[Op.R, Op.S, Op.STRIDE_H, Op.STRIDE_W, Op.DILATION_H, Op.DILATION_W]] = 1
    if not isinstance(layer, Addition):
        window = layer.window
        row[[Op.R, Op.S]] = window.kernel
        row[[Op.STRIDE_H, Op.STRIDE_W]] = window.stride
        row[[Op.DILATION_H, Op.DILATION_W]] = window.dilation
        row[[Op.PAD_TOP, Op.PAD_LEFT]] = window.padding[:2]
    row[Op.OPERANDS] = len(layer.inputs)
    row[Op.WIDE] = target.wide
    return row
