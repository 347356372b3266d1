"""A learnt cost model: an ensemble of small networks that predict metrics of many designs at once.

A design's features are one-hot knobs beside the logarithms of numeric ones; metrics that are
positive are learnt as logarithms. The file holds arrays only, and JSON: nothing is unpickled.

References:
    Krishnan et al., "ArchGym: An Open-Source Gymnasium for Machine Learning Assisted Architecture
    Design", ISCA 2023 (proxy cost models from what searches evaluated); Lakshminarayanan et al.,
    "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017;
    Romano et al., "Conformalized Quantile Regression", NeurIPS 2019 (calibrated intervals).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import ProblemError
from dovetail.ir.files import replaced_file
from dovetail.ir.space import FloatArray, IntArray, Knob, Space

CHUNK = 8192
"""Designs predicted at a time, so that memory stays small."""

MOST_BYTES = 1 << 28
"""A larger file is no proxy."""

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Proxy:
    """A trained ensemble of m members for t metrics.

    Attributes:
        space: of the designs.
        names: the t metrics.
        logs: (t,) True where the logarithm was learnt.
        centre: (t,) mean of what was learnt.
        scale: (t,) its standard deviation, > 0.
        layers: weights (m, inputs, outputs) and biases (m, 1, outputs) in turn.
        floor: (t,) what is added to the members' spread before it is widened.
        widths: (t,) widening that made intervals cover `coverage` of held-back designs.
        coverage: of the intervals, 0 to 1.
        about: JSON-able: the problem's specification, fidelity, and scores.
    """

    space: Space
    names: tuple[str, ...]
    logs: NDArray[np.bool_]
    centre: FloatArray
    scale: FloatArray
    layers: tuple[Weights, ...]
    floor: FloatArray
    widths: FloatArray
    coverage: float
    about: Mapping[str, Any]

    def learnt(self, designs: IntArray) -> tuple[FloatArray, FloatArray]:
        """What was learnt (n, t) of designs (n, knobs): mean and spread over the members."""
        parts = [
            self._members(designs[start : start + CHUNK])
            for start in range(0, max(len(designs), 1), CHUNK)
        ]
        found = np.concatenate(parts, axis=1).astype(np.float64)
        mean = found.mean(axis=0) * self.scale + self.centre
        return mean, found.std(axis=0) * self.scale

    def predict(self, designs: IntArray) -> dict[str, FloatArray]:
        """Metrics by name (n,) of designs (n, knobs)."""
        mean, _ = self.learnt(designs)
        return self._metrics(mean)

    def interval(self, designs: IntArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Lower and upper ends, by metric (n,), that cover a share `coverage` of the truth."""
        mean, spread = self.learnt(designs)
        half = self.widths * (spread + self.floor)
        return self._metrics(mean - half), self._metrics(mean + half)

    def _metrics(self, learnt: FloatArray) -> dict[str, FloatArray]:
        return {
            name: np.exp(learnt[:, i]) if self.logs[i] else learnt[:, i]
            for i, name in enumerate(self.names)
        }

    def _members(self, designs: IntArray) -> Weights:
        """Standardised outputs (m, n, t)."""
        values = features(self.space, designs)[None]
        last = len(self.layers) - 2
        for place in range(0, len(self.layers), 2):
            values = np.matmul(values, self.layers[place]) + self.layers[place + 1]
            if place < last:
                np.maximum(values, 0, out=values)
        return values

    def save(self, path: Path | str) -> None:
        """Writes the file; equal proxies give equal arrays.

        Raises:
            OutputError: if it cannot be written.
        """
        knobs = [[k.name, list(k.values), k.ordered] for k in self.space.knobs]
        meaning = {"knobs": knobs, "names": self.names, "coverage": self.coverage}
        arrays = {f"layer{i}": layer for i, layer in enumerate(self.layers)}
        arrays |= {name: getattr(self, name) for name in _VECTORS}
        text = json.dumps({**meaning, "about": dict(self.about)})
        arrays["meaning"] = np.frombuffer(text.encode(), dtype=np.uint8)
        with replaced_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub confuses allow_pickle

    @classmethod
    def load(cls, path: Path | str) -> Proxy:
        """Reads a file.

        Raises:
            ProblemError: if it is missing, corrupt or no proxy.
        """
        try:
            if Path(path).stat().st_size > MOST_BYTES:
                raise ProblemError(f"'{path}' is larger than any proxy")
            with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return _from_arrays(arrays)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ProblemError(f"proxy '{path}' cannot be read: {reason}") from None
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ProblemError(
                f"'{path}' is no proxy, or corrupt ({error}): write one with dovetail proxy train"
            ) from None


_VECTORS = ("logs", "centre", "scale", "floor", "widths")


def features(space: Space, designs: IntArray) -> Weights:
    """Features (n, f) of designs (n, knobs)."""
    tables = [_table(knob) for knob in space.knobs]
    parts = [table[designs[:, i]] for i, table in enumerate(tables)]
    return np.concatenate(parts, axis=1)


def _table(knob: Knob) -> Weights:
    """Features (values, f) of each value: one-hot, and its place on a logarithmic scale."""
    places = np.eye(len(knob.values), dtype=np.float32)
    numbers = [v for v in knob.values if not isinstance(v, str)]
    if not knob.ordered or len(numbers) < len(knob.values) or len(numbers) < 2:
        return places
    values = np.array(numbers, dtype=np.float64)
    scaled = np.log(values) if (values > 0).all() else values
    scaled = (scaled - scaled.mean()) / scaled.std()
    return np.concatenate([places, scaled[:, None].astype(np.float32)], axis=1)


def digest(path: Path | str) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _from_arrays(arrays: Mapping[str, Any]) -> Proxy:
    meaning = json.loads(arrays["meaning"].tobytes())
    space = Space(tuple(Knob(name, tuple(v), bool(o)) for name, v, o in meaning["knobs"]))
    count = sum(name.startswith("layer") for name in arrays)
    layers = tuple(arrays[f"layer{i}"] for i in range(count))
    vectors = {name: arrays[name] for name in _VECTORS}
    names, coverage = tuple(meaning["names"]), float(meaning["coverage"])
    proxy = Proxy(space, names, layers=layers, coverage=coverage, about=meaning["about"], **vectors)
    _check(proxy)
    return proxy


def _check(proxy: Proxy) -> None:
    """Raises ValueError where arrays do not fit each other, or hold what is not finite."""
    for name in _VECTORS:
        if getattr(proxy, name).shape != (len(proxy.names),):
            raise ValueError(f"'{name}' has the wrong shape")
    numbers: list[Any] = [*proxy.layers, proxy.centre, proxy.scale, proxy.floor, proxy.widths]
    if not all(bool(np.isfinite(array).all()) for array in numbers):
        raise ValueError("a weight is not finite")
    if not isinstance(proxy.about, dict) or not isinstance(proxy.about.get("problem"), dict):
        raise ValueError("it names no problem")
    first = np.zeros((1, len(proxy.space.knobs)), dtype=np.int64)
    if len(proxy.layers) < 2 or proxy.learnt(first)[0].shape != (1, len(proxy.names)):
        raise ValueError("its layers do not fit")
