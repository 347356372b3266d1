from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import NetworkError, ProblemError
from dovetail.ir.network import Network
from dovetail.ir.operator import VIEW_KINDS, Access, Affine, Einsum, Operator
from dovetail.ir.space import Knob, Space
from dovetail.ir.tensor import INT4, INT8, NumberFormat, Tensor

SETTINGS = settings(max_examples=60, deadline=None)
shapes = st.lists(st.integers(1, 50), max_size=4).map(tuple)
formats = st.builds(NumberFormat, st.sampled_from(["int", "float", "bfloat"]), st.integers(1, 64))


@SETTINGS
@given(shapes, formats)
def test_tensor_bytes_hold_all_bits_and_no_byte_more(
    shape: tuple[int, ...], number_format: NumberFormat
) -> None:
    tensor = Tensor("t", shape, number_format)
    bits = math.prod(shape) * number_format.bits
    assert bits <= tensor.size_bytes * 8 < bits + 8
    assert tensor.elements == math.prod(shape)


def test_tensor_bytes_are_exact_beyond_float_precision() -> None:
    assert Tensor("t", (2**47 + 1,), NumberFormat("int", 9)).size_bytes == 9 * 2**44 + 2


@pytest.mark.parametrize("shape", [(0,), (3, -1), (2**24, 2**24, 2)])
def test_tensor_rejects_illegal_extents(shape: tuple[int, ...]) -> None:
    with pytest.raises(NetworkError, match="tensor 't'"):
        Tensor("t", shape)


def test_tensor_limit_is_inclusive() -> None:
    assert Tensor("t", (2**24, 2**24), INT4).elements == 2**48


@pytest.mark.parametrize(("kind", "bits"), [("int", 0), ("int", 65), ("posit", 8), ("float", -1)])
def test_number_format_rejects_what_it_does_not_know(kind: str, bits: int) -> None:
    with pytest.raises(NetworkError, match="number format"):
        NumberFormat(kind, bits)


def test_number_format_has_a_name() -> None:
    assert str(INT8) == "int8"
    assert str(NumberFormat("bfloat", 16)) == "bfloat16"


def _access(tensor: str, *ranks: str) -> Access:
    return Access(tensor, tuple(Affine(((rank, 1),)) for rank in ranks))


extents = st.dictionaries(st.sampled_from("NGKCPQRS"), st.integers(1, 9), min_size=1)


@SETTINGS
@given(extents)
def test_einsum_macs_count_its_points(ranks: dict[str, int]) -> None:
    einsum = Einsum(tuple(ranks.items()), (_access("x", *ranks),), _access("y"))
    assert einsum.macs == sum(1 for _ in itertools.product(*map(range, ranks.values())))
    for rank in "NGKCPQRS":
        assert einsum.extent(rank) == ranks.get(rank, 1)


def test_einsum_checks_its_ranks() -> None:
    x, y = _access("x", "P", "C"), _access("y", "P")
    with pytest.raises(NetworkError, match="names a rank twice"):
        Einsum((("P", 2), ("C", 2), ("P", 2)), (x,), y)
    with pytest.raises(NetworkError, match="rank C = 0"):
        Einsum((("P", 2), ("C", 0)), (x,), y)
    with pytest.raises(NetworkError, match=r"undeclared ranks \['C'\]"):
        Einsum((("P", 2),), (x,), y)
    with pytest.raises(NetworkError, match=r"undeclared ranks \['K'\]"):
        Einsum((("P", 2), ("C", 2)), (x,), _access("y", "K"))


def test_affine_coefficients() -> None:
    index = Affine((("P", 2), ("R", 3)), -1)
    assert [index.coefficient(rank) for rank in "PRQ"] == [2, 3, 0]
    assert Access("x", (index, Affine((("N", 1),)))).ranks == {"P", "R", "N"}


def _copy(name: str, source: str, target: str, kind: str = "relu") -> Operator:
    return Operator(name, kind, (source,), (target,))


@SETTINGS
@given(st.sampled_from([*sorted(VIEW_KINDS), "relu", "conv2d", "transpose"]))
def test_only_view_kinds_are_views(kind: str) -> None:
    op = _copy("op", "a", "b", kind)
    assert op.is_view == (kind in VIEW_KINDS)
    assert op.macs == 0


def test_operator_checks_itself() -> None:
    with pytest.raises(NetworkError, match="writes no tensor"):
        Operator("op", "relu", ("x",), ())
    with pytest.raises(NetworkError, match="vector_ops -1"):
        Operator("op", "relu", ("x",), ("y",), vector_ops=-1)


def _chain(order: tuple[int, ...]) -> Network:
    """A chain t0 -> t1 -> ... whose operators stand in the given order."""
    tensors = tuple(Tensor(f"t{i}", (4,)) for i in range(len(order) + 1))
    operators = tuple(_copy(f"op{i}", f"t{i}", f"t{i + 1}") for i in order)
    return Network("chain", operators, tensors, ("t0",), (f"t{len(order)}",))


@SETTINGS
@given(st.permutations(range(5)))
def test_network_demands_topological_order(order: list[int]) -> None:
    if order == sorted(order):
        assert len(_chain(tuple(order)).operators) == 5
    else:
        with pytest.raises(NetworkError, match="before it is written"):
            _chain(tuple(order))


A, B, C = (Tensor(name, (2,)) for name in "abc")
W = Tensor("w", (7,), is_parameter=True)


@pytest.mark.parametrize(
    ("operators", "tensors", "outputs", "words"),
    [
        ((), (A,), (), "has no operators"),
        ((_copy("f", "a", "b"),), (A, B, A), ("b",), "tensor 'a' appears twice"),
        ((_copy("f", "a", "b"), _copy("f", "b", "c")), (A, B, C), ("c",), "'f' appears twice"),
        ((_copy("f", "a", "x"),), (A, B), (), "unknown tensor 'x'"),
        ((_copy("f", "x", "b"),), (A, B), (), "unknown tensor 'x'"),
        ((_copy("f", "a", "b"), _copy("g", "a", "b")), (A, B), (), "'b' a second time"),
        ((_copy("f", "a", "a"),), (A,), (), "'a' a second time"),
        ((_copy("f", "a", "w"),), (A, W), (), "'w' a second time"),
        ((_copy("f", "a", "b"),), (A, B, C), ("c",), "returns unwritten tensor 'c'"),
    ],
)
def test_network_errors_are_one_line(
    operators: tuple[Operator, ...], tensors: tuple[Tensor, ...], outputs: tuple[str, ...],
    words: str,
) -> None:  # fmt: skip
    with pytest.raises(NetworkError, match=words) as caught:
        Network("net", operators, tensors, ("a",), outputs)
    assert "\n" not in str(caught.value)


def test_network_tables() -> None:
    twice = Operator("twice", "mul", ("a", "a", "w"), ("b",))
    unread = Tensor("u", (1000,), is_parameter=True)
    network = Network("net", (twice, _copy("f", "a", "c")), (A, B, C, W, unread), ("a",), ("b",))
    assert [op.name for op in network.consumers["a"]] == ["twice", "f"]
    assert network.consumers["b"] == ()
    assert network.tensor["w"] is W
    assert network.parameters == 7
    assert network.macs == 0


spaces = st.lists(
    st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True), min_size=1, max_size=5
).map(lambda lists: Space(tuple(Knob(f"k{i}", tuple(v)) for i, v in enumerate(lists))))


@SETTINGS
@given(spaces, st.integers(0, 2**32 - 1))
def test_space_decodes_what_it_encodes(space: Space, seed: int) -> None:
    designs = space.sample(np.random.default_rng(seed), 20)
    space.check(designs)
    assert designs.shape == (20, len(space.knobs))
    for design in designs:
        assert np.array_equal(space.encode(space.decode(design)), design)
    for name in space.names:
        expected = [space.decode(design)[name] for design in designs]
        assert np.array_equal(space.numeric(name, designs), expected)
    again = space.sample(np.random.default_rng(seed), 20)
    assert np.array_equal(designs, again)


@SETTINGS
@given(spaces)
def test_space_size_counts_its_designs(space: Space) -> None:
    assert space.size == sum(1 for _ in itertools.product(*map(range, space.cardinalities)))


@SETTINGS
@given(spaces, st.integers(0, 4), st.booleans())
def test_space_rejects_indices_outside(space: Space, knob: int, above: bool) -> None:
    designs = np.zeros((3, len(space.knobs)), dtype=np.int64)
    knob %= len(space.knobs)
    designs[1, knob] = space.cardinalities[knob] if above else -1
    with pytest.raises(ProblemError, match="outside"):
        space.check(designs)


def test_space_errors_and_sums() -> None:
    space = Space((Knob("rows", (8, 16)), Knob("dataflow", ("ws", "os"), ordered=False)))
    with pytest.raises(ProblemError, match="'dataflow' = 'is'"):
        space.encode({"rows": 8, "dataflow": "is"})
    with pytest.raises(ProblemError, match="'rows' = None"):
        space.encode({"dataflow": "ws"})
    with pytest.raises(ProblemError, match=r"must be \(n, 2\)"):
        space.check(np.zeros((2, 3), dtype=np.int64))
    with pytest.raises(ProblemError, match=r"must be \(n, 2\)"):
        space.check(np.zeros(2, dtype=np.int64))
    joined = space + Space((Knob("cols", (1, 2, 3)),))
    assert joined.names == ("rows", "dataflow", "cols")
    assert joined.size == 12


@pytest.mark.parametrize("values", [(), (1, 1), (1, 2, 1)])
def test_knob_needs_distinct_values(values: tuple[int, ...]) -> None:
    with pytest.raises(ProblemError, match="distinct"):
        Knob("k", values)
