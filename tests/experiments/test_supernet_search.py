"""What predictors of a supernet are worth, on a family whose errors are a formula."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.envs.codesign import CoDesignProblem
from dovetail.networks.elastic import ElasticFamily
from experiments import supernet_search
from tests.envs.test_codesign import HARDWARE


class Formula:
    """Errors fall with size and bits; 4 bits hurt, and hurt narrow networks more."""

    samples = 450

    def __init__(self, family: ElasticFamily) -> None:
        self.sizes = family.space.cardinalities

    def errors(self, choices: np.ndarray) -> np.ndarray:
        shares = (choices / np.maximum(self.sizes - 1, 1))[:, :-2]
        size = (shares * np.linspace(0.2, 1.8, shares.shape[1])).mean(axis=1)
        few = (self.sizes - 1 - choices)[:, -2:].sum(axis=1)
        return 0.02 + 0.3 * np.exp(-3 * size) * (1 + 0.5 * few)


@pytest.fixture(scope="module")
def problem() -> CoDesignProblem:
    family = ElasticFamily()
    return CoDesignProblem(family, Formula(family), HARDWARE)


def test_correlations_grow_with_samples(
    problem: CoDesignProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_search, "SAMPLES", (30, 150))
    rows = supernet_search.correlations(problem, 1)
    assert len(rows) == 12
    process = {(r["metric"], r["samples"]): r["tau"] for r in rows if r["model"] == "process"}
    for metric in supernet_search.METRICS:
        assert 0 < process[metric, 30] < process[metric, 150] <= 1
    assert process["error", 150] > 0.8
    assert "trees" in {r["model"] for r in rows}


def test_a_predictor_moves_between_precisions(
    problem: CoDesignProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_search, "FEW", (0, 8))
    none, some = supernet_search.transfers(problem, 1)
    assert some["transferred"] > 0.8
    assert some["transferred"] > some["alone"]
    assert none["transferred"] == none["eight"]


def test_evaluations_are_counted_to_the_target(problem: CoDesignProblem) -> None:
    found = supernet_search.curve(problem, "genetic", 0, 230)
    assert found[-1, 0] == 230
    assert (np.diff(found[:, 1]) >= 0).all()
    assert supernet_search.reached(found, found[1, 1]) <= found[1, 0]
    assert supernet_search.reached(found, found[-1, 1] + 1) == np.inf
    assert supernet_search.search_table({"nsga2": [found]}).row_count == 1
