"""Equality with ZigZag: words and energy of 27 given mappings and of all that its search found.

ZigZag's counts are ours with four substitutions (docs/mapping.md), all in `peer`; where none of
them matters, its numbers and ours are equal as they are.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import Mapping
from dovetail.ir.operator import Einsum
from dovetail.sim.nest import Flow, MappingBatch, analyse, analyse_batch, faults
from dovetail.sim.nest.cost import Chain, evaluate
from tests.sim.nest.cases import (
    RANKS,
    ZIGZAG_OPERANDS,
    literal,
    table,
    zigzag_layer,
    zigzag_mapping,
)

WIDTH = {"sram_2MB": 32}
"""Words of minimum width in one of full width, which ZigZag counts; 1 elsewhere."""

STRIDES = {"resnet18_conv3_1": 2, "mbv2_b1_dw": 2, "alexnet_conv1": 4}
FIXED = {row["case"]: row for row in table("zigzag_cases")}
SEARCHED = {(row["arch"], row["layer"], row["lpf"]): row for row in table("zigzag_search")}
ACCESSES = defaultdict(list)
for _row in table("zigzag_accesses"):
    ACCESSES[_row["case"]].append(_row)


@dataclass(frozen=True)
class Case:
    array: SpatialArray
    einsum: Einsum
    mapping: Mapping


def architecture(name: str) -> SpatialArray:
    """A preset on which any rank may be spread anywhere."""
    array = presets.load(name)
    assert isinstance(array, SpatialArray)
    return replace(array, unrolls=tuple((d, tuple(RANKS)) for d, _ in array.dimensions))


def fixed(row: dict[str, str]) -> Case:
    array = architecture(row["arch"])
    spatial = {
        dimension: {rank: int(n) for rank, n in (loop.split(",") for loop in loops)}
        for dimension, loops in json.loads(row["spatial"]).items()
    }
    temporal = literal(row["temporal_mapping_per_level"])
    layer = zigzag_layer(row, int(row["stride"]))
    return Case(array, layer, zigzag_mapping(array, temporal, spatial))


def searched(row: dict[str, str]) -> Case:
    array = architecture(row["arch"])
    layer = zigzag_layer(row, STRIDES.get(row["layer"], 1))
    loops = literal(row["temporal_mapping"]), literal(row["spatial_mapping"])
    return Case(array, layer, zigzag_mapping(array, *loops))


def gathered(flow: Flow, extents: np.ndarray) -> float:
    """Different elements that ranks of these extents touch, without those that a stride skips.

    Of the values s p + r with p < P, r < R, those with p >= 1 and r >= s also stand at (p - 1,
    r + s): P R points less (P - d) (R - s) of them, for coefficients d = 1 of r and s of p.
    """
    total = 1.0
    for dim in flow.boundary.dims:
        if len(dim) == 1:
            total *= float(extents[dim[0][0], 0])
            continue
        (p, stride), (r, dilation) = dim
        rows, window = float(extents[p, 0]), float(extents[r, 0])
        total *= rows * window - max(0.0, rows - dilation) * max(0.0, window - stride)
    return total


def average(case: Case) -> MappingBatch:
    """The mapping with spatial counts of extent / temporal count: no padding."""
    batch = MappingBatch.of(case.einsum, case.array, [case.mapping])
    for i, (_, extent) in enumerate(case.einsum.ranks):
        spread = batch.spatial[0, :, i] > 1
        if spread.any():
            temporal = np.where(batch.ranks[0] == i, batch.counts[0], 1.0).prod()
            batch.spatial[0, spread, i] = extent / temporal
            assert spread.sum() == 1
    return batch


def peer(case: Case, joint: bool = False) -> tuple[Chain, ...]:
    """The flows as ZigZag counts them.

    Spatial counts are averages over a padded nest, and instances whole numbers of them; tiles have
    no holes; and in its words, what many instances get together is one tile times the rounded
    number of different ones, as spatial loops alone would make them (`joint`: in its elements, it
    is what they touch together).
    """
    _, chains = evaluate(case.einsum, case.array, average(case))
    return tuple(
        replace(chain, flows=tuple(_peer(case, chain, i, joint) for i in range(len(chain.flows))))
        for chain in chains
    )


def _peer(case: Case, chain: Chain, level: int, joint: bool) -> Flow:
    flow = chain.flows[level]
    boundary = flow.boundary
    inner = inner_of(case, chain, level)
    tile = float(round(gathered(flow, inner * boundary.held)))
    boost = gathered(flow, boundary.shared) / gathered(flow, boundary.held)
    union = gathered(flow, inner * boundary.shared) if joint else tile * round(boost)
    return replace(
        flow,
        tile=np.array([tile]),
        union=np.array([union]),
        boundary=replace(
            boundary,
            upper_instances=np.round(boundary.upper_instances),
            lower_instances=np.round(boundary.lower_instances),
        ),
    )


def inner_of(case: Case, chain: Chain, level: int) -> np.ndarray:
    """Products of the counts inside the store below a boundary, (ranks, 1)."""
    inner = np.ones((len(case.einsum.ranks), 1))
    if level == 0:
        return inner
    batch = MappingBatch.of(case.einsum, case.array, [case.mapping])
    store = case.array.stores.index(chain.stores[level - 1])
    outside = batch.keeps[0, ("input", "weight", "output").index(chain.operand), store]
    for rank, count in zip(batch.ranks[0, outside:], batch.counts[0, outside:], strict=True):
        inner[rank, 0] *= count
    return inner


def words(chain: Chain, level: int) -> tuple[int, int, int, int]:
    """Read out downwards, written from above, read out upwards, written from below."""
    below = chain.flows[level]
    above = chain.flows[level + 1] if level + 1 < len(chain.flows) else None
    width = WIDTH.get(chain.stores[level].name, 1)
    counts = (
        below.read_accesses,
        above.fill_accesses if above else np.zeros(1),
        above.drain_accesses if above else np.zeros(1),
        below.update_accesses,
    )
    down, fills, drains, up = (math.floor(float(count[0]) / width) for count in counts)
    return down, fills, drains, up


def energy(chain: Chain, level: int) -> float:
    """Energy of these words, a part of one being left out."""
    store = chain.stores[level]
    down, fills, drains, up = words(chain, level)
    width = WIDTH.get(store.name, 1)
    return width * ((down + drains) * store.read_pj + (fills + up) * store.write_pj)


def test_all_rows_are_there():
    assert len(FIXED) == 27
    assert len(SEARCHED) == 26
    assert sum(map(len, ACCESSES.values())) == 228


@pytest.mark.parametrize("name", FIXED)
def test_words_of_given_mappings(name):
    case = fixed(FIXED[name])
    chains = {chain.operand: chain for chain in peer(case)}
    for row in ACCESSES[name]:
        chain, level = chains[ZIGZAG_OPERANDS[row["operand"]]], int(row["level"])
        assert chain.stores[level].name == row["memory"]
        directions = ("rd_out_to_low", "wr_in_by_high", "rd_out_to_high", "wr_in_by_low")
        assert words(chain, level) == tuple(int(row[f"{e}_words"]) for e in directions)
        assert energy(chain, level) == pytest.approx(float(row["energy_pJ"]), rel=1e-12)


@pytest.mark.parametrize("name", FIXED)
def test_elements_of_given_mappings(name):
    """Of an output, ZigZag's elements leave out the first sums, above additions on the way."""
    case = fixed(FIXED[name])
    chains = {chain.operand: chain for chain in peer(case, joint=True)}
    result = math.prod(case.einsum.extent(rank) for rank in case.einsum.output.ranks)
    for row in ACCESSES[name]:
        chain, level = chains[ZIGZAG_OPERANDS[row["operand"]]], int(row["level"])
        below = chain.flows[level]
        above = chain.flows[level + 1] if level + 1 < len(chain.flows) else None
        reads, updates = float(below.reads[0]), float(below.updates[0])
        fills, drains = (float(above.fills[0]), float(above.drains[0])) if above else (0.0, 0.0)
        if chain.operand == "output":
            reads = updates - result
            fills = float(above.updates[0]) - result if above else 0.0
        given = ("elem_rd_out_to_low", "elem_wr_in_by_high", "elem_rd_out_to_high")
        assert [reads, fills, drains] == [float(row[e]) for e in given]
        assert updates == float(row["elem_wr_in_by_low"])


def total(case: Case) -> float:
    """ZigZag's energy: of the words, and of the operator's own multiply-accumulates."""
    moved = sum(energy(chain, i) for chain in peer(case) for i in range(len(chain.stores)))
    return moved + case.einsum.macs * case.array.mac_pj


@pytest.mark.parametrize("name", FIXED)
def test_energy_of_given_mappings(name):
    row = FIXED[name]
    assert total(fixed(row)) == pytest.approx(float(row["energy_total_pJ"]), rel=1e-12)


@pytest.mark.parametrize("key", SEARCHED, ids=str)
def test_energy_of_searched_mappings(key):
    row = SEARCHED[key]
    assert total(searched(row)) == pytest.approx(float(row["energy_pJ"]), rel=1e-12)


PARTS_OF_WORDS = {
    "tpu_like-rn18_conv3_s2-ws",
    "tpu_like-rn18_conv3_s2-os",
    "tpu_like-alex_conv3-os",
    "tpu_like-alex_conv3-is",
    "tpu_like-small_8x8-is",
}
"""A transfer is no multiple of a full word, and ZigZag leaves out what is over."""

HOLES = {"eyeriss_like-rn18_conv3_s2-ws"}
"""A tile of every second column: 56 elements without the holes, 165 with them, in 64 B."""


@pytest.mark.parametrize("name", sorted(set(FIXED) - HOLES))
def test_given_mappings_as_they_are(name):
    row, case = FIXED[name], fixed(FIXED[name])
    ours = analyse(case.einsum, case.array, case.mapping)
    theirs = float(row["energy_total_pJ"])
    assert ours.compute_cycles == float(row["ideal_temporal_cycle"])
    assert ours.mac_pj == pytest.approx(float(row["mac_energy_pJ"]), rel=1e-12)
    assert ours.energy_pj == pytest.approx(
        theirs, rel=1e-12 if name not in PARTS_OF_WORDS else 1e-4
    )
    assert (ours.energy_pj > theirs * (1 + 1e-9)) == (name in PARTS_OF_WORDS)


@pytest.mark.parametrize("name", sorted(HOLES))
def test_tiles_with_holes_do_not_fit(name):
    case = fixed(FIXED[name])
    (fault,) = faults(case.einsum, case.array, case.mapping)
    cost, _ = evaluate(
        case.einsum, case.array, MappingBatch.of(case.einsum, case.array, [case.mapping])
    )
    assert cost.compute_cycles[0] == float(FIXED[name]["ideal_temporal_cycle"])
    assert fault.startswith("memory 'rf_64B_A' holds 64 B of tiles; these need 165 B")


@pytest.mark.parametrize("key", SEARCHED, ids=str)
def test_searched_mappings_as_they_are(key):
    """Ours costs as much or, for padding and parts of words, more; the average nest, as much."""
    row, case = SEARCHED[key], searched(SEARCHED[key])
    ours = analyse(case.einsum, case.array, case.mapping)
    theirs = float(row["energy_pJ"])
    assert ours.compute_cycles == float(row["ideal_temporal_cycle"])
    assert ours.energy_pj >= theirs * (1 - 1e-12)
    if ours.padded_macs == ours.macs:
        assert ours.energy_pj == pytest.approx(theirs, rel=2e-5)


def test_how_many_searched_mappings_differ():
    """As docs/mapping.md says: 7 are equal, 8 differ by parts of words, 11 are padded."""
    equal = padded = 0
    for row in SEARCHED.values():
        case = searched(row)
        ours = analyse(case.einsum, case.array, case.mapping)
        padded += ours.padded_macs > ours.macs
        equal += ours.energy_pj == pytest.approx(float(row["energy_pJ"]), rel=1e-12)
    assert (equal, padded) == (7, 11)


ON_TPU = {name for name in FIXED if name.startswith("tpu_like")}
HIDDEN = {"tpu_like-small_8x8-is"}
"""Here ZigZag lets part of the first weights come during computation."""


@pytest.mark.parametrize("name", sorted(ON_TPU - HIDDEN))
def test_first_tiles_on_tpu_like(name):
    """Theirs is the operand's that takes longest, ours the sum: one port brings them all."""
    case = fixed(FIXED[name])
    batch = MappingBatch.of(case.einsum, case.array, [case.mapping])
    cost, chains = evaluate(case.einsum, case.array, batch)
    onloads = [sum(float(flow.onload_cycles[0]) for flow in chain.flows) for chain in chains]
    assert float(FIXED[name]["onload"]) == max(onloads)
    assert cost.onload_cycles[0] == sum(onloads)


def test_batches_agree():
    for arch in ("tpu_like", "eyeriss_like"):
        for row in [row for key, row in SEARCHED.items() if key[0] == arch]:
            case = searched(row)
            cost = analyse_batch(case.einsum, case.array, [case.mapping])
            assert cost.valid.tolist() == [True]
            assert cost.energy_pj[0] == analyse(case.einsum, case.array, case.mapping).energy_pj


def test_a_latency_of_theirs_is_below_the_bound_of_off_chip_memory():
    """512,000 weights of 8 bits cross a port of 64 bits a cycle in 64,000 cycles, not in 55,595."""
    row = SEARCHED["eyeriss_like", "resnet18_fc", "5"]
    case = searched(row)
    weights = case.einsum.extent("K") * case.einsum.extent("C")
    bound = weights * 8 / case.array.stores[-1].read_bits_per_cycle
    assert float(row["latency_cycles"]) < bound == 64_000
    assert analyse(case.einsum, case.array, case.mapping).cycles >= bound
