"""Cascades: their text, their operations, and how many passes over a rank they need."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import DovetailError, NetworkError
from dovetail.ir.cascade_passes import passes
from dovetail.networks.cascade_text import load_cascade, names, parse

# FuseMax (MICRO 2024), section III: passes over the keys. The rest follows from the definition.
PASSES = {
    ("attention_3pass", "m"): 3,
    ("attention_2pass", "m"): 2,
    ("attention_online", "m"): 2,
    ("attention_1pass", "m"): 1,
    ("softmax", "m"): 3,
    ("layernorm_3pass", "m"): 3,
    ("layernorm_2pass", "m"): 2,
    ("matmul_chain", "k"): 1,
    ("matmul_chain", "m"): 1,
}


@pytest.mark.parametrize(("name", "rank"), PASSES)
def test_passes_are_found_from_the_text(name: str, rank: str) -> None:
    assert passes(load_cascade(name), rank).count == PASSES[name, rank]


def test_every_cascade_walks_its_other_ranks_once() -> None:
    for name in names():
        cascade = load_cascade(name)
        for rank in cascade.ranks:
            if (name, rank) not in PASSES:
                assert passes(cascade, rank).count == 1, (name, rank)


def test_what_lives_between_passes() -> None:
    found = passes(load_cascade("attention_3pass"), "m")
    assert [(k.tensor, k.reader, k.written, k.read) for k in found.kept] == [
        ("QK", "SN", 1, 2),
        ("SN", "A", 2, 3),
    ]
    assert found.grows
    assert found.of_inputs == {"K": 3, "V": 1}
    two = passes(load_cascade("attention_2pass"), "m")
    assert [(k.tensor, k.whole) for k in two.kept] == [("LM", False), ("SLD", False), ("SLN", True)]
    one = passes(load_cascade("attention_1pass"), "m")
    assert not one.kept
    assert not one.grows


def test_a_read_of_the_last_value_costs_a_pass() -> None:
    # The 1-pass cascade whose exponentials take the final maximum, not the running one.
    text = "\n".join(
        [
            "m = m1 * M0 + m0",
            "RM[0,p] = -inf",
            "QK[m1,m0,p] = Q[e,p] * K[e,m]",
            "LM[m1,p] = max[m0](QK[m1,m0,p])",
            "RM[m1+1,p] = max(RM[m1,p], LM[m1,p])",
            "SN[m1,m0,p] = exp(QK[m1,m0,p] - RM[{},p])",
            "SD[p] = sum[m1,m0](SN[m1,m0,p])",
        ]
    )
    assert passes(parse(text.format("m1+1")), "m").count == 1
    assert passes(parse(text.format("M1")), "m").count == 2


def test_other_data_is_no_second_pass() -> None:
    once = parse("S[p] = sum[m](X[m,p])\nZ[m,p] = Y[m,p] * S[p]")
    assert passes(once, "m").of_inputs == {"X": 1, "Y": 1}
    again = parse("S[p] = sum[m](X[m,p])\nZ[m,p] = Y[m,p] * S[p]\nW[m,p] = Z[m,p] * X[m,p]")
    assert passes(again, "m").of_inputs == {"X": 2, "Y": 1}


def test_passes_do_not_depend_on_names_or_unused_einsums() -> None:
    text = "B[q] = max[j](A[j,q])\nC[j,q] = A[j,q] - B[q]\nD[j,q] = A[j,q] * A[j,q]"
    found = passes(parse(text), "j")
    assert found.count == 2
    assert found.of_einsums == {"B": 1, "C": 2, "D": 1}


def test_operations_of_the_one_pass_cascade() -> None:
    # The costs per tile of FuseMax's closed form follow from its Einsums.
    found = {
        e.name: dict(e.operations({"e": 64, "f": 32}))
        for e in load_cascade("attention_1pass").steps
    }
    assert found == {
        "QK": {"mac": 64}, "LM": {"max": 1}, "RM": {"max": 1}, "SLN": {"exp": 1, "add": 1},
        "SLD": {"add": 1}, "SLNV": {"mac": 32}, "PRM": {"exp": 1, "add": 1}, "SPD": {"mac": 1},
        "RD": {"add": 1}, "SPNV": {"mac": 32}, "RNV": {"add": 32}, "AV": {"divide": 32},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no Einsums"),
        ("A[m] = ", "is no Einsum"),
        ("a[m] = B[m]", "is no Einsum"),
        ("A[m] = B[m]; C[m] = B[m]", "is no Einsum"),
        ("A[m] = open('x')[m]", "is no Einsum"),
        ("A[m] = __import__('os')", "is no Einsum"),
        ("A[m,m] = B[m]", "is no Einsum"),
        ("A[m-1] = B[m]", "is no Einsum"),
        ("A[m] = exp(B[m], B[m])", "exp takes 1 arguments, not 2"),
        ("A[m] = B[m]\nA[m] = C[m]", "writes 'A' twice"),
        ("A[m] = C[m]\nC[m] = B[m]", "reads 'C' before it is written"),
        ("A[m+1] = B[m]", "say where it starts"),
        ("A[m] = B[m]\nC[m] = B[m,p]", "has 1 indices in one place and 2 in another"),
        ("A[p] = max[p](B[m,p])", "reduces p"),
        ("m = m1 * M1 + m0\nA[m] = B[m]", "is no Einsum"),
        ("A[m] = " + "-" * 80 + "B[m]", "nested deeper"),
        ("A[m] = B[m]" + " + B[m]" * 100, "more than 500 characters"),
    ],
)
def test_bad_text_is_one_line(text: str, told: str) -> None:
    with pytest.raises(NetworkError, match="cascade") as caught:
        parse(text)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="ABmp01[]()+-*/=, .expmaxsum#\n", max_size=60))
def test_any_text_is_a_cascade_or_an_error(text: str) -> None:
    try:
        cascade = parse(text)
    except DovetailError:
        return
    for rank in cascade.ranks:
        with contextlib.suppress(DovetailError):
            assert passes(cascade, rank).count >= 0


def test_an_unknown_cascade_or_rank() -> None:
    with pytest.raises(DovetailError, match="attention_1pass"):
        load_cascade("attention_1pas")
    with pytest.raises(DovetailError, match="cannot be read"):
        load_cascade("nowhere.einsum")
    with pytest.raises(NetworkError, match="has no rank 'z'"):
        passes(load_cascade("softmax"), "z")
