"""Accelerators by name or from YAML files, of any family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module, resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from dovetail.arch.accelerator import Accelerator
from dovetail.arch.systolic import SystolicArray, shorten
from dovetail.errors import AcceleratorError, UnknownNameError
from dovetail.ir import strict_yaml

GROUP = "dovetail.accelerators"
"""Entry points of other packages' families: each names a `dovetail.flows.base.Family`."""

FAMILIES = {
    "systolic": "dovetail.arch.systolic:SystolicArray",
    "spatial": "dovetail.arch.spatial:SpatialArray",
    "system": "dovetail.arch.system:System",
    "fpga": "dovetail.arch.fpga:FpgaDataflow",
    "npu": "dovetail.arch.npu:EthosU",
    "engines": "dovetail.arch.engines:FpgaEngines",
    "attention": "dovetail.arch.attention:AttentionArray",
    "gpu": "dovetail.arch.gpu:Gpu",
    "rdu": "dovetail.arch.rdu:Rdu",
}
"""Classes of the built-in families; those of entry points come beside them."""

MAX_FILE_BYTES = 1 << 20


def families() -> list[str]:
    """Names of all families."""
    return [*FAMILIES, *(p.name for p in entry_points(group=GROUP) if p.name not in FAMILIES)]


def family_class(family: object, source: str) -> type[Accelerator]:
    """The class of a family's designs.

    Raises:
        AcceleratorError: if there is no such family, or that of a package cannot be loaded.
    """
    if isinstance(family, str) and family in FAMILIES:
        module, _, name = FAMILIES[family].partition(":")
        found: type[Accelerator] = getattr(import_module(module), name)
        return found
    for point in entry_points(group=GROUP):
        if point.name == family:
            try:
                foreign: type[Accelerator] = point.load().accelerator
            except Exception as error:
                raise AcceleratorError(
                    f"accelerator family '{family}' from {point.value} fails: "
                    f"{type(error).__name__}: {error}"
                ) from error
            return foreign
    raise AcceleratorError(
        f"{source}: family = {shorten(family)}: must be one of {', '.join(families())}"
    )


def names(family: str | None = None) -> list[str]:
    """Names of the presets that come with Dovetail, of one family or of all."""
    files = resources.files(__name__).iterdir()
    every = sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))
    return [name for name in every if family in (None, _family_of(name))]


def _family_of(name: str) -> str:
    found = re.search(r"^family: *(\w+)", _text(name), re.MULTILINE)
    return found[1] if found else "systolic"


def load(spec: str | Path) -> Accelerator:
    """Loads an accelerator.

    Args:
        spec: a preset's name, or the path of a `.yaml` / `.yml` file.

    Raises:
        UnknownNameError: if it is neither.
        AcceleratorError: naming file, key, value and legal range if the file is wrong.
    """
    if str(spec).endswith((".yaml", ".yml")):
        text = strict_yaml.read_text(
            Path(spec), MAX_FILE_BYTES, AcceleratorError, "accelerator file"
        )
        return _parse(text, str(spec))
    if spec not in names():
        raise UnknownNameError("accelerator", str(spec), [*names(), "a path ending in .yaml"])
    return _parse(_text(str(spec)), f"{spec}.yaml")


def as_systolic(accelerator: Accelerator, purpose: str) -> SystolicArray:
    """The accelerator, if it is a systolic array.

    Args:
        accelerator: of any family.
        purpose: what needs it, for the message.

    Raises:
        AcceleratorError: if it is of another family.
    """
    if not isinstance(accelerator, SystolicArray):
        raise AcceleratorError(
            f"accelerator '{accelerator.name}' is of family '{accelerator.family}': {purpose} "
            f"needs a systolic array, e.g. {', '.join(names('systolic')[:2])}"
        )
    return accelerator


def from_dict(values: Mapping[str, Any], source: str = "parameters") -> Accelerator:
    """An accelerator from the values of a file, or those that `to_dict` gives.

    Raises:
        AcceleratorError: naming source, key, value and what is legal.
    """
    given = dict(values)
    return family_class(given.pop("family", "systolic"), source).from_dict(given, source)


def title(name: str) -> str:
    """What a preset is: the beginning of the comment on top of its file."""
    return re.split(r"[.:](?=\s)", _text(name).lstrip("# "), maxsplit=1)[0]


def _text(name: str) -> str:
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")


def _parse(text: str, source: str) -> Accelerator:
    return from_dict(_mapping(text, source), source)


def _mapping(text: str, source: str) -> dict[str, Any]:
    values = strict_yaml.parse(text, source, AcceleratorError)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise AcceleratorError(f"{source}: must hold 'key: value' lines, one per parameter")
    return values
