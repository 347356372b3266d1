from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from dovetail.envs import derived
from dovetail.envs.derived import DerivedMetric
from dovetail.envs.objectives import parse_constraints, parse_objectives, reference_point
from dovetail.envs.registry import make_problem
from dovetail.errors import ProblemError, UnknownNameError

ED2P = DerivedMetric(
    "ed2p_mj_ms2", ("energy_mj", "latency_ms"), lambda energy, delay: energy * delay**2, corner=2.0
)
"""Energy x delay^2."""

OTHER_NAME = DerivedMetric("other", ("energy_mj",), lambda energy: energy)
FAILING = DerivedMetric("failing", ("energy_mj",), lambda energy: energy[:, 7])
WRONG_SHAPE = DerivedMetric("wrong_shape", ("energy_mj",), lambda energy: energy[:-1])


@pytest.fixture
def install(monkeypatch):
    """Makes attributes of this module look like entry points of installed packages."""

    def installed(*names):
        points = [
            EntryPoint(name, f"{__name__}:{attribute}", derived.GROUP) for name, attribute in names
        ]
        monkeypatch.setattr(
            derived, "entry_points", lambda **query: EntryPoints(points).select(**query)
        )
        derived.derived_metrics.cache_clear()

    yield installed
    monkeypatch.undo()
    derived.derived_metrics.cache_clear()


def test_an_installed_objective_is_minimised_and_bounded(install):
    install(("ed2p_mj_ms2", "ED2P"))
    problem = make_problem(
        {
            "problem": "accelerator", "network": "resnet8",
            "objectives": ["ed2p_mj_ms2", "area_mm2"], "constraints": ["ed2p_mj_ms2<=1e-3"],
        }
    )  # fmt: skip
    designs = problem.space.sample(np.random.default_rng(0), 200)
    evaluation = problem.evaluate(designs)
    metrics = evaluation.metrics
    np.testing.assert_array_equal(
        metrics["ed2p_mj_ms2"], metrics["energy_mj"] * metrics["latency_ms"] ** 2
    )
    lawful = ~np.isnan(metrics["latency_ms"])
    assert lawful.any()
    assert not lawful.all()
    reference = problem.objectives[0].reference
    np.testing.assert_allclose(
        evaluation.objectives[lawful, 0], np.log10(metrics["ed2p_mj_ms2"][lawful] / reference)
    )
    over = metrics["ed2p_mj_ms2"][lawful] > 1e-3
    assert over.any()
    assert (evaluation.violation[lawful] > 0).tolist() == over.tolist()
    assert problem.reference_point.tolist() == [2.0, 1.0]
    assert any("ed2p_mj_ms2 = " in text for text in problem.reasons(designs[lawful][over][0]))
    # The base design normalises to 0, as for metrics of our own.
    base = problem.work.base(np.empty(0, dtype=np.int64))
    assert reference == pytest.approx(base["energy_mj"] * base["latency_ms"] ** 2, rel=1e-5)
    assert make_problem(problem.describe()).describe() == problem.describe()


def test_it_is_offered_only_where_its_parts_are(install):
    install(("ed2p_mj_ms2", "ED2P"))
    assert parse_objectives(["ed2p_mj_ms2"])[0].reference == 1.0
    assert reference_point(parse_objectives(["ed2p_mj_ms2"])).tolist() == [2.0]
    for parse in (parse_objectives, lambda names, available: parse_constraints(
        [f"{name}<=1" for name in names], available=available
    )):  # fmt: skip
        with pytest.raises(UnknownNameError):
            parse(["ed2p_mj_ms2"], available=("latency_ms", "area_mm2"))


def test_a_name_of_nobody_is_refused(install):
    install(("ed2p_mj_ms2", "ED2P"))
    with pytest.raises(UnknownNameError, match="did you mean ed2p_mj_ms2"):
        parse_objectives(["ed2p_mj_ms"])


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [
        ("mine", "OTHER_NAME", "is no DerivedMetric named 'mine'"),
        ("mine", "np", "is no DerivedMetric named 'mine'"),
        ("mine", "MISSING", "fails: AttributeError"),
    ],
)
def test_what_is_no_objective_is_refused_in_one_line(install, name, attribute, message):
    install((name, attribute))
    with pytest.raises(ProblemError, match=message) as error:
        parse_objectives(["latency_ms"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metric", [FAILING, WRONG_SHAPE], ids=lambda m: m.name)
def test_a_formula_that_fails_is_refused_in_one_line(metric):
    with pytest.raises(ProblemError, match=f"objective '{metric.name}'") as error:
        metric.values({"energy_mj": np.ones(3)})
    assert "\n" not in str(error.value)
