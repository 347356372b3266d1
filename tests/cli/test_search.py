"""`dovetail search`, `demo`, `report` and `export`."""

from __future__ import annotations

import csv
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from dovetail.building.adapt import obstacles
from dovetail.cli.problem_options import problem_spec
from dovetail.cli.search import DEMO
from dovetail.cli.winner import ranking
from dovetail.envs.codesign import CoDesignProblem
from dovetail.envs.nasbench201_table import twin, write
from dovetail.envs.problem import Evaluation
from dovetail.envs.registry import make_problem
from dovetail.errors import ProblemError
from dovetail.studies.records import Records
from dovetail.studies.store import StudyStore
from tests.cli.driver import COMMAND, assert_same_study, records, run, spawn, succeed

ACCELERATOR = ("search", "--env", "accelerator", "--network", "resnet8")
CODESIGN = ("search", "--env", "codesign", "--epochs", "1")
AGENTS = {
    "annealing": ("50", "--agent-set", "chains=16"),
    "ant_colony": ("50", "--agent-set", "ants=16"),
    "cem": ("50", "--agent-set", "batch=16"),
    "genetic": ("50", "--agent-set", "population=16"),
    "random": ("50", "--agent-set", "batch=16"),
    "reinforce": ("50", "--agent-set", "batch=16"),
    "nsga2": ("50", "--agent-set", "population=20"),
    "ppo": ("50", "--agent-set", "batch=32"),
    "maskable_ppo": ("50", "--agent-set", "batch=32"),
    "bayesian": ("12", "--agent-set", "initial=8"),
}
"""Budget and settings by agent: small batches, so that all of them learn."""


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("env", [ACCELERATOR, CODESIGN], ids=["accelerator", "codesign"])
def test_every_agent_on_every_environment(agent: str, env: tuple[str, ...]) -> None:
    """Half a budget and its resumption equal one run; the same options mean the same study."""
    pytest.importorskip("torch")
    budget, *settings = AGENTS[agent]
    options = (*env, "--agent", agent, *settings, "--seed", 3)
    out = succeed(*options, "--budget", budget, "--study", "whole.db")
    assert re.search(rf"done: {budget} designs by {agent} in .* hypervolume [\d.]+", out)
    succeed(*options, "--budget", int(budget) // 2, "--study", "halves.db")
    again = succeed("search", "--study", "halves.db", "--resume", "--budget", budget)
    assert f"done: {budget} designs ({int(budget) // 2} of them stored before)" in again
    assert_same_study(Path("whole.db"), Path("halves.db"))


def test_a_killed_search_resumes_to_the_same_study() -> None:
    options = (*ACCELERATOR, "--budget", 6000, "--agent-set", "population=40")
    succeed(*options, "--study", "whole.db")
    rng = random.Random(os.getpid())
    for _ in range(2):
        interrupt("killed.db", rng.randint(1, 3000), options, signal.SIGKILL)
    succeed("search", "--study", "killed.db", "--resume")
    assert_same_study(Path("whole.db"), Path("killed.db"))


def test_ctrl_c_ends_a_search_in_words_and_leaves_a_study() -> None:
    options = (*ACCELERATOR, "--budget", 10**9)
    done = interrupt("s.db", 200, options, signal.SIGINT)
    assert done.returncode == 130
    assert done.stderr == "dovetail: interrupted\n"
    assert "Pareto front: " in done.stdout
    assert "go on: dovetail search --study s.db --resume" in done.stdout
    count = len(records(Path("s.db")))
    assert f"interrupted: {count:,} designs by nsga2" in done.stdout
    more = succeed("search", "--study", "s.db", "--resume", "--budget", count + 10)
    assert f"done: {count + 10:,} designs ({count:,} of them stored before)" in more


def interrupt(
    study: str, evaluations: int, options: tuple[object, ...], number: signal.Signals
) -> subprocess.CompletedProcess[str]:
    """Runs a search until it has stored some evaluations, then sends a signal."""
    more = ("--resume",) if Path(study).exists() else ()
    command = [*COMMAND, *map(str, options), "--study", study, *more]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)
    limit = time.monotonic() + 60
    while process.poll() is None and stored(study) < evaluations and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def stored(study: str) -> int:
    """Evaluations in a study that another process writes."""
    if not Path(study).exists():
        return 0
    with closing(sqlite3.connect(f"file:{study}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM evaluations").fetchone()[0])


def test_the_number_of_workers_changes_nothing() -> None:
    options = (*ACCELERATOR, "--budget", 250)
    succeed(*options, "--study", "one.db")
    done = spawn(*options, "--study", "two.db", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert_same_study(Path("one.db"), Path("two.db"))


def test_the_seed_changes_the_search_and_not_the_problem() -> None:
    for seed in (0, 1):
        succeed(*CODESIGN, "--seed", seed, "--budget", 20, "--study", f"{seed}.db")
    problems = []
    for seed in (0, 1):
        with StudyStore.open(f"{seed}.db", read_only=True) as store:
            problems.append(store.spec.problem)
    assert problems[0] == problems[1]
    assert (records(Path("0.db")).designs != records(Path("1.db")).designs).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget", 300), "exists: go on with it by --resume"),
        (("--resume", "--budget", 299), "holds 300 evaluations already"),
        (("--resume", "--agent", "random"), 'agent: "nsga2", not "random"'),
        (("--resume", "--seed", 8), "seed: 7, not 8"),
        (("--resume", "--network", "resnet18"), 'problem.network: "resnet8", not "resnet18"'),
        (("--resume", "--set", "dram=hbm2"), 'problem.base.dram: "ddr4", not "hbm2"'),
        (("--resume", "--constraint", "area_mm2<=1"), "problem.constraints"),
        (("--resume", "--objective", "energy_mj"), "problem.objectives"),
        (("--resume", "--agent-set", "population=7"), "settings.population: 100, not 7"),
        (("--resume", "--epochs", "3"), "goes with --env codesign"),
    ],
)
def test_wrong_arguments_of_a_resumption(
    options: tuple[object, ...], words: str, finished: Path
) -> None:
    Path("s.db").write_bytes(finished.read_bytes())
    assert words in run("search", "--study", "s.db", *options).complaint
    assert_same_study(Path("s.db"), finished)


def test_a_resumption_may_repeat_all_arguments(finished: Path) -> None:
    Path("s.db").write_bytes(finished.read_bytes())
    options = ("--agent", "nsga2", "--seed", 7, "--budget", 300, "-a", "edge")
    succeed(*ACCELERATOR, *options, "--objective", "latency_ms", "--objective", "energy_mj",
            "--objective", "area_mm2", "--study", "s.db", "--resume")  # fmt: skip
    assert_same_study(Path("s.db"), finished)


def test_resuming_what_was_killed_before_it_began() -> None:
    done = run(*ACCELERATOR, "--budget", 5, "--study", "new.db", "--resume")
    assert done.code == 0
    assert done.err == "there is no study 'new.db' yet: it begins now\n"
    assert len(records(Path("new.db"))) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--agent", "nsga"), "did you mean nsga2"),
        (("--agent-set", "population"), "must be KEY=VALUE"),
        (("--agent-set", "populations=10"), "did you mean 'population'"),
        (("--agent-set", "population=ten"), "must be of type int"),
        (("--agent-set", "population=0"), "population = 0"),
        (("--agent-set", "population=9", "--agent-set", "population=8"), "set twice"),
        (("--env", "chip"), "unknown design problem 'chip'"),
        (("--network", "resnet8"), "goes with --env accelerator"),
        (("--env", "accelerator", "--dataset", "digits"), "goes with --env codesign"),
        (("--env", "accelerator", "--network", "resnet-8"), "did you mean resnet8"),
        (("--dataset", "nowhere"), "nowhere"),
        (("--objective", "latency"), "unknown objective 'latency'"),
        (("--objective", "error", "--objective", "error"), "appears twice"),
        (("--objective", "utilization"), "constrain it"),
        (("--env", "accelerator", "--objective", "error"), "unknown objective 'error'"),
        (("--constraint", "area_mm2<2"), "write METRIC<=NUMBER"),
        (("--constraint", "area_mm2<=two"), "'two' is not a number"),
        (("--constraint", "area_mm2<=-1"), "must be finite and > 0"),
        (("--constraint", "area<=2"), "unknown metric 'area'"),
        (("--set", "rows=0"), "rows = 0"),
        (("--set", "rows=4096"), "is illegal"),
        (("--study", "same", "--report", "same"), "name another file"),
        (("--study", "-"), "name a file"),
    ],
)
def test_wrong_arguments_of_a_search(options: tuple[object, ...], words: str) -> None:
    assert words in run("search", "--study", "s.db", *options).complaint
    assert not os.listdir()


def test_cells_and_accelerators_are_searched_with_a_table_or_its_twin() -> None:
    write("cells.npz", twin(3))
    options = ("search", "--env", "nasbench201", "--agent", "cem", "--budget", 200)
    tabled = ("--table", "cells.npz", "--dataset", "cifar100", "--epochs", 12)
    out = succeed(*options, *tabled, "--study", "a.db")
    assert "done: 200 designs by cem" in out
    os.rename("cells.npz", "moved.npz")
    assert "200 of them" in succeed(
        "search", "--study", "a.db", "--resume", "--budget", 300, "--table", "moved.npz"
    )
    write("moved.npz", twin(4))
    other = run("search", "--study", "a.db", "--resume", "--table", "moved.npz")
    assert "SHA-256" in other.complaint
    assert "done: 200 designs" in succeed(*options, "--study", "b.db")
    for wrong, words in (
        (("--table", "none.npz"), "cannot be read"),
        (("--dataset", "digits"), "unknown data set 'digits'"),
        (("--epochs", 13), "after 12 and 200"),
    ):
        assert words in run(*options, *wrong, "--study", "c.db").complaint
    assert (
        "goes with --env nasbench201"
        in run(*ACCELERATOR, "--table", "moved.npz", "--study", "c.db").complaint
    )


def test_a_budget_beyond_reason_is_refused() -> None:
    assert "budget" in run(*ACCELERATOR, "--budget", 10**30).complaint
    assert not os.listdir()


def test_no_feasible_design_is_no_front() -> None:
    out = succeed(*ACCELERATOR, "--budget", 20, "--constraint", "latency_ms<=1e-9")
    assert "Pareto front" not in out
    assert "0 feasible, 0 on the front, hypervolume 0" in out
    assert re.search(r"latency_ms<=1e-09: the nearest of \d+ lawful designs has 0\.\d+", out)


def test_the_front_is_readable_and_measured() -> None:
    out = succeed(*CODESIGN, "--budget", 40)
    lines = out.splitlines()
    assert lines[0].startswith("Pareto front: ")
    assert max(map(len, lines)) <= 120
    assert "…" not in out
    headings = " ".join(lines[1].split() + lines[2].split())
    for words in ("error %", "[95 % interval]", "latency", "energy", "area", "depth", "array"):
        assert words in headings
    rows = [line for line in lines[4:] if re.match(r" *\d+\.\d \[", line)]
    assert rows
    for row in rows:
        error, low, high = map(float, re.match(r" *([\d.]+) \[([\d.]+), ([\d.]+)\]", row).groups())  # type: ignore[union-attr]
        assert low <= error <= high


def test_reports_and_exports(finished: Path) -> None:
    pytest.importorskip("plotly")
    out = succeed("report", finished, "--out", "r.html")
    assert out == "report: r.html\n"
    assert "stage1.first.conv" in Path("r.html").read_text()
    assert succeed("export", finished, "s.csv") == "300 evaluations: s.csv\n"
    with open("s.csv") as file:
        assert len(list(csv.reader(file))) == 301
    assert "must end in .parquet or .csv" in run("export", finished, "s.xls").complaint
    assert "name another file" in run("export", finished, finished).complaint
    assert "name another file" in run("report", finished, "-o", finished).complaint


def test_a_search_may_end_in_its_report() -> None:
    pytest.importorskip("plotly")
    out = succeed(*ACCELERATOR, "--budget", 20, "--report", "r.html")
    assert out.endswith("study: study.db\nreport: r.html\n")
    assert sorted(os.listdir()) == ["r.html", "study.db"]


def test_the_demo_takes_up_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("plotly")
    monkeypatch.setattr("dovetail.cli.search.DEMO", {"problem": "codesign", "epochs": 1})
    monkeypatch.setattr("dovetail.cli.winner.quickest", lambda _: (None, "none is installed"))
    first = succeed("demo", "--budget", 30)
    assert "done: 30 designs by nsga2" in first
    assert first.endswith("gates not simulated: none is installed\n")
    more = succeed("demo", "--budget", 60)
    assert "done: 60 designs (30 of them stored before)" in more
    assert {"demo-seed0.db", "report.html", "winner"} <= set(os.listdir("out"))
    assert os.access("out/winner/run.sh", os.X_OK)


def test_the_demo_searches_what_can_be_built() -> None:
    pytest.importorskip("torch")
    problem = make_problem({**DEMO, "epochs": 1})
    assert isinstance(problem, CoDesignProblem)
    designs = problem.space.sample(np.random.default_rng(0), 200)
    lawful = np.flatnonzero(problem.evaluate(designs).violation <= 0)
    assert len(lawful) >= 10
    for design in designs[lawful[:10]]:
        assert obstacles(problem.accelerator(design)) == []
    for design in designs:
        sub = problem.family.decode(design[: len(problem.choices.knobs)])
        array = problem.accelerator(design)
        narrow = array.input_bits < sub.activation_bits or array.weight_bits < sub.weight_bits
        assert not narrow or problem.reasons(design)
        assert not narrow or problem.evaluate(design[None]).violation[0] > 0


def test_the_demo_ranks_the_front_by_energy_and_delay_near_the_least_error() -> None:
    metrics = {
        "error": np.array([0.10, 0.105, 0.109, 0.2, 0.1]),
        "energy_mj": np.array([4.0, 2.0, 1.0, 0.1, 9.0]),
        "latency_ms": np.array([1.0, 1.0, 3.0, 0.1, 9.0]),
    }
    objectives = np.stack(list(metrics.values()), axis=1)
    evaluation = Evaluation(metrics, objectives, np.zeros(5))
    found = Records(np.zeros((5, 1), np.int64), np.zeros(5, np.int64), evaluation, np.zeros(5))
    assert ranking(found) == [1, 2, 0]


def test_a_demo_needs_a_folder() -> None:
    Path("file").write_text("")
    assert "cannot make the folder" in run("demo", "--out", "file").complaint
    assert "cannot make the folder" in run("demo", "--out", "file/out").complaint


def test_environments_may_be_named_as_gymnasium_does() -> None:
    spec = problem_spec("dovetail/Accelerator-v0", {"network": "resnet8"}, None, None, None)
    assert spec == {"problem": "accelerator", "network": "resnet8"}
    with pytest.raises(ProblemError, match="goes with --env codesign"):
        problem_spec("accelerator", {"epochs": 3}, None, None, None)
    assert problem_spec("other", {"network": "x"}, None, ["a"], ["b<=1"]) == {
        "problem": "other",
        "network": "x",
        "objectives": ["a"],
        "constraints": ["b<=1"],
    }


@pytest.mark.parametrize(
    ("env", "base"), [("fpga_folding", "finn_zcu102"), ("rdu_placement", "sn40l")]
)
def test_how_a_network_lies_on_a_design_is_searched(env: str, base: str) -> None:
    options = ("--env", env, "--network", "resnet8", "-a", base)
    said = succeed("search", *options, "--agent", "random", "--budget", "8")
    assert "done: 8 designs by random" in said
