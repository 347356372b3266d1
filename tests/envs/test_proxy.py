"""Learnt cost models: their files, and the problem they stand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dovetail.envs.accelerator import AcceleratorProblem
from dovetail.envs.fidelity import at_fidelity, resimulate
from dovetail.envs.proxy import ProxyProblem, from_spec
from dovetail.envs.proxy_model import Proxy, features
from dovetail.envs.registry import make_problem
from dovetail.errors import ProblemError
from dovetail.ir.space import Knob, Space

SPEC = {
    "problem": "accelerator",
    "network": "resnet8",
    "knobs": {"rows": [4, 8, 16], "cols": [4, 8, 16], "dataflow": ["ws", "os"]},
    "objectives": ["latency_ms", "area_mm2"],
    "constraints": ["area_mm2<=0.5"],
}


@pytest.fixture(scope="module")
def problem() -> AcceleratorProblem:
    made = make_problem(SPEC)
    assert isinstance(made, AcceleratorProblem)
    return made


def proxy_of(problem: AcceleratorProblem, **changes: Any) -> Proxy:
    """One hidden layer of random weights, three members."""
    rng = np.random.default_rng(0)
    inputs = features(problem.space, np.zeros((1, 3), dtype=np.int64)).shape[1]
    sizes = [(3, inputs, 5), (3, 1, 5), (3, 5, 2), (3, 1, 2)]
    values: dict[str, Any] = {
        "space": problem.space,
        "names": ("latency_ms", "area_mm2"),
        "logs": np.array([True, False]),
        "centre": np.array([1.0, 0.4]),
        "scale": np.array([0.5, 0.1]),
        "layers": tuple(rng.normal(size=size).astype(np.float32) for size in sizes),
        "floor": np.array([0.1, 0.1]),
        "widths": np.array([2.0, 3.0]),
        "coverage": 0.9,
        "about": {"problem": problem.describe()},
    }
    return Proxy(**{**values, **changes})


def test_features_tell_values_apart_and_place_numbers_on_a_logarithmic_scale() -> None:
    space = Space((Knob("a", (1, 2, 4)), Knob("b", ("x", "y"), ordered=False), Knob("c", (7,))))
    found = features(space, np.array([[0, 1, 0], [2, 0, 0]]))
    np.testing.assert_array_equal(found[:, [0, 1, 2]], [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(found[:, 3], [-np.sqrt(1.5), np.sqrt(1.5)], rtol=1e-6)
    np.testing.assert_array_equal(found[:, 4:], [[0, 1, 1], [1, 0, 1]])


def test_predictions_are_the_members_mean(problem: AcceleratorProblem) -> None:
    proxy = proxy_of(problem)
    designs = problem.space.sample(np.random.default_rng(1), 20)
    x = features(problem.space, designs).astype(np.float64)
    w1, b1, w2, b2 = (layer.astype(np.float64) for layer in proxy.layers)
    outputs = np.stack([np.maximum(x @ w1[m] + b1[m], 0) @ w2[m] + b2[m] for m in range(3)])
    mean = outputs.mean(axis=0) * proxy.scale + proxy.centre
    found = proxy.predict(designs)
    np.testing.assert_allclose(found["latency_ms"], np.exp(mean[:, 0]), rtol=1e-4)
    np.testing.assert_allclose(found["area_mm2"], mean[:, 1], rtol=1e-4)
    low, high = proxy.interval(designs)
    half = 3 * (outputs.std(axis=0)[:, 1] * 0.1 + 0.1)
    np.testing.assert_allclose(high["area_mm2"] - low["area_mm2"], 2 * half, rtol=1e-4)
    assert (low["latency_ms"] < found["latency_ms"]).all()


def test_batches_of_any_size_are_predicted_alike(
    problem: AcceleratorProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, designs = proxy_of(problem), problem.space.sample(np.random.default_rng(1), 20)
    whole = proxy.predict(designs)["latency_ms"]
    monkeypatch.setattr("dovetail.envs.proxy_model.CHUNK", 7)
    np.testing.assert_allclose(proxy.predict(designs)["latency_ms"], whole, rtol=1e-5)
    assert len(proxy.predict(designs[:0])["latency_ms"]) == 0


def test_files_give_back_the_same_predictions(problem: AcceleratorProblem, tmp_path: Path) -> None:
    proxy, path = proxy_of(problem), tmp_path / "p.npz"
    proxy.save(path)
    read = Proxy.load(path)
    designs = problem.space.sample(np.random.default_rng(1), 20)
    for name, values in proxy.predict(designs).items():
        np.testing.assert_array_equal(read.predict(designs)[name], values)
    assert read.space == proxy.space
    assert read.about == json.loads(json.dumps(proxy.about))


def test_the_problem_keeps_laws_constraints_and_objectives(
    problem: AcceleratorProblem, tmp_path: Path
) -> None:
    path = tmp_path / "p.npz"
    proxy_of(problem).save(path)
    stand_in = from_spec({"model": str(path)})
    assert stand_in.objectives == problem.objectives
    designs = problem.space.sample(np.random.default_rng(1), 50)
    found = stand_in.evaluate(designs)
    unlawful = problem.excess(designs) > 0
    np.testing.assert_array_equal(np.isnan(found.metrics["area_mm2"]), unlawful)
    over = found.metrics["area_mm2"] > 0.5
    np.testing.assert_array_equal(found.feasible, ~unlawful & ~over)
    again = make_problem(stand_in.describe())
    np.testing.assert_array_equal(again.evaluate(designs).objectives, found.objectives)


def test_elites_are_costed_by_the_problem_itself(problem: AcceleratorProblem) -> None:
    stand_in = ProxyProblem(proxy_of(problem), problem)
    designs = problem.space.sample(np.random.default_rng(1), 4)
    assert at_fidelity(stand_in, "estimate") is problem
    found = resimulate(stand_in, designs, "cycle")
    np.testing.assert_array_equal(
        found.after.metrics["area_mm2"], problem.evaluate(designs).metrics["area_mm2"]
    )
    assert (found.change("area_mm2") != 0).all()


def test_a_proxy_of_another_problem_is_refused(problem: AcceleratorProblem) -> None:
    other = make_problem({**SPEC, "knobs": {"rows": [4, 8]}})
    assert isinstance(other, AcceleratorProblem)
    with pytest.raises(ProblemError, match="another design space"):
        ProxyProblem(proxy_of(problem), other)
    with pytest.raises(ProblemError, match="does not predict area_mm2"):
        ProxyProblem(proxy_of(problem, names=("latency_ms", "x")), problem)


def test_another_file_than_was_meant_is_refused(
    problem: AcceleratorProblem, tmp_path: Path
) -> None:
    path = tmp_path / "p.npz"
    proxy_of(problem).save(path)
    spec = dict(from_spec({"model": str(path)}).describe())
    del spec["problem"]
    proxy_of(problem, coverage=0.8).save(path)
    with pytest.raises(ProblemError, match="has SHA-256"):
        from_spec(spec)
    with pytest.raises(ProblemError, match="must be a file"):
        from_spec({"model": 3})


def test_files_that_are_no_proxy(problem: AcceleratorProblem, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    proxy_of(problem).save(path)
    whole = path.read_bytes()
    arrays = dict(np.load(path))
    broken: dict[str, Any] = {
        "nan": {**arrays, "centre": arrays["centre"] * np.nan},
        "less": {name: value for name, value in arrays.items() if name != "layer1"},
        "odd": {**arrays, "widths": arrays["widths"][:1]},
        "pickle": {**arrays, "meaning": np.array([{"a": 1}], dtype=object)},
        "text": {**arrays, "meaning": np.frombuffer(b"[]", dtype=np.uint8)},
    }
    for name, values in broken.items():
        np.savez(tmp_path / f"{name}.npz", **values)
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in (*broken, "cut", "empty"):
        with pytest.raises(ProblemError, match=f"{name}.npz' is no proxy"):
            Proxy.load(tmp_path / f"{name}.npz")
    with pytest.raises(ProblemError, match="cannot be read"):
        Proxy.load(tmp_path / "none.npz")
