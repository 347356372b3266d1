"""Bits per layer as a design problem."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.envs.registry import make_problem
from dovetail.errors import MappingError, ProblemError, UnknownNameError
from dovetail.flow import simulate
from dovetail.networks.registry import load_network

SPEC = {"problem": "mixed_precision", "network": "resnet8"}
ARRAY = {"weight_bits": 8, "input_bits": 8}


def test_compression_counts_against_32_bits():
    problem = make_problem(SPEC)
    assert [o.name for o in problem.objectives] == ["perturbation", "size_mb", "gbops"]
    evaluation = problem.evaluate(problem.uniform())
    assert 10 ** -evaluation.objectives[:, 1] == pytest.approx([16, 8, 4])
    assert 10 ** -evaluation.objectives[:, 2] == pytest.approx([256, 64, 16])
    assert evaluation.objectives[0, 0] == pytest.approx(0)
    assert (np.diff(evaluation.objectives[:, 0]) < 0).all()
    assert problem.reference_point.tolist() == [0, 0, 0]


def test_every_knob_is_a_layers_own():
    problem = make_problem(SPEC)
    assert len(problem.space.knobs) == 2 * len(problem.graph)
    start = problem.evaluate(problem.uniform()[:1]).metrics
    parameters, macs = problem.graph.parameters, problem.graph.macs
    for knob in (2, 3):
        design = problem.uniform()[0].copy()
        design[knob] = 2
        found = problem.evaluate(design[None]).metrics
        weights = knob == 2
        assert problem.space.names[knob].endswith(("input_bits", "weight_bits")[weights])
        grown = found["size_mb"][0] - start["size_mb"][0]
        assert grown == pytest.approx(parameters[1] * 6 / 8e6 if weights else 0, abs=1e-12)
        assert found["gbops"][0] - start["gbops"][0] == pytest.approx(macs[1] * 12 / 1e9)


def test_on_an_array_uniform_widths_cost_what_the_flow_says():
    problem = make_problem({**SPEC, "base": ARRAY, "objectives": ["latency_ms", "energy_mj"]})
    array = presets.from_dict(ARRAY)
    report = simulate(load_network("resnet8"), array)
    found = problem.evaluate(problem.uniform()).metrics
    assert found["latency_ms"][-1] == pytest.approx(report.cycles / array.clock_mhz / 1e3)
    assert found["energy_mj"][-1] == pytest.approx(report.energy_pj * 1e-9)
    assert (np.diff(found["energy_mj"]) > 0).all()
    assert make_problem(problem.describe()).describe() == problem.describe()


def test_solved_designs_are_on_the_front_of_what_they_solve():
    problem = make_problem(SPEC)
    solved = problem.solved(12)
    assert len(solved) >= 8
    values = problem.evaluate(solved).objectives
    others = problem.evaluate(problem.space.sample(np.random.default_rng(0), 20_000)).objectives
    others = np.concatenate([others, values])
    for value in values:
        better = (others <= value + 1e-9).all(axis=1) & (others < value - 1e-6).any(axis=1)
        assert not better.any()
    assert problem.solved(0).shape == (0, len(problem.space.knobs))


def test_given_sensitivities_and_constraints():
    graph = make_problem(SPEC).graph
    values = {layer.name: 1.0 for layer in graph.layers}
    problem = make_problem({**SPEC, "sensitivities": values, "constraints": ["size_mb<=0.02"]})
    assert len(set(problem.sensitivity)) == 1
    assert [str(c) for c in problem.constraints] == ["size_mb<=0.02"]
    evaluation = problem.evaluate(problem.uniform())
    assert evaluation.feasible.tolist() == [True, False, False]
    assert problem.reasons(problem.uniform()[2])[0].startswith("size_mb = 0.07")
    assert make_problem(problem.describe()).describe() == problem.describe()


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"bits": [8, 4]}, ProblemError, "ascending whole numbers"),
        ({"bits": 4}, ProblemError, "ascending"),
        ({"bits": [1, 4]}, ProblemError, "within 2 to 16"),
        ({"network": 3}, ProblemError, "must be a name"),
        ({"objectives": ["error"]}, UnknownNameError, "unknown objective 'error'"),
        ({"objectives": ["latency_ms"]}, UnknownNameError, "unknown objective 'latency_ms'"),
        ({"sensitivities": {}}, ProblemError, "is missing"),
        ({"base": 3}, ProblemError, "must be a preset"),
        ({"base": "eyeriss_v1"}, ProblemError, "on systolic arrays"),
        ({"base": {"machine": "rtl"}}, MappingError, "machine 'ideal'"),
        ({"base": {"rows": 1024}}, ProblemError, "is illegal"),
        ({"bites": 3}, UnknownNameError, "did you mean"),
        ({"network": "digits_cnn", "sensitivities": {}}, ProblemError, "are measured"),
        ({"network": "digits_cnn", "dataset_sha256": "0"}, ProblemError, "SHA-256"),
        ({"network": "digits_cnn", "epochs": "many"}, ProblemError, "must be a whole number"),
        ({"network": "digits_cnn", "cache": 1}, ProblemError, "must be a folder"),
    ],
)
def test_ill_formed_fields_are_one_line(fields, kind, words):
    with pytest.raises(kind, match=words):
        make_problem({**SPEC, **fields})


def test_digits_have_measured_errors(tmp_path):
    spec = {"problem": "mixed_precision", "epochs": 2, "cache": str(tmp_path)}
    problem = make_problem(spec)
    assert [o.name for o in problem.objectives] == ["error", "size_mb", "gbops"]
    evaluation = problem.evaluate(problem.uniform())
    errors = evaluation.metrics["error"]
    assert errors[2] < errors[0]
    assert evaluation.objectives[:, 0].tolist() == (errors / 0.1).tolist()
    assert (errors * 450 == np.round(errors * 450)).all()
    again = make_problem({**problem.describe(), "cache": str(tmp_path)})
    designs = problem.space.sample(np.random.default_rng(0), 5)
    assert np.array_equal(problem.evaluate(designs).objectives, again.evaluate(designs).objectives)


def test_gymnasium_makes_it():
    env = gymnasium.make("dovetail/MixedPrecision-v0", network="resnet8")
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    assert info["metrics"]["size_mb"] > 0
    batched = gymnasium.make_vec("dovetail/MixedPrecision-v0", num_envs=4, network="resnet8")
    batched.reset(seed=0)
    assert batched.step(batched.action_space.sample())[1].shape == (4,)
