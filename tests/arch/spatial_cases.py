"""Random legal spatial arrays."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from dovetail.arch.spatial import BUFFERING, OPERANDS, SpatialArray, Store

RANKS = ("K", "C", "P", "Q", "R", "S", "N", "G")

operand_sets = st.lists(st.sampled_from(OPERANDS), min_size=1, unique=True).map(tuple)
picojoules = st.floats(0, 1e6, allow_nan=False)
bandwidths = st.floats(1e-3, 1e6) | st.just(math.inf)


@st.composite
def arrays(draw: st.DrawFn) -> SpatialArray:
    """Any legal array: nested memories, the outermost unlimited and for all."""
    dimensions = draw(st.lists(st.sampled_from("x y z D1".split()), min_size=1, unique=True))
    depth = draw(st.integers(0, 4))
    cuts = sorted(draw(st.integers(0, len(dimensions))) for _ in range(depth))
    stores = [draw(stores_of(f"m{i}", tuple(dimensions[:cut]))) for i, cut in enumerate(cuts)]
    outermost = Store(
        "dram", OPERANDS, tuple(dimensions), read_pj=draw(picojoules), write_pj=draw(picojoules),
        read_bits_per_cycle=draw(bandwidths),
        write_bits_per_cycle=draw(st.none() | bandwidths),
    )  # fmt: skip
    unrolled = draw(st.lists(st.sampled_from(dimensions), unique=True))
    ranks = st.lists(st.sampled_from(RANKS), unique=True).map(tuple)
    return SpatialArray(
        name=draw(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)),
        dimensions=tuple((name, draw(st.integers(1, 64))) for name in dimensions),
        stores=(*stores, outermost),
        unrolls=tuple((name, draw(ranks)) for name in unrolled),
        latched=draw(st.just(()) | operand_sets),
        reads_zeros=draw(st.booleans()),
        input_bits=draw(st.integers(1, 16)),
        weight_bits=draw(st.integers(1, 16)),
        sum_bits=draw(st.integers(1, 32)),
        output_bits=draw(st.integers(1, 16)),
        mac_pj=draw(picojoules),
        vector_lanes=draw(st.integers(1, 64)),
        clock_mhz=draw(st.floats(1, 10000)),
        node_nm=draw(st.floats(3, 90)),
        dram=draw(st.sampled_from(["ddr3", "hbm2"])),
    )


@st.composite
def stores_of(draw: st.DrawFn, name: str, serves: tuple[str, ...]) -> Store:
    """Any memory with a capacity that serves these dimensions."""
    operands = draw(operand_sets)
    return Store(
        name=name,
        operands=operands,
        serves=serves,
        capacity_bytes=draw(st.floats(32, 1e7)),
        access_bits=draw(st.integers(1, 512)),
        read_pj=draw(picojoules),
        write_pj=draw(picojoules),
        read_bits_per_cycle=draw(bandwidths),
        write_bits_per_cycle=draw(st.none() | bandwidths),
        buffering=draw(st.sampled_from(BUFFERING)),
        bypass=draw(st.just(()) | st.just(operands[:1])),
        sliding=draw(st.booleans()),
        area_mm2=draw(st.none() | st.floats(0, 100)),
    )
