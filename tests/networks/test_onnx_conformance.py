"""The importer against the conformance cases that the onnx wheel generates.

Each case is a model with inputs and the outputs that the standard prescribes: shapes are compared
when the first input is an activation, values when all inputs are constants.
"""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dovetail.errors import NetworkError
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.networks.onnx_import import from_onnx_model, interpret
from dovetail.networks.onnx_ops.registry import HANDLERS

CASES = "onnx.backend.test.case.node"
MODULES = (
    "add", "and_", "argmax", "attention", "einsum", "rotaryembedding",
    "averagepool", "batch_normalization", "cast", "ceil", "clip", "concat",
    "constant", "constantofshape", "conv", "convinteger", "convtranspose", "cumsum",
    "depthtospace", "dequantizelinear", "div", "dropout", "dynamicquantizelinear", "equal",
    "expand", "flatten", "gather", "gatherelements", "gathernd", "gelu", "gemm",
    "globalaveragepool", "greater", "groupnormalization", "hardmax", "instance_normalization",
    "layernormalization", "leakyrelu", "lrn", "matmul", "matmulinteger", "max", "maxpool", "mean",
    "mod", "mul", "onehot", "pad", "pow", "prelu", "qlinearconv", "qlinearmatmul",
    "quantizelinear", "rangeop", "reducemean", "reducemax", "reducesum", "relu", "reshape",
    "resize", "rmsnormalization", "scatternd", "shape", "size", "slice", "softmax",
    "spacetodepth", "split", "squeeze", "sub", "sum", "tile", "topk", "transpose", "trilu",
    "unsqueeze", "upsample", "where", "reciprocal", "not_", "sigmoid", "neg", "floor", "sqrt",
)  # fmt: skip
REFUSED = (
    "training", "string", "empty_set", "zero_size", "shape_zero", "example_end_out", "start_out_of",
    "start_greater_than_end", "batch_diagonal", "softcap", "padded_kv", "nonpad",
    "qk_matmul", "_window",
)  # fmt: skip
"""Cases that are refused by design: training, text, empty tensors, seldom options of attention."""


@cache
def _cases(module: str) -> tuple[Any, ...]:
    case = importlib.import_module(f"{CASES}")
    before = len(case._NodeTestCases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"{CASES}.{module}")
    made = case._NodeTestCases[before:]
    return tuple(
        made_case
        for made_case in made
        if all(node.op_type in HANDLERS and not node.domain for node in made_case.model.graph.node)
        and not any(word in made_case.name for word in REFUSED)
    )


def _with_constants(case: Any, first: int) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs = list(zip(model.graph.input, case.data_sets[0][0], strict=True))
    for proto, data in inputs[first:]:
        stored = onnx.TensorProto()
        if isinstance(data, onnx.TensorProto):
            stored.CopyFrom(data)
            stored.name = proto.name
        else:
            stored = numpy_helper.from_array(np.asarray(data), proto.name)
        model.graph.initializer.append(stored)
    return model


def _shape(data: Any) -> tuple[int, ...]:
    return tuple(data.dims) if isinstance(data, onnx.TensorProto) else np.shape(data)


@pytest.mark.parametrize("module", MODULES)
def test_shapes(module: str) -> None:
    refusals = []
    for case in _cases(module):
        model = _with_constants(case, 1)
        try:
            network = from_onnx_model(model, case.name)
        except NetworkError as error:
            refusals.append((case.name, str(error)))
            continue
        for name, data in zip(network.outputs, case.data_sets[0][1], strict=True):
            assert network.tensor[name].shape == _shape(data), case.name
        assert len(op_rows(network, schedule(network))), case.name
    # A graph of one constant, or one whose only input is a shape, holds no operators.
    reasons = ("no operators", "must be a small constant", "is not set")
    assert not [r for r in refusals if not any(reason in r[1] for reason in reasons)]


@pytest.mark.parametrize("module", [name for name in MODULES if name != "attention"])
def test_folded_values(module: str) -> None:
    for case in _cases(module):
        scope = interpret(_with_constants(case, 0), case.name, {})
        outputs = [scope.values[value.name] for value in case.model.graph.output]
        for value, expected in zip(outputs, case.data_sets[0][1], strict=False):
            assert value.constant
            assert value.shape == _shape(expected), case.name
            if value.data is not None and not isinstance(expected, onnx.TensorProto):
                assert value.data.dtype == np.asarray(expected).dtype, case.name
                given, wanted = (np.asarray(a, np.float64) for a in (value.data, expected))
                np.testing.assert_allclose(given, wanted, rtol=1e-3, atol=1e-5)
