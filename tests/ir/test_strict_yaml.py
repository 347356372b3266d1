"""YAML from strangers is values, or one line that says where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import AcceleratorError, DovetailError, MappingError
from dovetail.ir.strict_yaml import MAX_DEPTH, parse, read_text, shown

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@settings(max_examples=50)
@given(VALUES)
def test_plain_values_are_read(value: object) -> None:
    assert parse(yaml.safe_dump(value), "f", MappingError) == value


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    message = ""
    try:
        parse(text, "f", MappingError)
    except DovetailError as error:
        message = str(error)
    assert not message or message.startswith("f: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", "line 2: key 'c' stands twice"),
        ("a: 1:30\n", "line 1: '1:30': write decimal numbers, or quote it"),
        ("a: 010\n", "'010': write decimal"),
        ("a: 0x10\n", "'0x10': write decimal"),
        ("a: 1_000\n", "'1_000': write decimal"),
        ("a: 1_0.5\n", "'1_0.5': write decimal"),
        ("a: &x 1\nb: *x\n", "line 2: aliases are not read"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels"),
        ("[" * 100_000, "nested deeper"),
        ("- !!python/name:os.system\n", "not valid YAML"),
        ("!!binary x\n", "not valid YAML"),
        ("? [a]\n: 1\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("\0", "not valid YAML"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(AcceleratorError, match=r"^f: ") as caught:
        parse(text, "f", AcceleratorError)
    assert words in str(caught.value)


def test_depth_itself_is_legal() -> None:
    value = parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f", MappingError)
    assert isinstance(value, list)


def test_files_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("x" * 100)
    assert read_text(path, 100, MappingError, "thing") == "x" * 100
    path.write_text("x" * 101)
    with pytest.raises(MappingError, match="which no thing is"):
        read_text(path, 100, MappingError, "thing")


def test_values_are_shown_shortly() -> None:
    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 1000)) < 80
