"""Kernels in DSLX, and their way to pipelined Verilog through XLS."""

from dovetail.hls.compiler import HlsBuild, build, interpret, kernels

__all__ = ["HlsBuild", "build", "interpret", "kernels"]
