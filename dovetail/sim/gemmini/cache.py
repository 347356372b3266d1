"""Lines that miss the shared L2 cache while Gemmini steps through its tiles."""

from __future__ import annotations

import math

from dovetail.sim.gemmini.layer import Layer, TiledMapping
from dovetail.sim.gemmini.machine import Machine

OPERANDS = ("weight", "input", "output")
BISECTIONS = 50
RELEVANT = {"weight": "CKRS", "input": "CPQRS", "output": "KPQ"}


def miss_share(pressure: float) -> float:
    """Share of misses when data is read again after `pressure` caches' worth of other lines.

    Under random replacement a line outlives n misses with (1 - 1/lines)^n, so the share m of
    misses in a cyclic stream of x times the capacity solves 1 - m = exp(-x m); none if x <= 1.

    Args:
        pressure: bytes touched between two uses, over the capacity.
    """
    low, high = 0.0, 1.0
    if pressure <= 1.0:
        return low
    for _ in range(BISECTIONS):
        share = (low + high) / 2
        if 1.0 - math.exp(-pressure * share) > share:
            low = share
        else:
            high = share
    return high


def misses(layer: Layer, mapping: TiledMapping, machine: Machine) -> dict[str, float]:
    """Lines per operand that are not in the cache when they are asked for, over the layer.

    From the innermost loop to the outermost: what a loop touches again is there with a
    probability that falls with what its body touches. Before the run the data were used once
    (the measurement runs another tiling first), so a layer that fits misses nothing.

    Args:
        layer: what is computed.
        mapping: tile and order of the loops.
        machine: capacity, sets and line of the cache.
    """
    extent = dict(mapping.tile)
    counts = {rank: -(-getattr(layer, rank) // size) for rank, size in mapping.tile}
    missed = {operand: lines(layer, operand, extent, machine) for operand in OPERANDS}
    for rank in reversed(mapping.order):
        count = counts[rank]
        if count == 1:
            continue
        shares = _shares(layer, extent, machine)
        wider = dict(extent)
        wider[rank] = min(extent[rank] * count, max(getattr(layer, rank), extent[rank]))
        for operand in OPERANDS:
            distinct = 1.0
            if rank in RELEVANT[operand]:
                growth = lines(layer, operand, wider, machine) / lines(
                    layer, operand, extent, machine
                )
                distinct = min(count, growth)
            missed[operand] *= distinct + (count - distinct) * shares[operand]
        extent = wider
    shares = _shares(layer, extent, machine)
    for operand in OPERANDS:
        first = min(lines(layer, operand, extent, machine), missed[operand])
        missed[operand] += first * (shares[operand] - 1.0)
    return missed


def lines(layer: Layer, operand: str, extent: dict[str, int], machine: Machine) -> float:
    """Cache lines that a tile of an operand touches (channels are contiguous in memory)."""
    pixels, width, stride = _layout(layer, operand, extent)
    line = machine.line_bytes
    if width == stride:
        return pixels * width / line
    return pixels * max(-(-width // line), width / line)


def _layout(layer: Layer, operand: str, extent: dict[str, int]) -> tuple[int, int, int]:
    """Rows of a tile in memory, bytes of a row that are used, bytes between rows."""
    if operand == "weight":
        return extent["R"] * extent["S"] * extent["C"], extent["K"], layer.K
    if operand == "output":
        return extent["P"] * extent["Q"], extent["K"], layer.K
    if layer.is_matmul:
        return extent["P"], extent["C"], layer.C
    rows = min((extent["Q"] - 1) * layer.stride + extent["S"], layer.Q * layer.stride)
    columns = min((extent["P"] - 1) * layer.stride + extent["R"], layer.P * layer.stride)
    return rows * columns, extent["C"], layer.C


def _shares(layer: Layer, extent: dict[str, int], machine: Machine) -> dict[str, float]:
    """Miss share of every operand when all that `extent` covers lies between two uses."""
    load = {
        operand: lines(layer, operand, extent, machine) * machine.line_bytes / machine.cache_bytes
        for operand in OPERANDS
    }
    total = sum(load.values())
    shares = {}
    for operand, own in load.items():
        spread = _sets_used(layer, operand, extent, machine)
        shares[operand] = miss_share(total - own + own / spread)
    return shares


def _sets_used(layer: Layer, operand: str, extent: dict[str, int], machine: Machine) -> float:
    """Share of the cache's sets that a strided tile falls into: powers of two hit few."""
    _, width, stride = _layout(layer, operand, extent)
    line = machine.line_bytes
    if stride % line:
        return 1.0
    period = math.gcd(stride // line, machine.cache_sets)
    return min(1.0, -(-min(width, stride) // line) / period)


def bank_conflict(stride_bytes: int, machine: Machine) -> float:
    """0 if rows at this stride spread over all banks of the cache, 1 if they hit a single one."""
    if stride_bytes % machine.line_bytes or machine.cache_banks == 1:
        return 0.0
    shared = math.gcd(stride_bytes // machine.line_bytes, machine.cache_banks)
    return (shared - 1) / (machine.cache_banks - 1)
