"""The supernet behind a co-design problem: from its specification, through a cache on disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.envs.registry import check_fields
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.networks.elastic import ElasticFamily

if TYPE_CHECKING:
    from dovetail.networks.elastic.accuracy import AccuracyOracle
    from dovetail.networks.elastic.data import Dataset
    from dovetail.networks.elastic.training import Progress

SAVE_SECONDS = 5.0
"""Measured errors are written to the cache at most this often."""

DEFAULTS: dict[str, object] = {
    "dataset": "digits",
    "dataset_sha256": None,
    "seed": 0,
    "epochs": None,
    "training": None,
    "family": None,
    "cache": None,
}
"""Fields of a specification: data set (what `load_dataset` takes) and the digest it must have;
seed; epochs and other `TrainingArgs` by name; the family as `ElasticFamily.to_dict` writes it; and
the cache folder, by default the user's."""


class CachedOracle:
    """An accuracy oracle that keeps what it measures in a file.

    Args:
        oracle: measures errors.
        path: its file.
    """

    def __init__(self, oracle: AccuracyOracle, path: Path) -> None:
        self.oracle = oracle
        self.path = path
        self._saved = (oracle.measured, time.monotonic())

    @property
    def samples(self) -> int:
        """Number of held-out samples that every error is measured on."""
        return self.oracle.samples

    def errors(self, choices: IntArray) -> FloatArray:
        """Fraction of held-out samples classified wrong (n,), of choices (n, knobs)."""
        found = self.oracle.errors(choices)
        count, when = self._saved
        if self.oracle.measured > count and time.monotonic() - when > SAVE_SECONDS:
            self.save()
        return found

    def save(self) -> None:
        """Writes everything measured so far, together with what other processes have written."""
        with suppress(StudyError):  # a file that cannot be read is written anew
            self.oracle.absorb(self.path)
        self.oracle.save(self.path)
        self._saved = (self.oracle.measured, time.monotonic())


def build_oracle(
    spec: Mapping[str, object], progress: Callable[[Progress], None] | None = None
) -> tuple[CachedOracle, dict[str, object]]:
    """Loads or trains the supernet of a specification with the fields of `DEFAULTS`.

    Args:
        spec: values of some fields.
        progress: called after every epoch of a training.

    Returns:
        The oracle, and the fields that rebuild it: the cache is none of them.

    Raises:
        ProblemError: if a field is ill-formed, or the data have another digest than `spec` says.
        MissingExtraError: if torch is not installed.
        StudyError: if the cache is corrupt.
    """
    from dovetail.networks.elastic.accuracy import require_torch, train_or_load
    from dovetail.networks.elastic.data import load_dataset

    require_torch()
    from dovetail.networks.elastic.training import TrainingArgs

    given = check_fields(spec, DEFAULTS)
    name = _typed(given, "dataset", str)
    data = load_dataset(name)
    _check_digest(name, data, given["dataset_sha256"])
    defaults = {field.name: field.default for field in fields(TrainingArgs)}
    training = check_fields(_typed(given, "training", Mapping) or {}, defaults)
    epochs = _typed(given, "epochs", int)
    if epochs is not None:
        training["epochs"] = epochs
    _check_numbers(training, defaults)
    described = _typed(given, "family", Mapping)
    family = (
        ElasticFamily.of(data.channels, data.classes, data.resolution)
        if described is None
        else ElasticFamily.from_dict(dict(described))
    )
    seed, args = _typed(given, "seed", int), TrainingArgs(**training)  # type: ignore[arg-type]  # _check_numbers saw to it
    source: dict[str, object] = {
        "dataset": name,
        "dataset_sha256": data.digest,
        "seed": seed,
        "training": args.to_dict(),
        "family": json.loads(json.dumps(family.to_dict())),
    }
    path = _cache_file(_typed(given, "cache", str), source)
    oracle = train_or_load(path, data, seed, progress=progress, family=family, args=args)
    return CachedOracle(oracle, path), source


def _check_numbers(training: Mapping[str, object], defaults: Mapping[str, object]) -> None:
    for name, value in training.items():
        if isinstance(defaults[name], str):
            if not isinstance(value, str):
                raise ProblemError(f"training {name} = {value!r}: must be a text")
            continue
        whole = isinstance(defaults[name], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            noun = "a whole number" if whole else "a number"
            raise ProblemError(f"training {name} = {value!r}: must be {noun}")


def _typed(given: Mapping[str, object], name: str, kind: type[Any]) -> Any:
    """Field `name`, None where that is its default.

    Raises:
        ProblemError: if it is not of that type.
    """
    value = given[name]
    absent = value is None and DEFAULTS[name] is None
    if not absent and (not isinstance(value, kind) or isinstance(value, bool)):
        noun = {str: "a text", int: "a whole number"}.get(kind, "values by name")
        raise ProblemError(f"{name} = {value!r}: must be {noun}")
    return value


def _check_digest(name: str, data: Dataset, expected: object) -> None:
    if expected is not None and data.digest != expected:
        raise ProblemError(
            f"data set '{name}' has SHA-256 {data.digest[:12]}…, but the specification was made "
            f"with {str(expected)[:12]}…: give the same data"
        )


def _cache_file(folder: str | None, source: Mapping[str, object]) -> Path:
    """File of the supernet that `source` (its data set's digest, not its path) describes."""
    if folder is None:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = str(Path(base) / "dovetail")
    identity = {key: value for key, value in source.items() if key != "dataset"}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Path(folder) / f"supernet-{key[:16]}.npz"
