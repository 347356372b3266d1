"""ECON-T's encoder: how weights travel, and that `verify hls` runs the full size."""

import numpy as np

import dovetail.verify.hls_run
from dovetail.hls import find_kernel
from dovetail.verify.hls_econ_t import ECON_T, weight_words
from tests.cli.driver import succeed


def test_the_words_set_all_weights_and_events_see_those_before_them():
    values = find_kernel("econ_t").values({"outputs": 16})
    assert weight_words(values) == 27
    vectors = ECON_T.vectors(values, np.random.default_rng(0), 200)
    marks = vectors[:, -1].astype(bool)
    assert len(vectors) == 200
    assert marks.sum() == 3 * 27
    triggers, words = ECON_T.reference(values, vectors)
    assert triggers == np.flatnonzero(~marks).tolist()
    # Nothing comes before the first weights; afterwards codes vary and some saturate.
    assert words[:6] == [0] * 6
    assert len(set(words[6:])) > 50
    assert any(word >> 9 * 3 & 511 == 511 for word in words)


def test_verify_runs_the_large_form(monkeypatch):
    seen = []

    def verify(kernel, form, **options):
        seen.append((kernel, form))
        return outcome

    outcome = dovetail.verify.hls_run.Outcome("econ_t", {}, 1, 1, 5, 1, (5, 1), (), 0.1)
    monkeypatch.setattr(dovetail.verify.hls_run, "verify_kernel", verify)
    monkeypatch.setattr(dovetail.verify.hls_run, "require_tools", lambda: None)
    succeed("verify", "hls", "--kernel", "econ_t")
    assert ("econ_t", {"outputs": 16}) in seen
    assert ("econ_t", {}) in seen
