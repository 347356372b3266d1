from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from dovetail.errors import DovetailError, NetworkError, UnknownNameError
from dovetail.ir.network import Network
from dovetail.networks import registry
from dovetail.networks.registry import load_network, names
from dovetail.networks.zoo import NETWORKS

HEAVY = ("onnx", "torch", "numba", "scipy", "pymoo", "gymnasium", "pandas", "importlib.metadata")


def plugin_network(*, batch: int = 1) -> Network:
    """A third party's network."""
    return NETWORKS["autoencoder"](batch=batch)


def broken_plugin() -> Network:
    raise RuntimeError("out of order")


def wrong_plugin() -> int:
    return 3


def fussy_plugin() -> Network:
    raise DovetailError("says it in its own words")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {
        "third": f"{__name__}:plugin_network",
        "broken": f"{__name__}:broken_plugin",
        "wrong": f"{__name__}:wrong_plugin",
        "fussy": f"{__name__}:fussy_plugin",
        "missing": "no_such_module:make",
        "resnet18": f"{__name__}:wrong_plugin",
    }
    points = EntryPoints(EntryPoint(n, t, registry.ENTRY_POINTS) for n, t in targets.items())
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **query: points.select(**query))


@pytest.mark.parametrize("name", NETWORKS)
def test_zoo_by_name(name: str) -> None:
    assert load_network(name) == NETWORKS[name]()


def test_batch_reaches_the_network(tmp_path: Path) -> None:
    assert load_network("resnet18", batch=4) == NETWORKS["resnet18"](batch=4)
    path = tmp_path / "net.csv"
    path.write_text("g,4,5,6\n")
    assert load_network(str(path), batch=2).macs == 2 * load_network(str(path)).macs == 240
    for batch in (0, -1):
        with pytest.raises(NetworkError, match="must be at least 1"):
            load_network("resnet18", batch=batch)


def test_sizes_of_networks_of_the_zoo() -> None:
    found = load_network("bert_base", batch=2, dims={"sequence": 64, "layers": 1})
    assert found == NETWORKS["bert_base"](batch=2, sequence=64, layers=1)
    with pytest.raises(NetworkError, match=r"dimension .sequenc. to set: it has sequence"):
        load_network("bert_base", dims={"sequenc": 64})
    with pytest.raises(NetworkError, match="no dimension 'batch'"):
        load_network("bert_base", dims={"batch": 2})
    for size in (0, 2**24 + 1):
        with pytest.raises(NetworkError, match=r"sequence = \d+: must be within 1 to 16,777,216"):
            load_network("bert_base", dims={"sequence": size})
    with pytest.raises(NetworkError, match="layers = 1025: must be within 1 to 1,024"):
        load_network("bert_base", dims={"layers": 1025})


def test_names_describe_in_one_line() -> None:
    listed = dict(names())
    assert list(NETWORKS) == list(listed)[: len(NETWORKS)]
    for description in listed.values():
        assert 10 < len(description) < 100
        assert "\n" not in description


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("resnet-50", "did you mean resnet50"),
        ("mobilenetv2", "did you mean mobilenet_v2"),
        ("qqq", "known: alexnet, amoebanet_d, autoencoder"),
        ("", "known: "),
    ],
)
def test_unknown_names_suggest_known_ones(spec: str, hint: str) -> None:
    with pytest.raises(UnknownNameError, match=hint):
        load_network(spec)


def test_csv_files_in_either_case(tmp_path: Path) -> None:
    for name in ("a.csv", "b.CSV"):
        (tmp_path / name).write_text("Layer,M,N,K,\ng,4,5,6,\n")
        assert load_network(str(tmp_path / name)).macs == 120


def test_onnx_files_take_a_batch(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info("x", floats, ["samples", 4])],
        [onnx.helper.make_tensor_value_info("y", floats, None)],
        [onnx.helper.make_tensor("w", floats, (4, 5), [0.0] * 20)],
    )
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    assert load_network(str(path), batch=7).macs == 7 * 20
    with pytest.raises(NetworkError, match="not set"):
        load_network(str(path))


@pytest.mark.parametrize("suffix", ["csv", "onnx"])
def test_files_that_are_not_there(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(NetworkError, match="no such file"):
        load_network(str(tmp_path / f"none.{suffix}"))
    folder = tmp_path / f"folder.{suffix}"
    folder.mkdir()
    with pytest.raises(NetworkError, match="not a file"):
        load_network(str(folder))
    for spec in (f"a\0.{suffix}", "a" * 5000 + f".{suffix}"):
        with pytest.raises(NetworkError) as caught:
            load_network(spec)
        assert len(str(caught.value).splitlines()) == 1


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"")
    with pytest.raises(NetworkError, match=r"read from \.onnx, \.tflite and \.csv files"):
        load_network(str(path))


@pytest.mark.usefixtures("plugins")
def test_third_party_networks() -> None:
    assert load_network("third") == NETWORKS["autoencoder"]()
    assert load_network("third", batch=2) == NETWORKS["autoencoder"](batch=2)
    assert dict(names())["third"] == f"from {__name__}:plugin_network"
    with pytest.raises(UnknownNameError, match="did you mean third"):
        load_network("thirds")


@pytest.mark.usefixtures("plugins")
def test_the_zoo_cannot_be_shadowed() -> None:
    assert load_network("resnet18") == NETWORKS["resnet18"]()
    assert [name for name, _ in names()].count("resnet18") == 1


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "'broken' from .* fails: RuntimeError: out of order"),
        ("wrong", "'wrong' from .* returns int"),
        ("missing", "'missing' from .* fails: ModuleNotFoundError"),
    ],
)
def test_broken_third_parties_are_named(name: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        load_network(name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("plugins")
def test_own_errors_of_third_parties_pass() -> None:
    with pytest.raises(DovetailError, match=r"^says it in its own words$"):
        load_network("fussy")


def test_import_stays_light() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import dovetail.networks.registry;"
        f"print([m for m in {HEAVY} if m in set(sys.modules) - before])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
