"""How much a layer's bits perturb the loss: mean Hessian trace times squared quantization error.

Traces are measured (`dovetail.networks.bits.hessian`) or given. Where a network has no weights, as
those of the zoo, a proxy stands in: weights drawn from a normal distribution of He's variance,
inputs of unit power, and the same curvature of the loss at every output.

References:
    Dong et al., "HAWQ-V2", NeurIPS 2020, equation 10 (mean trace x squared perturbation).
    Max, "Quantizing for minimum distortion", IRE Trans. Information Theory 6(1), 1960 (normally
    distributed values).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import inf

import numpy as np

from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray
from dovetail.networks.bits.layers import LayerGraph, Option
from dovetail.networks.elastic.quantize import step_per_mean


@cache
def normal_distortion(bits: int) -> float:
    """Mean squared error of normally distributed values of variance 1 in 2^bits - 1 even steps."""
    x = np.linspace(-8.0, 8.0, 16001)
    density = np.exp(-(x**2) / 2.0)
    limit = 2 ** (bits - 1) - 1
    step = step_per_mean(bits) * np.sqrt(2.0 / np.pi)
    error = np.clip(np.round(x / step), -limit, limit) * step - x
    return float((error**2 * density).sum() / density.sum())


def proxy(graph: LayerGraph) -> FloatArray:
    """Loss (layers,) of a relative error of 1 in a layer's products, the layers' sum being 1.

    A share of every output's power is noise, whatever the layer: with equal curvature a layer
    counts as its outputs do.
    """
    outputs = np.array([layer.macs / layer.fan_in for layer in graph.layers])
    share: FloatArray = outputs / outputs.sum()
    return share


def perturbations(weights: FloatArray, inputs: FloatArray, options: Sequence[Option]) -> FloatArray:
    """Perturbation (layers, options) where errors are those of normally distributed values.

    Args:
        weights: loss (layers,) per relative squared error of the weights.
        inputs: the same for what the layer reads.
        options: bits of weights and inputs.
    """
    distortion = np.array([[normal_distortion(bits) for bits in option] for option in options])
    total: FloatArray = weights[:, None] * distortion[:, 0] + inputs[:, None] * distortion[:, 1]
    return total


def given(graph: LayerGraph, values: object) -> FloatArray:
    """Sensitivities (layers,) that a user gives by layer name.

    Args:
        graph: the layers.
        values: loss per relative squared error of a layer's weights or inputs, >= 0, by name.

    Raises:
        ProblemError: if they are no numbers by name, or a layer has none.
    """
    names = [layer.name for layer in graph.layers]
    if not isinstance(values, Mapping) or set(values) != set(names):
        found = set(values) if isinstance(values, Mapping) else set()
        other = sorted(set(names) ^ found)[0]
        raise ProblemError(
            f"sensitivities: must be a number for each of the {len(names)} layers of "
            f"'{graph.network}', by name; '{other}' is {'missing' if other in names else 'none'}"
        )
    for name in names:
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
            raise ProblemError(f"sensitivity of '{name}' = {value!r}: must be a number >= 0")
    return np.array([float(values[name]) for name in names])
