"""Training of a supernet: the sandwich rule with in-place distillation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from dovetail.devices import check_device, place, torch_device
from dovetail.errors import ProblemError
from dovetail.networks.elastic.data import Dataset
from dovetail.networks.elastic.family import ElasticFamily
from dovetail.networks.elastic.quantize import Tensor
from dovetail.networks.elastic.subnetwork import SubNetwork
from dovetail.networks.elastic.supernet import Supernet


@dataclass(frozen=True, slots=True)
class TrainingArgs:
    """How a supernet is trained.

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        learning_rate: peak of the cosine schedule of Adam.
        warmup: share of the steps over which the rate rises.
        weight_decay: decoupled decay of the weights.
        random_subs: sub-networks per step besides the largest and the smallest.
        shift: pixels by which images move at random, in rows and in columns.
        threads: of torch while training; sums depend on it, so it is part of the recipe.
        device: where torch trains, as `dovetail.devices` names it; sums depend on it, too.
    """

    epochs: int = 40
    batch: int = 64
    learning_rate: float = 1.5e-2
    warmup: float = 0.1
    weight_decay: float = 1e-2
    random_subs: int = 4
    shift: int = 0
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_device(self.device)
        positive = min(self.epochs, self.batch, self.threads) >= 1 and self.learning_rate > 0
        if not positive or min(self.random_subs, self.shift) < 0 or not 0 <= self.warmup < 1:
            raise ProblemError(
                f"training {asdict(self)}: epochs, batch, threads and learning_rate must be > 0, "
                "random_subs and shift >= 0, warmup within 0 to 1"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON form; without the CPU, so that what was trained before there was a choice counts."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("device", "cpu")}


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a running training.

    Attributes:
        epoch: epochs done.
        epochs: epochs in all.
        loss: mean cross entropy of the largest sub-network over the last epoch, nats.
        seconds: wall time so far.
    """

    epoch: int
    epochs: int
    loss: float
    seconds: float


def train(
    family: ElasticFamily,
    dataset: Dataset,
    seed: int,
    args: TrainingArgs,
    progress: Callable[[Progress], None] | None = None,
) -> Supernet:
    """Trains the supernet of `family` on the training images.

    Each step sums the gradients of the largest sub-network on the labels and of the smallest and
    some random ones on the largest one's probabilities. Equal arguments give equal weights on one
    kind of machine; the global random state and torch's thread count stay as they were.

    Raises:
        ProblemError: if this machine has no such device.

    References:
        Yu and Huang, Universally Slimmable Networks, ICCV 2019, sections 3.2 and 3.3 (sandwich
        rule, in-place distillation); Cai et al., Once-for-All, ICLR 2020.
    """
    start = time.perf_counter()
    with threads(args.threads):
        device = torch_device(args.device)
        net = Supernet(family, seed).to(device)
        rng = np.random.default_rng(seed)
        images, labels = place(dataset.x_train, device), place(dataset.y_train, device)
        steps = args.epochs * math.ceil(len(labels) / args.batch)
        optimizer = torch.optim.AdamW(
            net.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _rate(step / steps, args.warmup)
        )
        for epoch in range(args.epochs):
            losses = []
            order = place(rng.permutation(len(labels)), device)
            for index in order.split(args.batch):
                optimizer.zero_grad(set_to_none=True)
                subs = _sandwich(family, rng, args.random_subs)
                batch = shifted(images[index], args.shift, rng)
                losses.append(_backward(net, batch, labels[index], subs))
                optimizer.step()
                schedule.step()
            if progress:
                seconds = time.perf_counter() - start
                progress(Progress(epoch + 1, args.epochs, float(np.mean(losses)), seconds))
    # Accuracy is measured in integers on the CPU, wherever the weights come from.
    return net.cpu()


def _sandwich(
    family: ElasticFamily, rng: np.random.Generator, random_subs: int
) -> tuple[SubNetwork, ...]:
    """The largest sub-network, the smallest shape at random bits, and random ones."""
    largest = family.space.cardinalities - 1
    others = family.space.sample(rng, 1 + random_subs)
    others[0, :-2] = 0
    return tuple(family.decode(choice) for choice in (largest, *others))


def shifted(x: Tensor, pixels: int, rng: np.random.Generator) -> Tensor:
    """Images (n, C, H, H), each moved by up to `pixels` in both directions, zeros moved in."""
    if pixels == 0:
        return x
    n, _, size, _ = x.shape
    offsets = place(rng.integers(0, 2 * pixels + 1, (2, n)), x.device)
    rows, columns = offsets[:, :, None] + torch.arange(size, device=x.device)
    padded = F.pad(x, (pixels, pixels, pixels, pixels)).movedim(1, 3)
    image = torch.arange(n, device=x.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].movedim(3, 1)


def _backward(net: Supernet, x: Tensor, y: Tensor, subs: tuple[SubNetwork, ...]) -> float:
    """Adds the gradients of one step; returns the largest sub-network's loss."""
    logits = net(x, subs[0])
    loss = F.cross_entropy(logits, y)
    loss.backward()
    soft = logits.detach().softmax(1)
    for sub in subs[1:]:
        F.cross_entropy(net(x, sub), soft).backward()
    return float(loss.detach())


def _rate(share: float, warmup: float) -> float:
    """Linear rise, then half a cosine, over the share of steps done."""
    if share < warmup:
        return (share + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1.0 + math.cos(math.pi * (share - warmup) / (1.0 - warmup)))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Sets torch's threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
