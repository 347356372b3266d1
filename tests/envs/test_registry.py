from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from dovetail.envs import registry
from dovetail.errors import ProblemError, UnknownNameError
from tests.envs.toy import ToyProblem


@pytest.fixture
def plugged(monkeypatch):
    points = [
        EntryPoint("toy", "tests.envs.toy:from_spec", registry.GROUP),
        EntryPoint("broken", "tests.envs.nowhere:from_spec", registry.GROUP),
    ]

    def entry_points(*, group, name=None):
        return [p for p in points if group == registry.GROUP and name in (None, p.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)


@pytest.mark.usefixtures("plugged")
def test_a_package_adds_a_problem_by_entry_point():
    assert registry.names() == tuple(sorted({*registry.BUILT_IN, "broken", "toy"}))
    problem = ToyProblem(["area_mm2<=12.5"])
    again = registry.make_problem(problem.describe())
    assert isinstance(again, ToyProblem)
    assert again.describe() == problem.describe()

    with pytest.raises(ProblemError, match=r"from tests\.envs\.nowhere:from_spec fails"):
        registry.make_problem({"problem": "broken"})


def test_ill_formed_specifications_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean codesign"):
        registry.make_problem({"problem": "codesing"})
    with pytest.raises(ProblemError, match="must name a problem"):
        registry.make_problem({})
