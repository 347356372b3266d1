"""Networks by one string: a name of the zoo, of an installed package, or a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.errors import DovetailError, NetworkError, UnknownNameError
from dovetail.ir.network import Network
from dovetail.networks.zoo import NETWORKS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "dovetail.networks"
"""Group of entry points whose targets return a Network."""

MAX_SIZE = 1 << 24
"""Of a dimension of a network of the zoo."""

MAX_REPEATS = 1024
"""Of a dimension that repeats operators: each has tens of its own."""

REPEATS = ("layers", "repeats", "cells", "experts")

SUFFIXES = (".onnx", ".tflite", ".csv")


def load_network(
    spec: str, *, batch: int | None = None, dims: Mapping[str, int] | None = None
) -> Network:
    """Makes the network that `spec` names.

    Args:
        spec: a name of `names()`, or the path of an ONNX or TFLite model or a SCALE-Sim topology
            (`.onnx`, `.tflite`, `.csv`).
        batch: inputs per inference, the first dimension of all inputs of an ONNX model; None
            keeps the network's own. A TFLite model has the batch that it was converted for.
        dims: extents of an ONNX model's open dimensions, see `load_onnx`, or whole numbers that a
            network of the zoo takes, e.g. `sequence` of `bert_base`.

    Raises:
        UnknownNameError: if it is neither a known name nor a path with one of the suffixes.
        NetworkError: if the file cannot be read, or the batch or a dimension is illegal.
    """
    if batch is not None and batch < 1:
        raise NetworkError(f"batch {batch}: must be at least 1")
    if spec in NETWORKS:
        sizes = {**_checked(spec, dict(dims or {})), **({} if batch is None else {"batch": batch})}
        return NETWORKS[spec](**sizes)
    if dims and Path(spec).suffix.lower() != ".onnx":
        raise NetworkError(
            f"'{spec}' has no dimension '{min(dims)}' to set: only .onnx files and the zoo do"
        )
    suffix = Path(spec).suffix.lower()
    if suffix in SUFFIXES:
        return _load_file(spec, suffix, batch, dict(dims or {}))
    plugins = _plugins()
    if spec in plugins:
        return _load_plugin(plugins[spec], batch)
    if Path(spec).is_file():
        kinds = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}"
        raise NetworkError(f"'{spec}': networks are read from {kinds} files")
    raise UnknownNameError("network", spec, {*NETWORKS, *plugins})


def length_name(name: str) -> str:
    """The dimension of a network of the zoo that counts tokens: `sequence` or `context`.

    Raises:
        NetworkError: if it has none.
    """
    function = NETWORKS.get(name)
    taken = inspect.signature(function).parameters if function else {}
    for key in ("sequence", "context"):
        if key in taken:
            return key
    raise NetworkError(f"'{name}' has no length in tokens: language models of the zoo have")


def _checked(name: str, dims: dict[str, int]) -> dict[str, int]:
    """Sizes that a network of the zoo takes; raises NetworkError for others."""
    taken = {
        key: parameter.default
        for key, parameter in inspect.signature(NETWORKS[name]).parameters.items()
        if type(parameter.default) is int and key != "batch"
    }
    for key, value in dims.items():
        if key not in taken:
            known = ", ".join(f"{name} (default {size})" for name, size in taken.items())
            raise NetworkError(
                f"'{name}' has no dimension '{key}' to set: it has {known or 'none'}"
            )
        most = MAX_REPEATS if key in REPEATS else MAX_SIZE
        if not 1 <= value <= most:
            raise NetworkError(f"'{name}': {key} = {value}: must be within 1 to {most:,}")
    return dims


def names() -> list[tuple[str, str]]:
    """Known networks as (name, one-line description): the zoo's, then installed packages'."""
    zoo = [(name, _first_line(function)) for name, function in NETWORKS.items()]
    plugins = _plugins()
    return zoo + [(name, f"from {plugins[name].value}") for name in sorted(plugins)]


def _first_line(function: Callable[..., Network]) -> str:
    return (inspect.getdoc(function) or "").split("\n", 1)[0]


def _plugins() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point for point in found if point.name not in NETWORKS}


def _load_plugin(point: EntryPoint, batch: int | None) -> Network:
    """Calls a third-party factory; any failure becomes one line that names its package."""
    try:
        factory = point.load()
        network = factory() if batch is None else factory(batch=batch)
    except DovetailError:
        raise
    except Exception as error:
        raise NetworkError(
            f"network '{point.name}' from {point.value} fails: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(network, Network):
        raise NetworkError(
            f"network '{point.name}' from {point.value} returns {type(network).__name__}: "
            "it must return a dovetail Network"
        )
    return network


def _load_file(spec: str, suffix: str, batch: int | None, dims: dict[str, int]) -> Network:
    path = Path(spec)
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise NetworkError(f"{spec!r}: cannot be read: {error}") from None
    if not exists:
        raise NetworkError(f"{spec}: no such file")
    if not path.is_file():
        raise NetworkError(f"{spec}: not a file")
    if suffix == ".onnx":
        from dovetail.networks.onnx_import import load_onnx

        return load_onnx(path, dims=dims if batch is None else {**dims, "[0]": batch})
    if suffix == ".tflite":
        return _load_tflite(path, batch)
    from dovetail.networks.scalesim import load_scalesim

    return load_scalesim(path, batch=batch or 1)


def _load_tflite(path: Path, batch: int | None) -> Network:
    from dovetail.networks.tflite_import import load_tflite

    network = load_tflite(path)
    own = {(network.tensor[name].shape or (1,))[0] for name in network.inputs}
    if batch is not None and own != {batch}:
        raise NetworkError(
            f"{path}: batch {batch}: a TFLite model has fixed shapes; its inputs start with "
            f"{' and '.join(map(str, sorted(own)))}: leave --batch out, or convert it anew"
        )
    return network
