"""The folding environment: its checkers, its batch, and what its masks promise."""

from __future__ import annotations

import json
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.fpga import FpgaDataflow
from dovetail.envs import DesignEnv, DesignVectorEnv, make_problem
from dovetail.envs.fpga_folding import FoldingProblem
from dovetail.errors import DovetailError, ProblemError
from dovetail.flow import map_network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

SPEC = {"problem": "fpga_folding", "network": "ds_cnn", "base": "finn_zcu102"}


def small_network():
    net = NetworkBuilder("small")
    x = net.input("x", (1, 4, 6, 6))
    x = net.activation(net.conv2d(x, 4, 3, padding=1, groups=4, name="wise"), "relu")
    x = net.conv2d(x, 6, 3, padding=1, name="full")
    return net.build([net.linear(net.flatten(net.global_pool(x)), 3, name="last")])


@pytest.fixture(scope="module")
def problem():
    return make_problem(SPEC)


@pytest.fixture(scope="module")
def tight():
    """Of 24 foldings of the depthwise layer, and few DSPs, some fit."""
    return FoldingProblem(small_network(), FpgaDataflow(board="ultra96", share=0.05))


def every(problem):
    sizes = problem.space.cardinalities
    return np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1)


def test_gymnasium_makes_it_and_both_checkers_are_silent():
    gymnasium.register_envs(dovetail.envs)
    fields = {k: v for k, v in SPEC.items() if k != "problem"}
    env = gymnasium.make("dovetail/FpgaFolding-v0", **fields)
    check_env(env.unwrapped)
    from stable_baselines3.common.env_checker import check_env as check

    check(DesignEnv(make_problem(SPEC)))
    again = env.spec.make()
    np.testing.assert_array_equal(again.reset(seed=9)[0], env.reset(seed=9)[0])
    with pytest.raises(ProblemError, match="this environment's is 'fpga_folding'"):
        gymnasium.make("dovetail/FpgaFolding-v0", problem="codesign")


def test_the_batch_is_gymnasiums_own_of_single_environments(problem):
    n, weights = 16, [0.4, 0.6]
    ours = gymnasium.make_vec(
        "dovetail/FpgaFolding-v0", num_envs=n, preference=weights,
        **{k: v for k, v in SPEC.items() if k != "problem"},
    )  # fmt: skip
    assert isinstance(ours, DesignVectorEnv)
    theirs = SyncVectorEnv(
        [lambda: DesignEnv(problem, preference=weights)] * n,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    assert ours.action_space == theirs.action_space
    ours.reset(seed=0)
    theirs.reset(seed=0)
    ours.action_space.seed(0)
    actions = ours.action_space.sample()
    for mine, reference in zip(ours.step(actions)[:4], theirs.step(actions)[:4], strict=True):
        np.testing.assert_array_equal(mine, reference)


def test_the_mappers_folding_is_a_design_and_the_reference(problem):
    base = problem.base
    design = problem.encode(base.pe[None], base.simd[None])
    pe, simd = problem.foldings(design)
    np.testing.assert_array_equal(pe[0], base.pe)
    np.testing.assert_array_equal(simd[0], base.simd)
    evaluation = problem.evaluate(design)
    assert evaluation.feasible.all()
    np.testing.assert_allclose(evaluation.objectives, 0, atol=1e-6)
    mapped = map_network(load_network("ds_cnn"), presets.load("finn_zcu102"))
    clock = presets.load("finn_zcu102").clock_mhz
    assert evaluation.metrics["interval_ms"][0] == mapped.folding.costs.interval[0] / clock / 1e3
    assert {n: evaluation.metrics[n][0] for n in mapped.used} == mapped.used


def test_reasons_are_given_for_exactly_the_infeasible(tight):
    designs = every(tight)[::7]
    evaluation = tight.evaluate(designs)
    assert 0 < evaluation.feasible.mean() < 1
    for design, feasible in zip(designs, evaluation.feasible, strict=True):
        assert bool(tight.reasons(design)) != feasible
    lawful = ~np.isnan(evaluation.metrics["interval_ms"])
    np.testing.assert_array_equal(lawful, evaluation.feasible)
    used = evaluation.metrics["utilization"][lawful]
    assert ((used > 0) & (used <= 1)).all()
    text = " ".join(reason for design in designs for reason in tight.reasons(design))
    assert "exceed the budget" in text
    assert "taps of" in text


def test_masked_values_are_never_lawful_and_all_others_are_once(tight):
    designs = every(tight)
    lawful = tight.evaluate(designs).feasible
    for knob, mask in enumerate(tight.masks()):
        for value, allowed in enumerate(mask):
            assert lawful[designs[:, knob] == value].any() == allowed
    assert not all(mask.all() for mask in tight.masks())


def test_more_parallel_is_never_slower_and_takes_more_dsps(tight):
    designs = every(tight)
    pe, simd = tight.foldings(designs)
    costs = tight.pipeline.costs(pe, simd)
    total = dict(zip(map(tuple, designs.tolist()), range(len(designs)), strict=True))
    compute = list(tight.pipeline.compute)
    for design in designs[::11]:
        here = total[tuple(design.tolist())]
        for knob in range(len(design)):
            more = design.copy()
            more[knob] += 1
            there = total.get(tuple(more.tolist()))
            if there is not None:
                assert (costs.cycles[there, compute] <= costs.cycles[here, compute]).all()
                assert costs.totals["dsp"][there] > costs.totals["dsp"][here]


def test_constraints_and_objectives():
    spec = {
        **SPEC,
        "constraints": ["lut<=50000", "utilization>=0.1"],
        "objectives": ["interval_ms"],
    }
    problem = make_problem(spec)
    assert [o.name for o in problem.objectives] == ["interval_ms"]
    design = problem.encode(problem.base.pe[None], problem.base.simd[None])
    assert "breaks lut<=50000" in problem.reasons(design[0])[0]


def test_a_problem_rebuilds_from_its_json(problem):
    again = make_problem(json.loads(json.dumps(problem.describe(), allow_nan=False)))
    assert again.describe() == problem.describe()
    designs = problem.space.sample(np.random.default_rng(0), 50)
    np.testing.assert_array_equal(
        problem.evaluate(designs).objectives, again.evaluate(designs).objectives
    )


def test_thousands_of_foldings_cost_one_evaluation(problem):
    env = DesignVectorEnv(problem, 4096)
    env.reset(seed=0)
    actions = problem.space.sample(np.random.default_rng(0), 4096)
    start = time.process_time()
    env.step(actions)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"netwrok": "resnet8"}, "did you mean network"),
        ({"network": 5}, "must be a name or a file"),
        ({"base": "edge"}, "must be an FPGA design, e.g. finn_u280"),
        ({"base": 7}, "must be an FPGA design"),
        ({"base": {"family": "fpga", "weight_memory": "ultra"}}, "is illegal.*no UltraRAM"),
        ({"objectives": ["area_mm2"]}, "unknown objective"),
        ({"constraints": ["error<=1"]}, "unknown metric"),
        ({"network": "vgg16"}, "needs .* the budget has"),
        ({"network": "bert_base"}, "operator"),
    ],
)
def test_ill_formed_specifications_are_refused_in_one_line(fields, message):
    with pytest.raises(DovetailError, match=message) as error:
        make_problem({**SPEC, **fields})
    assert "\n" not in str(error.value)
