"""Accelerators by name or from YAML files."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dovetail.arch.systolic import SystolicArray, shorten
from dovetail.errors import AcceleratorError, UnknownNameError

FAMILIES = {"systolic": SystolicArray}
MAX_FILE_BYTES = 1 << 20


def names() -> list[str]:
    """Names of the presets that come with Dovetail."""
    files = resources.files(__name__).iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def load(spec: str | Path) -> SystolicArray:
    """Loads an accelerator.

    Args:
        spec: a preset's name, or the path of a `.yaml` / `.yml` file.

    Raises:
        UnknownNameError: if it is neither.
        AcceleratorError: naming file, key, value and legal range if the file is wrong.
    """
    if str(spec).endswith((".yaml", ".yml")):
        return _parse(_read(Path(spec)), str(spec))
    if spec not in names():
        raise UnknownNameError("accelerator", str(spec), [*names(), "a path ending in .yaml"])
    text = (resources.files(__name__) / f"{spec}.yaml").read_text(encoding="utf-8")
    return _parse(text, f"{spec}.yaml")


def title(name: str) -> str:
    """What a preset is: the beginning of the comment on top of its file."""
    text = (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    return re.split(r"[.:](?=\s)", text.lstrip("# "), maxsplit=1)[0]


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise AcceleratorError(f"{path}: larger than 1 MiB, which no accelerator file is")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise AcceleratorError(f"{path}: cannot be read: {error}") from None


def _parse(text: str, source: str) -> SystolicArray:
    values = _mapping(text, source)
    family = values.pop("family", "systolic")
    if not isinstance(family, str) or family not in FAMILIES:
        raise AcceleratorError(
            f"{source}: family = {shorten(family)}: must be one of {', '.join(FAMILIES)}"
        )
    return FAMILIES[family].from_dict(values, source)


class _StrictLoader(yaml.SafeLoader):
    """Refuses keys that appear twice, which YAML would silently overwrite."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for key, count in keys.most_common(1):
        if count > 1:
            line = node.start_mark.line + 1
            raise AcceleratorError(f"line {line}: key {shorten(key)} stands twice")
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def _mapping(text: str, source: str) -> dict[str, Any]:
    try:
        values = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except AcceleratorError as error:
        raise AcceleratorError(f"{source}: {error}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        raise AcceleratorError(f"{source}: not valid YAML: {line}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise AcceleratorError(f"{source}: must hold 'key: value' lines, one per parameter")
    return values
