"""The product-kernel process: its likelihood, its posterior, its expectation under categoricals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from dovetail.agents.product_gp import ProductGP
from dovetail.errors import ProblemError
from dovetail.ir.space import Knob, Space

SPACE = Space(
    (
        Knob("rows", (1, 2, 4, 8, 16)),
        Knob("dataflow", ("ws", "os", "is"), ordered=False),
        Knob("lanes", (16, 64)),
        Knob("spare", (7,)),
    )
)


def every() -> np.ndarray:
    return np.array(list(itertools.product(*(range(n) for n in SPACE.cardinalities))))


def figure(designs: np.ndarray) -> np.ndarray:
    """Interacts: the dataflow decides whether rows help."""
    rows, flow, lanes, _ = designs.T
    return 3.0 + rows * np.array([1.0, 0.2, -0.5])[flow] + 0.3 * lanes


def learnt(designs: np.ndarray) -> ProductGP:
    model = ProductGP(SPACE)
    model.fit(designs, figure(designs))
    return model


def test_the_gradient_of_the_likelihood_is_that_of_differences() -> None:
    rng = np.random.default_rng(0)
    model = ProductGP(SPACE)
    designs, targets = SPACE.sample(rng, 25), rng.normal(size=25)
    code = model._code(designs)
    at = model._start + rng.normal(scale=0.4, size=len(model._start))
    numeric = approx_fprime(at, lambda hyper: model._loss(hyper, code, targets)[0], 1e-6)
    assert model._loss(at, code, targets)[1] == pytest.approx(numeric, abs=1e-4)


def test_interactions_are_learnt_from_some_designs() -> None:
    designs = np.random.default_rng(1).permutation(every())
    model = learnt(designs[:18])
    mean, spread = model.predict(designs)
    error = np.abs(mean - figure(designs))
    assert error[:18].max() < 0.02
    assert error[18:].max() < 0.5
    assert error[18:].mean() < 0.15
    # Surer of what it has seen, and honest about the rest.
    assert spread[:18].max() < spread[18:].max()
    assert (error[18:] < 3 * spread[18:] + 1e-3).all()
    assert model.mean(designs) == pytest.approx(mean)


def test_the_posterior_is_the_textbook_one() -> None:
    designs = np.random.default_rng(2).permutation(every())[:9]
    model = learnt(designs)
    tables, noise = model._tables(model._hyper), np.exp(model._hyper[-1])

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.prod([t[i, j] for t, i, j in zip(tables, a, b, strict=True)]))

    values = figure(designs)
    y = (values - values.mean()) / values.std()
    K = np.array([[kernel(a, b) for b in designs] for a in designs]) + noise * np.eye(9)
    new = np.array([4, 2, 1, 0])
    k = np.array([kernel(new, b) for b in designs])
    mean, spread = model.predict(new[None])
    amplitude = y @ np.linalg.solve(K, y) / 9
    expected = amplitude * (1 - k @ np.linalg.solve(K, k))
    assert mean[0] == pytest.approx(values.mean() + values.std() * k @ np.linalg.solve(K, y))
    assert spread[0] == pytest.approx(values.std() * np.sqrt(expected))


def test_the_expectation_is_the_sum_over_all_designs() -> None:
    rng = np.random.default_rng(3)
    model = learnt(every()[::2])
    odds = [rng.dirichlet(np.ones(n), size=2) for n in SPACE.cardinalities]
    weight = np.prod([p[:, every()[:, k]] for k, p in enumerate(odds)], axis=0)
    values, slopes = model.expected(odds)
    assert values == pytest.approx(weight @ model.mean(every()))
    odds[1] = odds[1] + np.array([[0.0, 1e-4, 0.0]])
    moved = model.expected(odds)[0]
    assert (moved - values) / 1e-4 == pytest.approx(slopes[1][:, 1])


def test_constant_values_are_fine_and_none_are_not() -> None:
    model = ProductGP(SPACE)
    with pytest.raises(ProblemError, match="before it had learnt"):
        model.mean(every())
    with pytest.raises(ProblemError, match="at least one sample"):
        model.fit(every()[:0], np.zeros(0))
    model.fit(every()[:5], np.full(5, 2.0))
    mean, spread = model.predict(every())
    assert mean == pytest.approx(np.full(30, 2.0))
    assert np.isfinite(spread).all()
