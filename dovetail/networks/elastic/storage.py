"""The file of an accuracy oracle: a NumPy archive without pickles.

Arrays: `recipe` (JSON as bytes), `weight/<name>` (float32), `keys` and `correct` (flat index of a
sub-network in the space, and how many held-out images it classifies correctly).
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import DovetailError, OutputError, StudyError
from dovetail.networks.elastic.data import Dataset
from dovetail.networks.elastic.family import ElasticFamily

Arrays = dict[str, NDArray[Any]]
_PREFIX = "weight/"
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Saved:
    """Checked contents of a file.

    Attributes:
        path: where they come from.
        family: the space of sub-networks.
        recipe: how the weights were made.
        weights: by parameter name.
        keys: flat indices of measured sub-networks, (n,).
        correct: correctly classified images of each, (n,).
    """

    path: Path
    family: ElasticFamily
    recipe: dict[str, object]
    weights: Arrays
    keys: NDArray[np.int64]
    correct: NDArray[np.int32]

    def check_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Checks the weights against the parameters of a supernet.

        Raises:
            StudyError: if names or shapes differ, or a weight is not finite.
        """
        found = {name: weight.shape for name, weight in self.weights.items()}
        if found != shapes:
            raise _corrupt(self.path, "its weights do not fit its family")
        if not all(np.isfinite(weight).all() for weight in self.weights.values()):
            raise _corrupt(self.path, "a weight is not finite")


def write(
    path: Path, recipe: dict[str, object], weights: Arrays, correct: NDArray[np.int32]
) -> None:
    """Writes a file in one step: a reader sees the old one or the new one.

    Args:
        path: where to; folders are made.
        recipe: JSON-able.
        weights: by parameter name.
        correct: flat table over the space, -1 where not measured.

    Raises:
        OutputError: if it cannot be written.
    """
    keys = np.flatnonzero(correct >= 0)
    arrays: Arrays = {_PREFIX + name: weight for name, weight in weights.items()}
    arrays["recipe"] = np.frombuffer(json.dumps(recipe, sort_keys=True).encode(), dtype=np.uint8)
    arrays["keys"] = keys.astype(np.int64)
    arrays["correct"] = correct[keys]
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"cannot write the accuracy cache '{path}': {error}") from error


def read_recipe(path: Path) -> dict[str, object]:
    """Recipe of a file.

    Raises:
        StudyError: if the file is missing or corrupt.
    """
    return _recipe(path, _arrays(path))


def read(path: Path, dataset: Dataset) -> Saved:
    """Reads and checks a file that was made with `dataset`.

    Raises:
        StudyError: if the file is missing, corrupt, or made for other data.
    """
    arrays = _arrays(path)
    recipe = _recipe(path, arrays)
    if recipe.get("dataset_sha256") != dataset.digest:
        raise StudyError(
            f"accuracy cache '{path}' belongs to data set '{recipe.get('dataset')}', not to these "
            f"images of '{dataset.name}': give another cache file"
        )
    try:
        family = ElasticFamily.from_dict(recipe["family"])  # type: ignore[arg-type]  # checked there
    except (DovetailError, KeyError, TypeError) as error:
        raise _corrupt(path, f"its family is malformed ({error})") from error
    keys, correct = arrays.get("keys"), arrays.get("correct")
    if keys is None or correct is None or keys.shape != correct.shape or keys.ndim != 1:
        raise _corrupt(path, "its results are incomplete")
    legal = (keys >= 0) & (keys < family.space.size)
    if not (legal & (correct >= 0) & (correct <= len(dataset.y_test))).all():
        raise _corrupt(path, "a result is out of range")
    weights = {n.removeprefix(_PREFIX): w for n, w in arrays.items() if n.startswith(_PREFIX)}
    return Saved(path, family, recipe, weights, keys.astype(np.int64), correct.astype(np.int32))


def _arrays(path: Path) -> Arrays:
    try:
        with zipfile.ZipFile(path) as archive:
            torn = archive.testzip()
            if torn:
                raise zipfile.BadZipFile(f"'{torn}' has a wrong checksum")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _UNREADABLE as error:
        raise _corrupt(path, str(error) or type(error).__name__) from error


def _recipe(path: Path, arrays: Arrays) -> dict[str, object]:
    try:
        recipe = json.loads(arrays["recipe"].tobytes())
    except (KeyError, ValueError) as error:
        raise _corrupt(path, "it holds no recipe") from error
    if not isinstance(recipe, dict):
        raise _corrupt(path, "its recipe is not an object")
    return recipe


def normal(recipe: dict[str, object]) -> dict[str, object]:
    """The recipe as JSON returns it (tuples become lists)."""
    result: dict[str, object] = json.loads(json.dumps(recipe))
    return result


def _corrupt(path: Path, why: str) -> StudyError:
    text = " ".join(why.split())
    return StudyError(f"accuracy cache '{path}' cannot be read: {text}; delete it to train anew")
