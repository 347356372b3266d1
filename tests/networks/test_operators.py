from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.operator import VIEW_KINDS, Access, Affine, Einsum, Operator
from dovetail.ir.tensor import Tensor
from dovetail.networks import operators
from dovetail.networks.operators import SCALAR_OPS, Window

Array = NDArray[np.int64]


def run_einsum(op: Operator, arrays: dict[str, Array], shape: tuple[int, ...]) -> Array:
    """Executes the Einsum point by point from its accesses; outside an input lies zero."""
    einsum = op.einsum
    assert einsum is not None
    result = np.zeros(shape, dtype=np.int64)
    for point in itertools.product(*(range(extent) for _, extent in einsum.ranks)):
        at = dict(zip((name for name, _ in einsum.ranks), point, strict=True))
        factors = [_read(arrays[access.tensor], access, at) for access in einsum.operands]
        result[_index(einsum.output, at)] += math.prod(factors)
    return result


def _index(access: Access, at: dict[str, int]) -> tuple[int, ...]:
    return tuple(sum(c * at[rank] for rank, c in i.terms) + i.offset for i in access.indices)


def _read(array: Array, access: Access, at: dict[str, int]) -> int:
    index = _index(access, at)
    inside = all(0 <= i < extent for i, extent in zip(index, array.shape, strict=True))
    return int(array[index]) if inside else 0


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Window, int]:
    small = st.integers(1, 2)
    window = Window(
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        tuple(draw(st.integers(0, 2)) for _ in range(4)),  # type: ignore[arg-type]  # always 4
        (draw(small), draw(small)),
    )
    groups, c, k = draw(small), draw(small), draw(small)
    h, w = draw(st.integers(5, 7)), draw(st.integers(5, 7))
    x = Tensor("x", (draw(small), groups * c, h, w))
    weight = Tensor("w", (groups * k, c, *window.kernel), is_parameter=True)
    p, q = window.output(h, w)
    return x, weight, Tensor("y", (x.shape[0], groups * k, p, q)), window, groups


def _convolve(x: Array, w: Array, y: Tensor, window: Window, groups: int) -> Array:
    """Convolution by slicing a padded input, independent of any Einsum."""
    top, left, bottom, right = window.padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    out = np.zeros(y.shape, dtype=np.int64)
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for k, p, q in itertools.product(*map(range, y.shape[1:])):
        group = k // per_out
        rows = [p * window.stride[0] + r * window.dilation[0] for r in range(w.shape[2])]
        columns = [q * window.stride[1] + s * window.dilation[1] for s in range(w.shape[3])]
        patch = x[:, group * per_in : (group + 1) * per_in][:, :, rows][:, :, :, columns]
        out[:, k, p, q] = (patch * w[k]).sum(axis=(1, 2, 3))
    return out


@settings(max_examples=30, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_conv2d_einsum_computes_the_convolution(
    case: tuple[Tensor, Tensor, Tensor, Window, int], seed: int
) -> None:
    x, weight, y, window, groups = case
    rng = np.random.default_rng(seed)
    arrays = {t.name: rng.integers(-9, 10, t.shape) for t in (x, weight)}
    op = operators.conv2d("conv", x, weight, y, window, groups)
    expected = _convolve(arrays["x"], arrays["w"], y, window, groups)
    assert np.array_equal(run_einsum(op, arrays, y.shape), expected)
    assert op.macs == y.elements * math.prod(weight.shape[1:])
    assert op.kind == ("depthwise_conv2d" if groups > 1 and x.shape[1] == groups else "conv2d")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 3), max_size=2),
    st.sampled_from(["none", "same", "grouped"]),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_matmul_einsum_computes_the_product(
    lead: list[int], sharing: str, extents: tuple[int, int, int], transpose_b: bool, seed: int
) -> None:
    m, n, k = extents
    lead_a = (*lead, 2) if sharing == "grouped" else tuple(lead)
    lead_b = tuple(lead) if sharing != "none" else ()
    rng = np.random.default_rng(seed)
    a = rng.integers(-9, 10, (*lead_a, m, k))
    b = rng.integers(-9, 10, (*lead_b, n, k) if transpose_b else (*lead_b, k, n))
    straight = np.swapaxes(b, -1, -2) if transpose_b else b
    expected = a @ (straight[..., None, :, :] if sharing == "grouped" else straight)

    tensors = Tensor("a", a.shape), Tensor("b", b.shape), Tensor("y", (*lead_a, m, n))
    op = operators.matmul("mm", *tensors, transpose_b=transpose_b)
    assert op.einsum is not None
    groups = op.einsum.extent("G")
    flat = {"a": a.reshape(groups, -1, k), "b": b.reshape(groups, *b.shape[-2:])}
    result = run_einsum(op, flat, (groups, op.einsum.extent("P"), n))
    assert np.array_equal(result.reshape(expected.shape), expected)
    assert op.macs == math.prod(lead_a) * m * n * k


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3),
       st.integers(0, 4), st.integers(0, 4), st.booleans())  # fmt: skip
def test_window_output_counts_window_positions(
    size: int, kernel: int, stride: int, dilation: int, before: int, after: int, ceil: bool
) -> None:
    span = dilation * (kernel - 1) + 1
    if ceil:  # pooling pads less than a window: every complete window starts inside the input
        after = min(after, span - 1)
    window = Window((kernel, 1), (stride, 1), (before, 0, after, 0), (dilation, 1))
    starts = range(-before, size + after - span + 1, stride)
    if not starts:
        with pytest.raises(NetworkError, match="does not fit"):
            window.output(size, 1, ceil=ceil)
        return
    expected = len(starts)
    # Ceil mode adds an incomplete window for uncovered elements if it starts inside the input.
    uncovered = starts[-1] + span < size + after
    expected += ceil and uncovered and starts[-1] + stride < size
    assert window.output(size, 1, ceil=ceil) == (expected, 1)


def test_bias_is_read_and_costs_nothing() -> None:
    x, w, y = Tensor("x", (1, 3, 4, 4)), Tensor("w", (5, 3, 1, 1)), Tensor("y", (1, 5, 4, 4))
    bias = Tensor("b", (5,), is_parameter=True)
    bare = operators.conv2d("c", x, w, y, Window((1, 1)))
    biased = operators.conv2d("c", x, w, y, Window((1, 1)), bias=bias)
    assert biased.inputs == (*bare.inputs, "b")
    assert biased.macs == bare.macs


@pytest.mark.parametrize(
    ("x", "w", "y", "window", "groups"),
    [
        ((1, 4, 8, 8), (8, 3, 3, 3), (1, 8, 6, 6), Window((3, 3)), 1),
        ((1, 4, 8, 8), (8, 4, 3, 3), (1, 8, 6, 6), Window((1, 1)), 1),
        ((1, 4, 8, 8), (8, 4, 3, 3), (1, 8, 8, 8), Window((3, 3)), 1),
        ((1, 4, 8, 8), (7, 2, 3, 3), (1, 7, 6, 6), Window((3, 3)), 2),
        ((1, 4, 8, 8), (8, 4, 3, 3), (1, 8, 6, 6), Window((3, 3)), 0),
        ((4, 8, 8), (8, 4, 3, 3), (1, 8, 6, 6), Window((3, 3)), 1),
    ],
)
def test_conv2d_rejects_shapes_that_do_not_fit(
    x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], window: Window, groups: int
) -> None:
    with pytest.raises(NetworkError, match="operator 'c'") as caught:
        operators.conv2d("c", Tensor("x", x), Tensor("w", w), Tensor("y", y), window, groups)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("a", "b", "y"),
    [
        ((2, 3), (4, 5), (2, 5)),
        ((2, 3), (3, 5), (2, 4)),
        ((3,), (3, 5), (5,)),
        ((3, 2, 3), (2, 3, 5), (3, 2, 5)),
    ],
)
def test_matmul_rejects_shapes_that_do_not_fit(
    a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]
) -> None:
    with pytest.raises(NetworkError, match="operator 'm'"):
        operators.matmul("m", Tensor("a", a), Tensor("b", b), Tensor("y", y))


@pytest.mark.parametrize("kind", sorted(SCALAR_OPS))
def test_vector_operations_scale_with_work(kind: str) -> None:
    x, y = Tensor("x", (2, 8)), Tensor("y", (2, 4))
    assert operators.vector("v", kind, (x,), (y,)).vector_ops == 8 * SCALAR_OPS[kind]
    given_work = operators.vector("v", kind, (x,), (y,), work_elements=100)
    assert given_work.vector_ops == 100 * SCALAR_OPS[kind]
    assert given_work.macs == 0


@pytest.mark.parametrize("kind", sorted(VIEW_KINDS))
def test_views_cost_nothing(kind: str) -> None:
    op = operators.vector("v", kind, (Tensor("x", (2, 8)),), (Tensor("y", (16,)),))
    assert op.is_view
    assert (op.macs, op.vector_ops) == (0, 0)


def test_unknown_vector_kind_is_an_error() -> None:
    with pytest.raises(NetworkError, match="unknown vector operator 'frobnicate'"):
        operators.vector("v", "frobnicate", (), (Tensor("y", (1,)),))


@pytest.mark.parametrize(
    "numbers",
    [{"kernel": (0, 1)}, {"stride": (1, 0)}, {"dilation": (0, 1)}, {"padding": (0, 0, -1, 0)}],
)
def test_window_rejects_numbers_out_of_range(numbers: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(NetworkError, match="must be >= 1"):
        Window(**{"kernel": (1, 1), **numbers})  # type: ignore[arg-type]  # that is the point


def test_einsum_is_checked() -> None:
    index = Affine((("P", 1),))
    access = Access("x", (index,))
    with pytest.raises(NetworkError, match="undeclared"):
        Einsum((("Q", 2),), (access,), Access("y", (index,)))
