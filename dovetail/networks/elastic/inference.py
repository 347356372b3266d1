"""Integer inference of sub-networks: what a quantized accelerator computes, on all images at once.

Every tensor holds integer codes. Batch normalization is folded: its statistics are those of this
very sub-network on calibration images (training images), and with the scales of input, weight and
output it becomes one multiplier and one integer bias per channel:

    code = clamp(round((sum(weight_code * input_code) + bias) * multiplier))
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from dovetail.networks.elastic.data import Dataset
from dovetail.networks.elastic.quantize import Tensor, code_range, weight_codes, weight_step
from dovetail.networks.elastic.subnetwork import Block, SubNetwork
from dovetail.networks.elastic.supernet import EPSILON, Supernet, image_codes

CALIBRATION_IMAGES = 128
"""Training images that set the statistics of batch normalization."""

CHUNK_IMAGES = 512
"""Images per convolution call: bounds the memory on large data sets."""

DENSE_RATIO = 1.5
"""Up to this many input pixels per kernel tap, a convolution is a matrix product: on tiny maps
most taps of a convolution fall on padding, and products run several times faster."""

CACHE_BYTES = 256 * 2**20
"""Room for codes after shared stages, so that sub-networks with a common prefix share its cost."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Quantized weights of one block, and what follows its normalization.

    Attributes:
        codes: (K, C, R, S) weight codes.
        steps: (K,) values of a code.
        gain: (K,) factor after normalization.
        shift: (K,) summand after the factor.
    """

    codes: Tensor
    steps: Tensor
    gain: Tensor
    shift: Tensor


@dataclass(frozen=True, slots=True)
class Folded:
    """Batch normalization and scales of one convolution.

    Attributes:
        bias: integers in units of the accumulator, (K,).
        multiplier: accumulator to output code, (K,).
    """

    bias: Tensor
    multiplier: Tensor


@dataclass(frozen=True, slots=True)
class Codes:
    """Activations of all images, calibration images first: codes times one step.

    Attributes:
        values: (n, C, H, H) codes as uint8.
        step: value of one code.
    """

    values: Tensor
    step: float


class Classifier:
    """Evaluates sub-networks of one supernet on the held-out images of one data set.

    Args:
        net: trained supernet; its weights must not change afterwards.
        dataset: gives calibration images (training part) and test images.
    """

    def __init__(self, net: Supernet, dataset: Dataset) -> None:
        self.net = net.requires_grad_(False)
        order = np.random.default_rng(0).permutation(len(dataset.x_train))[:CALIBRATION_IMAGES]
        calibration = dataset.x_train[np.sort(order)]
        self.calibration = len(calibration)
        self._images = torch.from_numpy(np.concatenate([calibration, dataset.x_test]))
        self._labels = torch.from_numpy(dataset.y_test)
        self._layers: dict[tuple[object, ...], Layer] = {}
        self._dense: dict[tuple[object, ...], Tensor] = {}
        self._prefixes: OrderedDict[tuple[object, ...], Codes] = OrderedDict()
        self._cached_bytes = 0

    def correct(self, sub: SubNetwork) -> int:
        """Number of held-out images that `sub` classifies correctly."""
        logits = self.logits(sub)
        return int((logits.argmax(1) == self._labels).sum())

    @torch.inference_mode()
    def logits(self, sub: SubNetwork) -> Tensor:
        """Integer logits (as floats) of the held-out images, (m, classes)."""
        codes = self._prefix(sub, self.net.family.stages)
        bits = sub.activation_bits
        pool_step = float(self.net.log_pool_step[str(bits)].exp())
        pooled = codes.values[self.calibration :].float().mean((2, 3)) * (codes.step / pool_step)
        pooled = pooled.round_().clamp_(*code_range(bits))
        weight = self.net.classifier[:, : pooled.shape[1]]
        step = weight_step(weight, sub.weight_bits, per_channel=False)
        bias = (self.net.bias / (step * pool_step)).round()
        return F.linear(pooled, weight_codes(weight, step, sub.weight_bits), bias)

    def _prefix(self, sub: SubNetwork, stages: int) -> Codes:
        """Codes after the first `stages` stages, remembered for later sub-networks."""
        bits = (sub.weight_bits, sub.activation_bits) if stages else (sub.activation_bits,)
        shape = (sub.depths[:stages], sub.widths[:stages], sub.kernels[:stages])
        key = (sub.resolution, *bits, *shape)
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
            return self._prefixes[key]
        if not stages:
            codes = self.quantized(sub)
        else:
            codes = self._prefix(sub, stages - 1)
            for block in sub.stage(stages - 1, self.net.family.in_channels):
                codes = self.run(block, codes, sub)
        if stages < self.net.family.stages:
            self._remember(key, codes)
        return codes

    def _remember(self, key: tuple[object, ...], codes: Codes) -> None:
        self._prefixes[key] = codes
        self._cached_bytes += codes.values.numel()
        while self._cached_bytes > CACHE_BYTES and len(self._prefixes) > 1:
            _, old = self._prefixes.popitem(last=False)
            self._cached_bytes -= old.values.numel()

    def quantized(self, sub: SubNetwork) -> Codes:
        """The images at the resolution and bits of `sub`."""
        values = image_codes(self._images, sub).to(torch.uint8)
        return Codes(values, 1.0 / (2**sub.activation_bits - 1))

    @torch.inference_mode()
    def run(self, block: Block, x: Codes, sub: SubNetwork) -> Codes:
        """Codes after one block."""
        shared = self.net.stages[block.stage][block.index]
        bits = str(sub.activation_bits)
        step = float(shared.log_step[bits].exp())
        conv_step = float(shared.log_add_step[bits].exp()) if block.residual else step
        head, total = self.calibration + CHUNK_IMAGES, len(x.values)
        chunks, folded = [], None
        for start in (0, *range(head, total, CHUNK_IMAGES)):
            part = x.values[start : start + CHUNK_IMAGES if start else head]
            y = self.accumulate(block, part, sub)
            if folded is None:
                folded = self.fold(block, sub, y[: self.calibration], x.step, conv_step)
            y = y.add_(folded.bias.view(-1, 1, 1)).mul_(folded.multiplier.view(-1, 1, 1))
            chunks.append(_activate(y, part, block, sub, (x.step, conv_step, step)))
        return Codes(chunks[0] if len(chunks) == 1 else torch.cat(chunks), step)

    def accumulate(self, block: Block, codes: Tensor, sub: SubNetwork) -> Tensor:
        """Accumulators (n, K, P, P), as floats, of input codes (n, C, H, H)."""
        if codes.shape[2] ** 2 > DENSE_RATIO * block.kernel**2:
            weight, pad = self.layer(block, sub).codes, block.kernel // 2
            return F.conv2d(codes.float(), weight, stride=block.stride, padding=pad)
        key = (*_key(block), codes.shape[2], sub.weight_bits)
        if key not in self._dense:
            self._dense[key] = _dense(self.layer(block, sub).codes, codes.shape[2], block.stride)
        flat = codes.flatten(1).float() @ self._dense[key]
        return flat.view(len(codes), block.channels, block.size, block.size)

    def fold(
        self, block: Block, sub: SubNetwork, accumulators: Tensor, x_step: float, y_step: float
    ) -> Folded:
        """Folds scales and batch normalization of one convolution.

        Args:
            block: the convolution.
            sub: its sub-network.
            accumulators: (n, K, P, P) of the calibration images.
            x_step: value of an input code.
            y_step: value of an output code.
        """
        layer = self.layer(block, sub)
        mean, variance = _statistics(accumulators)
        multiplier = layer.gain / torch.sqrt(variance + EPSILON / (layer.steps * x_step) ** 2)
        # A channel without gain outputs its shift alone; keep the division below finite.
        multiplier = torch.where(multiplier.abs() < 1e-12, 1e-12, multiplier)
        bias = (layer.shift / multiplier - mean).round().clamp(-(2.0**31), 2.0**31 - 1)
        return Folded(bias, multiplier / y_step)

    @torch.inference_mode()
    def layer(self, block: Block, sub: SubNetwork) -> Layer:
        """Weights of one block at the precision of `sub`."""
        key = (*_key(block), sub.weight_bits)
        if key not in self._layers:
            shared = self.net.stages[block.stage][block.index]
            weight = shared.slice(block)
            step = weight_step(weight, sub.weight_bits)
            codes = weight_codes(weight, step, sub.weight_bits).contiguous()
            self._layers[key] = Layer(codes, step.flatten(), *shared.affine(block, sub))
        return self._layers[key]


def _key(block: Block) -> tuple[int, ...]:
    """What decides the weights of a block."""
    return (block.stage, block.index, block.in_channels, block.channels, block.kernel)


def _dense(weight: Tensor, size: int, stride: int) -> Tensor:
    """Convolution weights (K, C, R, R) as a matrix (C x size^2, K x P^2)."""
    k, c, kernel, _ = weight.shape
    out = (size - 1) // stride + 1
    tap = torch.arange(size)[:, None] - stride * torch.arange(out) + kernel // 2
    inside = (tap >= 0) & (tap < kernel)
    # (rows in, columns in, rows out, columns out); taps outside the kernel read an added zero.
    index = tap[:, None, :, None] * kernel + tap[None, :, None, :]
    index = torch.where(inside[:, None, :, None] & inside[None, :, None, :], index, kernel**2)
    padded = F.pad(weight.reshape(k * c, kernel**2), (0, 1))
    full = padded.index_select(1, index.flatten()).view(k, c, size**2, out**2)
    return full.permute(1, 2, 0, 3).reshape(c * size**2, k * out**2)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance per channel of (n, K, P, P); products with ones are the fastest sums."""
    n, k = x.shape[:2]
    flat = x.reshape(n, -1)
    ones = torch.ones(1, n)
    count = flat.numel() // k
    mean = (ones @ flat).view(k, -1).sum(1) / count
    square = (ones @ flat.square()).view(k, -1).sum(1) / count
    return mean, (square - mean.square()).clamp_min(0.0)


def _activate(
    y: Tensor, x: Tensor, block: Block, sub: SubNetwork, steps: tuple[float, float, float]
) -> Tensor:
    """Output codes of real-valued codes y; a residual block adds its input codes x first.

    Args:
        y: (n, K, P, P) convolution output in units of its code; overwritten.
        x: (n, C, H, H) input codes.
        block: the block.
        sub: its sub-network.
        steps: values of a code of x, of y and of the result.
    """
    x_step, y_step, step = steps
    if block.residual:
        y = y.round_().clamp_(*code_range(sub.activation_bits, signed=True))
        y = y.mul_(y_step / step).add_(x, alpha=x_step / step)
    return y.round_().clamp_(*code_range(sub.activation_bits)).to(torch.uint8)
