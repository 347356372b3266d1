"""Bad and hostile ONNX files: one clear line, bounded memory, nothing else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dovetail.errors import NetworkError
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.networks.onnx_import import from_onnx_model, load_onnx
from tests.networks.onnx_models import LIGHT, model, small_cnn, weights

node = helper.make_node
SMALL = small_cnn().SerializeToString()
EXTREMES = (-(2**63), -(2**31), -1, 0, 1, 2, 3, 7, 2**16, 2**31, 2**40, 2**48, 2**63 - 1)


def loaded(path: Path, data: bytes) -> str:
    """Loads bytes as a file; returns the error's text, or '' if they are a network."""
    path.write_bytes(data)
    try:
        load_onnx(path)
    except NetworkError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        assert len(text) <= 400
        return text
    return ""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx") / "model.onnx"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_changed_bytes(scratch: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for place, byte in changes:
        data[place] = byte
    loaded(scratch, bytes(data))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.integers(0, 40), st.binary(max_size=12))
def test_cut_and_inserted_bytes(scratch: Path, start: int, cut: int, extra: bytes) -> None:
    loaded(scratch, SMALL[:start] + extra + SMALL[start + cut :])
    assert loaded(scratch, SMALL[:start]) or start > len(SMALL) - 40


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(scratch: Path, data: bytes) -> None:
    assert loaded(scratch, data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_extreme_numbers(data: st.DataObject) -> None:
    graph = onnx.load(
        LIGHT / f"light_{data.draw(st.sampled_from(['bvlc_alexnet', 'zfnet512']))}.onnx"
    )
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.sampled_from(EXTREMES))
        kind = data.draw(st.sampled_from(["attribute", "dims", "content", "input", "swap"]))
        nodes, tensors = graph.graph.node, graph.graph.initializer
        chosen = data.draw(st.sampled_from(range(len(nodes))))
        tensor = tensors[data.draw(st.sampled_from(range(len(tensors))))]
        if kind == "attribute" and nodes[chosen].attribute:
            attribute = nodes[chosen].attribute[0]
            attribute.i = number
            if attribute.ints:
                attribute.ints[0] = number
        elif kind == "dims" and tensor.dims:
            tensor.dims[0] = number
        elif kind == "content":
            length = len(tensor.raw_data) // 8 or len(tensor.int64_data)
            tensor.CopyFrom(numpy_helper.from_array(np.full(length, number, np.int64), tensor.name))
        elif kind == "input":
            dims = graph.graph.input[0].type.tensor_type.shape.dim
            if dims:
                dims[0].dim_value = number
        elif kind == "swap" and nodes[chosen].input:
            other = nodes[data.draw(st.sampled_from(range(len(nodes))))].output[0]
            nodes[chosen].input[0] = other
    with suppress(NetworkError):
        network = from_onnx_model(graph, "extreme")
        plan = schedule(network)
        assert (op_rows(network, plan) >= 0).all()


def bomb() -> onnx.ModelProto:
    """A small file that asks for 30000 constants of 4096 elements, and one of 2^47."""
    count = 30_000
    nodes = [node("ConstantOfShape", ["s"], [f"c{i}"]) for i in range(count)]
    nodes += [node("ConstantOfShape", ["huge"], ["h"]), node("Add", ["x", "h"], ["y"])]
    constants = {"s": np.array([4096]), "huge": np.array([2**20, 2**27])}
    return model(nodes, {"x": (1,)}, ["y"], constants)


def test_constants_are_never_filled_in() -> None:
    proto = bomb()
    tracemalloc.start()
    network = from_onnx_model(proto, "bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert network.tensor["y"].elements == 2**47
    assert peak < 200e6


def _edited(edit: Callable[[Any], object]) -> onnx.ModelProto:
    proto = small_cnn()
    edit(proto)
    return proto


def _cycle(proto: Any) -> None:
    proto.graph.node[0].input[0] = proto.graph.node[2].output[0]


def _external(proto: Any) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def _attribute(name: str, value: Any) -> Callable[[Any], object]:
    return lambda proto: proto.graph.node[0].attribute.append(helper.make_attribute(name, value))


BROKEN: dict[str, tuple[Callable[[Any], object], str]] = {
    "unknown operator": (
        lambda m: setattr(m.graph.node[2], "op_type", "Frobnicate"),
        r"node 'relu': operator Frobnicate of domain ai.onnx cannot be imported",
    ),
    "foreign domain": (
        lambda m: setattr(m.graph.node[2], "domain", "com.acme"),
        r"node 'relu': operator Relu of domain com.acme cannot be imported",
    ),
    "cyclic": (_cycle, r"node 'conv' waits for its own output: the graph is cyclic"),
    "unwritten": (
        lambda m: m.graph.node[0].input.__setitem__(0, "gone"),
        r"node 'conv' reads 'gone', which nothing writes",
    ),
    "written twice": (
        lambda m: m.graph.node[2].output.__setitem__(0, "c"), r"'relu' writes 'c' a second time"
    ),
    "unsupported attribute": (
        _attribute("wobble", 3), r"node 'conv' \(Conv\): attribute 'wobble' is not supported"
    ),
    "wrong attribute type": (
        _attribute("group", 1.5), r"attribute 'group' is of type FLOAT: must be INT"
    ),
    "wrong shape": (
        lambda m: m.graph.initializer[0].dims.__setitem__(1, 5), r"tensor 'w' does not hold"
    ),
    "external data": (_external, r"tensor 'w' lies in an external file"),
    "huge input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 2**60),
        r"tensor 'x' of shape .* exceeds 2\^48 elements",
    ),
    "string input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING),
        r"input 'x' has element type STRING",
    ),
    "no shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), r"input 'x' has no shape"
    ),
    "no opset": (lambda m: m.ClearField("opset_import"), r"opset_import"),
    "no outputs": (lambda m: m.graph.ClearField("output"), r"has no outputs"),
    "unwritten output": (
        lambda m: setattr(m.graph.output[0], "name", "gone"), r"returns 'gone', which no node"
    ),
    "data-dependent shape": (
        lambda m: m.graph.node[7].input.__setitem__(1, "r"),
        r"node 'reshape' \(Reshape\): input 1 \('r'\) must be a small constant; it depends on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_models_say_what_is_wrong(case: str) -> None:
    edit, message = BROKEN[case]
    with pytest.raises(NetworkError, match=message):
        from_onnx_model(_edited(edit), "broken")


def test_four_dimensional_convolution_is_refused_by_name() -> None:
    proto = model(
        [node("Conv", ["x", "w"], ["y"], "cube")], {"x": (1, 2, 8, 8, 8, 8)}, ["y"],
        {"w": weights(4, 2, 3, 3, 3, 3)},
    )  # fmt: skip
    with pytest.raises(
        NetworkError, match=r"node 'cube' \(Conv\).*one to three spatial dimensions"
    ):
        from_onnx_model(proto, "cube")


def test_control_characters_stay_out_of_messages() -> None:
    proto = model([node("No\nSuch\x1b[31m", ["x"], ["y"], "a\nb")], {"x": (1,)}, ["y"])
    with pytest.raises(NetworkError) as caught:
        from_onnx_model(proto, "control")
    assert str(caught.value).isprintable()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="No such file"):
        load_onnx(tmp_path / "missing.onnx")
    with pytest.raises(NetworkError, match="is not a file"):
        load_onnx(tmp_path)
    assert "no operators" in loaded(tmp_path / "empty.onnx", b"")
    assert "does not decode" in loaded(tmp_path / "text.onnx", b"this is no model at all")


def test_external_weights(tmp_path: Path) -> None:
    proto = _edited(_external)
    path = tmp_path / "model.onnx"
    assert "'weights.bin', which is not in" in loaded(path, proto.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(bytes(8 * 27 * 4 - 1))
    assert "which holds 863 B" in loaded(path, proto.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(bytes(8 * 27 * 4))
    assert load_onnx(path).macs == from_onnx_model(small_cnn(), "cnn").macs
    length = proto.graph.initializer[0].external_data.add(key="length", value="7")
    assert "external length 7 B: must be 864" in loaded(path, proto.SerializeToString())
    length.value = "864"
    assert loaded(path, proto.SerializeToString()) == ""
    proto.graph.initializer[0].external_data[0].value = "../weights.bin"
    assert "put it beside the model" in loaded(path, proto.SerializeToString())


def test_packed_external_weights_hold_two_in_a_byte(tmp_path: Path) -> None:
    proto = _edited(_external)
    proto.graph.initializer[0].data_type = TensorProto.INT4
    (tmp_path / "weights.bin").write_bytes(bytes(8 * 27 // 2))
    assert loaded(tmp_path / "model.onnx", proto.SerializeToString()) == ""


HEADS = {"q": (2, 8, 4, 16), "k": (2, 4, 6, 16), "v": (2, 4, 6, 16)}
REFUSED: dict[str, tuple[onnx.NodeProto, dict[str, Any], dict[str, Any], str]] = {
    "pooling work": (
        node("MaxPool", ["x"], ["y"], kernel_shape=[2**27] * 2, pads=[2**26] * 4),
        {"x": (1, 1, 4, 4)}, {}, "scalar operations: at most",
    ),
    "stride": (
        node("Conv", ["x", "w"], ["y"], strides=[2**40, 1]),
        {"x": (1, 1, 4, 4)}, {"w": weights(1, 1, 3, 3)}, r"may exceed 2\^31",
    ),
    "short output_shape": (
        node("ConvTranspose", ["x", "w"], ["y"], output_shape=[5]),
        {"x": (1, 8, 4, 4)}, {"w": weights(8, 2, 3, 3)}, "2 spatial dimensions",
    ),
    "odd pads": (
        node("ConvTranspose", ["x", "w"], ["y"], pads=[0, 0, 0, 0, 7]),
        {"x": (1, 8, 4, 4)}, {"w": weights(8, 2, 3, 3)}, "2 spatial dimensions",
    ),
    "repeated index": (
        node("Einsum", ["x"], ["y"], equation="ij->iij"), {"x": (3, 4)}, {}, "repeats",
    ),
    "made-up index": (
        node("Einsum", ["x"], ["y"], equation="ij->iz"), {"x": (3, 4)}, {}, "makes up",
    ),
    "batch of keys": (
        node("Attention", ["q", "k", "v"], ["y"]),
        {**HEADS, "q": (1, 16, 4, 16)}, {}, "do not fit",
    ),
    "heads of values": (
        node("Attention", ["q", "k", "v"], ["y"]),
        {**HEADS, "v": (2, 2, 6, 16)}, {}, "do not fit",
    ),
    "heads of queries": (
        node("Attention", ["q", "k", "v"], ["y"]),
        {**HEADS, "q": (2, 6, 4, 16)}, {}, "do not fit",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_operators_that_make_no_sense_are_refused(case: str) -> None:
    op, inputs, constants, message = REFUSED[case]
    proto = model([op], inputs, ["y"], constants, opset=23)
    with pytest.raises(NetworkError, match=message):
        from_onnx_model(proto, "refused")


def test_grouped_heads_are_legal() -> None:
    proto = model([node("Attention", ["q", "k", "v"], ["y"])], HEADS, ["y"], opset=23)
    assert from_onnx_model(proto, "grouped").macs == 2 * (2 * 8 * 4 * 6 * 16)
