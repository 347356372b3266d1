"""`dovetail search --fidelities`, and `dovetail resimulate`."""

from __future__ import annotations

import pytest

from tests.cli.driver import run, succeed

SEARCH = ("search", "--env", "nasbench201", "-a", "ethos_u55_128", "--objective", "error",
          "--objective", "latency_ms", "--agent", "random")  # fmt: skip


def test_the_front_is_simulated_again() -> None:
    succeed(*SEARCH, "--budget", 12, "--study", "s.db")
    out = succeed("resimulate", "s.db", "--most", 2)
    assert "2 of " in out
    assert "designs of the front, evaluated at cycle" in out
    assert "error: +0.00 % to +0.00 %" in out
    latency = next(line for line in out.splitlines() if line.startswith("latency_ms: +"))
    assert latency != "latency_ms: +0.00 % to +0.00 %"
    assert "0 no longer feasible" in out
    refused = run("resimulate", "s.db", "--fidelity", "rtl").complaint
    assert refused.startswith("fidelity 'rtl': 'ethos_u55_128' is no RTL machine")
    assert "has no fidelity 'gates'" in run("resimulate", "s.db", "--fidelity", "gates").complaint


def test_a_search_over_fidelities_goes_on_from_its_file() -> None:
    succeed(*SEARCH, "--fidelities", "estimate,cycle:5", "--budget", 40, "--study", "f.db")
    out = succeed("search", "--study", "f.db", "--resume", "--budget", 60)
    assert "on the front" in out
    assert "fidelity" in out


def test_the_front_of_a_search_over_fidelities_is_simulated_again() -> None:
    levels = ("--fidelities", "estimate,cycle:2")
    succeed(*SEARCH, *levels, "--budget", 30, "--study", "f.db")
    same = succeed("resimulate", "f.db", "--most", 2)
    assert "latency_ms: +0.00 % to +0.00 %" in same  # a front is of the highest fidelity
    lower = succeed("resimulate", "f.db", "--most", 2, "--fidelity", "estimate")
    assert "evaluated at estimate" in lower
    assert "latency_ms: +0.00 % to +0.00 %" not in lower


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("estimate,cycle", "say what 'cycle' costs"),
        ("estimate,cycle:x", "'x' is no number"),
        ("estimate", "needs two"),
        ("estimate:2,cycle:5", "the first must be 1"),
        ("estimate,gates:5", "has no fidelity 'gates'"),
        ("cycle,estimate:5", "name each once, the highest last"),
        ("estimate,estimate:5", "name each once, the highest last"),
    ],
)
def test_malformed_fidelities_are_refused(text: str, message: str) -> None:
    assert message in run(*SEARCH, "--fidelities", text, "--study", "x.db").complaint
