"""Attention designs in the common environments, alone and together with networks."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.knobs import DesignSpace
from dovetail.envs import DesignEnv
from dovetail.envs.accelerator import AcceleratorProblem
from dovetail.envs.codesign import CoDesignProblem
from dovetail.flow import simulate
from dovetail.networks.elastic.family import ElasticFamily
from dovetail.networks.zoo.encoders import bert_base
from tests.envs.test_codesign import StubOracle


def test_designs_cost_what_the_flow_says() -> None:
    base = presets.load("fusemax")
    network = bert_base(layers=1)
    problem = AcceleratorProblem(network, DesignSpace(base, base.default_knobs()))
    check_env(DesignEnv(problem), skip_render_check=True)
    designs = problem.space.sample(np.random.default_rng(0), 12)
    evaluation = problem.evaluate(designs)
    for row, design in enumerate(designs):
        report = simulate(network, problem.accelerator(design))
        assert evaluation.metrics["latency_ms"][row] == report.latency_ms
        assert evaluation.metrics["energy_mj"][row] == pytest.approx(report.energy_pj * 1e-9)
        assert evaluation.metrics["area_mm2"][row] == report.area_mm2


def test_a_preset_by_name_steps() -> None:
    assert dovetail.envs
    env = gymnasium.make(
        "dovetail/Accelerator-v0", network="bert_base", base="flat",
        knobs=[["binding", ["unfused", "flat", "fusemax"]]], objectives=("latency_ms",),
    )  # fmt: skip
    env.reset(seed=0)
    latency = [env.step([binding])[4]["metrics"]["latency_ms"] for binding in range(3)]
    assert latency == sorted(latency, reverse=True)


def test_networks_and_designs_are_searched_together() -> None:
    base = presets.load("fusemax")
    family = ElasticFamily()
    space = DesignSpace(base, base.default_knobs())
    problem = CoDesignProblem(family, StubOracle(family), space, objectives=("latency_ms", "error"))
    designs = problem.space.sample(np.random.default_rng(0), 8)
    latency = problem.evaluate(designs).metrics["latency_ms"]
    for row, each in enumerate(designs):
        assert latency[row] == simulate(problem.network(each), problem.accelerator(each)).latency_ms
