"""Perturbations measured on a trained network: mean trace of the Hessian times squared rounding.

With ReLUs, logits are piecewise linear in any one layer's weights or inputs, so that this block of
the Hessian of the cross entropy is the Gauss-Newton matrix: the mean outer product of gradients of
log-probabilities, weighted by the probabilities. Its trace is a mean of squared gradients, and
needs no labels.

References:
    Dong et al., "HAWQ-V2", NeurIPS 2020, equation 10 (mean trace x squared perturbation);
    Schraudolph, "Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent", Neural
    Computation 14(7), 2002 (Gauss-Newton); Hutchinson 1990 (random signs).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dovetail.ir.operator import Operator
from dovetail.ir.space import FloatArray
from dovetail.networks.bits.layers import Option
from dovetail.networks.bits.quantized import Quantizer
from dovetail.networks.bits.run import layer, parameters, run
from dovetail.networks.bits.train import Trained
from dovetail.networks.elastic.quantize import Tensor
from dovetail.networks.elastic.training import threads

IMAGES = 256
"""Training images that the Hessian is a mean over."""

PROBES = 32
"""Draws of random signs that keep images and classes apart in gradients of weights."""


def mean_traces(trained: Trained, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Mean diagonal of the loss's Hessian, per layer: over its weights, and over what it reads.

    Args:
        trained: the network, and the training images of which the first are taken.
        seed: of the random signs.

    Returns:
        (layers,) over weights, of the mean loss, estimated; (layers,) over inputs, of an image's
        own loss, exact.
    """
    network, weights = trained.network, trained.weights
    images = torch.from_numpy(trained.dataset.x_train[:IMAGES])
    leaves: dict[str, tuple[Tensor, Tensor]] = {}

    def compute(op: Operator, x: Tensor) -> Tensor:
        name, bias = parameters(network, op)
        weight = weights[name].detach().clone().requires_grad_(True)
        noise = torch.zeros_like(x, requires_grad=True)
        leaves[op.name] = weight, noise
        return layer(op, x + noise, weight, weights[bias] if bias else None)

    with threads(1):
        logs = run(network, {network.inputs[0]: images}, compute).log_softmax(1)
        over_weights, over_inputs = zip(
            *(leaves[e.name] for e in trained.graph.layers), strict=True
        )
        return (
            _of_weights(logs, over_weights, torch.Generator().manual_seed(seed)),
            _of_inputs(logs, over_inputs),
        )


def _of_weights(logs: Tensor, leaves: Sequence[Tensor], generator: torch.Generator) -> FloatArray:
    """Mean diagonals (layers,) over weights, from log-probabilities (n, classes)."""
    roots = logs.detach().exp().sqrt()
    total = np.zeros(len(leaves))
    for _ in range(PROBES):
        signs = torch.randint(0, 2, logs.shape, generator=generator) * 2.0 - 1.0
        found = torch.autograd.grad(logs, leaves, signs * roots, retain_graph=True)
        total += [float(g.square().mean()) for g in found]
    return total / PROBES / len(logs)


def _of_inputs(logs: Tensor, leaves: Sequence[Tensor]) -> FloatArray:
    """Mean diagonals (layers,) over inputs: an image's touch its own loss alone."""
    probabilities = logs.detach().exp()
    total = np.zeros(len(leaves))
    for place in range(logs.shape[1]):
        chosen = torch.zeros_like(probabilities)
        chosen[:, place] = probabilities[:, place].sqrt()
        found = torch.autograd.grad(logs, leaves, chosen, retain_graph=True)
        total += [float(g.square().mean()) for g in found]
    return total


def measured_perturbations(
    trained: Trained, quantizer: Quantizer, options: Sequence[Option]
) -> FloatArray:
    """Perturbation (layers, options): mean trace x squared error, of weights and of inputs."""
    over_weights, over_inputs = mean_traces(trained)
    operators = {op.name: op for op in trained.network.operators}
    table = np.zeros((len(trained.graph), len(options)))
    for row, entry in enumerate(trained.graph.layers):
        weight = trained.weights[parameters(trained.network, operators[entry.name])[0]]
        x = quantizer.read[entry.name]
        for place, (weight_bits, input_bits) in enumerate(options):
            error = quantizer.layers[row][weight_bits].weight - weight
            noise = quantizer.inputs[row][input_bits](x) - x
            table[row, place] = over_weights[row] * float(error.square().sum())
            table[row, place] += over_inputs[row] * float(noise.square().sum()) / len(x)
    return table
