"""Ethos-U designs in the common environments, alone and together with networks."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.knobs import DesignSpace
from dovetail.envs.codesign import CoDesignProblem
from dovetail.flow import simulate
from dovetail.networks.elastic.family import ElasticFamily
from tests.envs.test_codesign import StubOracle


def test_designs_are_searched() -> None:
    assert dovetail.envs
    env = gymnasium.make(
        "dovetail/Accelerator-v0", network="resnet8", base="ethos_u55_128",
        objectives=("latency_ms",),
    )  # fmt: skip
    env.reset(seed=0)
    latency = [env.step([core, 3, 1])[4]["metrics"]["latency_ms"] for core in range(4)]
    assert latency == sorted(latency, reverse=True)


@pytest.mark.parametrize("preset", ["ethos_u55_128", "ethos_u65_256"])
def test_networks_and_designs_are_searched_together(preset: str) -> None:
    design = presets.load(preset)
    space = DesignSpace(design, design.default_knobs())
    family = ElasticFamily()
    problem = CoDesignProblem(family, StubOracle(family), space, objectives=("latency_ms", "error"))
    designs = problem.space.sample(np.random.default_rng(0), 8)
    latency = problem.evaluate(designs).metrics["latency_ms"]
    for row, each in enumerate(designs):
        accelerator = problem.accelerator(each)
        assert latency[row] == simulate(problem.network(each), accelerator).latency_ms
