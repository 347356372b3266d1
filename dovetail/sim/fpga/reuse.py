"""hls4ml's reuse factor: how many products each multiplier of a layer works off.

A layer of `n_in` inputs (convolutions: input channels x kernel taps) and `n_out` outputs (filters)
has `n_in * n_out` products per neuron or pixel.

References:
    J. Duarte et al., JINST 13 P07027, 2018; hls4ml's FPGA back-end (legal reuse factors, and the
    one that meets a target of cycles).
"""

from __future__ import annotations

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.space import BoolArray, IntArray

SHUFFLE_CYCLES = 6
"""Cycles that moving the data of one neuron or pixel takes."""


def is_legal(n_in: int, n_out: int, reuse: IntArray | int) -> BoolArray:
    """Whether the resource strategy can be built with these reuse factors (any shape)."""
    reuse = np.asarray(reuse, dtype=np.int64)
    whole = (n_in * n_out) % reuse == 0
    rows = (multipliers(n_in, n_out, reuse) % n_out == 0) & (reuse < n_in)
    return np.asarray(whole & (rows | (reuse % n_in == 0)))


def legal_reuse_factors(n_in: int, n_out: int) -> IntArray:
    """All legal reuse factors, ascending."""
    products = n_in * n_out
    small = np.arange(1, int(products**0.5) + 1)
    small = small[products % small == 0]
    divisors = np.unique(np.concatenate([small, products // small]))
    return divisors[is_legal(n_in, n_out, divisors)]


def closest_reuse_factor(legal: IntArray, wanted: float) -> int:
    """The legal factor next to the wanted one; of two as close, the smaller."""
    return int(legal[np.argmin(np.abs(legal - wanted))])


def multipliers(n_in: int, n_out: int, reuse: IntArray | int) -> IntArray:
    """Multipliers that a layer may have at most: `n_in * n_out / min(n_in, reuse)`, rounded up."""
    return -(-(n_in * n_out) // np.minimum(n_in, reuse))


def block_factor(n_in: int, n_out: int, reuse: IntArray | int) -> IntArray:
    """Multipliers that work at once: products over reuse, rounded up."""
    return -(-(n_in * n_out) // np.asarray(reuse, dtype=np.int64))


def layer_cycles(positions: int, reuse: IntArray | int) -> IntArray:
    """Cycles of a layer: `reuse` per position (1 for a dense layer, pixels for a convolution).

    The resource strategy loops `reuse` times at initiation interval 1, the latency strategy is
    pipelined with initiation interval `reuse`; filling the pipeline is left out.
    """
    return positions * np.asarray(reuse, dtype=np.int64)


def reuse_for_target(target_cycles: int, positions: int) -> float:
    """Reuse factor (not yet a legal one) with which a layer meets a target.

    Args:
        target_cycles: that the layer may take.
        positions: neurons of a dense layer, output pixels of a convolution.

    Raises:
        MappingError: if moving the data alone takes longer.
    """
    moving = SHUFFLE_CYCLES * positions
    if target_cycles < moving:
        raise MappingError(
            f"target of {target_cycles} cycles: moving the data of {positions} positions takes "
            f"{moving}: raise the target"
        )
    return (target_cycles - moving) / positions
