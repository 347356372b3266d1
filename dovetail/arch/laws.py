"""What a parameter may be: the law that its field carries, and the check that quotes it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from dovetail.arch.systolic import shorten
from dovetail.errors import AcceleratorError

UNLIMITED = {"unlimited": math.inf}
"""What files write where a capacity or bandwidth has no bound."""

MAX_TEXT = 200
"""Most characters of a name: it stands in tables and messages of one line."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def number(
    default: Any, low: float, high: float, unit: str, doc: str,
    *, whole: bool = False, words: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
    """A field that holds a number within low to high, or what one of some words stands for."""
    law = {"kind": "number", "low": low, "high": high, "unit": unit, "doc": doc}
    return dataclasses.field(
        default=default, metadata={**law, "whole": whole, "words": dict(words or {})}
    )


def choice(default: str, choices: tuple[str, ...], doc: str) -> Any:
    """A field that holds one of some words."""
    return dataclasses.field(
        default=default, metadata={"kind": "choice", "choices": choices, "doc": doc}
    )


def names(doc: str, choices: tuple[str, ...] = (), *, default: Any = ()) -> Any:
    """A field that holds distinct names, among `choices` if there are any."""
    return dataclasses.field(
        default=default, metadata={"kind": "names", "choices": choices, "doc": doc}
    )


def text(default: str, doc: str) -> Any:
    """A field that holds any text."""
    return dataclasses.field(default=default, metadata={"kind": "text", "doc": doc})


def flag(default: bool, doc: str) -> Any:
    """A field that is true or false."""
    return dataclasses.field(default=default, metadata={"kind": "flag", "doc": doc})


def legal(law: Mapping[str, Any]) -> str:
    """The values that a law allows, as a message says it."""
    match law["kind"]:
        case "number":
            what = "a whole number" if law["whole"] else "a number"
            text = f"{what} within {law['low']:g} to {law['high']:g} {law['unit']}".rstrip()
            return " or ".join([text, *(f"'{word}'" for word in law["words"])])
        case "choice":
            return f"one of {', '.join(law['choices'])}"
        case "names":
            among = f" among {', '.join(law['choices'])}" if law["choices"] else ""
            return f"a list of distinct names{among}"
        case "flag":
            return "true or false"
    return f"a text of 1 to {MAX_TEXT} printable characters"


def short(law: Mapping[str, Any]) -> str:
    """The same for a narrow column."""
    match law["kind"]:
        case "number":
            text = f"{law['low']:,g} to {law['high']:,g} {law['unit']}".rstrip()
            return ", ".join([text, *law["words"]])
        case "flag":
            return "true, false"
        case "choice" | "names":
            return ", ".join(law["choices"]) or "names"
    return ""


def checked(where: str, law: Mapping[str, Any], value: object) -> Any:
    """A value in the form that its field holds.

    Args:
        where: source and path, for the message.
        law: metadata of the field.
        value: as a file, a command line or a caller gives it.

    Raises:
        AcceleratorError: naming path, value and what is legal.
    """
    match law["kind"]:
        case "number":
            good, found = _number(law, value)
        case "choice":
            good, found = isinstance(value, str) and value in law["choices"], value
        case "names":
            good, found = _names(law["choices"], value)
        case "flag":
            found = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
            good = isinstance(found, bool)
        case _:
            good, found = _is_label(value), value
    if not good:
        raise AcceleratorError(f"{where} = {shorten(value)}: must be {legal(law)}")
    return found


def _is_label(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable()


def _number(law: Mapping[str, Any], value: object) -> tuple[bool, Any]:
    if isinstance(value, str):
        return value in law["words"], law["words"].get(value)
    for stood_for in law["words"].values():
        if value == stood_for:  # what a word stands for is legal as a value, too
            return True, value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False, value
    if not law["low"] <= value <= law["high"]:  # refuses NaN, too
        return False, value
    if law["whole"]:
        return value == int(value), int(value)
    return True, float(value)


def _names(choices: tuple[str, ...], value: object) -> tuple[bool, tuple[str, ...]]:
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        return False, ()
    found = tuple(value)
    known = all(name in choices for name in found) if choices else all(map(NAME.fullmatch, found))
    return known and len(set(found)) == len(found), found
