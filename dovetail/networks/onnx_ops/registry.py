"""Which function imports which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable

from dovetail.networks.onnx_ops import (
    attention,
    constants,
    contraction,
    elementwise,
    movement,
    reduction,
    windows,
)
from dovetail.networks.onnx_ops.node import Node

Handler = Callable[[Node], None]

DOMAINS = ("", "ai.onnx")

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    **dict.fromkeys(elementwise.VARIADIC, elementwise.variadic),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"), windows.global_pool),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), windows.pool),
    **dict.fromkeys(reduction.NORMS, reduction.norm),
    **dict.fromkeys(reduction.REDUCTIONS, reduction.reduction),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), reduction.softmax),
    **dict.fromkeys(("ArgMax", "ArgMin"), reduction.arg_reduction),
    **dict.fromkeys(("Identity", "Dropout"), movement.identity),
    **dict.fromkeys(("Resize", "Upsample"), movement.resize),
    **dict.fromkeys(("SpaceToDepth", "DepthToSpace"), movement.space_to_depth),
    **dict.fromkeys(("Scatter", "ScatterElements", "ScatterND"), movement.scatter),
    **dict.fromkeys(("Cast", "CastLike"), elementwise.cast),
    **dict.fromkeys(("QuantizeLinear", "DynamicQuantizeLinear"), elementwise.quantize),
    **dict.fromkeys(("Conv", "ConvInteger"), contraction.conv),
    **dict.fromkeys(("MatMul", "MatMulInteger"), contraction.matmul),
    "ConvTranspose": contraction.conv_transpose,
    "QLinearConv": contraction.qlinear_conv,
    "QLinearMatMul": contraction.qlinear_matmul,
    "Gemm": contraction.gemm,
    "Attention": attention.attention,
    "RotaryEmbedding": attention.rotary_embedding,
    "Einsum": attention.einsum,
    "LRN": reduction.lrn,
    "TopK": reduction.top_k,
    "CumSum": reduction.cumulative_sum,
    "Clip": elementwise.clip,
    "Where": elementwise.where,
    "DequantizeLinear": elementwise.dequantize,
    "Reshape": movement.reshape,
    "Flatten": movement.flatten,
    "Squeeze": movement.squeeze,
    "Unsqueeze": movement.unsqueeze,
    "Transpose": movement.transpose,
    "Concat": movement.concat,
    "Split": movement.split,
    "Slice": movement.slice_,
    "Gather": movement.gather,
    "GatherElements": movement.gather_elements,
    "GatherND": movement.gather_nd,
    "Pad": movement.pad,
    "Expand": movement.expand,
    "Tile": movement.tile,
    "Trilu": movement.trilu,
    "Constant": constants.constant,
    "ConstantOfShape": constants.constant_of_shape,
    "Shape": constants.shape_of,
    "Size": constants.size_of,
    "Range": constants.range_,
    "EyeLike": constants.eye_like,
    "NonZero": constants.non_zero,
    "OneHot": constants.one_hot,
}
"""Importers of the operators of the default domain."""
