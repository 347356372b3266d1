"""Tilings of matrix products: every legal one is costed, and the fastest is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product as pairs

from dovetail.arch.gpu import TILE_DEPTH, TILE_SIDES, Gpu
from dovetail.errors import MappingError
from dovetail.sim.gpu.product import Product, ProductCost, Tiling, product_cost

MAPPERS = ("exhaustive", "library")
"""All tilings; or 128 x 128 tiles on matrix units without splits, as a plain library has them."""

SPLITS = (1, 2, 4, 8, 16, 32)
SMALL = 8
"""Columns of a group's product up to which the lanes are tried, too: depthwise convolutions."""


@lru_cache(maxsize=4096)
def best_tiling(
    product: Product, gpu: Gpu, mapper: str, objective: str = "latency"
) -> tuple[Tiling, ProductCost]:
    """The best tiling of a product, by its closed form; ties go to fewer bytes, larger tiles.

    Args:
        product: what is computed.
        gpu: what computes it.
        mapper: one of `MAPPERS`.
        objective: `latency`, `energy` or `edp`.

    Raises:
        MappingError: if none fits.
    """
    found = [
        (tiling, product_cost(product, tiling, gpu)) for tiling in _candidates(product, gpu, mapper)
    ]
    if not found:
        raise MappingError(
            f"no tile of a matrix product fits {gpu.shared_kib:g} KiB of scratchpad and "
            f"{gpu.register_kib:g} KiB of registers"
        )
    return min(found, key=lambda one: _rank(product, gpu, objective, *one))


def _rank(
    product: Product, gpu: Gpu, objective: str, tiling: Tiling, cost: ProductCost
) -> tuple[float, ...]:
    value: float = cost.kernel.cycles
    if objective != "latency":
        energy = sum(cost.energy_pj(product, gpu).values())
        value = energy if objective == "energy" else energy * value
    moved = sum(cost.dram_bytes.values()) + cost.l2_bytes
    return value, moved, -tiling.rows * tiling.columns, tiling.splits


def _candidates(product: Product, gpu: Gpu, mapper: str) -> Iterator[Tiling]:
    if mapper == "library":
        tiling = Tiling(128, 128)
        yield from [tiling] if tiling.fits(gpu, product.operand_bits) else []
        return
    deepest = max(1, product.depth // TILE_DEPTH)
    for rows, columns in pairs(TILE_SIDES, TILE_SIDES):
        if not Tiling(rows, columns).fits(gpu, product.operand_bits):
            continue
        for splits in SPLITS:
            if splits <= deepest:
                yield Tiling(rows, columns, splits)
    if product.groups > 1 and product.columns <= SMALL:
        yield Tiling(_side(product.rows), _side(product.columns), 1, "vector")


def _side(extent: int) -> int:
    """Tile side of the lanes, which need no multiple of a matrix unit's."""
    return min(TILE_SIDES[-1], 2 ** math.ceil(math.log2(max(1, extent))))
