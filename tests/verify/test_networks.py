"""Whole networks on the gates: what is compared, and that differences are seen."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from dovetail.cli.verify_network import summary
from dovetail.errors import AcceleratorError
from dovetail.flow import simulate
from dovetail.networks.builder import NetworkBuilder
from dovetail.sim.values_network import reference
from dovetail.verify.networks import MICRO, random_subject, verify_network
from tests.verify.fake_bench import fake_gates

SMALL = MICRO.replace({"rows": 4, "cols": 4, "bus_bits": 32, "dram_gb_per_s": 0.4})
SMALL = SMALL.replace({f"{operand}_sram_kib": 1 for operand in ("input", "weight", "output")})


@pytest.fixture(scope="module")
def network():
    net = NetworkBuilder("mixed")
    x = net.input("image", (1, 3, 8, 8))
    x = net.activation(net.conv2d(x, 6, 3, padding=1, bias=True, name="first"), "relu")
    y = net.conv2d(x, 6, 3, padding=1, name="second")
    x = net.activation(net.add(x, y), "relu", name="joined")
    x = net.pool(x, "maxpool", 2, name="top")
    x = net.flatten(net.global_pool(x, name="mean"))
    return net.build([net.linear(x, 5, name="classifier")])


@pytest.fixture
def subject(network):
    return random_subject(network, SMALL, 3, 1)


def test_every_image_is_compared(subject, monkeypatch):
    fake_gates(monkeypatch)
    seen = []
    verdict = verify_network(subject, SMALL, jobs=2, progress=lambda result: seen.append(result))
    assert [result.image for result in seen] == [0, 1, 2]
    assert verdict.failures == ()
    assert {result.cycles for result in verdict.results} == {verdict.timing.total}
    answers = [
        int(reference(subject.network, image)["classifier"].argmax()) for image in subject.images
    ]
    assert [result.answer for result in verdict.results] == answers
    assert verdict.correct is None
    assert "3 of 3 images agree" in summary(verdict, SMALL, "verilator")


def test_labels_are_counted(subject, monkeypatch):
    fake_gates(monkeypatch)
    labels = np.array([0, 1, 2])
    verdict = verify_network(replace(subject, labels=labels, promised=2), SMALL)
    answers = np.array([result.answer for result in verdict.results])
    assert verdict.correct == (answers == labels).sum()
    assert "promised 2 (66.67%)" in summary(verdict, SMALL, "verilator")


def flipped(run):
    memory = run.memory.copy()
    memory[-1] ^= 1
    return replace(run, memory=memory)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (flipped, "memory"),
        (lambda run: replace(run, cycles=run.cycles + 1), "cycles"),
        (lambda run: replace(run, segments=run.segments[:-1]), "events"),
        (lambda run: replace(run, cycles=-1, failure="RULE broken"), "rule"),
    ],
)
def test_what_differs_is_seen(subject, monkeypatch, change, kind):
    fake_gates(monkeypatch, change)
    verdict = verify_network(subject, SMALL)
    assert [result.kind for result in verdict.failures] == [kind] * 3
    assert f"image 0: {kind}: " in summary(verdict, SMALL, "verilator")


def test_an_ideal_machine_has_no_gates(network):
    with pytest.raises(AcceleratorError, match="--set machine=rtl"):
        random_subject(network, SMALL.replace({"machine": "ideal"}), 1, 0)


def test_the_gates_take_the_cycles_of_the_report(network, subject, monkeypatch):
    fake_gates(monkeypatch)
    verdict = verify_network(subject, SMALL)
    assert verdict.timing.total == simulate(network, SMALL, fidelity="cycle").cycles


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
@pytest.mark.parametrize("dataflow", ["ws", "os"])
def test_the_gates_agree(subject, dataflow):
    design = SMALL.replace({"dataflow": dataflow})
    verdict = verify_network(replace(subject, images=subject.images[:1]), design, "icarus")
    assert [(result.kind, result.detail) for result in verdict.results] == [("", "")]
