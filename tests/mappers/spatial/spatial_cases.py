"""A small array and small operators that the tests of spatial mappers share."""

from __future__ import annotations

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.cli.map_operators import convolution
from dovetail.ir.operator import Einsum

ALL = ("input", "weight", "output")


def array(**changes: object) -> SpatialArray:
    """Two dimensions, registers per PE and operand, a shared buffer that weights may bypass."""
    settings: dict[str, object] = {
        "name": "small",
        "dimensions": (("x", 4), ("y", 3)),
        "stores": (
            Store("rf_i", ("input",), (), 16, 8, 0.5, 0.5),
            Store("rf_w", ("weight",), (), 32, 8, 0.5, 0.5),
            Store("rf_o", ("output",), (), 32, 8, 0.5, 0.5),
            Store("glb", ALL, ("x", "y"), 2048, 32, 4.0, 5.0, 64.0, 64.0, bypass=("weight",)),
            Store("dram", ALL, ("x", "y"), access_bits=64, read_pj=200.0, write_pj=200.0,
                  read_bits_per_cycle=32.0, write_bits_per_cycle=None),
        ),
        "unrolls": (("x", ("K", "P")), ("y", ("C", "R", "Q"))),
        "latched": ("weight",),
        "mac_pj": 0.2,
    }  # fmt: skip
    return SpatialArray(**(settings | changes))  # type: ignore[arg-type]


def layer(**extents: int) -> Einsum:
    """A convolution of 8 by 8 channels with a 3x3 window on 7x7 positions."""
    return convolution({"K": 8, "C": 8, "P": 7, "Q": 7, "R": 3, "S": 3} | extents)
