"""Attention, rotary embedding and index equations of ONNX."""

from __future__ import annotations

from dovetail.networks.assembly import Value
from dovetail.networks.einsum import contract, output_shape
from dovetail.networks.onnx_ops.node import Node


def attention(node: Node) -> None:
    """Attention: two products around a softmax, behind a cache of earlier keys and values.

    Operands are (batch, heads, length, size), or (batch, length, heads x size), which are split
    and transposed first.
    """
    operands = [node.input(index) for index in range(3)]
    if all(value.constant for value in operands):
        raise node.fail("query, key or value must be an activation")
    if node.has(6):
        raise node.fail("input 6 (nonpad_kv_seqlen) is not supported")
    causal = node.flag("is_causal")
    node.real("scale", 1.0)
    if node.real("softcap", 0.0):
        raise node.fail("attribute 'softcap' is not supported")
    node.integer("qk_matmul_output_mode", 0)
    heads = [node.integer("q_num_heads", 0), *[node.integer("kv_num_heads", 0)] * 2]
    flat = len(operands[0].shape) == 3
    labels = ("query", "key", "value")
    query, key, value = (
        _split_heads(node, *parts) for parts in zip(operands, heads, labels, strict=True)
    )
    key = _cached(node, key, 4, 1)
    value = _cached(node, value, 5, 2)
    fits = (
        query.shape[3] == key.shape[3]
        and key.shape[:3] == value.shape[:3]
        and query.shape[0] == key.shape[0]
        and query.shape[1] % key.shape[1] == 0
    )
    if not fits:
        raise node.fail(f"{list(query.shape)}, {list(key.shape)}, {list(value.shape)} do not fit")
    shape = (*query.shape[:3], value.shape[3])
    mixed = Value(f"{node.output()}.heads" if flat else node.output(), shape, query.format)
    node.scope.graph.attention(
        node.name, query, key, value, mixed, mask=node.optional(3), causal=causal
    )
    if not flat:
        node.define(mixed)
        return
    batch, count, length, size = shape
    turned = Value(f"{node.output()}.turned", (batch, length, count, size), query.format)
    node.scope.graph.vector(turned.name, "transpose", [mixed], [turned])
    node.emit("reshape", (batch, length, count * size), [turned])


def rotary_embedding(node: Node) -> None:
    """RotaryEmbedding: rotates pairs of elements by angles that depend on the position."""
    x = node.input(0)
    for name in ("interleaved", "num_heads", "rotary_embedding_dim"):
        node.integer(name, 0)
    read = [x, *node.given()[1:3]]
    positions = node.optional(3)
    if positions is not None:
        read[1:] = [_looked_up(node, table, positions) for table in read[1:]]
    node.emit("rope", x.shape, read)


def einsum(node: Node) -> None:
    """Einsum of one or two operands."""
    operands = node.given()
    equation = node.text("equation")
    shape = output_shape(equation, [value.shape for value in operands])
    constant = all(value.constant for value in operands)
    value = Value(node.output(), shape, node.input(0).format, constant=constant)
    if not constant:
        contract(node.scope.graph, node.name, equation, operands, value)
    node.define(value)


def _looked_up(node: Node, table: Value, positions: Value) -> Value:
    """Rows of a table of angles, which may hold many more."""
    if len(table.shape) != 2:
        raise node.fail(f"'{table.name}' {list(table.shape)} must be (positions, angles)")
    name, shape = f"{node.output()}.{table.name}", (*positions.shape, table.shape[1])
    rows = Value(name, shape, table.format, table.constant and positions.constant)
    if not rows.constant:
        node.scope.graph.vector(name, "gather", [table, positions], [rows])
    return rows


def _split_heads(node: Node, x: Value, heads: int, label: str) -> Value:
    if len(x.shape) == 4:
        return x
    if len(x.shape) != 3 or heads < 1 or x.shape[2] % heads:
        raise node.fail(f"{label} {list(x.shape)} does not split into {heads} heads")
    batch, length, width = x.shape
    size = width // heads
    split = Value(f"{node.output()}.{label}.split", (batch, length, heads, size), x.format)
    turned = Value(f"{node.output()}.{label}.heads", (batch, heads, length, size), x.format)
    node.scope.graph.vector(split.name, "reshape", [x], [split])
    node.scope.graph.vector(turned.name, "transpose", [split], [turned])
    return turned


def _cached(node: Node, x: Value, past: int, present: int) -> Value:
    earlier = node.optional(past)
    wanted = node.outputs[present] if present < len(node.outputs) else ""
    if earlier is None and not wanted:
        return x
    shape = list(x.shape)
    if earlier is not None:
        if len(earlier.shape) != 4 or earlier.shape[:2] != x.shape[:2]:
            raise node.fail(f"past {list(earlier.shape)} does not fit {list(x.shape)}")
        shape[2] += earlier.shape[2]
    read = [x] if earlier is None or not earlier.elements else [earlier, x]
    joined = Value(wanted or f"{node.output()}.cache{present}", tuple(shape), x.format)
    kind = "concat" if len(read) > 1 else "identity"
    node.scope.graph.vector(joined.name, kind, read, [joined])
    return node.define(joined)
