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
from dovetail.networks.elastic.supernet import EPSILON, SharedBlock, Supernet, resize

CALIBRATION_IMAGES = 256
"""Training images that set the statistics of batch normalization."""

CHUNK_IMAGES = 512
"""Images per convolution call: bounds the memory on large data sets."""

CACHE_BYTES = 256 * 2**20
"""Room for codes after shared stages, so that sub-networks with a common prefix share its cost."""


@dataclass(frozen=True, slots=True)
class Folded:
    """One convolution ready for integer inference.

    Attributes:
        weight: codes, (K, C, R, S).
        bias: integers in units of the accumulator, (K,).
        multiplier: accumulator to output code, (K,).
    """

    weight: Tensor
    bias: Tensor
    multiplier: Tensor


@dataclass(frozen=True, slots=True)
class Codes:
    """Activations of calibration and test images: codes times one step.

    Attributes:
        calibration: (n, C, H, H) codes as uint8.
        test: (m, C, H, H) codes as uint8.
        step: value of one code.
    """

    calibration: Tensor
    test: Tensor
    step: float

    @property
    def size_bytes(self) -> int:
        """Bytes of both."""
        return int(self.calibration.numel() + self.test.numel())


class Classifier:
    """Evaluates sub-networks of one supernet on the held-out images of one data set.

    Args:
        net: trained supernet; its weights must not change afterwards.
        dataset: gives calibration images (training part) and test images.
    """

    def __init__(self, net: Supernet, dataset: Dataset) -> None:
        self.net = net
        order = np.random.default_rng(0).permutation(len(dataset.x_train))[:CALIBRATION_IMAGES]
        self._calibration = torch.from_numpy(dataset.x_train[np.sort(order)])
        self._test = torch.from_numpy(dataset.x_test)
        self._labels = torch.from_numpy(dataset.y_test)
        self._weights: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}
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
        pooled = codes.test.float().mean((2, 3)) * (codes.step / pool_step)
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
            codes = self._images(sub)
        else:
            codes = self._prefix(sub, stages - 1)
            for block in sub.stage(stages - 1, self.net.family.in_channels):
                codes = self.run(block, codes, sub)
        if stages < self.net.family.stages:
            self._remember(key, codes)
        return codes

    def _remember(self, key: tuple[object, ...], codes: Codes) -> None:
        self._prefixes[key] = codes
        self._cached_bytes += codes.size_bytes
        while self._cached_bytes > CACHE_BYTES and len(self._prefixes) > 1:
            _, old = self._prefixes.popitem(last=False)
            self._cached_bytes -= old.size_bytes

    def _images(self, sub: SubNetwork) -> Codes:
        """The images at the resolution and bits of `sub`."""
        levels = 2**sub.activation_bits - 1
        calibration, test = (
            (resize(images, sub.resolution) * levels).round().to(torch.uint8)
            for images in (self._calibration, self._test)
        )
        return Codes(calibration, test, 1.0 / levels)

    @torch.inference_mode()
    def run(self, block: Block, x: Codes, sub: SubNetwork) -> Codes:
        """Codes after one block."""
        shared = self.net.stages[block.stage][block.index]
        bits = str(sub.activation_bits)
        step = float(shared.log_step[bits].exp())
        conv_step = float(shared.log_add_step[bits].exp()) if block.residual else step
        accumulators = _convolve(x.calibration, self._codes(block, sub)[0], block)
        folded = self.fold(block, sub, accumulators, x.step, conv_step)
        scale = folded.multiplier.view(-1, 1, 1)
        y = accumulators.add_(folded.bias.view(-1, 1, 1)).mul_(scale)
        calibration = _activate(y, x.calibration, block, sub, (x.step, conv_step, step))
        weight, bias = folded.weight * scale[..., None], folded.bias * folded.multiplier
        chunks = []
        for chunk in x.test.split(CHUNK_IMAGES):
            y = _convolve(chunk, weight, block, bias)
            chunks.append(_activate(y, chunk, block, sub, (x.step, conv_step, step)))
        test = chunks[0] if len(chunks) == 1 else torch.cat(chunks)
        return Codes(calibration, test, step)

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
        shared = self.net.stages[block.stage][block.index]
        weight, weight_steps = self._codes(block, sub)
        unit = weight_steps.flatten() * x_step
        variance, mean = torch.var_mean(accumulators, (0, 2, 3), correction=0)
        n = block.channels
        multiplier = shared.gain[:n] / torch.sqrt(variance + EPSILON / unit**2)
        # A channel without gain outputs its shift alone; keep the division below finite.
        multiplier = torch.where(multiplier.abs() < 1e-12, 1e-12, multiplier)
        bias = (shared.shift[:n] / multiplier - mean).round().clamp(-(2.0**31), 2.0**31 - 1)
        return Folded(weight, bias, multiplier / y_step)

    def _codes(self, block: Block, sub: SubNetwork) -> tuple[Tensor, Tensor]:
        """Weight codes and steps of one block."""
        key = (block.stage, block.index, block.in_channels, block.channels, block.kernel)
        if (*key, sub.weight_bits) not in self._weights:
            shared: SharedBlock = self.net.stages[block.stage][block.index]
            weight = shared.slice(block)
            step = weight_step(weight, sub.weight_bits)
            codes = weight_codes(weight, step, sub.weight_bits)
            self._weights[(*key, sub.weight_bits)] = (codes, step)
        return self._weights[(*key, sub.weight_bits)]


def _convolve(codes: Tensor, weight: Tensor, block: Block, bias: Tensor | None = None) -> Tensor:
    pad = block.kernel // 2
    return F.conv2d(codes.float(), weight, bias, stride=block.stride, padding=pad)


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
