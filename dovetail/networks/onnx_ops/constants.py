"""ONNX operators whose result is constant: literals, shapes, ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from dovetail.errors import NetworkError
from dovetail.ir.tensor import FLOAT32, MAX_ELEMENTS
from dovetail.networks.assembly import Array, Value
from dovetail.networks.onnx_ops.formats import FORMATS, INT64, format_of, format_of_array
from dovetail.networks.onnx_ops.node import FOLD_ELEMENTS, Node


def tensor_value(name: str, proto: TensorProto, external: Any = None) -> Value:
    """Constant of a stored tensor; the elements are read only if they are few.

    Args:
        name: name of the value.
        proto: the stored tensor.
        external: reads the elements of a tensor that lies in another file; None refuses.

    Raises:
        NetworkError: if dimensions, type and contents do not fit each other.
    """
    what = f"tensor '{name}'"
    shape = tuple(int(extent) for extent in proto.dims)
    form = format_of(proto.data_type, what)
    if any(extent < 0 for extent in shape):
        raise NetworkError(f"{what} has shape {list(shape)}: no extent may be negative")
    value = Value(name, shape, form, constant=True)
    if value.elements > MAX_ELEMENTS:
        raise NetworkError(f"{what} of shape {list(shape)} exceeds 2^48 elements")
    if proto.data_location == TensorProto.EXTERNAL:
        if external is None:
            raise NetworkError(f"{what} lies in an external file: load the model by its path")
        data = external(name, proto, value.elements <= FOLD_ELEMENTS)
        return value if data is None else Value(name, shape, form, constant=True, data=data)
    if value.elements > FOLD_ELEMENTS:
        _check_size(what, proto, value)
        return value
    return Value(name, shape, form, constant=True, data=elements_of(what, proto, shape))


def elements_of(what: str, proto: TensorProto, shape: tuple[int, ...]) -> Array:
    """Elements of a small stored tensor.

    Raises:
        NetworkError: if they do not fill its shape.
    """
    try:
        data = np.asarray(numpy_helper.to_array(proto))
    except (ValueError, TypeError, OverflowError, KeyError, AttributeError) as error:
        raise NetworkError(f"{what} does not hold what its type says: {error}") from None
    if data.shape != shape:
        raise NetworkError(f"{what} holds {data.size} elements, not the {math.prod(shape)} it says")
    format_of_array(data.dtype, what) if data.dtype.kind in "biuf" else None
    return data


def constant(node: Node) -> None:
    """Constant: a tensor, a number or a list."""
    name = node.output()
    if "value" in node.attributes:
        node.asked.add("value")
        stored = node.attributes["value"].t
        node.define(tensor_value(name, stored))
        return
    scalars: list[tuple[str, Any]] = [
        ("value_int", lambda: np.asarray(node.integer("value_int"), np.int64)),
        ("value_float", lambda: np.asarray(node.real("value_float"), np.float32)),
        ("value_ints", lambda: np.asarray(node.integers("value_ints"), np.int64)),
        ("value_floats", lambda: np.asarray(node.reals("value_floats"), np.float32)),
    ]
    for attribute, read in scalars:
        if attribute in node.attributes:
            _define(node, read())
            return
    raise node.fail("holds no number or tensor of numbers")


def constant_of_shape(node: Node) -> None:
    """ConstantOfShape: one number repeated; a large one keeps only its shape."""
    shape = tuple(node.known_ints(0))
    name, fill = node.output(), np.zeros(1, np.float32)
    if any(extent < 0 for extent in shape):
        raise node.fail(f"shape {list(shape)[:16]}: no extent may be negative")
    form = FLOAT32
    if "value" in node.attributes:
        node.asked.add("value")
        proto = node.attributes["value"].t
        form = format_of(proto.data_type, f"node '{node.name}'")
        if math.prod(proto.dims) != 1 or len(proto.dims) > 1:
            raise node.fail("attribute 'value' must hold one element")
        fill = elements_of(f"node '{node.name}'", proto, tuple(proto.dims)).reshape(1)
    value = Value(name, shape, form, constant=True)
    if value.elements > MAX_ELEMENTS:
        raise node.fail(f"shape {list(shape)} exceeds 2^48 elements")
    if value.elements <= min(FOLD_ELEMENTS, node.scope.budget):
        node.scope.budget -= value.elements
        value = Value(name, shape, form, constant=True, data=np.full(shape, fill[0], fill.dtype))
    node.define(value)


def shape_of(node: Node) -> None:
    """Shape: the extents of x from `start` to `end`."""
    extents = node.input(0).shape
    start, end = node.integer("start", 0), node.integer("end", len(extents))
    _define(node, np.asarray(extents[slice(start, end)], np.int64))


def size_of(node: Node) -> None:
    """Size: the number of elements of x."""
    _define(node, np.asarray(node.input(0).elements, np.int64))


def range_(node: Node) -> None:
    """Range of constant start, limit and step."""
    first = node.known(0).reshape(-1)
    start, limit, step = (node.known(i).reshape(-1)[0].item() for i in range(3))
    if step == 0 or not all(math.isfinite(number) for number in (start, limit, step)):
        raise node.fail(f"range from {start} to {limit} by {step} is endless")
    count = max(0, math.ceil((limit - start) / step))
    if count > min(FOLD_ELEMENTS, node.scope.budget):
        if count > MAX_ELEMENTS:
            raise node.fail(f"range of {count} elements exceeds 2^48")
        form = format_of_array(first.dtype, f"node '{node.name}'")
        node.define(Value(node.output(), (count,), form, constant=True))
        return
    _define(node, (start + step * np.arange(count)).astype(first.dtype))


def eye_like(node: Node) -> None:
    """EyeLike: a constant of the shape of x."""
    x = node.input(0)
    node.integer("k", 0)
    kind = node.integer("dtype", TensorProto.FLOAT)
    form = FORMATS.get(kind, FLOAT32)
    node.define(Value(node.output(), x.shape, form, constant=True))


def non_zero(node: Node) -> None:
    """NonZero of a known constant; otherwise its shape depends on data."""
    data = node.known(0)
    _define(node, np.asarray(np.nonzero(np.atleast_1d(data)), np.int64))


def one_hot(node: Node) -> None:
    """OneHot of activations or constants: a comparison per output element."""
    indices = node.input(0)
    depth = int(node.known(1).reshape(-1)[0])
    axis = node.integer("axis", -1)
    rank = len(indices.shape) + 1
    if depth < 1 or not -rank <= axis < rank:
        raise node.fail(f"depth {depth} and axis {axis} do not fit {list(indices.shape)}")
    axis %= rank
    shape = (*indices.shape[:axis], depth, *indices.shape[axis:])
    node.emit("compare", shape, [indices], form=node.input(2).format)


def _define(node: Node, data: Array) -> None:
    name = node.output()
    if data.size > node.scope.budget:
        raise node.fail("constants of the model are too large to fold")
    node.scope.budget -= data.size
    form = INT64 if data.dtype == np.int64 else format_of_array(data.dtype, f"'{name}'")
    node.define(Value(name, data.shape, form, constant=True, data=data))


def _check_size(what: str, proto: TensorProto, value: Value) -> None:
    if proto.HasField("raw_data"):
        stored, wanted = len(proto.raw_data), -(-value.elements * value.format.bits // 8)
    else:
        slots = (proto.float_data, proto.int32_data, proto.int64_data, proto.double_data,
                 proto.uint64_data)  # fmt: skip
        stored = sum(len(slot) for slot in slots)
        packing = 8 // value.format.bits if value.format.bits < 8 else 1
        wanted = -(-value.elements // packing)
    if stored != wanted:
        raise NetworkError(
            f"{what} of shape {list(value.shape)} holds {stored} B or elements instead of {wanted}"
        )
