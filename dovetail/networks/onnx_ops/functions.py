"""Functions that an ONNX model defines for itself."""

from __future__ import annotations

from typing import Any

from onnx import AttributeProto, inliner

from dovetail.errors import NetworkError

MAX_NODES = 1_000_000
"""Nodes that a model may have after inlining; nested functions can ask for exponentially many."""

_Key = tuple[str, str, str]


def inlined(model: Any) -> Any:
    """The model with calls of its own functions replaced by their bodies.

    Raises:
        NetworkError: if functions call themselves, hold subgraphs, or grow too large.
    """
    if not model.functions:
        return model
    bodies = {(f.domain, f.name, f.overload): f.node for f in model.functions}
    for nodes in (model.graph.node, *bodies.values()):
        _check_no_subgraphs(nodes)
    total = _size(model.graph.node, bodies, {}, ())
    if total > MAX_NODES:
        raise NetworkError(f"the model's functions expand to {total} nodes: at most {MAX_NODES}")
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the inliner raises C++ errors of many classes
        raise NetworkError(f"the model's functions cannot be inlined: {error}") from None


def _size(
    nodes: Any, bodies: dict[_Key, Any], known: dict[_Key, int], path: tuple[_Key, ...]
) -> int:
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type, node.overload)
        if key not in bodies:
            total += 1
            continue
        if key in path or len(path) > 100:
            raise NetworkError(f"function '{node.op_type}' calls itself, or 100 others in a row")
        if key not in known:
            known[key] = _size(bodies[key], bodies, known, (*path, key))
        total += known[key]
    return total


def _check_no_subgraphs(nodes: Any) -> None:
    kinds = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    for node in nodes:
        if any(attribute.type in kinds for attribute in node.attribute):
            raise NetworkError(
                f"node '{node.name}' ({node.op_type}) holds a subgraph: control flow cannot be "
                "imported"
            )
