"""A trained network quantized layer by layer, without training again: errors on held-out images.

Weights are symmetric per output channel, inputs of layers have one step that loses least on
calibration images; a bias takes back the mean that rounding weights shifts.

References:
    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
    ICCV 2019, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dovetail.ir.operator import Operator
from dovetail.ir.space import FloatArray, IntArray
from dovetail.networks.bits.run import Compute, Values, float_layers, layer, parameters, run
from dovetail.networks.bits.train import Trained
from dovetail.networks.elastic.inference import CALIBRATION_IMAGES
from dovetail.networks.elastic.quantize import Tensor, code_range, weight_codes, weight_step
from dovetail.networks.elastic.training import threads

CLIPS = np.geomspace(0.05, 1.0, 40)
"""Largest code of an input, in units of the largest value, of which the best is taken."""


@dataclass(frozen=True)
class QuantizedInput:
    """How a layer rounds what it reads.

    Attributes:
        step: value of a code.
        low: least code.
        high: greatest code.
    """

    step: float
    low: int
    high: int

    def __call__(self, x: Tensor) -> Tensor:
        """The rounded values."""
        return (x / self.step).round_().clamp_(self.low, self.high).mul_(self.step)


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer's rounded weight and corrected bias."""

    weight: Tensor
    bias: Tensor


class Quantizer:
    """Errors of one trained network under bits of every layer, each choice measured once.

    Args:
        trained: the network; the training part of its images calibrates, the test part measures.
        bits: widths that may be asked for.
    """

    def __init__(self, trained: Trained, bits: Sequence[int]) -> None:
        network, graph = trained.network, trained.graph
        self._network = network
        # Channels innermost: convolutions of few channels run several times faster.
        self._images = inner(torch.from_numpy(trained.dataset.x_test))
        self._labels = torch.from_numpy(trained.dataset.y_test)
        self._names = {entry.name: row for row, entry in enumerate(graph.layers)}
        self._places = [row for row, op in enumerate(network.operators) if op.name in self._names]
        self._known: dict[bytes, float] = {}
        self.read = calibration(trained)
        self.inputs = [
            {b: best_input(self.read[entry.name], b) for b in bits} for entry in graph.layers
        ]
        self.layers = [
            {b: self._quantized(network.operators[place], trained.weights, b) for b in bits}
            for place in self._places
        ]

    @property
    def samples(self) -> int:
        """Held-out images that errors are measured on."""
        return len(self._labels)

    def errors(self, weight_bits: IntArray, input_bits: IntArray) -> FloatArray:
        """Share of held-out images classified wrong (n,).

        Args:
            weight_bits: (n, layers), of the widths given.
            input_bits: (n, layers).
        """
        both = np.stack([weight_bits, input_bits], axis=2).astype(np.int64)
        keys = [row.tobytes() for row in both]
        unknown = {key: row for row, key in enumerate(keys) if key not in self._known}
        rows = sorted(unknown.values(), key=lambda row: both[row].tolist())
        with threads(1):  # sums, and so ties in rounding, must not depend on the machine's load
            self._measure([both[row] for row in rows])
        return np.array([self._known[key] for key in keys])

    @torch.inference_mode()
    def _measure(self, choices: Sequence[IntArray]) -> None:
        """Measures choices (layers, 2) in order; what a choice shares with the last is kept."""
        values: Values = {self._network.inputs[0]: self._images}
        last: IntArray | None = None
        for choice in choices:
            first = 0
            if last is not None:
                first = self._places[int((choice != last).any(axis=1).argmax())]
            logits = run(self._network, values, self._compute(choice), first)
            wrong = (logits.argmax(1) != self._labels).sum()
            self._known[choice.tobytes()] = int(wrong) / self.samples
            last = choice

    def _compute(self, choice: IntArray) -> Compute:
        def compute(op: Operator, x: Tensor) -> Tensor:
            row = self._names[op.name]
            made = self.layers[row][int(choice[row, 0])]
            rounded = self.inputs[row][int(choice[row, 1])](x)
            return inner(layer(op, rounded, made.weight, made.bias))

        return compute

    def _quantized(self, op: Operator, weights: dict[str, Tensor], bits: int) -> QuantizedLayer:
        name, bias_name = parameters(self._network, op)
        weight = weights[name]
        step = weight_step(weight, bits)
        rounded = weight_codes(weight, step, bits) * step
        bias = weights[bias_name] if bias_name else torch.zeros(len(weight))
        shift = layer(op, self.read[op.name], rounded - weight, None)
        mean = shift.flatten(2).mean((0, 2)) if shift.dim() > 2 else shift.mean(0)
        return QuantizedLayer(inner(rounded), bias - mean)


def inner(x: Tensor) -> Tensor:
    """The same tensor, channels innermost in memory if it has rows and columns."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


@torch.inference_mode()
def calibration(trained: Trained) -> dict[str, Tensor]:
    """What every layer reads on calibration images, by name."""
    images = trained.dataset.x_train
    order = np.random.default_rng(0).permutation(len(images))[:CALIBRATION_IMAGES]
    read: dict[str, Tensor] = {}
    plain = float_layers(trained.network, trained.weights)

    def compute(op: Operator, x: Tensor) -> Tensor:
        read[op.name] = x
        return plain(op, x)

    chosen = torch.from_numpy(images[np.sort(order)])
    with threads(1):
        run(trained.network, {trained.network.inputs[0]: chosen}, compute)
    return read


def best_input(x: Tensor, bits: int) -> QuantizedInput:
    """The clipping of calibration values x that loses least in mean square."""
    signed = bool(x.min() < 0)
    low, high = code_range(bits, signed=signed)
    largest = max(float(x.abs().max()), 1e-8)
    options = [QuantizedInput(float(largest * clip) / high, low, high) for clip in CLIPS]
    losses = [float((option(x) - x).square().mean()) for option in options]
    return options[int(np.argmin(losses))]
