"""A deployed sub-network classifies as the accuracy oracle says it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.twins import structure
from dovetail.mappers.schedule import schedule
from dovetail.networks.elastic.data import load_dataset
from dovetail.networks.elastic.deploy import deploy, stored_images
from dovetail.networks.elastic.inference import Classifier
from dovetail.networks.elastic.training import TrainingArgs, train
from dovetail.networks.quantized import BIAS_LIMIT, Addition, Convolution
from dovetail.sim.interpreter import execute
from dovetail.sim.values_network import reference
from dovetail.verify.networks import MICRO
from tests.networks.elastic_helpers import TINY

DATA = load_dataset("digits").head(300, 60)
CHOICES = (TINY.space.cardinalities - 1, 0 * TINY.space.cardinalities)
RANDOM = TINY.space.sample(np.random.default_rng(2), 6)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(train(TINY, DATA, 0, TrainingArgs(epochs=4)), DATA)


def logits_of(classifier, sub):
    network = deploy(classifier, sub)
    images = stored_images(classifier, sub)
    return np.stack([reference(network, image)["logits"][:, 0, 0] for image in images])


@pytest.mark.parametrize("choice", [*CHOICES, *RANDOM], ids=lambda c: "".join(map(str, c)))
def test_logits_are_those_of_the_oracle(classifier, choice):
    """All but those behind a rounding tie: the oracle rounds to even, the gates round up."""
    sub = TINY.decode(choice)
    ours, theirs = logits_of(classifier, sub), classifier.logits(sub).numpy()
    assert (ours == theirs).all(axis=1).mean() >= 0.95
    right = int((ours.argmax(axis=1) == DATA.y_test).sum())
    assert abs(right - classifier.correct(sub)) <= 1


def test_a_channel_with_negative_gain_turns_its_signs(classifier):
    sub = TINY.decode(CHOICES[0])
    gains = classifier.net.stages[0][0].gains["shared"]
    before = gains.clone()
    try:
        gains[:2] = -gains[:2]
        changed = Classifier(classifier.net, DATA)
        ours, theirs = logits_of(changed, sub), changed.logits(sub).numpy()
        turned, straight = deploy(changed, sub).layers[0], deploy(classifier, sub).layers[0]
    finally:
        gains.copy_(before)
    assert (ours == theirs).all(axis=1).mean() >= 0.95
    assert (turned.weight[:2] != straight.weight[:2]).any()
    assert turned.requantization.multiplier.min() >= 0


def test_a_channel_without_gain_stays_in_range(classifier):
    sub = TINY.decode(CHOICES[0])
    gains = classifier.net.stages[0][0].gains
    before = {key: value.clone() for key, value in gains.items()}
    try:
        for value in gains.values():
            value[0] = 0.0
        first = deploy(Classifier(classifier.net, DATA), sub).layers[0]
    finally:
        for key, value in before.items():
            gains[key].copy_(value)
    assert abs(int(first.requantization.bias[0])) <= 2 * BIAS_LIMIT


def test_images_keep_their_codes(classifier):
    for choice in CHOICES:
        sub = TINY.decode(choice)
        codes = classifier.quantized(sub).values[classifier.calibration :].numpy()
        stored = stored_images(classifier, sub)
        assert stored.dtype == np.int8
        assert (stored.astype(int) + 2 ** (sub.activation_bits - 1) == codes).all()


@pytest.mark.parametrize("choice", CHOICES, ids=["largest", "smallest"])
def test_layers_are_those_of_the_graph(classifier, choice):
    """A report on the graph and a run of the gates name the same operators."""
    graph, network = TINY.network(choice), deploy(classifier, TINY.decode(choice))
    shape = structure(graph, schedule(graph))
    assert [(type(x), x.name) for x in network.layers] == [(type(x), x.name) for x in shape.layers]
    assert [t.shape for t in network.tensors] == [t.shape for t in shape.tensors]
    macs = sum(
        x.weight.size * int(np.prod(network.tensor(x.output).shape[1:]))
        for x in network.layers
        if isinstance(x, Convolution)
    )
    assert macs == graph.macs


def test_a_residual_keeps_the_ratio_of_its_scales(classifier):
    sub = TINY.decode(CHOICES[0])
    add = next(x for x in deploy(classifier, sub).layers if isinstance(x, Addition))
    shared = classifier.net.stages[0][1]
    bits = str(sub.activation_bits)
    before = float(classifier.net.stages[0][0].log_step[bits].exp())
    with torch.inference_mode():
        inner = float(shared.log_add_step[bits].exp())
    assert add.weight_a / add.weight_b == pytest.approx(inner / before, rel=1e-4)


@pytest.mark.parametrize("choice", CHOICES, ids=["largest", "smallest"])
def test_a_lowered_sub_network_gives_its_logits(classifier, choice):
    sub = TINY.decode(choice)
    network = deploy(classifier, sub)
    executable = lower(network, MICRO)
    for image in stored_images(classifier, sub)[:4]:
        memory = executable.memory(image.astype(np.int64))
        execute(executable, memory)
        logits = reference(network, image)["logits"]
        assert (executable.region("logits").unpack(memory) == logits).all()
