"""Networks from TFLite models, with the quantization of their tensors.

Files are untrusted: whatever they hold, the result is a network or one `NetworkError`. Of stored
weights, shape, format, scales and the entropy of their codes stay. A fused activation becomes an
operator of its own; images are (N, C, H, W) and kernels (K, C / groups, R, S), as everywhere in
Dovetail, while matrix products see their operands as the file has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.assembly import Assembler, Value
from dovetail.networks.messages import one_line
from dovetail.networks.tflite_ops.node import Node, value_of
from dovetail.networks.tflite_ops.padding import folded
from dovetail.networks.tflite_ops.reading import MALFORMED, StoredGraph, read_graph
from dovetail.networks.tflite_ops.registry import HANDLERS

MAX_FILE_BYTES = 2**31
"""Larger files would need 64-bit offsets of the flatbuffer."""

Made = TypeVar("Made")


def load_tflite(path: str | Path, *, name: str | None = None) -> Network:
    """Network of a TFLite file.

    Args:
        path: the file.
        name: name of the network, by default that of the file.

    Raises:
        NetworkError: if the file cannot be read, is malformed, or holds an operator that cannot
            be imported.
        MissingExtraError: if TFLite's schema is not installed.
    """
    path = Path(path)
    return from_tflite(read_file(path), name or path.stem, what=f"'{path}'")


def from_tflite(data: bytes, name: str = "tflite", *, what: str = "the model") -> Network:
    """Network of a TFLite model in memory; `what` names it in errors, which are `load_tflite`'s."""
    return guarded(what, lambda: _network(read_graph(data, what), name))


def read_file(path: Path) -> bytes:
    """Content of a file.

    Raises:
        NetworkError: if it cannot be read, or is too large.
    """
    try:
        if not path.is_file():
            raise NetworkError(f"'{path}' is not a file")
        size = os.path.getsize(path)
        if size >= MAX_FILE_BYTES:
            raise NetworkError(f"'{path}' holds {size} B; a TFLite file must stay below 2 GiB")
        return path.read_bytes()
    except OSError as error:
        raise NetworkError(f"cannot read '{path}': {error.strerror or error}") from None


def guarded(what: str, make: Callable[[], Made]) -> Made:
    """Calls `make`, and turns whatever a malformed file raises into one line.

    Raises:
        NetworkError: naming `what` if it is malformed.
    """
    try:
        return make()
    except NetworkError as error:
        raise NetworkError(one_line(f"{error}")) from None
    except MALFORMED as error:
        raise NetworkError(
            one_line(f"{what} is malformed: {type(error).__name__}: {error}")
        ) from None


def _network(stored: StoredGraph, name: str) -> Network:
    if not stored.operators:
        raise NetworkError(f"model '{name}' has no operators")
    graph = Assembler(name)
    values: dict[int, Value] = {}
    for index in stored.inputs:
        values[index] = _input(stored, index, graph)
    margins = folded(stored)
    for index, op in enumerate(stored.operators):
        _import_operator(Node(op, index, stored.tensors, values, graph, margins))
    missing = [index for index in stored.outputs if index not in values]
    if missing or not stored.outputs:
        what = f"returns tensor {missing[0]}, which nothing writes" if missing else "has no outputs"
        raise NetworkError(f"model '{name}' {what}")
    return graph.build([values[index] for index in dict.fromkeys(stored.outputs)])


def _input(stored: StoredGraph, index: int, graph: Assembler) -> Value:
    if not 0 <= index < len(stored.tensors):
        raise NetworkError(f"input tensor {index} does not exist")
    value = value_of(stored.tensors[index])
    if value.constant:
        raise NetworkError(f"input '{value.name}' is a constant")
    graph.give(value)
    return value


def _import_operator(node: Node) -> None:
    handler = HANDLERS.get(node.stored.code)
    if handler is None:
        where = node.stored.outputs[:1]
        known = where and 0 <= where[0] < len(node.tensors)
        label = f" ('{node.tensors[where[0]].name}')" if known else ""
        raise NetworkError(f"operator {node.index}{label}: {node.stored.code} cannot be imported")
    try:
        handler(node)
    except NetworkError as error:
        text = str(error)
        raise (error if text.startswith("operator ") else node.fail(text)) from None
    except MALFORMED as error:
        raise node.fail(f"malformed: {type(error).__name__}: {error}") from None
