"""What makes a spatial array illegal."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dovetail.arch.laws import checked
from dovetail.arch.spatial_form import RANKS, SIZE

if TYPE_CHECKING:
    from dovetail.arch.spatial import SpatialArray, Store

OPERANDS = ("input", "weight", "output")
MAX_PES = 2**24


def check_fields(array: SpatialArray) -> None:
    """Checks every field's own law.

    Raises:
        AcceleratorError: at the first that is broken.
    """
    for name, size in array.dimensions:
        checked(f"{array.name}: array.{name}", SIZE, size)
    for name, ranks in array.unrolls:
        checked(f"{array.name}: unrolls.{name}", RANKS, ranks)
    for field in dataclasses.fields(array):
        if field.metadata["kind"] not in ("array", "memories", "unrolls"):
            value = getattr(array, field.name)
            checked(f"{array.name}: {field.name}", field.metadata, value)
    for store in array.stores:
        path = f"{array.name}: memories.{store.name}"
        for field in dataclasses.fields(store):
            checked(f"{path}.{field.name}", field.metadata, getattr(store, field.name))


def broken(array: SpatialArray) -> Iterator[str]:
    """Laws that parts of the array break together."""
    yield from _array(array)
    yield from _names(array)
    if not array.stores:
        yield "memories: must be at least one, which holds every operand"
        return
    for store in array.stores:
        yield from _store(array, store)
    yield from _outermost(array, array.stores[-1])
    for operand in OPERANDS:
        yield from _nesting(array, operand)


def _array(array: SpatialArray) -> Iterator[str]:
    dimensions = [name for name, _ in array.dimensions]
    if not dimensions:
        yield "array: needs at least one dimension"
    if array.peak_macs_per_cycle > MAX_PES:
        yield f"array of {array.peak_macs_per_cycle:,} PEs: at most {MAX_PES:,} are legal"
    for name, _ in array.unrolls:
        if name not in dimensions:
            yield f"unrolls.{name}: no dimension of the array; it has {', '.join(dimensions)}"


def _names(array: SpatialArray) -> Iterator[str]:
    groups = {
        "memories": [store.name for store in array.stores],
        "array": [name for name, _ in array.dimensions],
        "unrolls": [name for name, _ in array.unrolls],
    }
    for what, listed in groups.items():
        for name in sorted({name for name in listed if listed.count(name) > 1}):
            yield f"{what}: '{name}' stands twice"
    if "mac" in groups["memories"] or "vector" in groups["memories"]:
        yield "memories: 'mac' and 'vector' are components of a report: choose another name"


def _store(array: SpatialArray, store: Store) -> Iterator[str]:
    path = f"memories.{store.name}"
    dimensions = [name for name, _ in array.dimensions]
    if not store.operands:
        yield f"{path}.operands: must name at least one of {', '.join(OPERANDS)}"
    for name in store.serves:
        if name not in dimensions:
            yield f"{path}.serves: '{name}' is no dimension; the array has {', '.join(dimensions)}"
    for operand in store.bypass:
        if operand not in store.operands:
            yield f"{path}.bypass: '{operand}' does not live there; add it to operands"
    forced = [operand for operand in store.operands if operand not in store.bypass]
    need = sum(array.bits(operand, final=False) for operand in forced)
    if store.tile_bits < need:
        half = "half of " if store.buffering == "double" else ""
        yield (
            f"{half}'{store.name}' holds {store.tile_bits / 8:g} B; one element of "
            f"{', '.join(forced)} needs {need / 8:g} B: enlarge {path}.capacity_bytes"
        )


def _outermost(array: SpatialArray, store: Store) -> Iterator[str]:
    path = f"memories.{store.name}"
    missing = [operand for operand in OPERANDS if operand not in store.operands]
    if missing or store.bypass:
        yield (
            f"{path} is the outermost memory: it must hold input, weight and output without "
            f"bypass, for networks lie there"
        )
    if math.isfinite(store.capacity_bytes):
        yield f"{path} is the outermost memory: its capacity must be 'unlimited'"
    outside = [name for name, _ in array.dimensions if name not in store.serves]
    if outside:
        yield f"{path}.serves: the outermost memory serves all dimensions; add {', '.join(outside)}"


def _nesting(array: SpatialArray, operand: str) -> Iterator[str]:
    """Data come down a tree: an instance of an inner memory has one outer instance above it."""
    stores = array.hierarchy(operand)
    for inner, outer in itertools.pairwise(stores):
        lost = [name for name in inner.serves if name not in outer.serves]
        if lost:
            yield (
                f"memories.{outer.name}.serves lacks {', '.join(lost)}, which "
                f"memories.{inner.name} below it serves for {operand}: add it"
            )
