"""YAML from strangers: plain values only, no key twice, nothing deep, nothing huge."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from dovetail.errors import DovetailError

try:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]  # same interface, in Python

MAX_DEPTH = 40
"""Nested lists and mappings, far below Python's own limit of recursion."""

MAX_SHOWN = 60
"""Characters of a wrong value that an error repeats."""


class _StrictLoader(SafeLoader):
    """Refuses keys that stand twice, which YAML would silently overwrite."""


class _RefusedError(Exception):
    """What is wrong with a text, without the name of its file."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for key, count in keys.most_common(1):
        if count > 1:
            line = node.start_mark.line + 1
            raise _RefusedError(f"line {line}: key {shown(key)} stands twice")
    return loader.construct_mapping(node, deep=True)


def _strict_number(loader: _StrictLoader, node: yaml.ScalarNode) -> int | float:
    """Refuses what YAML 1.1 takes for numbers and people do not: 1:30 (90), 010 (8), 1_000."""
    if not _NUMBER.fullmatch(node.value):
        line = node.start_mark.line + 1
        raise _RefusedError(f"line {line}: {shown(node.value)}: write decimal numbers, or quote it")
    is_int = node.tag == "tag:yaml.org,2002:int"
    return loader.construct_yaml_int(node) if is_int else loader.construct_yaml_float(node)


_NUMBER = re.compile(
    r"[-+]?(0|[1-9][0-9]*)|[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
for _tag in ("int", "float"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _strict_number)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def shown(value: object) -> str:
    """A value as an error repeats it: quoted, on one line, and short."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def read_text(path: Path, max_bytes: int, error: type[DovetailError], what: str) -> str:
    """Text of a file of bounded size.

    Args:
        path: of the file.
        max_bytes: that a file of its kind never exceeds.
        error: what is raised.
        what: a file of its kind, for the error.

    Raises:
        DovetailError: `error`, if it cannot be read, is larger, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            size = f"{max_bytes / 2**20:g} MiB"
            raise error(f"{path}: larger than {size}, which no {what} is")
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise error(f"{path}: not UTF-8 text, which every {what} is") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise error(f"{path}: cannot be read: {reason}") from None


def parse(text: str, source: str, error: type[DovetailError]) -> Any:
    """The values of a YAML document.

    Args:
        text: the document.
        source: name of its file, for the error.
        error: what is raised.

    Raises:
        DovetailError: `error`, naming file and line, if the text is not YAML, holds a key twice,
            aliases, tags of other languages, or is nested deeply.
    """
    try:
        _check_events(text)
        return yaml.load(text, Loader=_StrictLoader)
    except _RefusedError as problem:
        raise error(f"{source}: {problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as problem:
        line = " ".join(str(problem).split())
        raise error(f"{source}: not valid YAML: {line}") from None


def _check_events(text: str) -> None:
    """Refuses aliases, which make gigabytes out of a line, and depth, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError(f"line {_line(event)}: aliases are not read")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = _line(event)
                raise _RefusedError(f"line {line}: nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
