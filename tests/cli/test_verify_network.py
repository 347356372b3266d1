"""`dovetail verify network` and `dovetail simulate --gates`: what they print, write and refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dovetail.networks.elastic.accuracy import AccuracyOracle
from dovetail.networks.elastic.data import load_dataset
from dovetail.networks.elastic.training import TrainingArgs, train
from dovetail.sim import simulators
from tests.cli.driver import run, succeed
from tests.networks.elastic_helpers import TINY
from tests.verify.fake_bench import fake_gates


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates that do as simulated, and need no tools."""
    fake_gates(monkeypatch)
    monkeypatch.setattr(simulators, "require_tools", lambda simulator: None)


@pytest.mark.usefixtures("gates")
def test_a_zoo_network_agrees() -> None:
    out = succeed("verify", "network", "resnet8", "--images", 2, "--trace", "t.json")
    assert out.startswith("resnet8 on micro (8 x 8 ws): 14 layers")
    assert "2 of 2 images agree" in out
    facts = json.loads(Path("t.json").read_text())["otherData"]
    assert facts["instructions_that_differ"] == 0


@pytest.mark.usefixtures("gates")
def test_a_tflite_model_runs_with_its_own_weights() -> None:
    succeed("convert", "ds_cnn", "--output", "net.tflite")
    out = succeed("verify", "network", "net.tflite", "--images", 2)
    assert out.startswith("net on micro (8 x 8 ws): 11 layers")
    assert "2 of 2 images agree in every byte of memory" in out


@pytest.mark.usefixtures("gates")
def test_designs_become_rtl_machines() -> None:
    out = succeed("verify", "network", "ds_cnn", "-a", "gemmini", "--set", "dataflow=os")
    assert out.startswith("ds_cnn on gemmini (16 x 16 os): 11 layers")


def test_a_disagreement_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def flip(seen):
        seen.memory[-1] ^= 1
        return seen

    fake_gates(monkeypatch, flip)
    monkeypatch.setattr(simulators, "require_tools", lambda simulator: None)
    done = run("verify", "network", "resnet8")
    assert done.code == 1
    assert "0 of 1 images agree" in done.out
    assert "image 0: memory: 1 bytes differ" in done.out


@pytest.mark.usefixtures("gates")
def test_digits_are_classified_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.envs import supernet

    data = load_dataset("digits").head(300, 40)
    oracle = AccuracyOracle(TINY, data, train(TINY, data, 0, TrainingArgs(epochs=3)), {})

    class Cached:
        pass

    cached = Cached()
    cached.oracle = oracle
    monkeypatch.setattr(supernet, "build_oracle", lambda spec, progress: (cached, {}))
    knobs = TINY.space.cardinalities - 1
    promised = round(40 * (1 - float(oracle.errors(np.asarray([knobs]))[0])))
    out = succeed("verify", "network", "digits")
    assert "40 of 40 images agree" in out
    assert f"the accuracy oracle promised {promised} " in out
    smallest = ",".join("0" * len(knobs))
    out = succeed("verify", "network", "digits", "--images", 5, "--choice", smallest)
    assert "5 of 5 images agree" in out


@pytest.mark.usefixtures("gates")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("resnet9",), "unknown network 'resnet9'"),
        (("resnet8", "--set", "dataflow=is"), "runs dataflow 'ws' or 'os'"),
        (("resnet8", "--set", "bus_bits=24"), "power of two"),
        (("vit_b16",), "no RTL twin"),
        (("resnet8", "--simulator", "modelsim"), "unknown simulator 'modelsim'"),
        (("resnet8", "--images", "0"), "--images"),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("verify", "network", *arguments).complaint


MACHINE = ("--set", "machine=rtl", "--fidelity", "cycle", "--trace", "t.json")


def processes() -> dict[str, int]:
    """Events by process of the trace."""
    events = json.loads(Path("t.json").read_text())["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    return {n: sum(e["pid"] == pid and e["ph"] == "X" for e in events) for pid, n in names.items()}


@pytest.mark.usefixtures("gates")
def test_a_simulation_shows_its_gates() -> None:
    succeed("simulate", "resnet8", *MACHINE)
    alone = processes()
    assert list(alone) == ["simulated (sim.cycle)"]
    succeed("simulate", "resnet8", *MACHINE, "--gates")
    both = processes()
    assert both["gates (RTL)"] == both["simulated (sim.cycle)"] == alone["simulated (sim.cycle)"]


def test_gates_that_fail_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gates(monkeypatch, lambda seen: replace(seen, cycles=-1, failure="RULE 7 is broken"))
    monkeypatch.setattr(simulators, "require_tools", lambda simulator: None)
    assert "RULE 7" in run("simulate", "resnet8", *MACHINE, "--gates").complaint
    assert Path("t.json").exists()


@pytest.mark.usefixtures("gates")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--fidelity", "cycle", "--gates"), "add --trace FILE"),
        (("--fidelity", "cycle", "--trace", "t.json", "--gates"), "add --set machine=rtl"),
    ],
)
def test_only_rtl_machines_have_gates(arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("simulate", "resnet8", *arguments).complaint
