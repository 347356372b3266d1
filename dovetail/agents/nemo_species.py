"""Kinds of genomes that name a design: its values, a policy over the layer graph, distributions.

All genomes of a species are rows of one array, bred and read for the whole species at once.

References:
    Khadka et al., "Optimizing Memory Placement using Evolutionary Graph Reinforcement Learning",
    ICLR 2021 (graph policies and Boltzmann chromosomes in one population).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dovetail.agents.variation import Variation
from dovetail.ir.space import FloatArray, IntArray, Space
from dovetail.networks.bits.layers import LayerGraph

Genomes = NDArray[Any]
"""One row per individual."""

PRIOR = 3.0
"""Logit of a seed's value over the others' 0."""

COLD = -4.0
"""Logarithm of a temperature at which a distribution is its seed."""


class Species(Protocol):
    """A kind of genome."""

    def initial(self, rng: np.random.Generator, count: int) -> Genomes:
        """Random genomes (count, genes)."""

    def children(self, rng: np.random.Generator, a: Genomes, b: Genomes) -> Genomes:
        """Children (n, genes) of pairs of parents (n, genes)."""

    def designs(self, rng: np.random.Generator, genomes: Genomes) -> IntArray:
        """Designs (n, knobs) that genomes (n, genes) name; drawn, where they are distributions."""


class Direct:
    """Genomes are designs.

    Args:
        variation: of designs.
    """

    def __init__(self, variation: Variation) -> None:
        self._variation = variation

    def initial(self, rng: np.random.Generator, count: int) -> Genomes:
        """Uniform designs."""
        return self._variation.space.sample(rng, count)

    def children(self, rng: np.random.Generator, a: Genomes, b: Genomes) -> Genomes:
        """Uniform crossover, then steps of a few knobs."""
        return self._variation.children(rng, a, b)

    def designs(self, rng: np.random.Generator, genomes: Genomes) -> IntArray:
        """The genomes themselves."""
        return genomes


class GraphPolicy:
    """Genomes are the weights of a message-passing network that reads the layer graph.

    Every node's state becomes tanh(own W + mean of the neighbours' V + b), `messages` times; a
    linear head scores the values of the node's knobs, of which the best are taken.

    Args:
        features: (layers, features), standardised.
        edges: (edges, 2) layers.
        space: knobs of layer after layer, equally many each, with equally many values.
        hidden: width of states.
        messages: rounds; 0 leaves the graph out.
        noise: deviation of a mutation, in units of a weight's first deviation.
        mutated: share of a genome's weights that mutate.
    """

    def __init__(
        self, features: FloatArray, edges: IntArray, space: Space, *, hidden: int, messages: int,
        noise: float, mutated: float,
    ) -> None:  # fmt: skip
        layers, width = features.shape
        self._features = np.concatenate([features, np.ones((layers, 1))], axis=1)
        self._mean = neighbour_means(layers, edges)
        self._values = int(space.cardinalities[0])
        heads = len(space.knobs) // layers * self._values
        rounds = [(hidden, hidden), (hidden, hidden), (1, hidden)] * messages
        self._shapes = [(width + 1, hidden), *rounds, (hidden + 1, heads)]
        self._scale = np.concatenate([np.full(a * b, a**-0.5) for a, b in self._shapes])
        self._noise, self._mutated = noise, mutated

    def initial(self, rng: np.random.Generator, count: int) -> Genomes:
        """Normal weights whose sums have deviation 1."""
        return rng.normal(size=(count, len(self._scale))) * self._scale

    def children(self, rng: np.random.Generator, a: Genomes, b: Genomes) -> Genomes:
        """Uniform crossover of half the pairs, Gaussian noise on some weights."""
        mixed = (rng.random((len(a), 1)) < 0.5) & (rng.random(a.shape) < 0.5)
        noise = rng.normal(size=a.shape) * self._scale * self._noise
        return np.where(mixed, b, a) + noise * (rng.random(a.shape) < self._mutated)

    def designs(self, rng: np.random.Generator, genomes: Genomes) -> IntArray:
        """The values of highest score."""
        scores = self.scores(genomes)
        return scores.argmax(axis=2).astype(np.int64)

    def scores(self, genomes: Genomes) -> FloatArray:
        """Scores (n, knobs, values) of genomes (n, genes)."""
        parts = self._split(genomes)
        state = np.tanh(np.matmul(self._features[None], parts[0]))
        for own, others, bias in zip(parts[1:-1:3], parts[2:-1:3], parts[3:-1:3], strict=True):
            heard = np.matmul(self._mean[None], state)
            state = np.tanh(np.matmul(state, own) + np.matmul(heard, others) + bias)
        ones = np.ones((*state.shape[:2], 1))
        scores = np.matmul(np.concatenate([state, ones], axis=2), parts[-1])
        return scores.reshape(len(genomes), -1, self._values)

    def _split(self, genomes: Genomes) -> list[FloatArray]:
        """Matrices (n, rows, columns) of genomes (n, genes)."""
        ends = np.cumsum([a * b for a, b in self._shapes])
        parts = np.split(genomes, ends[:-1], axis=1)
        return [p.reshape(-1, *shape) for p, shape in zip(parts, self._shapes, strict=True)]


class Boltzmann:
    """Genomes are logits of every knob's values and the logarithm of every knob's temperature.

    Args:
        space: whose knobs have equally many values.
        seeds: (k, knobs) designs that the first genomes are drawn around, and those of later
            generations that are still to come; uniform logits if none.
        fresh: share of children that are such newcomers while seeds last.
        noise: deviation of a mutated logit.
        mutated: share of knobs that mutate.
    """

    def __init__(
        self, space: Space, seeds: IntArray, *, fresh: float, noise: float, mutated: float
    ) -> None:
        self._knobs, self._values = len(space.knobs), int(space.cardinalities[0])
        self._seeds, self._noise, self._mutated = seeds, noise, mutated
        self._fresh, self._used = fresh, 0

    def initial(self, rng: np.random.Generator, count: int) -> Genomes:
        """Sharp distributions around seeds, then wider ones around them in turn."""
        sharp = self._newcomers(count)
        logits = np.zeros((count - len(sharp), self._knobs, self._values))
        heat = rng.uniform(-1.0, 1.0, (len(logits), self._knobs))
        if len(self._seeds):
            around = self._seeds[np.arange(len(logits)) % len(self._seeds)]
            logits = self._logits(around)
        return np.concatenate([sharp, self._joined(logits, heat)])

    def _newcomers(self, most: int) -> Genomes:
        """Sharp genomes (k <= most, genes) of the next seeds."""
        seeds = self._seeds[self._used : self._used + most]
        self._used += len(seeds)
        heat = np.full((len(seeds), self._knobs), COLD)
        return self._joined(self._logits(seeds), heat)

    def _logits(self, seeds: IntArray) -> FloatArray:
        """Logits (n, knobs, values) around designs (n, knobs)."""
        return np.where(seeds[:, :, None] == np.arange(self._values), PRIOR, 0.0)

    def children(self, rng: np.random.Generator, a: Genomes, b: Genomes) -> Genomes:
        """Newcomers; then knob-wise crossover, noise on some logits and all temperatures."""
        shape = (len(a), self._knobs)
        mixed = (rng.random((len(a), 1)) < 0.5) & (rng.random(shape) < 0.5)
        first, second = self._split(a), self._split(b)
        logits = np.where(mixed[:, :, None], second[0], first[0])
        heat = np.where(mixed, second[1], first[1]) + rng.normal(0.0, 0.2, shape)
        moved = rng.random(shape) < self._mutated
        logits = logits + rng.normal(0.0, self._noise, logits.shape) * moved[:, :, None]
        heat = np.clip(heat, -2.0, 1.0)
        children = self._joined(logits, heat)
        sharp = self._newcomers(round(self._fresh * len(a)))
        children[: len(sharp)] = sharp
        return children

    def designs(self, rng: np.random.Generator, genomes: Genomes) -> IntArray:
        """A draw from each genome's distributions."""
        logits, heat = self._split(genomes)
        noisy = logits / np.exp(heat)[:, :, None] + rng.gumbel(size=logits.shape)
        return noisy.argmax(axis=2).astype(np.int64)

    def _joined(self, logits: FloatArray, heat: FloatArray) -> Genomes:
        """Genomes (n, genes) of what `_split` returns."""
        flat = logits.reshape(len(logits), self._knobs * self._values)
        return np.concatenate([flat, heat], axis=1)

    def _split(self, genomes: Genomes) -> tuple[FloatArray, FloatArray]:
        """Logits (n, knobs, values) and temperatures' logarithms (n, knobs)."""
        cut = self._knobs * self._values
        return genomes[:, :cut].reshape(len(genomes), self._knobs, -1), genomes[:, cut:]


def neighbour_means(layers: int, edges: IntArray) -> FloatArray:
    """Matrix (layers, layers) that averages over the layers before and behind each."""
    joined = np.zeros((layers, layers))
    joined[edges[:, 0], edges[:, 1]] = joined[edges[:, 1], edges[:, 0]] = 1.0
    means: FloatArray = joined / np.maximum(joined.sum(axis=1, keepdims=True), 1.0)
    return means


def node_features(graph: LayerGraph, sensitivity: FloatArray) -> FloatArray:
    """Features (layers, 9), of mean 0 and deviation 1 over the layers.

    Logarithms of MACs, weights, taps, stride, channels and sensitivity; place in the network;
    whether each channel is convolved alone, and whether it is a linear layer.
    """
    layers = graph.layers
    columns = [
        np.log(graph.macs),
        np.log1p(graph.parameters),
        np.log([layer.kernel for layer in layers]),
        np.log([layer.stride for layer in layers]),
        np.log([layer.outputs for layer in layers]),
        np.log(np.maximum(sensitivity, 1e-12)),
        np.arange(len(layers)) / len(layers),
        np.array([layer.fan_in == layer.kernel for layer in layers], dtype=np.float64),
        np.array([layer.kind == "matmul" for layer in layers], dtype=np.float64),
    ]
    features = np.stack(columns, axis=1)
    deviation = features.std(axis=0)
    found: FloatArray = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return found
