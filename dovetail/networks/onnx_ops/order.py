"""Topological order of ONNX nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from dovetail.errors import NetworkError


def ordered(nodes: Sequence[Any], known: set[str]) -> list[Any]:
    """Nodes in an order in which every value is written before it is read.

    Nodes that are in order already stay so. Files may hold them in any order.

    Args:
        nodes: ONNX nodes.
        known: names of inputs and initializers.

    Raises:
        NetworkError: if a name is written twice or never, or nodes wait for each other.
    """
    writer: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            if name and (name in writer or name in known):
                raise NetworkError(f"node '{_label(node)}' writes '{name}' a second time")
            writer[name] = index
    waiting = [0] * len(nodes)
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in {n for n in node.input if n and n not in known}:
            if name not in writer:
                raise NetworkError(f"node '{_label(node)}' reads '{name}', which nothing writes")
            waiting[index] += 1
            readers.setdefault(writer[name], []).append(index)
    return [nodes[index] for index in _sorted(waiting, readers, nodes)]


def _sorted(waiting: list[int], readers: dict[int, list[int]], nodes: Sequence[Any]) -> list[int]:
    in_order = all(reader > index for index, found in readers.items() for reader in found)
    if in_order:
        return list(range(len(nodes)))
    ready = deque(index for index, count in enumerate(waiting) if not count)
    result = []
    while ready:
        index = ready.popleft()
        result.append(index)
        for reader in readers.get(index, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(result) != len(nodes):
        stuck = next(nodes[index] for index, count in enumerate(waiting) if count)
        raise NetworkError(f"node '{_label(stuck)}' waits for its own output: the graph is cyclic")
    return result


def _label(node: Any) -> str:
    return node.name or next((f"{node.op_type}:{name}" for name in node.output), node.op_type)
