"""Image data sets: scikit-learn's digits, a CIFAR-10 folder, or a NumPy archive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MissingExtraError, ProblemError
from dovetail.networks.elastic.archive import read_archive

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

DIGITS_SEED = 0
"""Seed of the split of digits: fixed, so that every accuracy is measured on the same images."""

_CIFAR_SHAPE = (3, 32, 32)
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled square images, split once and for all.

    Attributes:
        name: what reports call it.
        x_train: (n, C, H, H) float32 in [0, 1].
        y_train: (n,) class indices.
        x_test: (m, C, H, H), held out: no training and no calibration ever sees it.
        y_test: (m,).
        classes: number of classes.
    """

    name: str
    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels
    classes: int

    def __post_init__(self) -> None:
        for part, x, y in (
            ("train", self.x_train, self.y_train),
            ("test", self.x_test, self.y_test),
        ):
            where = f"data set '{self.name}', {part} part"
            _need(x.ndim == 4 and x.shape[2] == x.shape[3], f"{where}: {x.shape} is not (n,C,H,H)")
            _need(len(x) == len(y) > 0, f"{where}: {len(x)} images and {len(y)} labels")
            _need(y.min() >= 0 and y.max() < self.classes, f"{where}: a label is out of range")
            _need(x.min() >= 0.0 and x.max() <= 1.0, f"{where}: a pixel lies outside [0, 1]")
        _need(
            self.x_train.shape[1:] == self.x_test.shape[1:],
            f"data set '{self.name}': train and test images differ in shape",
        )

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.x_train.shape[1])

    @property
    def resolution(self) -> int:
        """Rows and columns of an image."""
        return int(self.x_train.shape[2])

    def head(self, train: int, test: int) -> Dataset:
        """The first `train` and `test` images: a smaller data set for quicker answers."""
        name = f"{self.name}[:{train}/{test}]"
        part = (self.x_train[:train], self.y_train[:train], self.x_test[:test], self.y_test[:test])
        return Dataset(name, *part, self.classes)

    @property
    def digest(self) -> str:
        """SHA-256 over images and labels: what a cached result belongs to."""
        sha = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            sha.update(str(array.shape).encode())
            sha.update(array.tobytes())
        return sha.hexdigest()


def load_dataset(spec: str) -> Dataset:
    """Loads a data set by name or path; never reads the network and never unpickles.

    Args:
        spec: `digits` (1,797 images of 8 x 8, shipped with scikit-learn); a folder with the
            binary version of CIFAR-10 (`data_batch_*.bin`, `test_batch.bin`); or an .npz file, or
            a folder that holds one, with x_train, y_train, x_test and y_test.

    Raises:
        ProblemError: if nothing of the kind is there, or it is malformed.
        MissingExtraError: if `digits` is asked for without scikit-learn.
    """
    if spec == "digits":
        return _digits()
    path = Path(spec).expanduser()
    _need(path.exists(), f"data set '{spec}' is neither 'digits' nor an existing path")
    if path.suffix == ".npz":
        return _archive(path)
    _need(path.is_dir(), f"data set '{spec}' is neither a folder nor an .npz file")
    if any(path.glob("data_batch_*.bin")):
        return _cifar(path)
    _need(
        not any(path.glob("data_batch_*")),
        f"'{spec}' holds the python version of CIFAR-10, which is pickled and never loaded here: "
        "take the binary version (cifar-10-binary.tar.gz, folder cifar-10-batches-bin)",
    )
    archives = sorted(path.glob("*.npz"))
    _need(
        len(archives) == 1,
        f"'{spec}' holds no data_batch_*.bin and {len(archives)} .npz files: needs CIFAR-10's "
        "binary version or one .npz",
    )
    return _archive(archives[0])


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("the digits data set", "torch", "sklearn") from error
    raw = load_digits()
    images = (raw.images / 16.0).astype(np.float32)[:, None]
    labels = raw.target.astype(np.int64)
    test = _stratified(labels, 0.25, np.random.default_rng(DIGITS_SEED))
    return Dataset("digits", images[~test], labels[~test], images[test], labels[test], 10)


def _stratified(labels: Labels, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mask of a random `share` of every class."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        mask[members[: round(share * len(members))]] = True
    return mask


def _cifar(folder: Path) -> Dataset:
    test = folder / "test_batch.bin"
    _need(test.is_file(), f"'{folder}' has data_batch_*.bin but no test_batch.bin")
    parts = [_records(file) for file in sorted(folder.glob("data_batch_*.bin"))]
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Dataset(folder.name, x_train, y_train, *_records(test), 10)


def _records(file: Path) -> tuple[Images, Labels]:
    """Images and labels of one file: per image a label byte, then 3 x 32 x 32 pixel bytes."""
    size = 1 + int(np.prod(_CIFAR_SHAPE))
    raw = np.fromfile(file, dtype=np.uint8)
    _need(
        len(raw) > 0 and len(raw) % size == 0,
        f"'{file}' of {len(raw)} bytes is not a whole number of {size}-byte CIFAR-10 records",
    )
    records = raw.reshape(-1, size)
    images = records[:, 1:].reshape(-1, *_CIFAR_SHAPE).astype(np.float32) / np.float32(255)
    return images, records[:, 0].astype(np.int64)


def _archive(file: Path) -> Dataset:
    try:
        arrays = read_archive(file)
    except ValueError as error:
        raise ProblemError(f"'{file}' is not a readable .npz without pickles: {error}") from error
    missing = [name for name in _ARRAYS if name not in arrays]
    _need(not missing, f"'{file}' lacks the arrays {missing}")
    y_train, y_test = (_labels(file, arrays[name]) for name in ("y_train", "y_test"))
    x_train, x_test = (_images(file, arrays[name]) for name in ("x_train", "x_test"))
    classes = max(2, int(max(y_train.max(initial=0), y_test.max(initial=0))) + 1)
    return Dataset(file.stem, x_train, y_train, x_test, y_test, classes)


def _labels(file: Path, y: NDArray[Any]) -> Labels:
    _need(y.dtype.kind in "iu" and y.size > 0, f"'{file}': labels of type {y.dtype} or none")
    return y.reshape(-1).astype(np.int64)


def _images(file: Path, x: NDArray[Any]) -> Images:
    """(n, H, W), (n, C, H, W) or (n, H, W, C) with 1 or 3 channels, bytes or floats, to NCHW."""
    _need(x.dtype.kind in "uf" and x.ndim in (3, 4), f"'{file}': images {x.dtype} {x.shape}")
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    scale = np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1.0
    return np.ascontiguousarray(x.astype(np.float32) / np.float32(scale))


def _need(law: bool | np.bool_, message: str) -> None:
    if not law:
        raise ProblemError(message)
