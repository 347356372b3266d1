"""The placement environment: its checkers, its batch, its reference, and what its masks promise."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.rdu import Rdu
from dovetail.envs import DesignEnv, DesignVectorEnv, make_problem
from dovetail.envs.rdu_placement import SHARES, PlacementProblem
from dovetail.errors import DovetailError, ProblemError
from dovetail.flow import map_network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.networks.zoo import NETWORKS

SPEC = {"problem": "rdu_placement", "network": "resnet8", "base": "sn40l", "sockets": [1, 2]}
TIGHT = Rdu(tile_rows=1, tile_columns=1, rows=2, columns=3, pmu_kib=1)


def small_network():
    net = NetworkBuilder("small")
    x = net.activation(net.linear(net.input("x", (1, 64, 96)), 256, bias=False, name="a"), "relu")
    return net.build([net.linear(x, 64, bias=False, name="b")])


@pytest.fixture(scope="module")
def problem():
    return make_problem(SPEC)


@pytest.fixture(scope="module")
def tight():
    """Of two products and an activation, cut or not, not all fit."""
    return PlacementProblem(small_network(), TIGHT, (1, 2, 4))


def every(problem):
    sizes = problem.space.cardinalities
    return np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1)


def test_gymnasium_makes_it_and_both_checkers_are_silent(problem):
    gymnasium.register_envs(dovetail.envs)
    fields = {k: v for k, v in SPEC.items() if k != "problem"}
    env = gymnasium.make("dovetail/RduPlacement-v0", **fields)
    check_env(env.unwrapped)
    from stable_baselines3.common.env_checker import check_env as check

    check(DesignEnv(problem))
    again = env.spec.make()
    np.testing.assert_array_equal(again.reset(seed=9)[0], env.reset(seed=9)[0])
    with pytest.raises(ProblemError, match="this environment's is 'rdu_placement'"):
        gymnasium.make("dovetail/RduPlacement-v0", problem="codesign")


def test_the_batch_is_gymnasiums_own_of_single_environments(problem):
    n, weights = 6, [0.4, 0.6]
    ours = gymnasium.make_vec(
        "dovetail/RduPlacement-v0", num_envs=n, preference=weights,
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


def test_all_cuts_are_the_unfused_mapper(problem):
    design = np.zeros(len(problem.space.knobs), dtype=np.int64)
    design[1::2] = 1
    found = problem.evaluate(design[None])
    report = map_network(load_network("resnet8"), presets.load("sn40l"), mapper="unfused").report()
    assert found.metrics["latency_ms"][0] == pytest.approx(report.latency_ms, rel=0.02)
    assert found.metrics["sections"][0] == report.accelerator["sections"]
    assert found.objectives[0, 0] > 0.5  # decades slower than the mapper's own sections
    design[1::2] = 0
    assert problem.evaluate(design[None]).metrics["sections"][0] == 1


def test_more_sockets_cost_more_of_them(problem):
    designs = np.zeros((2, len(problem.space.knobs)), dtype=np.int64)
    designs[1, 0] = 1
    metrics = problem.evaluate(designs).metrics
    np.testing.assert_allclose(metrics["socket_ms"], metrics["latency_ms"] * [1, 2])


def test_reasons_are_given_for_exactly_the_infeasible(tight):
    designs = every(tight)[::5]
    evaluation = tight.evaluate(designs)
    assert 0 < evaluation.feasible.mean() < 1
    for design, feasible in zip(designs, evaluation.feasible, strict=True):
        assert bool(tight.reasons(design)) != feasible
    used = evaluation.metrics["utilization"][evaluation.feasible]
    assert ((used > 0) & (used <= 1)).all()


def test_masked_values_are_never_lawful_and_all_others_are_once(tight):
    designs = every(tight)
    lawful = tight.evaluate(designs).feasible
    for knob, mask in enumerate(tight.masks()):
        for value, allowed in enumerate(mask):
            assert lawful[designs[:, knob] == value].any() == allowed


def test_equal_layers_share_their_knobs():
    short, long = (
        PlacementProblem(NETWORKS["gpt2_decode"](context=63, layers=n), Rdu(), (4,)) for n in (3, 4)
    )
    assert len(short.space.knobs) == len(long.space.knobs)
    assert len(SHARES) == 3


def test_a_study_rebuilds_the_problem(problem):
    again = make_problem(json.loads(json.dumps(problem.describe())))
    assert again.describe() == problem.describe()
    assert again.space == problem.space
    assert [o.reference for o in again.objectives] == [o.reference for o in problem.objectives]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "edge"}, "must be an RDU, e.g. sn40l, sn40l_node"),
        ({"sockets": [0]}, "whole numbers of at least 1"),
        ({"sockets": "many"}, "whole numbers of at least 1"),
        ({"network": 5}, "must be a name or a file"),
        ({"tiles": 5}, "unknown specification field 'tiles'"),
        ({"objectives": ["beauty"]}, "unknown objective"),
        ({"base": {"family": "rdu", "pmu_kib": 1, "rows": 1, "columns": 1, "tile_rows": 1,
                   "tile_columns": 1}}, "does not fit"),
    ],
)  # fmt: skip
def test_bad_fields_are_one_line(fields, message):
    with pytest.raises(DovetailError, match=message) as error:
        make_problem({**SPEC, **fields})
    assert "\n" not in str(error.value)
