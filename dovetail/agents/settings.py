"""Settings of agents: from plain values by name to a checked, frozen dataclass."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, get_type_hints

from dovetail.errors import ProblemError

MOST = 2**32
"""Largest whole number of a setting: beyond it arrays have no such size."""


def build_args(agent: str, args_type: type[Any], settings: Mapping[str, object] | None) -> Any:
    """Makes an agent's `Args`.

    Args:
        agent: its name, for messages.
        args_type: frozen dataclass whose fields are bool, int, float or str.
        settings: values by field; numbers may come as text.

    Returns:
        An instance of `args_type`.

    Raises:
        ProblemError: if a name is unknown, or a value has the wrong type or range.
    """
    known = {field.name for field in dataclasses.fields(args_type)}
    types = get_type_hints(args_type)
    values: dict[str, object] = {}
    for name, value in (settings or {}).items():
        if name not in known:
            raise ProblemError(f"agent '{agent}' has no setting '{name}'; {_hint(name, known)}")
        values[name] = _convert(f"agent '{agent}': setting {name}", value, types[name])
    return args_type(**values)


def check_range(
    name: str, value: float, low: float, high: float = float("inf"), *, above: bool = False
) -> None:
    """Checks low <= value <= high, or low < value <= high where `above`.

    Raises:
        ProblemError: if the value lies outside.
    """
    if not (low < value if above else low <= value) or not value <= high:
        law = f"> {low:g}" if above else f">= {low:g}"
        limit = "" if high == float("inf") else f" and <= {high:g}"
        raise ProblemError(f"setting {name} = {value:g}: must be {law}{limit}")


def _hint(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    listed = f"known: {', '.join(sorted(known))}"
    return f"did you mean '{close[0]}'? {listed}" if close else listed


def _convert(what: str, value: object, wanted: type[Any]) -> object:
    if isinstance(value, str) and wanted is not str:
        value = _parse(what, value, wanted)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if wanted is int and isinstance(value, int) and abs(value) > MOST:
        raise ProblemError(f"{what} = {value:.3g}: must be at most {MOST}")
    if type(value) is not wanted:
        raise ProblemError(f"{what} = {value!r}: must be of type {wanted.__name__}")
    return value


def _parse(what: str, text: str, wanted: type[Any]) -> object:
    if wanted is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if wanted is int:
            return int(text)
        if wanted is float:
            return float(text)
    except ValueError:
        pass
    raise ProblemError(f"{what} = {text!r}: must be of type {wanted.__name__}")
