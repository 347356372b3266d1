"""How the texts of options are read, and what outputs are checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.cli.options import extents, pairs, scalar
from dovetail.cli.output import check_outputs, engineering, printable
from dovetail.errors import OutputError, ProblemError
from dovetail.ir.files import replaced_file, write_text


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers(value: int) -> None:
    assert scalar(str(value)) == value
    assert isinstance(scalar(str(value)), int)


@given(st.floats(allow_nan=False))
def test_numbers(value: float) -> None:
    assert scalar(repr(value)) == value
    assert isinstance(scalar(repr(value)), float)


@pytest.mark.parametrize("text", ["ws", "0x10", "1:30", "no", "2020-01-01", "[1]", "~"])
def test_other_texts_stay_texts(text: str) -> None:
    assert scalar(text) == text


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)


@given(st.dictionaries(NAMES, NAMES))
def test_pairs_of_distinct_keys(values: dict[str, str]) -> None:
    assert pairs([f" {k} = {v} " for k, v in values.items()], "--set") == values


def test_extents() -> None:
    assert extents(["a=2", "x[0]=3"]) == {"a": 2, "x[0]": 3}
    assert extents(None) == {}
    for text in ("a=0", "a=-1", "a=1.5", "a=b"):
        with pytest.raises(ProblemError, match="at least 1"):
            extents([text])


@given(st.text())
def test_printable_text_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert printable(shown) == shown


@given(st.floats(1e-12, 1e15, exclude_max=True))
def test_prefixes_keep_three_digits(value: float) -> None:
    number, unit = engineering(value, "J").split()
    factors = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9}
    factors["T"] = 1e12
    assert float(number) * factors[unit[:-1]] == pytest.approx(value, rel=0.006)


def test_a_link_stays_a_link_and_a_device_a_device() -> None:
    Path("target").write_text("old")
    os.symlink("target", "link")
    write_text("link", "new")
    assert os.path.islink("link")
    assert Path("target").read_text() == "new"
    os.symlink("nowhere", "dangling")
    write_text("dangling", "new")
    assert Path("nowhere").read_text() == "new"
    write_text("/dev/null", "nothing")
    assert not Path("/dev/null").is_file()
    assert sorted(os.listdir()) == ["dangling", "link", "nowhere", "target"]


def test_a_failed_write_leaves_nothing() -> None:
    def fail() -> None:
        with replaced_file("out") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not os.listdir()


def test_links_to_one_file_are_one_file() -> None:
    os.symlink("a", "b")
    with pytest.raises(OutputError, match="--json, too"):
        check_outputs({"--json": "a", "--csv": "b"})
    check_outputs({"--json": "/dev/null", "--csv": "/dev/null"})
    check_outputs({"--json": None, "--csv": None})
