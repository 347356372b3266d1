"""Which function imports which TFLite operator."""

from __future__ import annotations

from collections.abc import Callable

from dovetail.networks.tflite_ops import contraction, elementwise, movement
from dovetail.networks.tflite_ops.node import Node

Handler = Callable[[Node], None]

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D"), contraction.conv),
    "FULLY_CONNECTED": contraction.fully_connected,
    "BATCH_MATMUL": contraction.batch_matmul,
    "TRANSPOSE_CONV": contraction.transpose_conv,
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    **dict.fromkeys(elementwise.POOLS, elementwise.pool),
    **dict.fromkeys(elementwise.REDUCTIONS, elementwise.reduction),
    **dict.fromkeys(("SELECT", "SELECT_V2"), elementwise.select),
    "ADD_N": elementwise.add_n,
    **dict.fromkeys(movement.VIEWS, movement.view),
    **dict.fromkeys(movement.MOVES, movement.move),
    **dict.fromkeys(movement.SPLITS, movement.split),
    **dict.fromkeys(movement.CONSTANTS, movement.constant),
    **dict.fromkeys(("PAD", "PADV2"), movement.pad),
    "GATHER": movement.gather,
    "TRANSPOSE": movement.transpose,
    "CONCATENATION": movement.concat,
    "RESIZE_BILINEAR": movement.bilinear,
}
"""Importers by name of the builtin operator."""
