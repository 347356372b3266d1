"""Kernels in DSLX, and their way to pipelined Verilog through XLS."""

from dovetail.hls.compiler import DELAY_MODELS, HlsBuild, build, interpret
from dovetail.hls.kernel import Kernel, Parameter, Ram
from dovetail.hls.registry import KERNELS, find_kernel, names

__all__ = [
    "DELAY_MODELS", "KERNELS", "HlsBuild", "Kernel", "Parameter", "Ram", "build", "find_kernel",
    "interpret", "names",
]  # fmt: skip
