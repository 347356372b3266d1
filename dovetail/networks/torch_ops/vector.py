"""Elementwise operators, normalizations, poolings and reductions of torch."""

from __future__ import annotations

import math

from dovetail.ir.window import Window
from dovetail.networks.torch_ops.call import Call

ELEMENTWISE: dict[str, str] = {
    "relu": "relu", "relu6": "clip", "hardtanh": "clip", "clamp": "clip", "clamp_min": "max",
    "clamp_max": "min", "leaky_relu": "leaky_relu", "prelu": "prelu", "_prelu_kernel": "prelu",
    "elu": "elu", "selu": "elu", "celu": "elu", "sigmoid": "sigmoid", "log_sigmoid": "softplus",
    "hardsigmoid": "hard_sigmoid", "hardswish": "hard_swish", "silu": "silu", "mish": "mish",
    "gelu": "gelu", "tanh": "tanh", "softplus": "softplus", "erf": "erf", "exp": "exp",
    "log": "log", "log1p": "log", "expm1": "exp", "sqrt": "sqrt", "rsqrt": "rsqrt", "neg": "neg",
    "abs": "abs", "reciprocal": "reciprocal", "sin": "sin", "cos": "cos", "floor": "floor",
    "ceil": "round", "round": "round", "sign": "sign", "logical_not": "logical",
    "bitwise_not": "logical", "add": "add", "sub": "sub", "rsub": "sub", "mul": "mul",
    "div": "div", "true_divide": "div", "pow": "pow", "square": "mul", "maximum": "max",
    "minimum": "min", "floor_divide": "div", "remainder": "mod", "fmod": "mod", "eq": "compare",
    "ne": "compare", "lt": "compare", "le": "compare", "gt": "compare", "ge": "compare",
    "logical_and": "logical", "logical_or": "logical", "logical_xor": "logical",
    "bitwise_and": "logical", "bitwise_or": "logical", "bitwise_xor": "logical",
    "__and__": "logical", "__or__": "logical", "__xor__": "logical", "where": "where",
    "masked_fill": "where", "tril": "where", "triu": "where", "isnan": "compare",
    "isinf": "compare", "softsign": "softsign", "cumsum": "cumsum", "softmax": "softmax",
    "_softmax": "softmax", "_safe_softmax": "softmax", "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
}  # fmt: skip
"""Kinds of operators whose work is their output's elements."""

NORMS: dict[str, str] = {
    "batch_norm": "batchnorm", "_native_batch_norm_legit_no_training": "batchnorm",
    "layer_norm": "layernorm", "native_layer_norm": "layernorm", "group_norm": "groupnorm",
    "native_group_norm": "groupnorm", "instance_norm": "instancenorm", "rms_norm": "rmsnorm",
    "_fused_rms_norm": "rmsnorm",
}  # fmt: skip

REDUCTIONS: dict[str, str] = {
    "mean": "reduce", "sum": "reduce", "amax": "reduce", "amin": "reduce", "max": "reduce",
    "min": "reduce", "prod": "reduce", "var": "reduce", "std": "reduce", "norm": "reduce",
    "linalg_vector_norm": "reduce", "any": "reduce", "all": "reduce", "logsumexp": "reduce",
    "argmax": "argmax", "argmin": "argmax", "topk": "topk", "sort": "topk",
}  # fmt: skip
"""Kinds of operators whose work is their input's elements."""

POOLS = {
    f"{head}_pool{rank}d{tail}": f"{head}pool"
    for head in ("max", "avg")
    for rank in (1, 2, 3)
    for tail in ("", "_with_indices")
}
ADAPTIVE_POOLS = {
    f"{prefix}adaptive_{head}_pool{rank}d": f"{head}pool"
    for prefix in ("", "_")
    for head in ("max", "avg")
    for rank in (1, 2, 3)
}


def elementwise(call: Call) -> None:
    """One unit of work per output element; numbers are immediates."""
    call.emit(ELEMENTWISE[call.op], call.tensors(), call.elements)


def norm(call: Call) -> None:
    """Normalizations read x, a scale and a shift; running statistics are folded into these."""
    if call.get("training", False) and call.op == "batch_norm":
        raise call.fail("runs in training mode: put the module into eval mode")
    read = [call.tensor("input", "self")]
    read += [v for v in (call.optional("weight"), call.optional("bias")) if v is not None]
    call.outputs = call.outputs[:1]
    call.emit(NORMS[call.op], read)


def reduction(call: Call) -> None:
    """One unit of work per input element; `max` of two tensors is elementwise."""
    x, other = call.tensor("self", "input"), call.optional("other")
    if other is not None:
        call.emit(call.op, [x, other])
        return
    call.emit(REDUCTIONS[call.op], [x], x.elements)


def pool(call: Call) -> None:
    """max_pool and avg_pool: one unit of work per window element."""
    x = call.tensor("self", "input")
    rank = int(call.op.split("_pool")[1][0])
    kernel = call.spatial("kernel_size", rank, 1)
    window = _window(call, kernel) if rank == 2 else None
    call.emit(POOLS[call.op], [x], call.elements * math.prod(kernel), window)


def adaptive_pool(call: Call) -> None:
    """Adaptive pooling: window i spans floor(i in / out) to ceil((i + 1) in / out)."""
    x = call.tensor("self", "input")
    rank = int(call.op.split("_pool")[1][0])
    work = math.prod(x.shape[:-rank])
    sizes, counts = x.shape[-rank:], call.output.shape[-rank:]
    steps = tuple(size // count for size, count in zip(sizes, counts, strict=True))
    even = all(size % count == 0 for size, count in zip(sizes, counts, strict=True))
    window = Window((steps[0], steps[1]), (steps[0], steps[1])) if rank == 2 and even else None
    for size, count in zip(sizes, counts, strict=True):
        work *= sum(-(-(i + 1) * size // count) - i * size // count for i in range(count))
    call.emit(ADAPTIVE_POOLS[call.op], [x], work, window)


def _window(call: Call, kernel: tuple[int, ...]) -> Window:
    """Window of a two-dimensional pooling; its stride is the kernel by default."""
    stride = call.spatial("stride", 2, 1) if call.get("stride") else kernel
    top, left = call.spatial("padding", 2, 0)
    dilation = call.spatial("dilation", 2, 1)
    return Window(
        (kernel[0], kernel[1]), (stride[0], stride[1]), (top, left, top, left),
        (dilation[0], dilation[1]),
    )  # fmt: skip
