"""Real graphs of the onnx wheel, each operator class, and the errors of bad models."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.onnx_import import from_onnx_model, load_onnx
from dovetail.networks.onnx_ops.registry import HANDLERS
from tests.networks.onnx_models import LIGHT, model, small_cnn, weights

GRAPHS = sorted(path.stem for path in LIGHT.glob("light_*.onnx"))
GOLDEN = Path(__file__).parents[1] / "golden" / "onnx_light_graphs.csv"

node = helper.make_node


def golden() -> list[dict[str, str]]:
    lines = [line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def independent_counts(proto: onnx.ModelProto) -> tuple[int, int]:
    """MACs and parameters from onnx's own shape inference and the stored shapes."""
    graph = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = {name: array.shape for name, array in stored.items()}
    made = {name: array.size for name, array in stored.items() if array.dtype == np.float32}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    macs = 0
    statistics = set()
    for n in graph.node:
        if n.op_type == "ConstantOfShape":
            made[n.output[0]] = math.prod(int(e) for e in stored[n.input[0]])
            shapes[n.output[0]] = tuple(int(e) for e in stored[n.input[0]])
        elif n.op_type == "Conv":
            macs += math.prod(shapes[n.output[0]]) * math.prod(shapes[n.input[1]][1:])
        elif n.op_type == "Gemm":
            macs += math.prod(shapes[n.output[0]]) * shapes[n.input[0]][1]
        elif n.op_type == "BatchNormalization":
            statistics |= set(n.input[3:])
        else:
            assert n.op_type not in ("MatMul", "ConvTranspose")
    read = {name for n in graph.node for name in n.input} - statistics
    return macs, sum(count for name, count in made.items() if name in read)


def test_nine_graphs_are_there() -> None:
    assert len(GRAPHS) == 9


@pytest.mark.parametrize("graph", GRAPHS)
def test_light_graph_matches_independent_counts(graph: str) -> None:
    network = load_onnx(LIGHT / f"{graph}.onnx")
    proto = onnx.load(LIGHT / f"{graph}.onnx")
    assert network.name == graph
    assert (network.macs, network.parameters) == independent_counts(proto)


@pytest.mark.parametrize("graph", GRAPHS)
def test_light_graph_keeps_every_operator(graph: str) -> None:
    network = load_onnx(LIGHT / f"{graph}.onnx")
    proto = onnx.load(LIGHT / f"{graph}.onnx")
    constant = {t.name for t in proto.graph.initializer}
    wanted = []
    for n in proto.graph.node:
        if all(name in constant for name in n.input):
            constant |= set(n.output)
        else:
            wanted.append(n.output[0])
    assert [op.outputs[0] for op in network.operators] == wanted
    inferred = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    for value in (*inferred.value_info, *inferred.output):
        shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        if value.name in network.tensor and all(shape):
            assert network.tensor[value.name].shape == shape


@pytest.mark.parametrize("row", golden(), ids=lambda row: row["graph"])
def test_light_graph_matches_published_counts(row: dict[str, str]) -> None:
    network = load_onnx(LIGHT / f"{row['graph']}.onnx")
    assert network.macs == pytest.approx(float(row["macs"]), rel=float(row["macs_tolerance"]))
    if row["parameters"]:
        tolerance = float(row["parameters_tolerance"])
        assert network.parameters == pytest.approx(int(row["parameters"]), rel=tolerance, abs=0)


def test_import_is_fast() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        load_onnx(LIGHT / "light_resnet50.onnx")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0


def one(
    op: str, shapes: dict[str, tuple[int, ...]], constants: dict[str, Any] | None = None,
    *, opset: int = 17, inputs: list[str] | None = None, **attributes: Any,
) -> Network:  # fmt: skip
    """Network of a single node that reads inputs, then constants."""
    names = inputs if inputs is not None else [*shapes, *(constants or {})]
    proto = model(
        [node(op, names, ["y"], "n", **attributes)], shapes, ["y"], constants, opset=opset
    )
    return from_onnx_model(proto, "one")


@pytest.mark.parametrize(
    ("shape", "weight", "attributes", "output", "macs"),
    [
        ((1, 3, 32, 32), (8, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]},
         (1, 8, 16, 16), 16 * 16 * 8 * 27),
        ((1, 3, 32, 30), (8, 3, 3, 5), {"dilations": [2, 3]}, (1, 8, 28, 18), 28 * 18 * 8 * 45),
        ((2, 8, 16, 16), (12, 2, 3, 3), {"group": 4}, (2, 12, 14, 14), 2 * 14 * 14 * 12 * 18),
        ((1, 8, 16, 16), (8, 1, 3, 3), {"group": 8, "auto_pad": "SAME_UPPER", "strides": [2, 2]},
         (1, 8, 8, 8), 64 * 8 * 9),
        ((1, 4, 100), (6, 4, 5), {"strides": [2], "pads": [2, 2]}, (1, 6, 50), 50 * 6 * 20),
        ((1, 4, 9, 9), (6, 4, 2, 2), {"auto_pad": "SAME_LOWER"}, (1, 6, 9, 9), 81 * 6 * 16),
    ],
)  # fmt: skip
def test_convolutions(
    shape: tuple[int, ...], weight: tuple[int, ...], attributes: dict[str, Any],
    output: tuple[int, ...], macs: int,
) -> None:  # fmt: skip
    network = one(
        "Conv", {"x": shape}, {"w": weights(*weight), "b": weights(weight[0])}, **attributes
    )
    assert network.tensor["y"].shape == output
    assert network.macs == macs
    assert network.parameters == math.prod(weight) + weight[0]
    assert network.tensor["w"].shape == weight
    depthwise = attributes.get("group", 1) == shape[1]
    assert network.operators[0].kind == ("depthwise_conv2d" if depthwise else "conv2d")


def test_transposed_convolution_has_the_true_macs() -> None:
    attributes = {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 2}
    network = one("ConvTranspose", {"x": (1, 8, 7, 7)}, {"w": weights(8, 6, 4, 4)}, **attributes)
    assert network.tensor["y"].shape == (1, 12, 14, 14)
    assert network.macs == 7 * 7 * 8 * 6 * 16
    assert [op.kind for op in network.operators] == ["matmul", "col2im"]


@pytest.mark.parametrize(
    ("a", "b", "output", "macs"),
    [
        ((5, 7), (7, 3), (5, 3), 5 * 7 * 3),
        ((2, 4, 5, 7), (2, 4, 7, 3), (2, 4, 5, 3), 8 * 5 * 7 * 3),
        ((2, 4, 5, 7), (7, 3), (2, 4, 5, 3), 8 * 5 * 7 * 3),
        ((5, 7), (6, 7, 3), (6, 5, 3), 6 * 5 * 7 * 3),
        ((2, 1, 5, 7), (3, 7, 4), (2, 3, 5, 4), 6 * 5 * 7 * 4),
        ((3, 2, 5, 7), (3, 1, 7, 4), (3, 2, 5, 4), 6 * 5 * 7 * 4),
        ((7,), (7, 3), (3,), 21),
        ((4, 5, 7), (7,), (4, 5), 4 * 5 * 7),
    ],
)
def test_matrix_products(
    a: tuple[int, ...], b: tuple[int, ...], output: tuple[int, ...], macs: int
) -> None:
    network = one("MatMul", {"a": a, "b": b})
    assert network.tensor["y"].shape == output
    assert network.macs == macs
    weighted = one("MatMul", {"a": a}, {"b": weights(*b)})
    assert weighted.macs == macs
    assert weighted.parameters == math.prod(b)
    turned = one("MatMul", {"b": b}, {"a": weights(*a)}, inputs=["a", "b"])
    assert turned.macs == macs


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("c", [None, (3,), (1, 3), (5, 3), (5, 1)])
def test_gemm(trans_a: int, trans_b: int, c: tuple[int, ...] | None) -> None:
    a, b = ((7, 5) if trans_a else (5, 7)), ((3, 7) if trans_b else (7, 3))
    constants = {"b": weights(*b)} | ({"c": weights(*c)} if c else {})
    network = one("Gemm", {"a": a}, constants, transA=trans_a, transB=trans_b)
    assert network.macs == 5 * 7 * 3
    assert network.tensor["y"].shape == (5, 3)
    assert network.parameters == 21 + (math.prod(c) if c else 0)
    kinds = [op.kind for op in network.operators]
    bias = c in (None, (3,), (1, 3))
    assert kinds == ["transpose"] * trans_a + ["matmul"] + ["add"] * (not bias)


def test_pooling_counts_window_elements() -> None:
    network = one("MaxPool", {"x": (1, 4, 9, 9)}, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    assert network.tensor["y"].shape == (1, 4, 4, 4)
    assert network.operators[0].vector_ops == 4 * 16 * 9
    network = one("GlobalAveragePool", {"x": (1, 4, 9, 9)})
    assert network.tensor["y"].shape == (1, 4, 1, 1)
    assert network.operators[0].vector_ops == 4 * 81


@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "Tanh", "HardSwish", "Erf", "Softplus", "Exp"])
def test_activations(op: str) -> None:
    network = one(op, {"x": (2, 5)})
    assert network.tensor["y"].shape == (2, 5)
    assert network.operators[0].vector_ops > 0


def test_elementwise_broadcasts() -> None:
    network = one("Mul", {"a": (4, 1, 6), "b": (5, 1)})
    assert network.tensor["y"].shape == (4, 5, 6)
    assert network.operators[0].vector_ops == 120
    old = one("Add", {"a": (2, 3, 4, 5), "b": (3,)}, opset=6, broadcast=1, axis=1)
    assert old.tensor["y"].shape == (2, 3, 4, 5)
    scaled = one("Mul", {"x": (2, 3)}, {"c": np.float32(0.5)})
    assert scaled.operators[0].inputs == ("x",)
    assert scaled.parameters == 0


def test_movement_in_old_and_new_operator_sets() -> None:
    cut = one("Slice", {"x": (8, 9)}, opset=9, starts=[1, -3], ends=[100, 9], axes=[0, 1])
    assert cut.tensor["y"].shape == (7, 3)
    spec = {"s": np.array([7]), "e": np.array([-100]), "a": np.array([0]), "t": np.array([-2])}
    assert one("Slice", {"x": (8, 9)}, spec).tensor["y"].shape == (4, 9)
    assert one("Unsqueeze", {"x": (3,)}, opset=11, axes=[0, 2]).tensor["y"].shape == (1, 3, 1)
    axes = {"axes": np.array([0, 2])}
    assert one("Unsqueeze", {"x": (3,)}, axes, opset=13).tensor["y"].shape == (1, 3, 1)
    assert one("Reshape", {"x": (2, 6)}, opset=1, shape=[0, 3, -1]).tensor["y"].shape == (2, 3, 2)
    padded = one("Pad", {"x": (2, 6)}, opset=2, pads=[0, 1, 0, 2])
    assert padded.tensor["y"].shape == (2, 9)
    scales = {"s": np.array([1, 1, 2, 2], np.float32)}
    assert one("Upsample", {"x": (1, 2, 3, 4)}, scales, opset=9).tensor["y"].shape == (1, 2, 6, 8)
    assert one("Transpose", {"x": (2, 1, 3)}, perm=[1, 0, 2]).operators[0].is_view
    assert not one("Transpose", {"x": (2, 4, 3)}, perm=[1, 0, 2]).operators[0].is_view


def test_embedding_gather_reads_its_table() -> None:
    proto = model(
        [node("Gather", ["table", "i"], ["y"])], {"i": (2, 7)}, ["y"], {"table": weights(5000, 16)},
        elem_type=TensorProto.INT64,
    )  # fmt: skip
    network = from_onnx_model(proto, "embedding")
    assert network.tensor["y"].shape == (2, 7, 16)
    assert network.tensor["y"].format.bits == 32
    assert network.parameters == 5000 * 16


def test_split_and_concat() -> None:
    nodes = [
        node("Split", ["x"], ["a", "b", "c"], "split", axis=1),
        node("Concat", ["c", "a", "b"], ["y"], "cat", axis=0),
    ]
    network = from_onnx_model(model(nodes, {"x": (2, 9)}, ["y"], opset=11), "parts")
    assert network.tensor["b"].shape == (2, 3)
    assert network.tensor["y"].shape == (6, 3)


def test_shapes_fold_and_operators_stay() -> None:
    network = from_onnx_model(small_cnn(), "cnn")
    kinds = [op.kind for op in network.operators]
    assert kinds == ["conv2d", "batchnorm", "relu", "maxpool", "reshape", "matmul"]
    assert network.macs == 64 * 8 * 27 + 128 * 10
    assert network.parameters == 8 * 27 + 8 + 16 + 1280 + 10
    assert network.inputs == ("x",)
    assert network.outputs == ("y",)


def test_quantized_operators_carry_integer_formats() -> None:
    u8, i8 = np.uint8, np.int8
    constants = {
        "xs": np.float32(0.1), "xz": u8(3), "w": np.zeros((4, 3, 3, 3), i8), "ws": np.float32(0.2),
        "wz": i8(0), "ys": np.float32(0.3), "yz": u8(0), "b": np.zeros(4, np.int32),
    }  # fmt: skip
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    proto = model(
        [node("QLinearConv", names, ["y"])], {"x": (1, 3, 8, 8)}, ["y"], constants,
        elem_type=TensorProto.UINT8,
    )  # fmt: skip
    network = from_onnx_model(proto, "quantized")
    assert [op.kind for op in network.operators] == ["conv2d", "quantize"]
    assert str(network.tensor["x"].format) == "int8"
    assert str(network.tensor["w"].format) == "int8"
    assert str(network.tensor["y.sums"].format) == "int32"
    assert network.macs == 36 * 4 * 27


def test_dequantized_weights_stay_integers() -> None:
    nodes = [
        node("DequantizeLinear", ["q", "s"], ["w"], "dequantize"),
        node("Conv", ["x", "w"], ["y"], "conv"),
    ]
    constants = {"q": np.zeros((4, 3, 1, 1), np.int8), "s": np.float32(0.1)}
    network = from_onnx_model(model(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants), "qdq")
    assert [op.kind for op in network.operators] == ["conv2d"]
    assert str(network.tensor["q"].format) == "int8"
    assert network.parameters == 12


@pytest.mark.parametrize(
    ("elem_type", "text"),
    [(TensorProto.FLOAT16, "float16"), (TensorProto.BFLOAT16, "bfloat16"),
     (TensorProto.DOUBLE, "float64"), (TensorProto.INT8, "int8"), (TensorProto.INT4, "int4")],
)  # fmt: skip
def test_number_formats(elem_type: int, text: str) -> None:
    proto = model([node("Relu", ["x"], ["y"])], {"x": (2, 3)}, ["y"], elem_type=elem_type)
    network = from_onnx_model(proto, "formats")
    assert str(network.tensor["x"].format) == str(network.tensor["y"].format) == text


def test_symbolic_dimensions_are_set_by_name_or_place() -> None:
    proto = model([node("Relu", ["x"], ["y"])], {"x": ("batch", None, 4)}, ["y"])
    network = from_onnx_model(proto, "symbolic", dims={"batch": 2, "x[1]": 3})
    assert network.tensor["y"].shape == (2, 3, 4)
    with pytest.raises(NetworkError, match=r"dimension 0 \('batch'\) of input 'x'.*dims=\{'batch'"):
        from_onnx_model(proto, "symbolic")
    with pytest.raises(NetworkError, match=r"dimension 1 of input 'x'.*dims=\{'x\[1\]'"):
        from_onnx_model(proto, "symbolic", dims={"batch": 2})
    with pytest.raises(NetworkError, match="dims sets 'bathc'"):
        from_onnx_model(proto, "symbolic", dims={"batch": 2, "x[1]": 3, "bathc": 1})


def test_an_axis_of_every_input_may_be_set() -> None:
    nodes = [node("Add", ["a", "b"], ["y"])]
    for batch in ("n", 2):
        proto = model(nodes, {"a": (batch, 4), "b": (batch, 1)}, ["y"])
        network = from_onnx_model(proto, "axis", dims={"[0]": 3})
        assert network.tensor["y"].shape == (3, 4)


def test_nodes_may_stand_in_any_order() -> None:
    nodes = [node("Relu", ["m"], ["y"], "late"), node("Neg", ["x"], ["m"], "early")]
    network = from_onnx_model(model(nodes, {"x": (2,)}, ["y"]), "order")
    assert [op.name for op in network.operators] == ["early", "late"]


def test_equal_node_names_are_told_apart() -> None:
    nodes = [node("Relu", ["x"], ["m"], "same"), node("Neg", ["m"], ["y"], "same")]
    network = from_onnx_model(model(nodes, {"x": (2,)}, ["y"]), "names")
    assert [op.name for op in network.operators] == ["same", "same_2"]


def test_einsum_and_attention_count_their_products() -> None:
    network = one("Einsum", {"a": (2, 3, 4, 5), "b": (2, 3, 6, 5)}, equation="bhid,bhjd->bhij")
    assert network.macs == 6 * 4 * 6 * 5
    assert network.tensor["y"].shape == (2, 3, 4, 6)
    shapes = {"q": (2, 8, 5, 16), "k": (2, 2, 9, 16), "v": (2, 2, 9, 16)}
    network = one("Attention", shapes, opset=23)
    assert network.macs == 2 * (2 * 8 * 5 * 9 * 16)
    assert [op.kind for op in network.operators] == ["matmul", "softmax", "matmul"]
    shapes = {"q": (2, 5, 128), "k": (2, 9, 32), "v": (2, 9, 32)}
    flat = one("Attention", shapes, opset=23, q_num_heads=8, kv_num_heads=2)
    assert flat.macs == network.macs
    assert flat.tensor["y"].shape == (2, 5, 128)


def function_model(depth: int, *, loop: bool = False) -> onnx.ModelProto:
    """A function that calls the next one twice, `depth` times over."""
    proto = model([node("F0", ["x"], ["y"], domain="own")], {"x": (2,)}, ["y"])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    proto.opset_import.append(opsets[1])
    for level in range(depth):
        called = f"F{level + 1}" if level + 1 < depth else ("F0" if loop else "Relu")
        domain = "own" if called != "Relu" else ""
        body = [
            node(called, ["a"], ["m"], domain=domain),
            node(called, ["m"], ["b"], domain=domain),
        ]
        proto.functions.append(helper.make_function("own", f"F{level}", ["a"], ["b"], body, opsets))
    return proto


def test_functions_are_inlined() -> None:
    network = from_onnx_model(function_model(3), "functions")
    assert [op.kind for op in network.operators] == ["relu"] * 8


def test_functions_that_explode_are_refused() -> None:
    with pytest.raises(NetworkError, match="expand to 1099511627776 nodes"):
        from_onnx_model(function_model(40), "explosion")
    with pytest.raises(NetworkError, match="'F0' calls itself"):
        from_onnx_model(function_model(3, loop=True), "loop")


def test_control_flow_is_refused() -> None:
    branch = helper.make_graph([node("Relu", ["x"], ["b"])], "branch", [], [])
    nodes = [node("If", ["c"], ["y"], "if", then_branch=branch, else_branch=branch)]
    with pytest.raises(NetworkError, match=r"operator If of domain ai.onnx cannot be imported"):
        from_onnx_model(model(nodes, {"x": (2,), "c": ()}, ["y"]), "control")


def test_every_handler_is_documented() -> None:
    assert all(handler.__doc__ for handler in HANDLERS.values())


def test_rotary_embedding_looks_up_the_rows_that_it_needs() -> None:
    rotate = node("RotaryEmbedding", ["x", "cos", "sin", "at"], ["y"])
    constants = {"cos": weights(4096, 8), "sin": weights(4096, 8), "at": np.zeros((1, 2), np.int64)}
    network = from_onnx_model(model([rotate], {"x": (1, 4, 2, 16)}, ["y"], constants, opset=23))
    rope = network.operators[-1]
    assert rope.kind == "rope"
    assert sum(network.tensor[name].elements for name in rope.inputs) == 4 * 2 * 16 + 2 * 2 * 8


def test_a_tied_embedding_is_one_parameter() -> None:
    nodes = [
        node("Gather", ["table", "tokens"], ["x"]),
        node("Transpose", ["table"], ["head"], perm=[1, 0]),
        node("MatMul", ["x", "head"], ["y"]),
    ]
    proto = model(
        nodes, {"tokens": (1, 8)}, ["y"], {"table": weights(5000, 64)}, elem_type=TensorProto.INT64
    )
    network = from_onnx_model(proto)
    assert network.parameters == 5000 * 64
    assert network.tensor["y"].shape == (1, 8, 5000)
    assert network.macs == 8 * 64 * 5000
