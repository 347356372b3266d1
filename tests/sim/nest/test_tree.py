"""Fused operators: what may pass from one to the next, what lives together, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.errors import MappingError
from dovetail.ir.mapping import Keep, Mapping, Temporal
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.sim.nest import analyse, analyse_tree, tree_faults
from dovetail.sim.nest.tree import role_path
from tests.sim.nest.cases import plain
from tests.sim.nest.test_accelforge import ARRAY, BUFFER, MEMORY, chain, tree

M, KN = 4, 3
PAIR = chain(2, M, KN)
FUSED = tree(True, 2, M, KN)


def faults(mapping: Mapping, array=ARRAY, einsums=PAIR) -> list[str]:
    found = tree_faults(einsums, array, mapping)
    if found:
        with pytest.raises(MappingError) as error:
            analyse_tree(einsums, array, mapping)
        assert str(error.value) == found[0]
    return found


def branches(*nodes: tuple) -> tuple[Mapping, ...]:
    """Branches of the two products with these nodes around their own loops."""
    loops = [(Temporal(f"n{i}", KN), Temporal(f"n{i + 1}", KN)) for i in range(2)]
    return tuple(Mapping((*nodes[i], *loops[i]), f"Matmul{i}") for i in range(2))


@pytest.mark.parametrize("fused", [True, False])
def test_the_trees_of_the_golden_cases_are_valid(fused):
    assert faults(tree(fused, 2, M, KN)) == []


def test_a_single_operator_is_a_tree():
    einsums, mapping = chain(1, M, KN), tree(False, 1, M, KN).children[0]
    around = Mapping((Keep("MainMemory", ("T0", "W0", "T1")), *mapping.nodes), "Matmul0")
    roles = Mapping(role_path(einsums["Matmul0"], around.nodes), "Matmul0")
    alone = analyse(einsums["Matmul0"], ARRAY, roles)
    assert analyse_tree(einsums, ARRAY, around) == {"Matmul0": alone}


def test_what_passes_on_chip_never_goes_out():
    for cost in analyse_tree(PAIR, ARRAY, FUSED).values():
        stores = {(e.store, e.operand) for e in cost.levels if e.store == "MainMemory"}
        assert len(stores) == 2


def test_tiles_of_a_branch_do_not_outlive_it():
    """Weights kept inside a branch come again for every m: the other branch has run meanwhile."""
    outer = (Keep("MainMemory", ("T0", "T2", "W0", "W1")), Temporal("m", M))
    kept = Keep("GlobalBuffer", ("T0", "T1", "T2"))
    inside = branches((Keep("GlobalBuffer", ("W0",)),), (Keep("GlobalBuffer", ("W1",)),))
    costs = analyse_tree(PAIR, ARRAY, Mapping((*outer, kept), children=inside))
    assert costs["Matmul0"].level("GlobalBuffer", "weight").fills == M * KN * KN
    around = Keep("GlobalBuffer", ("T0", "T1", "T2", "W0", "W1"))
    costs = analyse_tree(PAIR, ARRAY, Mapping((*outer, around), children=branches((), ())))
    assert costs["Matmul0"].level("GlobalBuffer", "weight").fills == KN * KN


def small(capacity: float):
    return replace(ARRAY, stores=(replace(BUFFER, capacity_bytes=capacity), MEMORY))


def test_tiles_around_branches_live_in_all_of_them():
    """Two weight matrices and a row of each of three tensors."""
    need = 2 * KN * KN + 3 * KN
    assert faults(FUSED, small(need)) == []
    (first, _) = faults(FUSED, small(need - 1))
    assert first == (
        "operator 'Matmul0': memory 'GlobalBuffer' holds 26 B of tiles; these need 27 B, 1 B too "
        "many (W0 9 B, W1 9 B, T0 3 B, T1 3 B, T2 3 B): move loops out of its Keeps"
    )


def test_a_tensor_takes_the_room_of_its_widest_use():
    """T1 holds sums of 32 bits while it is written, though it is read as 8 bits."""
    wide = replace(small(2 * KN * KN + KN + 4 * KN + 4 * KN), sum_bits=32)
    assert faults(FUSED, wide) == []
    tight = replace(small(2 * KN * KN + KN + 4 * KN + 4 * KN - 1), sum_bits=32)
    assert [fault.split(":")[0] for fault in faults(FUSED, tight)] == [
        "operator 'Matmul0'",
        "operator 'Matmul1'",
    ]


def test_tiles_inside_branches_do_not():
    unfused = tree(False, 2, M, KN)
    need = KN * KN + 2 * M * KN
    assert faults(unfused, small(need)) == []
    assert len(faults(unfused, small(need - 1))) == 2


def test_unknown_names():
    assert faults(Mapping(FUSED.nodes, "Matmul")) == [
        "unknown operator 'Matmul'; did you mean Matmul1 or Matmul0?"
    ]
    twice = Mapping(FUSED.nodes, children=(FUSED.children[0],) * 2)
    assert faults(twice)[0] == "operator 'Matmul0' stands twice in the tree"
    nodes = (*FUSED.nodes, Keep("GlobalBuffer", ("T3",)))
    assert faults(Mapping(nodes, children=FUSED.children)) == [
        "unknown tensor 'T3'; did you mean T2 or T1 or T0?"
    ]


def test_faults_of_an_operator_name_it():
    short = Mapping(FUSED.nodes, children=(branches((), ())[0], Mapping((), "Matmul1")))
    assert faults(short) == [
        f"operator 'Matmul1': loops over {rank} run 1 of 3 iterations (no loop): raise a count to "
        "at least 3"
        for rank in ("n1", "n2")
    ]


def test_a_reader_runs_after_its_writer():
    swapped = Mapping(FUSED.nodes, children=FUSED.children[::-1])
    assert faults(swapped) == [
        "tensor 'T1' passes from 'Matmul0' to 'Matmul1', which runs first: swap the branches"
    ]


def test_what_passes_is_kept_around_both():
    nodes = (*FUSED.nodes[:3], Keep("GlobalBuffer", ("T0", "T2")))
    kept = (Keep("GlobalBuffer", ("T1",)),)
    assert faults(Mapping(nodes, children=branches(kept, kept))) == [
        "tensor 'T1' passes from 'Matmul0' to 'Matmul1', but no Keep around both of them holds it: "
        "add it to one"
    ]


def test_only_finished_sums_pass():
    nodes = (*FUSED.nodes[:2], Temporal("n0", KN), *FUSED.nodes[2:])
    einsums = chain(2, M, KN)
    second = einsums["Matmul1"]
    einsums["Matmul1"] = replace(second, ranks=(*second.ranks, ("n0", 1)))
    first = Mapping((Temporal("n1", KN),), "Matmul0")
    mapping = Mapping(nodes, children=(first, FUSED.children[1]))
    assert faults(mapping, einsums=einsums) == [
        "tensor 'T1' passes from 'Matmul0' to 'Matmul1' before it is finished: the loop over n0 "
        "around both of them sums it up; move the loop into 'Matmul0'"
    ]


def window(name: str) -> Einsum:
    """Sums over windows of 3, of a tensor of its own."""
    row = Affine((("P", 1), ("R", 1)))
    return Einsum(
        (("P", 6), ("R", 3)),
        (Access(f"x{name}", (row,)), Access(f"w{name}", plain("R"))),
        Access(f"y{name}", plain("P")),
    )


def test_windows_slide_only_within_a_branch():
    """A window of 3 that advances 6 times: 8 elements in a branch, 18 if others run between."""
    store = replace(BUFFER, sliding=True)
    array = replace(ARRAY, stores=(store, MEMORY))
    pair = {"a": window("a"), "b": window("b")}
    kept = tuple(Keep("GlobalBuffer", (f"x{e}", f"w{e}", f"y{e}")) for e in "ab")
    top = Keep("MainMemory", ("xa", "wa", "ya", "xb", "wb", "yb"))
    rows, taps = Temporal("P", 6), Temporal("R", 3)
    inside = tuple(Mapping((rows, keep, taps), e) for e, keep in zip("ab", kept, strict=True))
    around = tuple(Mapping((keep, taps), e) for e, keep in zip("ab", kept, strict=True))
    for mapping, fills in (
        (Mapping((top,), children=inside), 8),
        (Mapping((top, rows), children=around), 18),
    ):
        for cost in analyse_tree(pair, array, mapping).values():
            assert cost.level("GlobalBuffer", "input").fills == fills
