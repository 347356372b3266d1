"""Measured accuracy of sub-networks: trained once, evaluated on demand, remembered."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MissingExtraError, ProblemError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.networks.elastic.data import Dataset, load_dataset
from dovetail.networks.elastic.family import ElasticFamily

if TYPE_CHECKING:
    from dovetail.networks.elastic.supernet import Supernet
    from dovetail.networks.elastic.training import Progress, TrainingArgs

MAX_SPACE = 2**27
"""Largest space whose results fit the flat table of this module (4 bytes per sub-network)."""


class AccuracyOracle:
    """Errors of sub-networks, measured on held-out images in integer arithmetic.

    Every distinct sub-network is evaluated once: its weights are cut from the supernet and
    quantized, its batch normalization is recalibrated on training images and folded, and all
    held-out images are classified. Results depend on nothing else, so the order of requests does
    not matter.

    Args:
        family: the space of sub-networks.
        dataset: its training part calibrates, its test part measures.
        net: trained supernet of `family`; must not change afterwards.
        recipe: JSON-able: how `net` was made; kept with saved results.

    Raises:
        ProblemError: if family and data set do not fit, or the space exceeds `MAX_SPACE`.
    """

    def __init__(
        self, family: ElasticFamily, dataset: Dataset, net: Supernet, recipe: dict[str, object]
    ) -> None:
        from dovetail.networks.elastic.inference import Classifier

        check_fit(family, dataset)
        self.family = family
        self.dataset = dataset
        self.net = net
        self.recipe = recipe
        self.correct: NDArray[np.int32] = np.full(family.space.size, -1, dtype=np.int32)
        self._classifier = Classifier(net, dataset)

    @property
    def measured(self) -> int:
        """Number of sub-networks evaluated so far."""
        return int((self.correct >= 0).sum())

    @property
    def samples(self) -> int:
        """Number of held-out images that every error is measured on."""
        return len(self.dataset.y_test)

    def errors(self, choices: IntArray) -> FloatArray:
        """Share of held-out images that each sub-network gets wrong, (n, knobs) -> (n,)."""
        return 1.0 - self._counts(choices) / len(self.dataset.y_test)

    def interval(self, choice: Sequence[int] | IntArray) -> tuple[float, float]:
        """Wilson interval of the error of one sub-network at 95 % confidence."""
        low, high = wilson(self.errors(np.asarray(choice, dtype=np.int64)[None]), self.samples)
        return float(low[0]), float(high[0])

    def _counts(self, choices: IntArray) -> NDArray[np.int32]:
        """Correctly classified images of choices (n, knobs), measured where unknown, (n,)."""
        self.family.space.check(choices)
        keys = np.ravel_multi_index(tuple(choices.T), tuple(self.family.space.cardinalities))
        unknown = np.flatnonzero(self.correct[keys] < 0)
        if len(unknown):
            _, first = np.unique(keys[unknown], return_index=True)
            self._measure(choices[unknown[first]], keys[unknown[first]])
        return self.correct[keys]

    def _measure(self, choices: IntArray, keys: IntArray) -> None:
        from dovetail.networks.elastic.training import threads

        # Resolution, bits, then stages: neighbours share the activations of their first stages.
        columns = [0, choices.shape[1] - 2, choices.shape[1] - 1, *range(1, choices.shape[1] - 2)]
        order = np.lexsort(choices.T[columns[::-1]])
        # One thread: sums, and so ties in rounding, must not depend on the machine's load.
        with threads(1):
            for row in order:
                sub = self.family.decode(choices[row])
                self.correct[keys[row]] = self._classifier.correct(sub)

    def save(self, path: Path) -> None:
        """Writes weights and results so far; see `storage.write`."""
        from dovetail.networks.elastic.storage import write

        weights = {name: value.numpy() for name, value in self.net.state_dict().items()}
        write(path, self.recipe, weights, self.correct)

    @classmethod
    def load(cls, path: Path, dataset: Dataset) -> AccuracyOracle:
        """Reads what `save` wrote.

        Raises:
            StudyError: if the file is missing, corrupt, or made for other data.
        """
        require_torch()
        import torch

        from dovetail.networks.elastic.storage import read
        from dovetail.networks.elastic.supernet import Supernet

        saved = read(path, dataset)
        net = Supernet(saved.family, 0)
        saved.check_shapes({name: tuple(t.shape) for name, t in net.state_dict().items()})
        net.load_state_dict({name: torch.from_numpy(w) for name, w in saved.weights.items()})
        return _restored(saved.family, dataset, net, saved.recipe, saved.keys, saved.correct)

    def absorb(self, path: Path) -> None:
        """Takes over the results in a file of the same recipe; leaves those of another alone.

        Raises:
            StudyError: if the file is missing, corrupt, or made for other data.
        """
        from dovetail.networks.elastic.storage import read

        saved = read(path, self.dataset)
        if saved.recipe == self.recipe:
            self.correct[saved.keys] = saved.correct

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles results, not the mostly empty table nor the classifier's memory (100s of MB)."""
        keys = np.flatnonzero(self.correct >= 0)
        known = keys, self.correct[keys]
        return _restored, (self.family, self.dataset, self.net, self.recipe, *known)

    def describe(self) -> dict[str, object]:
        """JSON-able: how the numbers are made, and how many there are."""
        return {**self.recipe, "measured": self.measured}


def train_or_load(
    cache_path: Path | None,
    dataset: Dataset | str = "digits",
    seed: int = 0,
    epochs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    *,
    family: ElasticFamily | None = None,
    args: TrainingArgs | None = None,
) -> AccuracyOracle:
    """An oracle from the cache if it was made by this very recipe, else trained and cached.

    Args:
        cache_path: .npz file, replaced if its recipe differs; None trains without a cache.
        dataset: a data set, or what `load_dataset` takes.
        seed: of weights, batches and sampled sub-networks.
        epochs: passes over the training images; None takes the default of `TrainingArgs`.
        progress: called after every epoch of a training.
        family: space of sub-networks; None takes the default for the data set's images.
        args: all other settings of the training.

    Raises:
        MissingExtraError: if torch is not installed.
        StudyError: if the cache is corrupt.
    """
    require_torch()
    from dovetail.networks.elastic.training import TrainingArgs, train

    data = load_dataset(dataset) if isinstance(dataset, str) else dataset
    family = family or ElasticFamily.of(data.channels, data.classes, data.resolution)
    check_fit(family, data)
    settings = (args or TrainingArgs()).to_dict()
    if epochs is not None:
        settings["epochs"] = epochs
    recipe = make_recipe(family, data, seed, settings)
    if cache_path and cache_path.exists():
        cached = _cached(cache_path, data, recipe)
        if cached:
            return cached
    net = train(family, data, seed, TrainingArgs(**settings), progress)
    oracle = AccuracyOracle(family, data, net, recipe)
    if cache_path:
        oracle.save(cache_path)
    return oracle


def _restored(
    family: ElasticFamily,
    dataset: Dataset,
    net: Supernet,
    recipe: dict[str, object],
    keys: NDArray[np.int64],
    correct: NDArray[np.int32],
) -> AccuracyOracle:
    """An oracle that knows what others measured: `correct` images (n,) at flat indices `keys`."""
    oracle = AccuracyOracle(family, dataset, net, recipe)
    oracle.correct[keys] = correct
    return oracle


def _cached(path: Path, dataset: Dataset, recipe: dict[str, object]) -> AccuracyOracle | None:
    """The oracle at `path` if its recipe is `recipe`."""
    from dovetail.networks.elastic.storage import read_recipe

    return AccuracyOracle.load(path, dataset) if read_recipe(path) == recipe else None


def make_recipe(
    family: ElasticFamily, dataset: Dataset, seed: int, training: dict[str, object]
) -> dict[str, object]:
    """All that decides the numbers, JSON-able and equal to itself after a round trip."""
    from dovetail.networks.elastic.inference import CALIBRATION_IMAGES
    from dovetail.networks.elastic.storage import normal

    recipe = {
        "accuracy": "measured on held-out images in integer arithmetic",
        "family": family.to_dict(),
        "dataset": dataset.name,
        "dataset_sha256": dataset.digest,
        "train_images": len(dataset.y_train),
        "test_images": len(dataset.y_test),
        "calibration_images": min(CALIBRATION_IMAGES, len(dataset.y_train)),
        "seed": seed,
        "training": training,
    }
    return normal(recipe)


def check_fit(family: ElasticFamily, dataset: Dataset) -> None:
    """Checks that the family reads the data set's images.

    Raises:
        ProblemError: if it does not, or its space is too large to tabulate.
    """
    if (family.in_channels, family.classes) != (dataset.channels, dataset.classes):
        raise ProblemError(
            f"family of {family.in_channels} input channels and {family.classes} classes does not "
            f"fit data set '{dataset.name}' of {dataset.channels} and {dataset.classes}"
        )
    if family.space.size > MAX_SPACE:
        raise ProblemError(
            f"family of {family.space.size} sub-networks: at most {MAX_SPACE}; remove knob values"
        )


def wilson(share: FloatArray, samples: int, z: float = 1.959964) -> tuple[FloatArray, FloatArray]:
    """Score interval of shares (n,) measured on `samples`, at the confidence of normal quantile z.

    References:
        Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.
    """
    weight = z * z / samples
    centre = share + weight / 2.0
    spread = z * np.sqrt(share * (1.0 - share) / samples + weight / (4.0 * samples))
    low, high = (centre - spread) / (1.0 + weight), (centre + spread) / (1.0 + weight)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def require_torch() -> None:
    """Checks that torch is there.

    Raises:
        MissingExtraError: if it is not.
    """
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtraError("the elastic supernet", "torch", "torch") from error
