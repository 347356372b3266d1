"""Networks from ONNX models.

Files are untrusted: whatever they hold, the result is a network or one `NetworkError`. Large
constants are never filled in; of weights only shape and format matter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.assembly import Assembler, Value
from dovetail.networks.messages import one_line
from dovetail.networks.onnx_ops.constants import tensor_value
from dovetail.networks.onnx_ops.external import ExternalData
from dovetail.networks.onnx_ops.formats import format_of
from dovetail.networks.onnx_ops.functions import inlined
from dovetail.networks.onnx_ops.node import Node, Scope
from dovetail.networks.onnx_ops.order import ordered
from dovetail.networks.onnx_ops.registry import DOMAINS, HANDLERS

MAX_FILE_BYTES = 2**31
"""Protocol buffers end here; larger models keep their weights in external files."""

_MALFORMED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError, DecodeError, EncodeError, MemoryError,
)  # fmt: skip


def load_onnx(
    path: str | Path, *, name: str | None = None, dims: Mapping[str, int] | None = None
) -> Network:
    """Network of an ONNX file.

    Args:
        path: the file; external weights are looked for beside it.
        name: name of the network, by default that of the file.
        dims: extents of symbolic input dimensions, by their name (`batch`), by input and axis
            (`x[0]`), or by an axis of all inputs (`[0]`).

    Raises:
        NetworkError: if the file cannot be read, is malformed, leaves an input dimension open, or
            holds an operator that cannot be imported.
    """
    path = Path(path)
    try:
        size = os.path.getsize(path)
        if not path.is_file():
            raise NetworkError(f"'{path}' is not a file")
        if size >= MAX_FILE_BYTES:
            raise NetworkError(
                f"'{path}' holds {size} B; an ONNX file must stay below 2 GiB: store its "
                "weights as external data"
            )
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise NetworkError(f"cannot read '{path}': {error.strerror or error}") from None
    except (DecodeError, ValueError, RecursionError):
        raise NetworkError(f"'{path}' is not an ONNX model: it does not decode") from None
    return _guarded(model, name or path.stem, dims, ExternalData(path.parent))


def from_onnx_model(
    model: Any, name: str | None = None, *, dims: Mapping[str, int] | None = None
) -> Network:
    """Network of an `onnx.ModelProto` in memory; arguments and errors as of `load_onnx`."""
    return _guarded(model, name or "onnx", dims, None)


def _guarded(
    model: Any, name: str, dims: Mapping[str, int] | None, external: ExternalData | None
) -> Network:
    try:
        return _network(model, name, dict(dims or {}), external)
    except NetworkError as error:
        raise NetworkError(one_line(f"{error}")) from None
    except _MALFORMED as error:
        raise NetworkError(
            one_line(f"model '{name}' is malformed: {type(error).__name__}: {error}")
        ) from None


def _network(model: Any, name: str, dims: dict[str, int], external: ExternalData | None) -> Network:
    scope = interpret(model, name, dims, external)
    outputs = [value.name for value in model.graph.output]
    missing = [output for output in outputs if output not in scope.values]
    if missing or not outputs:
        what = f"returns '{missing[0]}', which no node writes" if missing else "has no outputs"
        raise NetworkError(f"model '{name}' {what}")
    return scope.graph.build([scope.values[output] for output in outputs])


def interpret(
    model: Any, name: str, dims: dict[str, int], external: ExternalData | None = None
) -> Scope:
    """Everything that is known of a model's values after importing all of its nodes.

    Args:
        model: the `onnx.ModelProto`.
        name: name of the network.
        dims: extents of symbolic input dimensions.
        external: finds external weights; None refuses them.

    Raises:
        NetworkError: if a node cannot be imported.
    """
    graph = model.graph
    if not graph.node:
        raise NetworkError(f"model '{name}' has no operators; is it an ONNX model?")
    graph = inlined(model).graph
    assembler = Assembler(name)
    values = _constants(graph, external)
    for value in _inputs(graph, values, dims, assembler):
        values[value.name] = value
    used = {n for node in graph.node for n in node.input} | {v.name for v in graph.output}
    scope = Scope(assembler, values, _opset(model), used)
    for proto in ordered(graph.node, set(values)):
        _import_node(proto, scope)
    return scope


def _opset(model: Any) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
    if not versions:
        raise NetworkError("the model does not say which operator set it uses (opset_import)")
    return int(max(versions))


def _constants(graph: Any, external: ExternalData | None) -> dict[str, Value]:
    if graph.sparse_initializer:
        raise NetworkError("sparse initializers cannot be imported: store them dense")
    values: dict[str, Value] = {}
    for proto in graph.initializer:
        if proto.name in values or not proto.name:
            raise NetworkError(f"initializer '{proto.name}' appears twice or has no name")
        values[proto.name] = tensor_value(proto.name, proto, external)
    return values


def _inputs(
    graph: Any, constants: Mapping[str, Value], dims: dict[str, int], assembler: Assembler
) -> list[Value]:
    given = [proto for proto in graph.input if proto.name not in constants]
    unused, values = set(dims), []
    seen: set[str] = set()
    for proto in given:
        if proto.name in seen or not proto.name:
            raise NetworkError(f"input '{proto.name}' appears twice or has no name")
        seen.add(proto.name)
        shape = _input_shape(proto, dims, unused)
        form = format_of(proto.type.tensor_type.elem_type, f"input '{proto.name}'")
        values.append(assembler.input(proto.name, shape, form))
    if unused:
        raise NetworkError(
            f"dims sets '{min(unused)}', which is no open dimension of inputs "
            f"{[proto.name for proto in given][:8]}"
        )
    return values


def _input_shape(proto: Any, dims: Mapping[str, int], unused: set[str]) -> tuple[int, ...]:
    if proto.type.WhichOneof("value") != "tensor_type":
        raise NetworkError(f"input '{proto.name}' is no tensor: only tensors can be imported")
    tensor = proto.type.tensor_type
    if not tensor.HasField("shape"):
        raise NetworkError(f"input '{proto.name}' has no shape: declare it when exporting")
    shape = []
    for axis, dim in enumerate(tensor.shape.dim):
        candidates = (dim.dim_param, f"[{axis}]", f"{proto.name}[{axis}]")
        keys = [key for key in candidates if key and key in dims]
        unused.difference_update(keys)
        extent = dims[keys[-1]] if keys else dim.dim_value
        if extent < 1:
            key = dim.dim_param or f"{proto.name}[{axis}]"
            symbol = f" ('{dim.dim_param}')" if dim.dim_param else ""
            raise NetworkError(
                f"dimension {axis}{symbol} of input '{proto.name}' is not set: give its extent, "
                f"e.g. --dim {key}=1 (in Python dims={{'{key}': 1}})"
            )
        shape.append(int(extent))
    return tuple(shape)


def _import_node(proto: Any, scope: Scope) -> None:
    first = next((name for name in proto.output if name), "")
    label = proto.name or f"{proto.op_type}:{first}"
    handler = HANDLERS.get(proto.op_type)
    if proto.domain not in DOMAINS or handler is None:
        domain = proto.domain or "ai.onnx"
        raise NetworkError(
            f"node '{label}': operator {proto.op_type} of domain {domain} cannot be imported"
        )
    node = Node(
        proto.op_type,
        label,
        {attribute.name: attribute for attribute in proto.attribute},
        [scope.values[name] if name else None for name in proto.input],
        list(proto.output),
        scope,
    )
    try:
        handler(node)
    except NetworkError as error:
        text = str(error)
        raise (error if text.startswith("node '") else node.fail(text)) from None
    except _MALFORMED as error:
        raise node.fail(f"malformed: {type(error).__name__}: {error}") from None
    node.check_attributes()
    for index, name in enumerate(proto.output):
        if name and name not in scope.values and name in scope.used:
            raise node.fail(f"output {index} ('{name}') is used, but cannot be imported")
