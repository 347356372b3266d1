"""torch operators that rename or move elements, and those that make constants."""

from __future__ import annotations

from dovetail.networks.shapes import normalize_axis
from dovetail.networks.torch_ops.call import Call

VIEWS: dict[str, str] = {
    "view": "reshape", "reshape": "reshape", "_unsafe_view": "reshape", "view_as": "reshape",
    "reshape_as": "reshape", "flatten": "flatten", "unflatten": "reshape", "squeeze": "squeeze",
    "unsqueeze": "unsqueeze", "contiguous": "identity", "alias": "identity", "clone": "identity",
    "detach": "identity", "lift_fresh_copy": "identity", "dropout": "dropout",
    "native_dropout": "dropout", "feature_dropout": "dropout", "alpha_dropout": "dropout",
}  # fmt: skip

CASTS = frozenset({"to", "_to_copy", "type_as", "float", "half", "bfloat16", "int", "long", "bool"})

MOVES: dict[str, str] = {
    "cat": "concat", "concat": "concat", "concatenate": "concat", "stack": "concat",
    "roll": "concat", "hstack": "concat", "vstack": "concat", "split": "split", "chunk": "split",
    "split_with_sizes": "split", "unsafe_split": "split", "unsafe_chunk": "split",
    "unbind": "split", "tensor_split": "split", "pad": "pad", "constant_pad_nd": "pad",
    "reflection_pad1d": "pad", "reflection_pad2d": "pad", "replication_pad1d": "pad",
    "replication_pad2d": "pad", "repeat": "tile", "repeat_interleave": "tile", "tile": "tile",
    "embedding": "gather", "index_select": "gather", "gather": "gather", "index": "gather",
    "take_along_dim": "gather", "flip": "gather", "index_put": "scatter", "scatter": "scatter",
    "index_copy": "scatter", "slice_scatter": "scatter", "select_scatter": "scatter",
    "copy": "identity", "pixel_shuffle": "depth_to_space", "pixel_unshuffle": "space_to_depth",
    "channel_shuffle": "channel_shuffle", "native_channel_shuffle": "channel_shuffle",
    "upsample_nearest1d": "resize", "upsample_nearest2d": "resize", "im2col": "gather",
    "unfold": "gather", "diagonal": "slice",
}  # fmt: skip
"""Kinds of operators that move data by no arithmetic."""

INTERPOLATIONS: dict[str, int] = {
    "upsample_linear1d": 1, "upsample_bilinear2d": 2, "upsample_bicubic2d": 6,
    "_upsample_bilinear2d_aa": 2, "_upsample_bicubic2d_aa": 6,
}  # fmt: skip
"""Linear interpolations per output element; cubic ones count three per axis."""

CONSTANTS = frozenset({
    "arange", "full", "zeros", "ones", "empty", "full_like", "zeros_like", "ones_like", "eye",
    "empty_like", "new_zeros", "new_ones", "new_full", "new_empty", "scalar_tensor", "linspace",
    "tensor", "lift_fresh",
})  # fmt: skip
"""Operators whose result is the same in every inference."""

IGNORED = frozenset({
    "_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range",
    "sym_constrain_range_for_size",
})  # fmt: skip
"""Checks that compute nothing."""


def view(call: Call) -> None:
    """Renames elements; dropout is one in inference."""
    if call.op.endswith("dropout") and call.get("train", False):
        raise call.fail("runs in training mode: put the module into eval mode")
    call.outputs = call.outputs[:1]
    call.emit(VIEWS[call.op], [call.tensor("self", "input")])


def cast(call: Call) -> None:
    """Changes the number format; a cast to the same format is a view."""
    x = call.tensor("self", "input")
    call.emit("identity" if x.format == call.output.format else "cast", [x])


def move(call: Call) -> None:
    """Moves elements."""
    call.emit(MOVES[call.op], call.tensors())


def transpose(call: Call) -> None:
    """permute, transpose, t: a view if only extents of 1 move."""
    x = call.tensor("self", "input")
    rank = len(x.shape)
    axes = list(range(rank))
    if call.op in ("permute", "permute_copy"):
        axes = [normalize_axis(int(axis), rank) for axis in call.get("dims", axes)]
    elif call.op == "movedim":
        axes = []
    elif rank > 1:
        first = normalize_axis(int(call.get("dim0", 0)), rank)
        second = normalize_axis(int(call.get("dim1", 1)), rank)
        axes[first], axes[second] = second, first
    wide = [axis for axis in axes if x.shape[axis] > 1]
    moved = not axes or wide != sorted(wide)
    call.emit("transpose" if moved else "reshape", [x])


def slice_(call: Call) -> None:
    """slice, select, narrow; all of x is a view."""
    x = call.tensor("self", "input")
    call.emit("identity" if x.elements == call.elements else "slice", [x])


def expand(call: Call) -> None:
    """expand, broadcast_to; a view if nothing is repeated."""
    x = call.tensor("self", "input")
    call.emit("reshape" if x.elements == call.elements else "expand", [x])


def interpolate(call: Call) -> None:
    """Linear and cubic upsampling."""
    work = call.elements * INTERPOLATIONS[call.op]
    call.emit("interpolate", [call.tensor("self", "input")], work)
