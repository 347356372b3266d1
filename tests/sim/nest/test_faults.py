"""Invalid mappings are explained: what was given, the law, and what to change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.sim.nest import MappingBatch, analyse, analyse_batch, faults
from tests.sim.nest.cases import ALL, convolution

LAYER = convolution({"K": 8, "C": 4, "P": 6, "R": 3})
REGISTERS = Store("registers", ("weight", "output"), capacity_bytes=64, bypass=("weight",))
BUFFER = Store("buffer", ALL, ("x",), capacity_bytes=1024)
DRAM = Store("dram", ALL, ("x",))
ARRAY = SpatialArray("array", (("x", 4),), (REGISTERS, BUFFER, DRAM), (("x", ("K",)),))
VALID: tuple[Node, ...] = (
    Keep("dram", ALL),
    Temporal("K", 2),
    Keep("buffer", ALL),
    Spatial("K", 4, "x"),
    Keep("registers", ("weight", "output")),
    Temporal("P", 6),
    Temporal("C", 4),
    Temporal("R", 3),
)


def given(*nodes: Node, array: SpatialArray = ARRAY) -> list[str]:
    mapping = Mapping(tuple(nodes), "conv")
    found = faults(LAYER, array, mapping)
    if found:
        with pytest.raises(MappingError) as error:
            analyse(LAYER, array, mapping)
        assert str(error.value) == found[0]
    return found


def changed(old: Node, *new: Node) -> tuple[Node, ...]:
    at = VALID.index(old)
    return (*VALID[:at], *new, *VALID[at + 1 :])


def test_a_valid_mapping_has_none():
    assert given(*VALID) == []


def test_weights_may_bypass_the_registers():
    assert given(*changed(VALID[4], Keep("registers", ("output",)))) == []


def test_unknown_names_come_with_suggestions():
    wrong = (
        Keep("dramm", ALL),
        Temporal("k", 2),
        Keep("buffer", ("input", "weights", "output")),
        Spatial("K", 4, "columns"),
    )
    assert given(*wrong, *VALID[4:]) == [
        "unknown memory 'dramm'; did you mean dram?",
        "unknown rank 'k'; known: C, G, K, N, P, Q, R, S",
        "unknown tensor 'weights'; did you mean weight?",
        "unknown dimension 'columns'; known: x",
    ]


def test_loops_that_miss_iterations():
    assert given(*changed(VALID[5], Temporal("P", 5))) == [
        "loops over P run 5 of 6 iterations (5): raise a count to at least 6"
    ]
    assert given(*changed(VALID[3], Spatial("K", 3, "x"))) == [
        "loops over K run 6 of 8 iterations (2 x 3): raise a count to at least 4"
    ]
    assert given(*changed(VALID[7])) == [
        "loops over R run 1 of 3 iterations (no loop): raise a count to at least 3"
    ]


def test_loops_that_cannot_be_counted():
    assert given(*changed(VALID[5], Temporal("P", 10**15))) == [
        "the loops run 2^56 iterations or more, of 576 that the operator needs: at most 2^53 are "
        "counted exactly; lower the counts"
    ]
    mapping = Mapping(changed(VALID[5], Temporal("P", 10**400)), "conv")
    assert "iterations" in faults(LAYER, ARRAY, mapping)[0]
    assert analyse_batch(LAYER, ARRAY, [mapping]).valid.tolist() == [False]


def test_loops_that_the_array_has_no_room_for():
    assert given(*changed(VALID[3], VALID[3], Spatial("K", 2, "x"))) == [
        "dimension 'x' has 4 PEs; the spatial loops K 4 x K 2 need 8: lower a count or make one of "
        "them temporal"
    ]
    assert given(*changed(VALID[3], Spatial("K", 2, "x"), Spatial("C", 2, "x"))) == [
        "loops over K run 4 of 8 iterations (2 x 2): raise a count to at least 4",
        "rank C may not be spread over dimension 'x', which takes K: make the loop temporal or "
        "allow it in the array's unrolls",
    ]


def test_operands_without_a_memory():
    assert given(*VALID[:2], Keep("buffer", ("input", "output")), *VALID[3:]) == [
        "the weight is not kept in memory 'buffer', which it may not bypass: add it to a Keep"
    ]
    without = tuple(e for e in VALID if not isinstance(e, Keep))
    assert given(*without, Keep("dram", ("input",))) == [
        "the input is not kept in memory 'buffer', which it may not bypass: add it to a Keep",
        "the weight has no memory: keep it at least in 'dram'",
        "the output has no memory: keep it at least in 'dram'",
    ]
    assert given(*VALID[1:]) == [
        f"the {operand} is not kept in memory 'dram', which is its outermost: add it to a Keep"
        for operand in ALL
    ]


def test_operands_in_memories_that_are_not_theirs():
    assert given(*VALID, Keep("registers", ("input",))) == [
        "memory 'registers' does not hold the input, which lives in dram, buffer: leave it out "
        "there"
    ]
    assert given(*VALID, Keep("registers", ("weight",))) == [
        "the weight is kept twice in memory 'registers': one Keep per memory"
    ]
    assert given(*VALID[2:3], *VALID[:2], *VALID[3:])[0] == (
        "the input is kept in buffer, dram from the outermost to the innermost, against the "
        "hierarchy dram, buffer: reorder the Keeps"
    )


def memories(registers: Store, buffer: Store = BUFFER) -> SpatialArray:
    return replace(ARRAY, stores=(registers, buffer, DRAM))


def test_tiles_that_do_not_fit():
    """In the registers 4 x 3 weights of 8 bits and 6 unfinished sums of 32 bits."""
    assert given(*VALID, array=memories(replace(REGISTERS, capacity_bytes=36))) == []
    assert given(*VALID, array=memories(replace(REGISTERS, capacity_bytes=35))) == [
        "memory 'registers' holds 35 B of tiles; these need 36 B, 1 B too many (weight 12 B, "
        "output 24 B): move loops over P out of its Keep of weight, output"
    ]


def test_half_of_a_double_buffered_memory_holds_tiles():
    double = replace(REGISTERS, capacity_bytes=72, buffering="double")
    assert given(*VALID, array=memories(double)) == []
    assert given(*VALID, array=memories(replace(double, capacity_bytes=64)))[0].startswith(
        "memory 'registers' holds 32 B of tiles (half of it, double buffered); these need 36 B"
    )


def test_every_memory_that_overflows_is_named():
    found = given(*VALID, array=memories(REGISTERS, replace(BUFFER, capacity_bytes=40)))
    assert found == [
        "memory 'buffer' holds 40 B of tiles; these need 104 B, 64 B too many (input 32 B, weight "
        "48 B, output 24 B): move loops over C out of its Keep of input, weight, output"
    ]


def test_a_memory_smaller_than_an_element():
    nodes = [e for e in VALID if not isinstance(e, Keep)]
    tiny = memories(replace(REGISTERS, capacity_bytes=3), BUFFER)
    keeps = (Keep("dram", ALL), *nodes, Keep("buffer", ALL), Keep("registers", ("output",)))
    assert given(*keeps, array=tiny) == [
        "memory 'registers' holds 3 B of tiles; these need 4 B, 1 B too many (output 4 B): a "
        "single element is too much; enlarge the memory"
    ]


def test_mappings_of_several_operators_are_not_for_one():
    twice = Mapping((), children=(Mapping(VALID, "a"), Mapping(VALID, "b")))
    message = "the mapping holds 2 operators: one is expected; map each on its own"
    assert faults(LAYER, ARRAY, twice) == [message]
    assert analyse_batch(LAYER, ARRAY, [twice]).valid.tolist() == [False]
    with pytest.raises(MappingError, match="2 operators"):
        analyse(LAYER, ARRAY, twice)


def test_a_batch_refuses_an_outer_tile_inside_an_inner_one():
    batch = MappingBatch.of(LAYER, ARRAY, [Mapping(VALID, "conv")] * 2)
    batch.keeps[1, ALL.index("output"), 0] = 0
    assert analyse_batch(LAYER, ARRAY, batch).valid.tolist() == [True, False]
