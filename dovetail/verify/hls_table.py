"""What kernels take on an FPGA: built, synthesised for 7 series, a line of the table each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from dovetail.arch.kernels import KernelCost
from dovetail.hls import HlsBuild, build, find_kernel
from dovetail.rtl.synthesis import Synthesis, synthesize

Point = tuple[str, int, dict[str, int]]
"""A kernel, its lanes, and the parameters that differ from their defaults."""

FEATURE_BLOCK = 8
"""Values of 32 bits in a beat of Edge-MoE's memory ports."""

_TILES = ((8, 8), (16, 8), (32, 8), (8, 1), (16, 1), (32, 1), (1, 8))
"""Inputs and outputs of a linear unit."""

FORMS: dict[str, tuple[dict[str, int], ...]] = {
    "deformable": tuple({"width": 64, "height": 64, "channels": channels} for channels in (1, 4)),
    "layernorm": ({"count": 384}, {"count": 768}),
    "layernorm_scale": ({"count": 384}, {"count": 768}),
    "linear": (
        *({"inputs": i, "outputs": o} for i, o in _TILES),
        *({"inputs": i, "outputs": o, "bits": 16, "acc": 44} for i, o in (*_TILES, (16, 16))),
    ),
    "lmul": (
        {"exponent": 4, "mantissa": 3, "finite": 1},
        {"exponent": 5, "mantissa": 2},
    ),
    "quantize": ({"in": 44},),
    "requantize": ({"acc": 24, "multiplier": 15, "shift": 5},),
    "softmax": ({"width": 24, "fraction": 16},),
    "softmax_weight": ({"width": 24, "fraction": 16},),
}
"""Parameters to measure beside the defaults."""


def points(kernels: Iterable[str]) -> list[Point]:
    """Of each kernel the defaults, pipelines also as a feature block wide, and some further forms.

    Args:
        kernels: their names.
    """
    found: list[Point] = []
    for name in kernels:
        found.append((name, 1, {}))
        if not find_kernel(name).stream:
            found.append((name, FEATURE_BLOCK, {}))
        found += [(name, 1, form) for form in FORMS.get(name, ())]
    return found


def measure(point: Point, *, limit_s: float = 600.0) -> KernelCost:
    """Builds a kernel at its default clock and counts what it takes on a 7-series FPGA.

    Args:
        point: what to build.
        limit_s: seconds that Yosys may take.

    Raises:
        MissingToolError: if Yosys is not installed.
        ToolError: if Yosys fails or takes too long.
    """
    kernel, lanes, parameters = point
    made = build(kernel, parameters, lanes=lanes)
    done = synthesize_build(made, "xilinx", limit_s=limit_s)
    return KernelCost(
        kernel, tuple(sorted(made.parameters.items())), lanes, made.latency_cycles,
        made.initiation_interval, done.luts, done.flip_flops, done.dsps,
        round(2 * done.block_rams), command(point),
    )  # fmt: skip


def command(point: Point) -> str:
    """The command that builds and measures a point."""
    kernel, lanes, parameters = point
    words = ["dovetail hls build", kernel]
    words += [f"--set {name}={value}" for name, value in parameters.items()]
    words += [f"--lanes {lanes}"] if lanes > 1 else []
    return " ".join(words)


def synthesize_build(made: HlsBuild, target: str, *, limit_s: float) -> Synthesis:
    """Runs Yosys on a build.

    Args:
        made: the build.
        target: `gates` or `xilinx`.
        limit_s: seconds that it may take.

    Raises:
        MissingToolError: if Yosys is not installed.
        ToolError: if it fails or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="dovetail-hls-") as name:
        path = Path(name) / "kernel.v"
        path.write_text(made.verilog, encoding="utf-8")
        # Multipliers take minutes to map with the full script, for 5 to 10 % fewer gates.
        return synthesize(made.module, {}, target, files=[path], fast=True, limit_s=limit_s)
