"""The loop nest as text: sizes are those of the analysis, spatial loops stand where PEs part."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.errors import MappingError
from dovetail.ir.mapping import Keep, Mapping, Spatial, Temporal
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.mappers.spatial.nest_view import Tile, byte_text, nest_lines, nest_view, placed
from dovetail.sim.nest import MappingBatch, analyse, analyse_batch
from tests.mappers.spatial.spatial_cases import ALL, array, layer

NODES = (
    Keep("dram", ALL),
    Temporal("K", 2),
    Keep("glb", ("input", "weight", "output")),
    Temporal("P", 7),
    Temporal("Q", 7),
    Keep("rf_o", ("output",)),
    Temporal("C", 3),
    Temporal("R", 3),
    Temporal("S", 3),
    Keep("rf_i", ("input",)),
    Keep("rf_w", ("weight",)),
    Spatial("K", 4, "x"),
    Spatial("C", 3, "y"),
)
MAPPING = Mapping(NODES, operator="conv")


def test_a_nest_reads_from_the_outside_in() -> None:
    lines = nest_lines(nest_view(layer(), array(), MAPPING), "conv")
    assert lines == [
        "[dram] input 729 B, weight 648 B, output 392 B",
        "for K in 0..1",
        "  [glb] input 729 B, weight 324 B, output 196 B: 61% of 2.05 kB",
        "  for P in 0..6",
        "    for Q in 0..6",
        "      spread K 4 along x, C 3 along y",
        "        [rf_o x12] output 4 B: 12% of 32 B",
        "        for C in 0..2",
        "          for R in 0..2",
        "            for S in 0..2",
        "              [rf_i x12] input 1 B: 6% of 16 B",
        "              [rf_w x12] weight 1 B: 3% of 32 B",
        "              conv: multiply, accumulate",
    ]


def test_sizes_add_up_to_what_the_analysis_counts() -> None:
    space = Mapspace(layer(), array())
    rng = np.random.default_rng(1)
    for _ in range(20):
        mapping = space.mapping(space.draw(rng))
        view = nest_view(space.einsum, space.accelerator, mapping)
        batch = MappingBatch.of(space.einsum, space.accelerator, [mapping])
        bits = analyse_batch(space.einsum, space.accelerator, batch).tile_bits[:, 0]
        used = dict.fromkeys((store.name for store in space.accelerator.stores), 0.0)
        for step in view.steps:
            if isinstance(step, Tile):
                assert 0 <= step.share <= 1
                used[step.store] += sum(size for _, size in step.operands)
        assert list(used.values()) == pytest.approx(list(bits / 8))


def test_placing_spatial_loops_costs_nothing() -> None:
    moved = Mapping(tuple(placed(NODES, array())), operator="conv")
    assert moved.nodes.index(Spatial("K", 4, "x")) == moved.nodes.index(NODES[5]) - 2
    assert analyse(layer(), array(), moved) == analyse(layer(), array(), MAPPING)


def test_invalid_mappings_have_no_view() -> None:
    with pytest.raises(MappingError):
        nest_view(layer(), array(), Mapping(NODES[1:], operator="conv"))


def test_bytes_have_units() -> None:
    assert [byte_text(size) for size in (0.5, 999, 1000, 25e6, 3e15)] == [
        "0.5 B", "999 B", "1 kB", "25 MB", "3e+03 TB"
    ]  # fmt: skip
