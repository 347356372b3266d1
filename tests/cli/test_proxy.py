"""`dovetail proxy train`, and searches on what it writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.driver import run, succeed

pytest.importorskip("torch")
pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

QUICK = ("--steps", 300, "--width", 32, "--members", 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand designs."""
    folder = tmp_path_factory.mktemp("data")
    search = ("search", "--env", "accelerator", "--network", "resnet8", "--agent", "random")
    succeed(*search, "--budget", 2000, "--study", folder / "s.db")
    succeed("export", folder / "s.db", folder / "s.parquet")
    return folder / "s.parquet"


def test_a_proxy_is_trained_searched_and_checked(data: Path) -> None:
    out = succeed("proxy", "train", data, *QUICK)
    assert re.search(r"latency_ms +[\d.]+ +[\d.]+ +0\.9\d+", out)
    assert "ArchGym states 0.61 % RMSE and 2,000x" in out
    assert re.search(r"cycle simulation, one by one +[\d,]+ +[\d.e+]+x", out)
    assert re.search(r"estimate, batched +[\d,]+ +[\d.e+]+x", out)
    assert out.endswith("proxy: proxy.npz\n")
    found = succeed("search", "--env", "proxy:proxy.npz", "--budget", 300)
    assert "done: 300 designs by nsga2" in found
    assert "done: 400 designs" in succeed("search", "--resume", "--budget", 400)
    again = succeed("resimulate", "study.db", "--fidelity", "cycle")
    assert "latency_ms" in again
    both = ("search", "--env", "proxy:proxy.npz", "--budget", 60, "--study", "both.db")
    assert "begin with 'proxy'" in run(*both, "--fidelities", "estimate,cycle:5").complaint
    succeed(*both, "--fidelities", "proxy,estimate:10", "--agent", "random")
    change = succeed("resimulate", "both.db", "--fidelity", "proxy")
    assert "evaluated at proxy" in change
    assert "latency_ms: +0.00 % to +0.00 %" not in change


def test_designs_are_evaluated_anew_at_another_fidelity(data: Path) -> None:
    """Also where the data set has a few of them, as elites."""
    parts = pyarrow.parquet.read_table(data)
    few = pyarrow.array(["cycle"] * 5 + ["estimate"] * (len(parts) - 5))
    place = parts.column_names.index("fidelity")
    pyarrow.parquet.write_table(parts.set_column(place, "fidelity", few), "few.parquet")
    out = succeed("proxy", "train", "few.parquet", *QUICK, "--fidelity", "cycle", "--designs", 250)
    assert "250 distinct feasible designs" in out


def test_data_that_cannot_be_learnt_from(data: Path) -> None:
    Path("cut.parquet").write_bytes(data.read_bytes()[:5000])
    assert "is no data set" in run("proxy", "train", "cut.parquet").complaint
    assert "there is no data set" in run("proxy", "train", "none.parquet").complaint
    assert "no fidelity 'x'" in run("proxy", "train", data, "--fidelity", "x").complaint
    few = run("proxy", "train", data, "--fidelity", "cycle", "--designs", 20)
    assert "a proxy needs 200 at least" in few.complaint
    assert "name another file" in run("proxy", "train", data, "--out", data).complaint
    assert "coverage" in run("proxy", "train", data, "--coverage", 2).complaint


def test_data_of_a_problem_without_accelerators() -> None:
    bits = ("search", "--env", "proxy:none.npz")
    assert "cannot be read" in run(*bits).complaint
    Path("text.npz").write_text("no proxy")
    assert "is no proxy" in run("search", "--env", "proxy:text.npz").complaint


@pytest.mark.parametrize("option", [("--objective", "area_mm2"), ("--network", "resnet8")])
def test_options_that_a_proxy_does_not_take(option: tuple[str, str]) -> None:
    assert "its file says all" in run("search", "--env", "proxy:p.npz", *option).complaint
    assert "only proxy:FILE has a colon" in run("search", "--env", "accelerator:resnet8").complaint
