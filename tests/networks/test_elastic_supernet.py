from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.nn.functional import conv2d

from dovetail.errors import ProblemError
from dovetail.networks.elastic.data import load_dataset
from dovetail.networks.elastic.inference import Classifier
from dovetail.networks.elastic.quantize import (
    fake_activation,
    fake_weight,
    step_per_mean,
    weight_codes,
    weight_step,
)
from dovetail.networks.elastic.supernet import Supernet, image_codes
from dovetail.networks.elastic.training import TrainingArgs, shifted, train
from tests.networks.elastic_helpers import TINY, convolve, integer_block

DATA = load_dataset("digits").head(300, 100)


@pytest.fixture(scope="module")
def net():
    return train(TINY, DATA, 0, TrainingArgs(epochs=2))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_step_is_the_best_for_normal_weights(bits):
    limit = 2 ** (bits - 1) - 1

    def loss(step):
        edges = [(i + 0.5) * step for i in range(limit)]
        ends = zip([0.0, *edges], [*edges, 9.0], range(limit + 1), strict=True)
        parts = (
            quad(lambda x, c=code: (x - c * step) ** 2 * norm.pdf(x), low, high, limit=20)[0]
            for low, high, code in ends
        )
        return sum(parts)

    best = step_per_mean(bits) * np.sqrt(2.0 / np.pi)
    assert loss(best) <= min(loss(best * 1.05), loss(best / 1.05))


def test_the_ternary_step_is_the_published_one():
    # Max 1960, table II: the uniform quantizer of 3 levels has step 1.2240 standard deviations.
    assert step_per_mean(2) * np.sqrt(2.0 / np.pi) == pytest.approx(1.2240, rel=5e-3)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_fake_weights_are_codes_times_steps_and_pass_gradients(bits):
    weight = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(bits))
    weight.requires_grad_(True)
    step = weight_step(weight, bits)
    codes = weight_codes(weight.detach(), step, bits)
    fake = fake_weight(weight, bits)
    assert codes.abs().max() <= 2 ** (bits - 1) - 1
    assert torch.equal(codes, codes.round())
    assert torch.allclose(fake, codes * step, atol=1e-6)
    fake.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_activations_clip_and_their_step_learns():
    step = torch.tensor(0.5, requires_grad=True)
    x = torch.tensor([-1.0, 0.6, 1.1, 99.0], requires_grad=True)
    y = fake_activation(x, step, 2)
    assert y.tolist() == [0.0, 0.5, 1.0, 1.5]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    # Learned step size quantization: round(x/s) - x/s inside, the limit outside.
    assert step.grad.item() == pytest.approx(0.0 + (1 - 1.2) + (2 - 2.2) + 3)


def test_the_first_convolution_equals_its_integer_recomputation(net):
    """The training forward and numpy integers agree to float rounding."""
    images = torch.from_numpy(DATA.x_test)
    for choice in TINY.space.sample(np.random.default_rng(3), 12):
        sub = TINY.decode(choice)
        block = sub.stage(0, 1)[0]
        levels = 2**sub.activation_bits - 1
        codes = image_codes(images, sub)
        with torch.no_grad():
            weight = net.stages[0][0].slice(block)
            step = weight_step(weight, sub.weight_bits).numpy()
            integers = np.round(weight.numpy() / step).astype(np.int64)
            limit = 2 ** (sub.weight_bits - 1) - 1
            integers = np.clip(integers, -limit, limit)
            fake = fake_weight(weight, sub.weight_bits)
            real = conv2d(codes / levels, fake, padding=block.kernel // 2).numpy()
        exact = convolve(codes.numpy().astype(np.int64), integers, 1) * (
            step.reshape(-1, 1, 1) / levels
        )
        assert np.allclose(real, exact, atol=2e-6, rtol=1e-5)


def test_every_block_of_the_evaluation_equals_numpy_integers(net):
    classifier = Classifier(net, DATA.head(80, 60))
    for choice in TINY.space.sample(np.random.default_rng(4), 6):
        sub = TINY.decode(choice)
        bits = sub.activation_bits
        x = classifier.quantized(sub)
        for stage in range(TINY.stages):
            for block in sub.stage(stage, 1):
                shared = net.stages[stage][block.index]
                step = float(shared.log_step[str(bits)].exp())
                conv_step = float(shared.log_add_step[str(bits)].exp()) if block.index else step
                weight = classifier.layer(block, sub).codes.numpy().astype(np.int64)
                assert np.abs(weight).max() <= 2 ** (sub.weight_bits - 1) - 1
                codes = x.values.numpy().astype(np.int64)
                calibration = torch.from_numpy(
                    convolve(codes[: classifier.calibration], weight, block.stride)
                ).float()
                folded = classifier.fold(block, sub, calibration, x.step, conv_step)
                bias = folded.bias.numpy().astype(np.int64)
                expected = integer_block(
                    codes, weight, bias, folded.multiplier.numpy(), block, bits,
                    (x.step, conv_step, step),
                )  # fmt: skip
                x = classifier.run(block, x, sub)
                # Sums that fall on a tie may round either way.
                assert (x.values.numpy() != expected).mean() < 1e-3
                assert np.abs(x.values.numpy() - expected).max() <= 1


def test_folded_inference_agrees_with_the_training_forward(net):
    """With the calibration images as the batch, both normalize by the same statistics.

    Only integer biases differ, which is nothing at 8-bit activations.
    """
    part = DATA.head(100, 100)
    same = type(part)("same", part.x_train, part.y_train, part.x_train, part.y_train, part.classes)
    classifier = Classifier(net, same)
    for choice in TINY.space.sample(np.random.default_rng(5), 10):
        choice[-1] = 1
        sub = TINY.decode(choice)
        with torch.no_grad():
            expected = net(torch.from_numpy(same.x_test), sub)
        logits = classifier.logits(sub)
        assert np.corrcoef(logits.flatten(), expected.flatten())[0, 1] > 0.999
        assert (logits.argmax(1) == expected.argmax(1)).float().mean() >= 0.9


def test_results_do_not_depend_on_what_was_evaluated_before(net):
    choices = TINY.space.sample(np.random.default_rng(6), 15)
    together = Classifier(net, DATA)
    counts = [together.correct(TINY.decode(choice)) for choice in choices]
    for choice, count in zip(choices[::-1], counts[::-1], strict=True):
        assert Classifier(net, DATA).correct(TINY.decode(choice)) == count


def test_same_seed_same_weights_and_no_trace_in_global_state():
    torch.manual_seed(7)
    np.random.seed(7)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    args, data = TrainingArgs(epochs=1, batch=50), DATA.head(100, 10)
    first, third = (train(TINY, data, seed, args).state_dict() for seed in (1, 2))
    torch.set_num_threads(threads + 1)
    second = train(TINY, data, 1, args).state_dict()
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["classifier"], third["classifier"])
    assert torch.equal(before, torch.random.get_rng_state())


def test_sub_networks_share_weights():
    net = Supernet(TINY, 0)
    blocks = [
        TINY.decode(choice).stage(1, 1)[0]
        for choice in TINY.space.sample(np.random.default_rng(0), 20)
    ]
    for block in blocks:
        part = net.stages[1][0].slice(block)
        assert part.shape == (block.channels, block.in_channels, block.kernel, block.kernel)
        edge = (5 - block.kernel) // 2
        assert part[0, 0, 0, 0] == net.stages[1][0].weight[0, 0, edge, edge]
        assert part.untyped_storage().data_ptr() == net.stages[1][0].weight.data_ptr()


def test_training_learns():
    seen = []
    train(TINY, DATA, 0, TrainingArgs(epochs=3), seen.append)
    assert [state.epoch for state in seen] == [1, 2, 3]
    assert seen[-1].loss < 0.7 * seen[0].loss


def test_shifted_images_move_but_keep_their_pixels():
    x = torch.zeros(50, 1, 5, 5)
    x[:, :, 2, 2] = 1.0
    moved = shifted(x, 1, np.random.default_rng(0))
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(50))
    places = {tuple(place) for place in moved.nonzero()[:, 2:].tolist()}
    assert places == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    assert shifted(x, 0, np.random.default_rng(0)) is x


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"warmup": 1.0}, {"shift": -1}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ProblemError, match="training"):
        TrainingArgs(**bad)
