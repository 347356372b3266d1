"""The values of cascades: all forms of attention are softmax attention, to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.networks.cascade_text import load_cascade, parse
from dovetail.sim.cascade_values import evaluate

ATTENTION = ("attention_3pass", "attention_2pass", "attention_1pass", "attention_online")


def drawn(scale: float, *, keys: int = 48, queries: int = 10, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    e, f = 16, 12
    return {
        "Q": rng.normal(size=(e, queries)) * scale,
        "K": rng.normal(size=(e, keys)) * scale,
        "V": rng.normal(size=(f, keys)),
    }


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_equals_torch(name: str, scale: float) -> None:
    """Scores from 1e-4 to 1e7: the exponentials of most of them are 0, of none infinite."""
    torch = pytest.importorskip("torch")
    given = drawn(scale)
    q, k, v = (torch.tensor(given[n].T)[None] for n in "QKV")
    reference = torch.nn.functional.scaled_dot_product_attention(q, k, v)[0].numpy().T
    scaled = {**given, "Q": given["Q"] / np.sqrt(len(given["Q"]))}
    extents = {} if name == "attention_3pass" else {"m0": 8}
    found = evaluate(load_cascade(name), scaled, extents)["AV"]
    # Rounding of a score is relative to its size, and moves its exponential by as much.
    largest = np.abs(scaled["K"].T @ scaled["Q"]).max()
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-15 * (20 + 40 * largest))


@pytest.mark.parametrize("m0", [1, 3, 16, 48])
def test_tiles_do_not_matter(m0: int) -> None:
    given = drawn(3.0)
    whole = evaluate(load_cascade("attention_3pass"), given)
    tiled = evaluate(load_cascade("attention_1pass"), given, {"m0": m0})
    np.testing.assert_allclose(tiled["AV"], whole["AV"], rtol=0, atol=1e-13)
    # What is carried holds the maximum and the denominator in the end.
    np.testing.assert_allclose(tiled["RM"][-1], whole["GM"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(tiled["RD"][-1], whole["SD"], rtol=1e-12)


def test_normalization_and_products() -> None:
    x = np.random.default_rng(1).normal(2.0, 3.0, size=(24, 5))
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    for name in ("layernorm_3pass", "layernorm_2pass"):
        np.testing.assert_allclose(
            evaluate(load_cascade(name), {"X": x})["Y"], expected, atol=1e-13
        )
    a, b, c = (
        np.random.default_rng(i).normal(size=s) for i, s in enumerate([(3, 4), (4, 5), (5, 6)])
    )
    found = evaluate(load_cascade("matmul_chain"), {"A": a, "B": b, "C": c})["Y"]
    np.testing.assert_allclose(found, a @ b @ c)


def test_a_running_sum_is_carried() -> None:
    cascade = parse("S[0] = 1\nS[m+1] = S[m] + X[m]\nY[m] = S[m+1] / M")
    found = evaluate(cascade, {"X": np.arange(4.0)})
    np.testing.assert_array_equal(found["S"], [1, 1, 2, 4, 7])
    np.testing.assert_array_equal(found["Y"], np.array([1, 2, 4, 7]) / 4)


def test_inputs_must_fit() -> None:
    cascade, given = load_cascade("attention_1pass"), drawn(1.0)
    with pytest.raises(NetworkError, match="needs input 'V'"):
        evaluate(cascade, {"Q": given["Q"], "K": given["K"]})
    with pytest.raises(NetworkError, match="48 is no multiple of M0 = 5"):
        evaluate(cascade, given, {"m0": 5})
    with pytest.raises(NetworkError, match="one axis per rank"):
        evaluate(cascade, {**given, "K": given["K"][0]}, {"m0": 8})
    with pytest.raises(NetworkError, match="has 3 along e, another 16"):
        evaluate(cascade, {**given, "K": given["K"][:3]}, {"m0": 8})
