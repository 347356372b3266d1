from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from dovetail.errors import MissingExtraError, OutputError, ProblemError, StudyError
from dovetail.networks.elastic import ElasticFamily, archive
from dovetail.networks.elastic.accuracy import AccuracyOracle, train_or_load, wilson
from dovetail.networks.elastic.data import load_dataset
from tests.networks.elastic_helpers import TINY
from tests.networks.test_elastic_data import write_cifar

DATA = load_dataset("digits").head(400, 150)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    path = tmp_path_factory.mktemp("oracle") / "folder" / "tiny.npz"
    oracle = train_or_load(path, DATA, seed=0, epochs=6, family=TINY)
    oracle.errors(TINY.space.sample(np.random.default_rng(0), 20))
    oracle.save(path)
    return path


@pytest.fixture
def oracle(cache):
    return AccuracyOracle.load(cache, DATA)


def test_errors_are_memoised_and_batched(oracle, monkeypatch):
    choices = TINY.space.sample(np.random.default_rng(1), 30)
    doubled = np.concatenate([choices, choices[::-1]])
    errors = oracle.errors(doubled)
    assert errors.shape == (60,)
    assert (errors[:30] == errors[30:][::-1]).all()
    monkeypatch.setattr(oracle._classifier, "correct", None)
    assert (oracle.errors(choices[5:9]) == errors[5:9]).all()
    assert oracle.errors(choices[:0]).shape == (0,)


def test_training_helps_and_capacity_too(oracle):
    largest = TINY.space.cardinalities - 1
    errors = oracle.errors(np.stack([largest, np.zeros_like(largest)]))
    assert errors[0] < 0.4
    assert errors[0] < errors[1]


def test_a_cache_gives_the_same_oracle(cache, oracle):
    def refuse(_):
        raise AssertionError("trained again")

    again = train_or_load(cache, DATA, seed=0, epochs=6, family=TINY, progress=refuse)
    assert again.measured == oracle.measured >= 19
    assert json.loads(json.dumps(again.describe())) == oracle.describe()
    fresh = AccuracyOracle(TINY, DATA, again.net, again.recipe)
    known = np.argwhere(again.correct.reshape(TINY.space.cardinalities) >= 0)[:5]
    assert (fresh.errors(known) == again.errors(known)).all()


def test_pickled_for_workers_it_is_small_and_the_same(oracle):
    choices = TINY.space.sample(np.random.default_rng(3), 40)
    bare = len(pickle.dumps(oracle))
    errors = oracle.errors(choices)
    assert oracle._classifier._cached_bytes > 10**5
    packed = pickle.dumps(oracle)
    assert len(packed) < bare + 12 * 40 + 200
    again = pickle.loads(packed)
    assert (again.correct == oracle.correct).all()
    fresh = TINY.space.sample(np.random.default_rng(4), 10)
    assert (again.errors(fresh) == oracle.errors(fresh)).all()
    assert (again.errors(choices) == errors).all()


def test_results_of_other_processes_are_taken_over_if_of_the_same_recipe(cache, tmp_path, oracle):
    other, path = AccuracyOracle.load(cache, DATA), tmp_path / "other.npz"
    choices = TINY.space.sample(np.random.default_rng(5), 20)
    errors = other.errors(choices)
    other.save(path)
    before = oracle.correct.copy()
    stranger = AccuracyOracle(TINY, DATA, oracle.net, {**oracle.recipe, "seed": 9})
    stranger.absorb(path)
    assert stranger.measured == 0
    oracle.absorb(path)
    assert (oracle.correct[before >= 0] == before[before >= 0]).all()
    oracle._classifier.correct = None
    assert (oracle.errors(choices) == errors).all()


def test_another_recipe_is_trained_anew(tmp_path):
    path, data = tmp_path / "a.npz", DATA.head(64, 20)
    train_or_load(path, data, seed=0, epochs=1, family=TINY)
    seen = []
    train_or_load(path, data, seed=1, epochs=1, family=TINY, progress=seen.append)
    assert len(seen) == 1
    assert AccuracyOracle.load(path, data).describe()["seed"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_other_data_are_refused(cache):
    with pytest.raises(StudyError, match="belongs to data set"):
        AccuracyOracle.load(cache, DATA.head(100, 50))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def rewrite(path, target, **changes):
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays |= changes
    np.savez(target, **{name: array for name, array in arrays.items() if array is not None})


F32 = np.ones(10, dtype=np.float32)


def results(keys, correct):
    return {"keys": np.array(keys), "correct": np.array(correct, dtype=np.int32)}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path, bad: bad.write_bytes(path.read_bytes()[:2000]), "not a zip file"),
        (lambda path, bad: bad.write_bytes(b""), "not a zip file"),
        (lambda path, bad: bad.write_text("{}"), "not a zip file"),
        (lambda path, bad: bad.write_bytes(npy(np.zeros(3))), "not a zip file"),
        (lambda path, bad: rewrite(path, bad, recipe=None), "no recipe"),
        (lambda path, bad: rewrite(path, bad, keys=None), "incomplete"),
        (lambda path, bad: rewrite(path, bad, keys=np.array(["a"]), correct=np.array([1])), "type"),
        (lambda path, bad: rewrite(path, bad, **results([-1], [1])), "out of range"),
        (lambda path, bad: rewrite(path, bad, **results([1], [151])), "out of range"),
        (lambda path, bad: rewrite(path, bad, **{"weight/bias": None}), "do not fit"),
        (lambda path, bad: rewrite(path, bad, **{"weight/bias": F32 * np.nan}), "not finite"),
        (lambda path, bad: rewrite(path, bad, **{"weight/bias": np.full(10, "a")}), "no float32"),
        (lambda path, bad: None, "No such file"),
    ],
)
def test_a_corrupt_file_gets_one_line(cache, tmp_path, damage, words):
    bad = tmp_path / "bad.npz"
    damage(cache, bad)
    with pytest.raises(StudyError, match=f"cannot be read: .*{words}") as caught:
        AccuracyOracle.load(bad, DATA)
    assert "\n" not in str(caught.value)


def test_an_archive_that_unpacks_to_too_much_is_not_read(cache, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(StudyError, match="at most 1000 are read"):
        AccuracyOracle.load(cache, DATA)


def test_bytes_flipped_anywhere_never_pass_silently(cache, tmp_path):
    good = AccuracyOracle.load(cache, DATA)
    raw = cache.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(raw), 25):
        bad = tmp_path / "bad.npz"
        bad.write_bytes(raw[:place] + bytes([raw[place] ^ 0x55]) + raw[place + 1 :])
        try:
            loaded = AccuracyOracle.load(bad, DATA)
        except StudyError:
            continue
        assert (loaded.correct == good.correct).all()


def test_an_unwritable_cache_gets_one_line(oracle, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        oracle.save(tmp_path / "file" / "a.npz")


def test_wilson_is_the_textbook_interval():
    for hits, total in ((0, 450), (9, 450), (225, 450), (450, 450), (1, 3)):
        ours = [bound[0] for bound in wilson(np.array([hits / total]), total)]
        theirs = binomtest(hits, total).proportion_ci(0.95, method="wilson")
        assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_the_interval_holds_the_error(oracle):
    choice = TINY.space.cardinalities - 1
    low, high = oracle.interval(choice)
    assert low <= oracle.errors(choice[None])[0] <= high


def test_a_cifar_folder_works_from_end_to_end(tmp_path):
    folder = write_cifar(tmp_path / "cifar", counts=(16, 8), test=12)
    small = ElasticFamily(3, 10, (16, 32), ((4,), (4, 8)), (1, 2), (3,), (4,), (4, 8))
    oracle = train_or_load(None, str(folder), epochs=1, family=small)
    errors = oracle.errors(small.space.sample(np.random.default_rng(0), 4))
    assert ((errors * 12).round(9) % 1 == 0).all()
    assert oracle.describe()["dataset"] == "cifar"


def test_a_family_that_does_not_fit_is_refused():
    with pytest.raises(ProblemError, match="does not fit"):
        train_or_load(None, DATA, family=ElasticFamily(in_channels=3))


def test_a_space_that_cannot_be_tabulated_is_refused():
    huge = ElasticFamily(widths=((4, 8, 12, 16),) * 12)
    with pytest.raises(ProblemError, match="remove knob values"):
        train_or_load(None, DATA, family=huge)


def test_choices_outside_the_space_are_refused(oracle):
    with pytest.raises(ProblemError):
        oracle.errors(np.full((1, len(TINY.space.knobs)), 9))


def test_torch_is_imported_only_when_used():
    code = "import sys, dovetail.networks.elastic.accuracy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_torch_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"dovetail\[torch\]"):
        train_or_load(None, DATA, family=TINY)
