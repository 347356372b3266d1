from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from dovetail.errors import ProblemError
from dovetail.networks.elastic.data import load_dataset


def write_cifar(folder, counts=(6, 4), test=5):
    """A folder in CIFAR-10's binary layout; image i of a file is filled with the byte i."""
    folder.mkdir(exist_ok=True)
    names = [f"data_batch_{i + 1}.bin" for i in range(len(counts))] + ["test_batch.bin"]
    for name, count in zip(names, (*counts, test), strict=True):
        records = np.zeros((count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        records[:, 1:] = np.arange(count)[:, None]
        records[:, 1] = 255
        records.tofile(folder / name)
    return folder


def test_digits_are_split_by_class_and_always_alike():
    first, second = load_dataset("digits"), load_dataset("digits")
    assert first.digest == second.digest
    assert first.x_train.shape == (1347, 1, 8, 8)
    assert first.x_test.shape == (450, 1, 8, 8)
    assert first.x_test.dtype == np.float32
    everything = np.bincount(np.concatenate([first.y_train, first.y_test]))
    assert np.abs(np.bincount(first.y_test) - 0.25 * everything).max() <= 0.5
    assert everything.sum() == 1797


def test_no_digit_is_on_both_sides_of_the_split():
    from sklearn.datasets import load_digits

    data, raw = load_dataset("digits"), load_digits().images / 16.0
    joined = np.concatenate([data.x_train, data.x_test]).reshape(1797, -1)
    order = np.lexsort(joined.T)
    assert np.allclose(joined[order], raw.reshape(1797, -1)[np.lexsort(raw.reshape(1797, -1).T)])


def test_a_cifar_folder(tmp_path):
    data = load_dataset(str(write_cifar(tmp_path / "cifar")))
    assert data.x_train.shape == (10, 3, 32, 32)
    assert data.x_test.shape == (5, 3, 32, 32)
    assert data.y_train.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert data.x_train[3, 0, 0, 0] == 1.0
    assert data.x_train[3, 2, 31, 31] == np.float32(3) / np.float32(255)
    assert (data.channels, data.resolution, data.classes) == (3, 32, 10)


@pytest.mark.parametrize("layout", ["nhw", "nchw", "nhwc"])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_an_archive(tmp_path, layout, kind):
    rng = np.random.default_rng(0)
    channels = 1 if layout == "nhw" else 3
    x = rng.integers(0, 256, (7, channels, 5, 5))
    stored = x if kind is np.uint8 else x / 255.0
    shaped = {"nhw": stored[:, 0], "nchw": stored, "nhwc": stored.transpose(0, 2, 3, 1)}[layout]
    y = np.arange(7) % 3
    part = shaped.astype(kind)
    np.savez(tmp_path / "images.npz", x_train=part, y_train=y, x_test=part[:2], y_test=y[:2])
    for spec in (tmp_path, tmp_path / "images.npz"):
        data = load_dataset(str(spec))
        assert np.allclose(data.x_train, x / 255.0)
        assert data.classes == 3


def test_a_smaller_data_set_is_a_prefix():
    data = load_dataset("digits")
    small = data.head(20, 10)
    assert (small.x_test == data.x_test[:10]).all()
    assert small.digest != data.digest


def pickled_cifar(folder):
    (folder / "data_batch_1").write_bytes(b"\x80\x02.")


def torn_cifar(folder):
    write_cifar(folder)
    (folder / "test_batch.bin").write_bytes(b"123")


def no_test(folder):
    write_cifar(folder)
    (folder / "test_batch.bin").unlink()


def bad_label(folder):
    write_cifar(folder)
    np.full(3073, 77, dtype=np.uint8).tofile(folder / "test_batch.bin")


def object_archive(folder):
    bad = np.array([None, "x"], dtype=object)
    np.savez(folder / "a.npz", x_train=bad, y_train=bad, x_test=bad, y_test=bad)


def text_archive(folder):
    (folder / "a.npz").write_text("not an archive")


def partial_archive(folder):
    np.savez(folder / "a.npz", x_train=np.zeros((2, 4, 4)))


def array_archive(folder):
    np.save(folder / "a.npy", np.zeros(3))
    (folder / "a.npy").rename(folder / "a.npz")


def torn_archive(folder):
    (folder / "a.npz").write_bytes(b"PK\x03\x04 and nothing else")


def swollen_archive(folder):
    """A member whose header claims 128 TiB."""
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (2**45,)}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())


def bright_archive(folder):
    x, y = np.full((2, 4, 4), 7.0), np.zeros(2, dtype=int)
    np.savez(folder / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "needs CIFAR-10's binary version or one .npz"),
        (pickled_cifar, "pickled and never loaded"),
        (torn_cifar, "3073-byte"),
        (no_test, "no test_batch.bin"),
        (bad_label, "label is out of range"),
        (object_archive, "without pickles"),
        (text_archive, "not a readable"),
        (array_archive, "not a readable"),
        (torn_archive, "not a readable"),
        (swollen_archive, "not a readable"),
        (partial_archive, "lacks the arrays"),
        (bright_archive, "outside \\[0, 1\\]"),
    ],
)
def test_bad_folders_get_one_line(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(ProblemError, match=words) as caught:
        load_dataset(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_missing_path_gets_one_line(tmp_path):
    with pytest.raises(ProblemError, match="neither"):
        load_dataset(str(tmp_path / "nowhere"))
