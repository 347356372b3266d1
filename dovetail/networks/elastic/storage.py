"""The file of an accuracy oracle: a NumPy archive without pickles.

Arrays: `recipe` (JSON as bytes), `weight/<name>` (float32), `keys` and `correct` (flat index of a
sub-network in the space, and how many held-out images it classifies correctly).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import DovetailError, StudyError
from dovetail.ir.files import replaced_file
from dovetail.networks.elastic.archive import Arrays, read_archive
from dovetail.networks.elastic.data import Dataset
from dovetail.networks.elastic.family import ElasticFamily

_PREFIX = "weight/"


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
        for weight in self.weights.values():
            if weight.dtype != np.float32 or not np.isfinite(weight).all():
                raise _corrupt(self.path, "a weight is not finite or no float32")


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
    with replaced_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


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
    if keys.dtype != np.int64 or correct.dtype != np.int32:
        raise _corrupt(path, f"its results are of type {keys.dtype} and {correct.dtype}")
    legal = (keys >= 0) & (keys < family.space.size)
    if not (legal & (correct >= 0) & (correct <= len(dataset.y_test))).all():
        raise _corrupt(path, "a result is out of range")
    weights = {n.removeprefix(_PREFIX): w for n, w in arrays.items() if n.startswith(_PREFIX)}
    return Saved(path, family, recipe, weights, keys, correct)


def _arrays(path: Path) -> Arrays:
    try:
        return read_archive(path)
    except ValueError as error:
        raise _corrupt(path, str(error)) from error


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
