"""Trains a small network on images, kept in a file by its recipe; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from dovetail.errors import ProblemError
from dovetail.ir.files import replaced_file
from dovetail.ir.network import Network
from dovetail.networks.bits.layers import LayerGraph, layer_graph
from dovetail.networks.bits.run import float_layers, initial_weights, run
from dovetail.networks.elastic.archive import read_archive
from dovetail.networks.elastic.data import Dataset
from dovetail.networks.elastic.quantize import Tensor
from dovetail.networks.elastic.training import shifted, threads


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        seed: of weights and batches.
        epochs: passes over the training images.
        batch: images per step.
        learning_rate: peak of the cosine schedule of AdamW.
        weight_decay: decoupled decay.
        shift: pixels by which images move at random.
    """

    seed: int = 0
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    shift: int = 1

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or min(self.seed, self.shift) < 0:
            raise ProblemError(
                f"training {asdict(self)}: epochs and batch must be >= 1, seed and shift >= 0"
            )


@dataclass(frozen=True)
class Trained:
    """A network with weights, and the images that it learnt from.

    Attributes:
        network: what is run.
        graph: its layers.
        weights: of layers, by name.
        dataset: of images.
    """

    network: Network
    graph: LayerGraph
    weights: dict[str, Tensor]
    dataset: Dataset


def train(network: Network, dataset: Dataset, recipe: Recipe) -> dict[str, Tensor]:
    """Weights by name after training by cross entropy; equal arguments give equal weights."""
    with threads(1):
        rng = np.random.default_rng(recipe.seed)
        weights = initial_weights(network, recipe.seed)
        for value in weights.values():
            value.requires_grad_(True)
        images, labels = torch.from_numpy(dataset.x_train), torch.from_numpy(dataset.y_train)
        steps = recipe.epochs * math.ceil(len(labels) / recipe.batch)
        optimizer = torch.optim.AdamW(
            weights.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps
        )
        for _ in range(recipe.epochs):
            for index in torch.from_numpy(rng.permutation(len(labels))).split(recipe.batch):
                optimizer.zero_grad(set_to_none=True)
                x = shifted(images[index], recipe.shift, rng)
                logits = run(network, {network.inputs[0]: x}, float_layers(network, weights))
                F.cross_entropy(logits, labels[index]).backward()
                optimizer.step()
                schedule.step()
    return {name: value.detach() for name, value in weights.items()}


def train_or_load(
    network: Network, dataset: Dataset, recipe: Recipe, folder: Path | None
) -> Trained:
    """The network of this recipe from its file in `folder`, else trained and written there.

    A file that cannot be read, or holds other weights, is replaced.
    """
    weights = _weights(network, dataset, recipe, folder)
    return Trained(network, layer_graph(network), weights, dataset)


def _weights(
    network: Network, dataset: Dataset, recipe: Recipe, folder: Path | None
) -> dict[str, Tensor]:
    if folder is None:
        return train(network, dataset, recipe)
    path = folder / f"bits-{_key(network, dataset, recipe)}.npz"
    shapes = {name: tuple(w.shape) for name, w in initial_weights(network, 0).items()}
    if path.exists() and (kept := _read(path, shapes)) is not None:
        return kept
    weights = train(network, dataset, recipe)
    with replaced_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **{n: w.numpy() for n, w in weights.items()})
    return weights


def _read(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor] | None:
    try:
        arrays = read_archive(path)
    except ValueError:
        return None
    good = {name: array.shape for name, array in arrays.items()} == shapes and all(
        array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values()
    )
    return {name: torch.from_numpy(array) for name, array in arrays.items()} if good else None


def _key(network: Network, dataset: Dataset, recipe: Recipe) -> str:
    identity = [repr(network), dataset.digest, asdict(recipe)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
