"""Kernels in DSLX, and their way to pipelined Verilog through XLS."""

from dovetail.hls.compiler import DELAY_MODELS, HlsBuild, build, interpret
from dovetail.hls.kernel import Kernel, Parameter
from dovetail.hls.registry import KERNELS, find_kernel

__all__ = [
    "DELAY_MODELS", "KERNELS", "HlsBuild", "Kernel", "Parameter", "build", "find_kernel",
    "interpret",
]  # fmt: skip
