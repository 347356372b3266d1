"""Why no mapping of an operator fits an accelerator."""

from __future__ import annotations

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.boundary import accesses


def nothing_fits(einsum: Einsum, accelerator: SpatialArray) -> str:
    """Names the memory that cannot hold even the smallest tiles, and what to enlarge.

    The smallest tile of an operand is one element, a partial sum for the output; where a memory
    other than the last is the outermost of an operand, all of it.
    """
    for store in accelerator.stores[:-1]:
        parts = list(_needs(einsum, accelerator, store))
        need = sum(bits for _, bits in parts)
        if need > store.tile_bits:
            half = " (half of it, double buffered)" if store.buffering == "double" else ""
            given = ", ".join(f"{operand} {bits / 8:g} B" for operand, bits in parts)
            return (
                f"memory '{store.name}' holds {store.tile_bits / 8:g} B of tiles{half}; the "
                f"smallest need {need / 8:g} B ({given}): enlarge it to "
                f"{need / 8 * _factor(store):g} B or let it bypass an operand"
            )
    return (
        f"no mapping fits the memories of '{accelerator.name}': whole tensors and tiles together "
        "need more than they hold; enlarge the outermost memories"
    )


def _factor(store: Store) -> int:
    return 2 if store.buffering == "double" else 1


def _needs(einsum: Einsum, accelerator: SpatialArray, store: Store) -> list[tuple[str, float]]:
    """Operands that must stay in a store, with the bits of their smallest tile."""
    found = []
    summed = {name for name, extent in einsum.ranks if extent > 1} - einsum.output.ranks
    for operand in OPERANDS:
        if operand not in accesses(einsum) or operand not in store.operands:
            continue
        outermost = accelerator.hierarchy(operand)[-1]
        if operand in store.bypass and store is not outermost:
            continue
        elements = 1.0
        if store is outermost:
            for index in accesses(einsum)[operand].indices:
                elements *= 1 + sum(abs(c) * (einsum.extent(r) - 1) for r, c in index.terms)
        final = store is outermost or not summed
        found.append((operand, elements * accelerator.bits(operand, final=final)))
    return found
