"""Small ONNX models for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    elem_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model of `nodes`; outputs have no declared shapes."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(n, elem_type, list(s)) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, elem_type, None) for n in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def weights(*shape: int) -> Any:
    """A float32 constant."""
    return np.zeros(shape, np.float32)


def small_cnn() -> onnx.ModelProto:
    """Convolution, batch norm, pooling and a classifier whose reshape computes its shape."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"], "norm"),
        node("Relu", ["n"], ["r"], "relu"),
        node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", ["p"], ["shape"], "shape"),
        node("Gather", ["shape", "zero"], ["batch"], "batch"),
        node("Concat", ["batch", "rest"], ["target"], "target", axis=0),
        node("Reshape", ["p", "target"], ["flat"], "reshape"),
        node("Gemm", ["flat", "fw", "fb"], ["y"], "fc", transB=1),
    ]
    constants = {
        "w": weights(8, 3, 3, 3), "b": weights(8), "s": weights(8), "t": weights(8),
        "m": weights(8), "v": weights(8), "zero": np.array([0]), "rest": np.array([-1]),
        "fw": weights(10, 8 * 16), "fb": weights(10),
    }  # fmt: skip
    return model(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants)
