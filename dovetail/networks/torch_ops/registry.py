"""Which function imports which torch operator."""

from __future__ import annotations

from collections.abc import Callable

from dovetail.networks.torch_ops import contraction, movement, vector
from dovetail.networks.torch_ops.call import Call

Handler = Callable[[Call], None]

_CONVOLUTIONS = (
    "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d",
)  # fmt: skip

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(vector.ELEMENTWISE, vector.elementwise),
    **dict.fromkeys(vector.NORMS, vector.norm),
    **dict.fromkeys(vector.REDUCTIONS, vector.reduction),
    **dict.fromkeys(vector.POOLS, vector.pool),
    **dict.fromkeys(vector.ADAPTIVE_POOLS, vector.adaptive_pool),
    **dict.fromkeys(movement.VIEWS, movement.view),
    **dict.fromkeys(movement.CASTS, movement.cast),
    **dict.fromkeys(movement.MOVES, movement.move),
    **dict.fromkeys(movement.INTERPOLATIONS, movement.interpolate),
    **dict.fromkeys(("permute", "transpose", "t", "movedim", "numpy_T"), movement.transpose),
    **dict.fromkeys(("slice", "select", "narrow"), movement.slice_),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), movement.expand),
    **dict.fromkeys(_CONVOLUTIONS, contraction.convolution),
    **dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot"), contraction.matmul),
    **dict.fromkeys(("addmm", "baddbmm"), contraction.addmm),
    "linear": contraction.linear,
    "einsum": contraction.einsum,
    "scaled_dot_product_attention": contraction.attention,
}
"""Importers by operator name without overload."""
