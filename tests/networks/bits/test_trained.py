"""Training, quantization layer by layer, and the traces of the Hessian, on digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dovetail.errors import NetworkError, ProblemError
from dovetail.networks.bits.digits import digits_cnn
from dovetail.networks.bits.hessian import mean_traces, measured_perturbations
from dovetail.networks.bits.layers import layer_graph
from dovetail.networks.bits.quantized import Quantizer, best_input
from dovetail.networks.bits.run import float_layers, initial_weights, layer, parameters, run
from dovetail.networks.bits.train import Recipe, Trained, train_or_load
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.elastic.data import load_dataset

RECIPE = Recipe(epochs=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    made = train_or_load(digits_cnn(), load_dataset("digits"), RECIPE, folder)
    again = train_or_load(digits_cnn(), load_dataset("digits"), RECIPE, folder)
    assert all(torch.equal(made.weights[name], w) for name, w in again.weights.items())
    assert len(list(folder.iterdir())) == 1
    return made


@pytest.fixture(scope="module")
def quantizer(trained):
    return Quantizer(trained, (2, 4, 8))


def test_broken_caches_are_replaced(tmp_path):
    data = load_dataset("digits").head(64, 64)
    recipe = Recipe(epochs=1)
    first = train_or_load(digits_cnn(), data, recipe, tmp_path)
    (file,) = tmp_path.iterdir()
    for content in (b"PK\x03\x04 torn",):
        file.write_bytes(content)
        again = train_or_load(digits_cnn(), data, recipe, tmp_path)
        assert all(torch.equal(first.weights[name], w) for name, w in again.weights.items())
    np.savez(file, other=np.zeros(3, dtype=np.float32))
    assert set(train_or_load(digits_cnn(), data, recipe, tmp_path).weights) == set(first.weights)
    with pytest.raises(ProblemError, match="epochs"):
        Recipe(epochs=0)


def test_fewer_bits_lose_images_and_eight_lose_hardly_any(trained, quantizer):
    images, labels = trained.dataset.x_test, trained.dataset.y_test
    values = {"image": torch.from_numpy(images)}
    logits = run(trained.network, values, float_layers(trained.network, trained.weights))
    plain = float((logits.argmax(1).numpy() != labels).mean())
    widths = np.repeat([[8], [4], [2]], len(trained.graph), axis=1)
    errors = quantizer.errors(widths, widths)
    assert plain < 0.2
    assert abs(errors[0] - plain) < 0.02
    assert errors[2] > errors[0] + 0.1
    assert errors[1] < errors[2]


def test_errors_do_not_depend_on_what_was_asked_before(trained, quantizer):
    rng = np.random.default_rng(0)
    weights, inputs = rng.choice([2, 4, 8], size=(2, 12, len(trained.graph)))
    together = quantizer.errors(weights, inputs)
    fresh = Quantizer(trained, (2, 4, 8))
    alone = [fresh.errors(weights[[k]], inputs[[k]])[0] for k in reversed(range(12))]
    assert together.tolist() == alone[::-1]
    assert len(set(alone)) > 3


def test_rounded_layers_have_few_values_and_keep_their_mean(trained, quantizer):
    row, op = 1, trained.network.operators[2]
    assert op.name == trained.graph.layers[row].name
    made = quantizer.layers[row][2]
    for channel in made.weight.flatten(1):
        assert len(channel.unique()) <= 3
    name, bias = parameters(trained.network, op)
    x = quantizer.read[op.name]
    before = layer(op, x, trained.weights[name], trained.weights[bias])
    after = layer(op, x, made.weight, made.bias)
    assert torch.allclose(before.mean((0, 2, 3)), after.mean((0, 2, 3)), atol=1e-4)


def test_inputs_take_the_step_that_loses_least():
    x = torch.from_numpy(np.random.default_rng(0).exponential(size=4000).astype(np.float32))
    best = best_input(x, 2)
    assert (best.low, best.high) == (0, 3)
    loss = (best(x) - x).square().mean()
    assert loss < (x - (x / x.max() * 3).round() * x.max() / 3).square().mean()
    assert best_input(-x, 4).low == -8


def tiny() -> Trained:
    """Two layers with a ReLU between on 40 images of the digits."""
    net = NetworkBuilder("tiny")
    x = net.input("image", (1, 1, 8, 8))
    x = net.activation(net.conv2d(x, 2, 8, bias=True, name="first"), "relu")
    network = net.build([net.linear(net.flatten(x), 10, name="second")])
    data = load_dataset("digits").head(40, 40)
    return Trained(network, layer_graph(network), initial_weights(network, 0), data)


def test_traces_are_those_of_the_whole_hessian():
    made = tiny()
    images, labels = (torch.from_numpy(a) for a in (made.dataset.x_train, made.dataset.y_train))
    exact = []
    for entry in made.graph.layers:
        name = f"{entry.name}.weight"

        def loss(weight, name=name):
            logits = run(
                made.network, {"image": images},
                float_layers(made.network, {**made.weights, name: weight}),
            )  # fmt: skip
            return torch.nn.functional.cross_entropy(logits, labels)

        weight = made.weights[name]
        hessian = torch.autograd.functional.hessian(loss, weight).reshape(weight.numel(), -1)
        exact.append(float(hessian.diagonal().mean()))
    over_weights, over_inputs = mean_traces(made)
    # 32 draws of signs estimate within some percent.
    assert over_weights == pytest.approx(exact, rel=0.15)

    rows = [
        torch.autograd.functional.hessian(
            lambda x, k=k: torch.nn.functional.cross_entropy(
                run(made.network, {"image": x[None]}, float_layers(made.network, made.weights)),
                labels[k : k + 1],
            ),
            images[k],
        )
        .reshape(64, 64)
        .diagonal()
        .mean()
        for k in range(len(images))
    ]
    assert over_inputs[0] == pytest.approx(float(torch.stack(rows).mean()), rel=1e-4)


def test_perturbations_shrink_with_bits_and_foresee_errors(trained, quantizer):
    options = [(w, a) for w in (2, 4, 8) for a in (2, 4, 8)]
    table = measured_perturbations(trained, quantizer, options).reshape(-1, 3, 3)
    assert (np.diff(table, axis=1) <= 0).all()
    assert (np.diff(table, axis=2) <= 0).all()
    places = np.random.default_rng(1).integers(0, 3, size=(2, 40, len(trained.graph)))
    errors = quantizer.errors(*np.array([2, 4, 8])[places])
    predicted = table[np.arange(len(table)), places[0], places[1]].sum(axis=1)
    ranks = [np.argsort(np.argsort(values)) for values in (predicted, errors)]
    assert np.corrcoef(ranks)[0, 1] > 0.4


def test_other_operators_are_refused():
    net = NetworkBuilder("other")
    x = net.input("x", (1, 2, 4, 4))
    network = net.build([net.pool(net.conv2d(x, 2, 1), "maxpool", 2)])
    with pytest.raises(NetworkError, match="maxpool"):
        run(
            network,
            {"x": torch.zeros(1, 2, 4, 4)},
            float_layers(network, initial_weights(network, 0)),
        )
