"""The GPU family through the flow: reports, launches, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.gpu import Gpu
from dovetail.arch.knobs import DesignSpace
from dovetail.envs import DesignEnv
from dovetail.envs.codesign import CoDesignProblem
from dovetail.errors import DovetailError
from dovetail.flow import Request, map_network, simulate
from dovetail.networks.elastic import ElasticFamily
from dovetail.networks.registry import load_network

NAMES = ("a100", "mi210", "h100")
A100 = presets.load("a100")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("network", ["resnet8", "mobilenet_v1_025", "bert_base"])
@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
def test_the_report_has_the_common_form(name: str, network: str, fidelity: str) -> None:
    net = load_network(network)
    report = simulate(net, presets.load(name), fidelity=fidelity)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()
    assert report.macs == net.macs
    assert [op.name for op in report.operators] == [op.name for op in net.operators]
    for op in report.operators:
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert all(count >= 0 for count in op.stall_cycles.values())
        assert 0 <= op.utilization <= 1


@pytest.mark.parametrize("name", NAMES)
def test_estimate_is_near_cycle(name: str) -> None:
    gpu = presets.load(name).replace(
        {"matmul_us": 0, "softmax_us": 0, "norm_us": 0, "elementwise_us": 0}
    )
    for network in ("resnet50", "bert_base"):
        mapped = map_network(load_network(network), gpu)
        estimate, cycle = (mapped.report(f).cycles for f in ("estimate", "cycle"))
        assert estimate == pytest.approx(cycle, rel=0.01)


def test_epilogues_leave_fewer_kernels_and_less_traffic() -> None:
    net = load_network("resnet18")
    eager = map_network(net, A100)
    fused = map_network(net, A100.replace({"epilogues": True}))
    assert len(fused.launches) < len(eager.launches)
    traffic = [sum(m.report().total["dram_bytes"].values()) for m in (eager, fused)]
    assert traffic[1] < traffic[0]
    assert any(op.fused_into for op in fused.report().operators)
    assert fused.report().cycles < eager.report().cycles
    assert fused.report().total["vector_ops"] == eager.report().total["vector_ops"]


@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
def test_a_queue_hides_launches(fidelity: str) -> None:
    net = load_network("resnet50", batch=64)
    serial = map_network(net, A100)
    queued = map_network(net, A100.replace({"queued": True}))
    launches = sum(launch.kernel.launch for launch in serial.launches.values())
    running = serial.report(fidelity).cycles - launches
    assert max(running, launches) <= queued.report(fidelity).cycles < running + launches


def test_the_note_says_what_launches_take() -> None:
    mapped = map_network(load_network("autoencoder"), A100)
    assert mapped.note() == "28 kernels; waiting for launches takes 100% of the time"


def test_integers_keep_their_width() -> None:
    gpu = A100.replace({"operand_bits": 8, "tensor_macs": 2048})
    net = load_network("resnet18", batch=256)
    wide, narrow = (simulate(net, g).total["dram_bytes"]["weight"] for g in (A100, gpu))
    assert wide == 2 * narrow


def test_mappers() -> None:
    net = load_network("resnet18")
    best, plain = (simulate(net, A100, mapper=m) for m in ("exhaustive", "library"))
    assert best.cycles <= plain.cycles
    assert {op.mapping["tile_p"] for op in plain.operators if op.macs} == {128}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(mapper="nothing"), "unknown mapper 'nothing'"),
        (Request(objective="speed"), "speed"),
        (Request(schedule="fused"), "the gpu family runs operators one by one"),
        (Request(mappings={"a": None}), "leave out --mapping"),
    ],
)
def test_refused(request_: Request, words: str) -> None:
    with pytest.raises(DovetailError, match=words):
        map_network(load_network("resnet8"), A100, request=request_)


def test_illegal_designs() -> None:
    assert not Gpu().validate()
    assert "shared_kib = 1" in Gpu(shared_kib=1.0).validate()[0]
    assert "sms" in Gpu(sms=0).validate()[0]


class StubOracle:
    """Every network errs in 1 of 100 samples."""

    samples = 100

    def errors(self, choices: np.ndarray) -> np.ndarray:
        return np.full(len(choices), 0.01)


@pytest.mark.parametrize("name", NAMES)
def test_networks_and_gpus_are_searched_together(name: str) -> None:
    gpu = presets.load(name)
    family = ElasticFamily()
    problem = CoDesignProblem(family, StubOracle(), DesignSpace(gpu, gpu.default_knobs()))
    env = DesignEnv(problem)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(3):
        design = env.action_space.sample()
        env.reset()
        _, reward, *_ = env.step(design)
        assert np.isfinite(reward)
    metrics = problem.evaluate(np.asarray(design)[None]).metrics
    wanted = simulate(problem.network(design), problem.accelerator(design))
    assert metrics["latency_ms"][0] == wanted.latency_ms
    assert metrics["area_mm2"][0] == wanted.area_mm2


def test_areas_are_those_of_the_dies() -> None:
    dies = {"a100": 826, "h100": 814, "mi210": 724}
    for name, die in dies.items():
        gpu = presets.load(name)
        assert gpu.area_mm2 == pytest.approx(die, abs=0.1)
        assert gpu.replace({"sms": 2 * gpu.sms}).area_mm2 < 2 * gpu.area_mm2
        for knob in ("sms", "tensor_macs", "l2_mib"):
            assert gpu.replace({knob: 2 * getattr(gpu, knob)}).area_mm2 > gpu.area_mm2
