"""ONNX operators that rename or move elements."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np

from dovetail.ir.tensor import INT8
from dovetail.networks import shapes
from dovetail.networks.assembly import Value
from dovetail.networks.onnx_ops.node import Fold, Node
from dovetail.networks.shapes import Shape, normalize_axis, replaced


def identity(node: Node) -> None:
    """Identity, and Dropout in inference: another name of the same elements."""
    x = node.input(0)
    if node.op == "Dropout" and node.has(2) and bool(node.known(2).reshape(-1)[0]):
        raise node.fail("training_mode is true: export the model for inference")
    kind = "dropout" if node.op == "Dropout" else "identity"
    node.emit(kind, x.shape, [x], fold=lambda a: a, extra=[(1, x.shape, INT8)])


def reshape(node: Node) -> None:
    """Reshape to a constant shape."""
    x = node.input(0)
    target = node.integers_or_input("shape", 1)
    if target is None:
        raise node.fail("shape is missing")
    shape = shapes.reshaped(x.shape, target, zero_copies=not node.flag("allowzero"))
    _view(node, "reshape", x, shape)


def flatten(node: Node) -> None:
    """Flatten into two dimensions."""
    x = node.input(0)
    _view(node, "flatten", x, shapes.flattened(x.shape, node.integer("axis", 1)))


def squeeze(node: Node) -> None:
    """Squeeze extents of 1."""
    x = node.input(0)
    _view(node, "squeeze", x, shapes.squeezed(x.shape, node.integers_or_input("axes", 1)))


def unsqueeze(node: Node) -> None:
    """Unsqueeze: insert extents of 1."""
    x = node.input(0)
    axes = node.integers_or_input("axes", 1)
    if axes is None:
        raise node.fail("axes are missing")
    _view(node, "unsqueeze", x, shapes.unsqueezed(x.shape, axes))


def transpose(node: Node) -> None:
    """Transpose; one that moves only extents of 1 is a view."""
    x = node.input(0)
    axes = node.integers("perm") or list(range(len(x.shape)))[::-1]
    shape = shapes.permuted(x.shape, axes)
    wide = [axis for axis in axes if x.shape[axis] > 1]
    kind = "transpose" if wide != sorted(wide) else "reshape"
    _rearranged(node, kind, x, shape, lambda a: np.transpose(a, axes))


def concat(node: Node) -> None:
    """Concat along an axis."""
    operands = node.given()
    if not operands:
        raise node.fail("has no inputs")
    axis = node.integer("axis", 1 if node.opset < 4 else None)
    shape = shapes.concatenated([value.shape for value in operands], axis)
    node.emit("concat", shape, operands, fold=lambda *parts: np.concatenate(parts, axis=axis))


def split(node: Node) -> None:
    """Split along an axis, into given or equal parts."""
    x = node.input(0)
    axis = normalize_axis(node.integer("axis", 0), len(x.shape))
    count = node.integer("num_outputs", len(node.outputs))
    parts = node.integers_or_input("split", 1)
    if parts is None:
        if count != len(node.outputs) or not count:
            raise node.fail(f"num_outputs {count} is not the number of outputs")
        size = -(-x.shape[axis] // count)
        parts = [min(size, x.shape[axis] - size * i) for i in range(count)]
    if sum(parts) != x.shape[axis] or len(parts) != len(node.outputs) or min(parts) < 0:
        raise node.fail(f"parts {parts[:8]} do not split axis {axis} of {list(x.shape)}")
    cuts = list(accumulate(parts))[:-1]

    def cut(a: Any) -> Any:
        pieces = np.split(a, cuts, axis=axis)
        return pieces if len(pieces) > 1 else pieces[0]

    node.emit_many("split", [replaced(x.shape, axis, part) for part in parts], [x], fold=cut)


def slice_(node: Node) -> None:
    """Slice by constant starts, ends, axes and steps."""
    x = node.input(0)
    starts = node.integers_or_input("starts", 1)
    ends = node.integers_or_input("ends", 2)
    axes = node.integers_or_input("axes", 3)
    steps = node.known_ints(4) if node.has(4) else None
    if starts is None or ends is None:
        raise node.fail("starts or ends are missing")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.fail("starts, ends, axes and steps differ in length")
    chosen = shapes.normalize_axes(axes, len(x.shape))
    shape, cut = list(x.shape), [slice(None)] * len(x.shape)
    for axis, start, stop, step in zip(chosen, starts, ends, steps, strict=True):
        # An end below -extent runs over the front when stepping backwards.
        bound = None if step < 0 and stop < -x.shape[axis] else stop
        cut[axis] = slice(start, bound, step)
        if step == 0:
            raise node.fail("a step is 0")
        shape[axis] = len(range(*cut[axis].indices(x.shape[axis])))
    key = tuple(cut)
    node.emit("slice", tuple(shape), [x], fold=lambda a: a[key])


def gather(node: Node) -> None:
    """Gather along an axis: an embedding, or a choice of slices."""
    x, indices = node.input(0), node.input(1)
    axis = normalize_axis(node.integer("axis", 0), len(x.shape))
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    both = x.constant and indices.constant
    read = [x, indices] if both or not indices.is_immediate else [x]
    node.emit("gather", shape, read, fold=lambda a, i: np.take(a, i, axis=axis), form=x.format)


def gather_elements(node: Node) -> None:
    """GatherElements: the output has the shape of the indices."""
    x, indices = node.input(0), node.input(1)
    normalize_axis(node.integer("axis", 0), len(x.shape))
    node.emit("gather", indices.shape, [x, indices], form=x.format)


def gather_nd(node: Node) -> None:
    """GatherND: the last dimension of the indices addresses slices."""
    x, indices = node.input(0), node.input(1)
    batch = node.integer("batch_dims", 0)
    depth = indices.shape[-1] if indices.shape else 0
    if batch < 0 or batch + depth > len(x.shape) or not depth or batch >= len(indices.shape):
        raise node.fail(f"indices {list(indices.shape)} do not address {list(x.shape)}")
    shape = (*indices.shape[:-1], *x.shape[batch + depth :])
    node.emit("gather", shape, [x, indices], form=x.format)


def scatter(node: Node) -> None:
    """Scatter, ScatterElements, ScatterND: writes updates into a copy of x."""
    x, updates = node.input(0), node.input(2)
    node.integer("axis", 0)
    kind = "scatter" if node.text("reduction", "none") == "none" else "scatter_reduce"
    node.emit(kind, x.shape, [x, node.input(1), updates], work=updates.elements)


def pad(node: Node) -> None:
    """Pad by constant amounts, negative ones crop."""
    x = node.input(0)
    rank = len(x.shape)
    name = "paddings" if "paddings" in node.attributes else "pads"
    amounts = node.integers_or_input(name, 1)
    mode = node.text("mode", "constant")
    node.real("value", 0.0)
    axes = node.known_ints(3) if node.has(3) else list(range(rank))
    if amounts is None or len(amounts) != 2 * len(axes):
        raise node.fail(f"pads must have {2 * len(axes)} entries")
    shape = list(x.shape)
    chosen = shapes.normalize_axes(axes, rank)
    for i, axis in enumerate(chosen):
        shape[axis] += amounts[i] + amounts[i + len(axes)]
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise node.fail(f"attribute 'mode' = '{mode}' is not supported")
    node.emit("pad", tuple(shape), [x])


def expand(node: Node) -> None:
    """Expand: broadcast to a constant shape."""
    x = node.input(0)
    shape = shapes.broadcast(x.shape, tuple(node.known_ints(1)))
    node.emit("expand", shape, [x], fold=lambda a: np.broadcast_to(a, shape))


def tile(node: Node) -> None:
    """Tile: repeat each dimension a constant number of times."""
    x = node.input(0)
    repeats = node.known_ints(1)
    if len(repeats) != len(x.shape):
        raise node.fail(f"repeats {repeats[:8]} do not fit {list(x.shape)}")
    shape = tuple(e * r for e, r in zip(x.shape, repeats, strict=True))
    node.emit("tile", shape, [x], fold=lambda a: np.tile(a, repeats))


def resize(node: Node) -> None:
    """Resize, Upsample: nearest neighbours move, others interpolate along each resized axis."""
    x = node.input(0)
    mode = node.text("mode", "nearest")
    for name in ("coordinate_transformation_mode", "nearest_mode"):
        node.text(name, "")
    for name in ("cubic_coeff_a", "extrapolation_value"):
        node.real(name, 0.0)
    for name in ("exclude_outside", "antialias"):
        node.integer(name, 0)
    shape = _resized(node, x)
    if mode == "nearest":
        node.emit("resize", shape, [x])
        return
    lerps = sum(a != b for a, b in zip(shape, x.shape, strict=True)) * (3 if "cub" in mode else 1)
    node.emit("interpolate", shape, [x], work=math.prod(shape) * lerps)


def _resized(node: Node, x: Value) -> Shape:
    upsample = node.op == "Upsample" or node.opset < 11
    axes = shapes.normalize_axes(node.integers("axes") or range(len(x.shape)), len(x.shape))
    scales = node.reals("scales")
    index = 1 if upsample else 2
    if scales is None and node.has(index) and node.input(index).elements:
        scales = [float(scale) for scale in node.known(index).reshape(-1)]
    shape = list(x.shape)
    if scales is not None:
        if len(scales) != len(axes) or not all(0 < scale < 2**32 for scale in scales):
            raise node.fail(f"scales {scales[:8]} do not fit {list(x.shape)}")
        for axis, scale in zip(axes, scales, strict=True):
            shape[axis] = math.floor(x.shape[axis] * scale)
        return tuple(shape)
    sizes = node.known_ints(3)
    if len(sizes) != len(axes):
        raise node.fail(f"sizes {sizes[:8]} do not fit {list(x.shape)}")
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        factors = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
        factor = min(factors) if policy == "not_larger" else max(factors)
        sizes = [math.floor(x.shape[axis] * factor + 0.5) for axis in axes]
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return tuple(shape)


def space_to_depth(node: Node) -> None:
    """SpaceToDepth, DepthToSpace: blocks of pixels become channels, or back."""
    x = node.image()
    block = node.integer("blocksize")
    node.text("mode", "DCR")
    n, c, h, w = x.shape if len(x.shape) == 4 else (0, 0, 0, 0)
    if node.op == "SpaceToDepth":
        fits = block > 0 and n and not (h % block or w % block)
        shape = (n, c * block**2, h // block, w // block) if fits else ()
        kind = "space_to_depth"
    else:
        fits = block > 0 and n and not c % block**2
        shape = (n, c // block**2, h * block, w * block) if fits else ()
        kind = "depth_to_space"
    if not fits:
        raise node.fail(f"blocksize {block} does not fit {list(x.shape)}")
    node.emit(kind, shape, [x])


def trilu(node: Node) -> None:
    """Trilu: keeps a triangle of each matrix."""
    x = node.input(0)
    offset = node.known_ints(1)[0] if node.has(1) else 0
    cut = np.triu if node.flag("upper", True) else np.tril
    limit = max(-(2**31), min(offset, 2**31))
    node.emit("where", x.shape, [x], fold=lambda a: cut(a, limit))


def _view(node: Node, kind: str, x: Value, shape: Shape) -> None:
    _rearranged(node, kind, x, shape, lambda a: a.reshape(shape))


def _rearranged(node: Node, kind: str, x: Value, shape: Shape, fold: Fold) -> None:
    """The elements of x in another order or shape; a large constant stays stored as it is."""
    if x.constant and x.data is None:
        node.alias(x.seen_as(shape))
        return
    node.emit(kind, shape, [x], fold=fold)
