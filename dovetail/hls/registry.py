"""Kernels by name: those of this package, and those of others by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from dovetail.errors import AcceleratorError, UnknownNameError
from dovetail.hls.kernel import Kernel, Parameter, Ram

GROUP = "dovetail.kernels"
"""Entry points of this group name a `Kernel`."""

_ATTENTION = (
    Parameter("parallel", 4, 1, 16, "queries at a time"),
    Parameter("block", 8, 6, 32, "elements of a row that come at once"),
    Parameter("bits", 8, 8, 16, "bits of an element"),
    Parameter("acc", 32, 8, 48, "bits of a sum"),
    Parameter("row", 24, 2, 1024, "blocks of the longest row"),
)

KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel(
            "attention_scores",
            "attention's scores: queries side by side, one block of keys and of queries per cycle",
            (*_ATTENTION, Parameter("words", 3096, 2, 65535, "blocks of all keys at most")),
            stream=True,
            rams=(Ram("keys", "words"), Ram("cache", "row", write_after=1)),
        ),
        Kernel(
            "attention_values",
            "attention's values under weights: queries side by side, a block of values per cycle",
            (*_ATTENTION, Parameter("words", 3096, 2, 65535, "blocks of all values at most")),
            stream=True,
            rams=(Ram("values", "words"), Ram("sums", "row", write_after=1)),
        ),
        Kernel(
            "deformable",
            "depthwise 3x3 convolution at a bounded dilation per pixel, over a line buffer",
            (
                Parameter("width", 16, 4, 4096, "pixels of a row"),
                Parameter("height", 8, 6, 4096, "rows of an image"),
                Parameter("range", 2, 1, 4, "the highest dilation, in pixels"),
                Parameter("channels", 1, 1, 4, "channels side by side"),
                Parameter("fraction", 4, 0, 5, "fractional bits of an offset, of 8"),
                Parameter("acc", 20, 8, 32, "bits of a sum"),
            ),
            stream=True,
            rams=(Ram("line", "width", write_after=1),),
        ),
        Kernel(
            "econ_t",
            "ECON-T's encoder (outputs=16): 48 cells, convolution, dense layer; an event per cycle",
            (
                Parameter("filters", 8, 1, 8, "filters of the convolution"),
                Parameter("outputs", 2, 1, 16, "sums of the dense layer; 16 build for minutes"),
                Parameter("fraction", 4, 2, 5, "fractional bits of a weight"),
                Parameter("truncate", 0, 0, 1, "0: to nearest, ties to even; 1: down"),
            ),
            stream=True,
        ),
        Kernel(
            "exponential",
            "exp(-t) with 20 fractional bits: a shift and an interpolated table of 129 entries",
            (
                Parameter("width", 16, 4, 40, "bits of the unsigned argument"),
                Parameter("fraction", 8, 4, 20, "how many of them are fractional"),
            ),
        ),
        Kernel(
            "gelu",
            "GELU as ReLU minus an interpolated table of 177 entries",
            (
                Parameter("width", 32, 8, 48, "bits of argument and result"),
                Parameter("fraction", 22, 6, 24, "how many of them are fractional"),
            ),
        ),
        Kernel(
            "layernorm",
            "layer normalization: sum and inverse deviation of rows, in one pass",
            (
                Parameter("width", 16, 4, 16, "bits of an element"),
                Parameter("count", 192, 2, 4096, "elements of a row"),
            ),
            stream=True,
        ),
        Kernel(
            "layernorm_scale",
            "(count x - S) / sqrt(V): an element under what layernorm gives",
            (
                Parameter("width", 16, 4, 16, "bits of an element"),
                Parameter("count", 192, 2, 4096, "elements of a row"),
                Parameter("out", 16, 4, 32, "bits of the result"),
                Parameter("fraction", 8, 0, 16, "how many of them are fractional"),
            ),
        ),
        Kernel(
            "linear",
            "unified linear unit: a tile of a matrix-vector product per cycle",
            (
                Parameter("inputs", 16, 1, 32, "elements of a tile of the vector"),
                Parameter("outputs", 16, 1, 32, "sums"),
                Parameter("bits", 8, 2, 16, "bits of an element and of a weight"),
                Parameter("acc", 32, 8, 48, "bits of a sum"),
            ),
            stream=True,
        ),
        Kernel(
            "linear_layer",
            "linear layers of any size, tile by tile on one unit, weights in a memory",
            (
                Parameter("inputs", 16, 4, 32, "elements of a tile of the vector"),
                Parameter("outputs", 16, 1, 32, "sums at a time"),
                Parameter("bits", 8, 8, 16, "bits of an element and of a weight"),
                Parameter("acc", 32, 8, 48, "bits of a sum"),
                Parameter("row", 12, 2, 1024, "tiles of the longest vector"),
                Parameter("tiles", 144, 2, 65535, "tiles of weights of the largest layer"),
            ),
            stream=True,
            rams=(Ram("weights", "tiles"), Ram("row", "row")),
        ),
        Kernel(
            "lmul",
            "L-Mul: a floating-point product by one integer addition",
            (
                Parameter("exponent", 8, 2, 8, "bits of the exponent"),
                Parameter("mantissa", 7, 1, 23, "bits of the mantissa"),
                Parameter("finite", 0, 0, 1, "1: no infinity, one NaN, saturates (OCP E4M3)"),
            ),
        ),
        Kernel(
            "quantize",
            "fixed-point quantizer with a movable binary point and ap_fixed's modes",
            (
                Parameter("in", 32, 2, 44, "bits of the signed argument"),
                Parameter("shift", 5, 2, 5, "bits of the signed shift"),
                Parameter("out", 16, 2, 45, "bits of the signed result"),
                Parameter("rounding", 1, 0, 6, "0 AP_TRN, 1 AP_RND, 2 AP_RND_CONV, …"),
                Parameter("saturate", 1, 0, 1, "0 AP_WRAP, 1 AP_SAT"),
            ),
        ),
        Kernel(
            "requantize",
            "dyadic requantization: clip(round(acc * multiplier / 2^shift) + zero_point)",
            (
                Parameter("acc", 32, 2, 32, "bits of the signed accumulator"),
                Parameter("multiplier", 31, 1, 31, "bits of the unsigned multiplier"),
                Parameter("shift", 6, 1, 6, "bits of the shift"),
                Parameter("out", 8, 2, 32, "bits of the signed result"),
            ),
        ),
        Kernel(
            "softmax",
            "online softmax: maximum and reciprocal sum of rows of scores, in one pass",
            (
                Parameter("width", 16, 8, 24, "bits of a score"),
                Parameter("fraction", 8, 4, 20, "how many of them are fractional"),
                Parameter("length", 12, 1, 12, "log2 of the most scores in a row"),
            ),
            stream=True,
        ),
        Kernel(
            "softmax_weight",
            "exp(x - b) * (1/s): the weight of a score under what softmax gives",
            (
                Parameter("width", 16, 8, 24, "bits of a score"),
                Parameter("fraction", 8, 4, 20, "how many of them are fractional"),
            ),
        ),
    )
}


def names() -> tuple[str, ...]:
    """Names of all kernels, those of other packages behind those of this one."""
    others = {point.name for point in entry_points(group=GROUP)} - KERNELS.keys()
    return (*KERNELS, *sorted(others))


def find_kernel(name: str) -> Kernel:
    """A kernel by its name.

    Raises:
        UnknownNameError: if there is none.
        AcceleratorError: if another package's fails to load.
    """
    if name in KERNELS:
        return KERNELS[name]
    for point in entry_points(group=GROUP, name=name):
        try:
            found = point.load()
        except (Exception, SystemExit) as error:
            raise AcceleratorError(
                f"kernel '{name}' from {point.value} fails: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(found, Kernel) or found.name != name:
            raise AcceleratorError(f"kernel '{name}': {point.value} is not a Kernel of that name")
        return found
    raise UnknownNameError("kernel", name, names())
