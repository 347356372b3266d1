"""Sub-networks as integers that gates run: the numbers of `inference.Classifier`, fixed.

Its codes 0 to 2^b - 1 are stored with zero point -2^(b-1). Its multipliers are 32-bit floats, whose
24 significant bits a 26-bit multiplier holds exactly; a negative one turns the signs of weights and
bias. What remains different is the rounding of ties (to even there, up here), of products (to 24
bits there, exact here), and the ratio of a residual's two scales (16-bit weights here).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dovetail.networks.dyadic import dyadic, pair
from dovetail.networks.elastic.inference import Classifier, Codes, Folded
from dovetail.networks.elastic.quantize import code_range, weight_codes, weight_step
from dovetail.networks.elastic.subnetwork import Block, SubNetwork
from dovetail.networks.elastic.training import threads
from dovetail.networks.operators import Window
from dovetail.networks.quantized import (
    BIAS_LIMIT,
    MULTIPLIER_BITS,
    Activation,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)

Integers = NDArray[np.int64]


def deploy(classifier: Classifier, sub: SubNetwork) -> QuantizedNetwork:
    """The integers with which `classifier` evaluates `sub`.

    Args:
        classifier: holds supernet and calibration images.
        sub: one of the supernet's sub-networks.

    Returns:
        From a stored image (`stored_images`) to wide logits (classes, 1, 1).
    """
    # One thread: the same sums, and so the same statistics, as when accuracy is measured.
    with torch.inference_mode(), threads(1):
        return _Deployment(classifier, sub).run()


def stored_images(classifier: Classifier, sub: SubNetwork) -> NDArray[np.int8]:
    """Held-out images as `deploy(classifier, sub)` reads them, (m, C, H, H)."""
    codes = classifier.quantized(sub).values[classifier.calibration :].numpy()
    return (codes.astype(np.int64) + zero_point(sub)).astype(np.int8)


def zero_point(sub: SubNetwork) -> int:
    """Stored value of activation code 0."""
    return -(2 ** (sub.activation_bits - 1))


class _Deployment:
    """Walks through a sub-network with the calibration images."""

    def __init__(self, classifier: Classifier, sub: SubNetwork) -> None:
        self.classifier = classifier
        self.sub = sub
        self.zero = zero_point(sub)
        self.tensors: list[Activation] = []
        self.layers: list[Layer] = []

    def run(self) -> QuantizedNetwork:
        sub, net = self.sub, self.classifier.net
        codes = self.classifier.quantized(sub)
        codes = Codes(codes.values[: self.classifier.calibration], codes.step)
        channels = net.family.in_channels
        name = self.keep("image", channels, sub.resolution)
        for stage in range(net.family.stages):
            for block in sub.stage(stage, channels):
                name, codes = self.block(block, name, codes)
        self.head(name, codes)
        return QuantizedNetwork(
            f"elastic-{sub.resolution}", tuple(self.tensors), tuple(self.layers), "image",
            "logits", sub.activation_bits, sub.weight_bits,
        )  # fmt: skip

    def keep(
        self, name: str, channels: int, size: int, *, signed: bool = False, wide: bool = False
    ) -> str:
        zero = 0 if signed or wide else self.zero
        self.tensors.append(Activation(name, channels, size, size, zero, wide))
        return name

    def block(self, block: Block, x: str, codes: Codes) -> tuple[str, Codes]:
        """Appends a block; returns its output and the codes of the calibration images."""
        shared = self.classifier.net.stages[block.stage][block.index]
        bits = str(self.sub.activation_bits)
        step = float(shared.log_step[bits].exp())
        conv_step = float(shared.log_add_step[bits].exp()) if block.residual else step
        sums = self.classifier.accumulate(block, codes.values, self.sub)
        folded = self.classifier.fold(block, self.sub, sums, codes.step, conv_step)
        out = self.keep(f"{block.name}.out", block.channels, block.size)
        if block.residual:
            inner = self.keep(f"{block.name}.conv.out", block.channels, block.size, signed=True)
            self.convolution(block, x, inner, folded)
            self.addition(block, inner, x, out, (conv_step / step, codes.step / step))
        else:
            self.convolution(block, x, out, folded)
        return out, self.classifier.run(block, codes, self.sub)

    def convolution(self, block: Block, x: str, out: str, folded: Folded) -> None:
        weight = _integers(self.classifier.layer(block, self.sub).codes)
        sign = np.where(_floats(folded.multiplier) < 0, -1, 1)
        weight = weight * sign[:, None, None, None]
        # Only channels without gain come near the limit.
        bias = np.clip(_integers(folded.bias), -BIAS_LIMIT, BIAS_LIMIT) * sign
        k, pad = block.kernel, block.kernel // 2
        self.layers.append(
            Convolution(
                f"{block.name}.conv", x, out, weight,
                Window((k, k), (block.stride, block.stride), (pad, pad, pad, pad)), 1,
                self.requantization(
                    bias - self.zero * weight.sum((1, 2, 3)),
                    np.abs(_floats(folded.multiplier)),
                    signed=block.residual,
                ),
            )
        )  # fmt: skip

    def addition(
        self, block: Block, inner: str, x: str, out: str, scales: tuple[float, float]
    ) -> None:
        a, b, unit = pair(*scales)
        bias, scale = np.full(block.channels, -b * self.zero), np.full(block.channels, unit)
        self.layers.append(
            Addition(f"{block.name}.add", inner, x, out, a, b, self.requantization(bias, scale))
        )

    def head(self, x: str, codes: Codes) -> None:
        """Pooling and classifier."""
        net, bits = self.classifier.net, self.sub.activation_bits
        _, channels, size, _ = codes.values.shape
        pool_step = float(net.log_pool_step[str(bits)].exp())
        mean = np.full(channels, codes.step / pool_step / size**2)
        bias = np.full(channels, -self.zero * size**2)
        pooled = self.keep("pool.out", channels, 1)
        self.layers.append(
            Pooling("pool", x, pooled, "sum", Window((size, size)), self.requantization(bias, mean))
        )
        real = net.classifier[:, :channels]
        step = weight_step(real, self.sub.weight_bits, per_channel=False)
        weight = _integers(weight_codes(real, step, self.sub.weight_bits))[:, :, None, None]
        offset = _integers((net.bias / (step * pool_step)).round())
        requantization = Requantization.wide_of(offset - self.zero * weight.sum((1, 2, 3)))
        logits = self.keep("logits", len(weight), 1, wide=True)
        self.layers.append(
            Convolution("classifier", pooled, logits, weight, Window((1, 1)), 1, requantization)
        )

    def requantization(
        self, bias: Integers, scales: NDArray[np.float64], *, signed: bool = False
    ) -> Requantization:
        pairs = np.array([dyadic(scale, MULTIPLIER_BITS) for scale in scales], dtype=np.int64)
        low, high = code_range(self.sub.activation_bits, signed=True)
        zero = 0 if signed else self.zero
        return Requantization(bias, pairs[:, 0], pairs[:, 1], zero, low, high)


def _integers(values: Any) -> Integers:
    return np.asarray(values.numpy(), dtype=np.float64).astype(np.int64)


def _floats(values: Any) -> NDArray[np.float64]:
    return np.asarray(values.numpy(), dtype=np.float64)
