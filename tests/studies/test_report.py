import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MissingExtraError, OutputError, StudyError
from dovetail.ir.report import OperatorReport, Report
from dovetail.studies import pages
from dovetail.studies.front import convergence, spread
from dovetail.studies.report import write_report
from dovetail.studies.report_data import OPERATORS, compact, label
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.studies.toy import SPACE, ToyAgent, ToyProblem, search

pytest.importorskip("plotly")

NASTY = "</script><img src=x onerror=alert(1)> & \u2028"


def operator(name: str, cycles: int) -> OperatorReport:
    return OperatorReport(
        name=name, kind="conv2d", engine="array", fused_into="", macs=cycles * 4, vector_ops=0,
        cycles=cycles, compute_cycles=cycles // 2, stall_cycles={"memory": cycles - cycles // 2},
        dram_bytes={"input": cycles, "weight": 5}, sram_bytes={}, energy_pj={"mac": 2.0 * cycles},
        utilization=0.25, mapping={},
    )  # fmt: skip


def explain(design: np.ndarray, operators: int = 5) -> Report:
    return Report(
        network="net", accelerator=SPACE.decode(design), fidelity="estimate", clock_mhz=100.0,
        area_mm2=1.0, peak_macs_per_cycle=16, dram_bytes_per_cycle=4.0,
        operators=(*(operator(f"{NASTY}{i}", 10 + i) for i in range(operators)),
                   operator("view", 0)),
    )  # fmt: skip


class Page(HTMLParser):
    """Collects what a page would fetch, and the data it embeds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.data = ""
        self._in_data = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "data", "action")]
        self._in_data = values.get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.data)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "s.study"
    search(path, 250)
    return path


@pytest.fixture(scope="module")
def page(study: Path) -> Page:
    write_report(study, study.with_name("report.html"), explain)
    return Page(study.with_name("report.html").read_text(encoding="utf-8"))


def test_the_report_is_one_self_contained_file(page: Page, study: Path) -> None:
    assert page.fetched == ["data:,"], "nothing but the inline icon"
    assert {"link", "iframe", "object"} & set(page.tags) <= {"link"}
    assert page.tags.count("script") == 3
    assert "img" not in page.tags, "names cannot inject elements"
    assert study.with_name("report.html").stat().st_size < 8e6
    style = (Path(pages.__file__).parent / "assets" / "report.css").read_text()
    assert not re.search(r"url\(|@import", style)


def test_the_report_holds_the_front_and_its_details(page: Page, study: Path) -> None:
    with StudyStore.open(study) as store:
        records = store.records()
    front, data = records.front(), page.json
    assert data["front"]["rows"] == front.tolist()
    assert data["front"]["designs"] == records.designs[front].tolist()
    assert data["facts"]["front"] == len(front)
    assert set(data["details"]) == {str(row) for row in data["chosen"]}
    latency = records.evaluation.metrics["latency_ms"][front]
    assert np.allclose(data["front"]["metrics"]["latency_ms"], latency, rtol=1e-5)
    detail = data["details"][str(front[0])]["operators"]
    assert detail["name"] == [f"{NASTY}{i}" for i in range(5)], "what costs nothing is left out"
    assert detail["stall_cycles"] == {"memory": [5, 6, 6, 7, 7]}
    assert {m["key"]: m["interval"] for m in data["metrics"]} == {
        "latency_ms": False, "energy_mj": False, "error": True, "area_mm2": False,
    }  # fmt: skip


def test_a_report_is_the_same_each_time(study: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(study, tmp_path / name, explain)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_study_without_evaluations_or_front_has_a_report(tmp_path: Path) -> None:
    class Hopeless(ToyProblem):
        def evaluate(self, designs: np.ndarray) -> Any:
            whole = super().evaluate(designs)
            return type(whole)(whole.metrics, whole.objectives, whole.violation + 1)

    spec = StudySpec.of(Hopeless(), "toy", {}, 0, 20)
    with open_study(tmp_path / "s", spec) as store:
        write_report(store, tmp_path / "none.html", explain)
        run_study(Hopeless(), store, make=ToyAgent)
        write_report(store, tmp_path / "hopeless.html", explain)
    for name, count in (("none.html", 0), ("hopeless.html", 20)):
        data = Page((tmp_path / name).read_text(encoding="utf-8")).json
        assert (data["facts"]["evaluations"], data["front"]["rows"]) == (count, [])


def test_errors_of_the_report(study: Path, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(StudyError, match="no study file"):
        write_report(tmp_path / "missing", tmp_path / "r.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(study, tmp_path / "file" / "r.html")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(study, tmp_path)
    monkeypatch.setattr(pages, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="report"):
        write_report(study, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_many_operators_are_summed_up() -> None:
    whole = explain(np.zeros(4, dtype=np.int64), OPERATORS + 50).to_dict()
    ops = compact(whole)["operators"]
    assert len(ops["name"]) == OPERATORS
    assert ops["name"][-1] == "51 others"
    assert sum(ops["cycles"]) == whole["total"]["cycles"]
    assert sum(ops["energy_pj"]["mac"]) == pytest.approx(whole["total"]["energy_pj"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("latency_ms", ("Latency", "ms")),
        ("edp_mj_ms", ("EDP", "mJ·ms")),
        ("area_mm2", ("Area", "mm²")),
        ("error", ("Error", "")),
        ("input_sram_kib", ("Input SRAM", "KiB")),
        ("s", ("S", "")),
    ],
)
def test_labels(name: str, told: tuple[str, str]) -> None:
    assert label(name) == told


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 50), st.integers(0, 2**31))
def test_a_spread_keeps_its_count_and_the_ends(n: int, m: int, count: int, seed: int) -> None:
    points = np.random.default_rng(seed).random((n, m))
    kept = spread(points, count)
    assert len(kept) == min(n, count)
    assert (np.diff(kept) > 0).all()
    if count >= 2 * m:
        assert np.array_equal(points[kept].min(axis=0), points.min(axis=0))
        assert np.array_equal(points[kept].max(axis=0), points.max(axis=0))


def test_convergence_is_monotone_and_ends_at_the_result(tmp_path: Path) -> None:
    result = search(tmp_path / "s", 200)
    with StudyStore.open(tmp_path / "s") as store:
        trace = convergence(store.records(), store.spec)
    assert (np.diff(trace.hypervolume) >= 0).all()
    assert (np.diff(trace.evaluations) > 0).all()
    assert trace.evaluations[-1] == 200
    assert trace.hypervolume[-1] == result.hypervolume
    for values in trace.best.values():
        known = values[np.isfinite(values)]
        assert (np.diff(known) <= 0).all()
