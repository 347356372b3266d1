"""TFLite operators that rename or move elements."""

from __future__ import annotations

import math

from dovetail.networks.shapes import concatenated, normalize_axis, permuted
from dovetail.networks.tflite_ops.node import Node

VIEWS = {"RESHAPE": "reshape", "SQUEEZE": "squeeze", "EXPAND_DIMS": "unsqueeze"}

MOVES: dict[str, str] = {
    "SLICE": "slice", "STRIDED_SLICE": "slice", "GATHER": "gather", "GATHER_ND": "gather",
    "EMBEDDING_LOOKUP": "gather", "TILE": "tile", "BROADCAST_TO": "expand", "PACK": "concat",
    "RESIZE_NEAREST_NEIGHBOR": "resize", "SPACE_TO_DEPTH": "space_to_depth",
    "DEPTH_TO_SPACE": "depth_to_space", "SPACE_TO_BATCH_ND": "transpose",
    "BATCH_TO_SPACE_ND": "transpose", "REVERSE_V2": "slice", "MIRROR_PAD": "pad",
}  # fmt: skip
"""Kind of operators that write what the file declares."""

SPLITS = {"SPLIT": 1, "SPLIT_V": 0, "UNPACK": 0}
"""Position of the tensor that is split."""

CONSTANTS = ("SHAPE", "RANK", "ZEROS_LIKE", "FILL")
"""What depends only on shapes, which a file fixes."""

INDEXED = {"GATHER": 2, "GATHER_ND": 2, "EMBEDDING_LOOKUP": 2}
"""Operands in memory; others hold sizes and positions."""


def view(node: Node) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS to the declared shape; a constant stays stored as it is."""
    x, output = node.input(0), node.output()
    if x.elements != output.elements:
        raise node.fail(f"{list(x.shape)} does not reshape to {list(output.shape)}")
    if x.constant:
        node.define(x.seen_as(output.shape))
        return
    node.vector(VIEWS[node.stored.code], [x], [output])


def move(node: Node) -> None:
    """Elements of one tensor, or of several for PACK, at other places."""
    code = node.stored.code
    count = len(node.given()) if code == "PACK" else INDEXED.get(code, 1)
    node.vector(MOVES[code], node.given()[:count], [node.output()])


def pad(node: Node) -> None:
    """PAD, PADV2 by constant amounts; margins that a window takes on itself are its own."""
    x, amounts = node.input(0), node.known(1)
    if node.stored.outputs[0] in node.margins:
        node.define(x)
        return
    if len(amounts) != 2 * len(x.shape):
        raise node.fail(f"needs {2 * len(x.shape)} paddings, not {len(amounts)}")
    pairs = zip(x.shape, amounts[::2], amounts[1::2], strict=True)
    node.vector("pad", [x], [node.shaped(tuple(e + a + b for e, a, b in pairs))])


def transpose(node: Node) -> None:
    """TRANSPOSE; one that moves only extents of 1 is a view."""
    x, axes = node.input(0), node.known(1)
    output = node.shaped(permuted(x.shape, axes))
    if x.constant:
        node.define(x.seen_as(output.shape))
        return
    wide = [axis for axis in axes if x.shape[axis] > 1]
    node.vector("transpose" if wide != sorted(wide) else "reshape", [x], [output])


def concat(node: Node) -> None:
    """CONCATENATION along an axis."""
    operands = node.given()
    if not operands:
        raise node.fail("has no inputs")
    axis = node.option("ConcatenationOptions", "Axis")
    output = node.shaped(concatenated([value.shape for value in operands], axis))
    if node.option("ConcatenationOptions", "FusedActivationFunction"):
        raise node.fail("a fused activation of a concatenation cannot be imported")
    node.vector("concat", operands, [output])


def split(node: Node) -> None:
    """SPLIT, SPLIT_V, UNPACK: several outputs of one tensor's elements."""
    x, outputs = node.input(SPLITS[node.stored.code]), node.outputs()
    if sum(value.elements for value in outputs) != x.elements:
        raise node.fail(f"outputs do not hold the {x.elements} elements of {list(x.shape)}")
    node.vector("split", [x], outputs)


def bilinear(node: Node) -> None:
    """RESIZE_BILINEAR: interpolates along each resized axis."""
    x, output = node.input(0), node.output()
    if len(x.shape) != 4 or len(output.shape) != 4 or x.shape[::3] != output.shape[::3]:
        raise node.fail(f"{list(x.shape)} does not resize to {list(output.shape)}")
    axes = sum(a != b for a, b in zip(x.shape, output.shape, strict=True))
    node.vector("interpolate", [x], [output], work=math.prod(output.shape) * axes)


def constant(node: Node) -> None:
    """SHAPE, RANK, ZEROS_LIKE, FILL: known before anything runs."""
    node.input(0)
    node.vector("reshape", [], [node.output()])


def gather(node: Node) -> None:
    """GATHER along an axis; indices of one constant are held by the operator."""
    x, indices = node.input(0), node.input(1)
    axis = normalize_axis(node.option("GatherOptions", "Axis"), len(x.shape))
    if not node.option("GatherOptions", "BatchDims"):
        node.shaped((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    held = indices.constant and indices.elements == 1 and not x.constant
    node.vector("gather", [x] if held else [x, indices], [node.output()])
