"""`dovetail search --save-policy`, `--policy`, `--device`, and `dovetail policy`."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dovetail.agents.policy_file import read_policy
from tests.cli.driver import COMMAND, assert_same_study, records, run, succeed
from tests.studies.test_executor import stored

SEARCH = ("search", "--env", "accelerator", "--network", "resnet8")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy trained on ResNet-8's latency, energy and area, not to be written to."""
    folder = tmp_path_factory.mktemp("policy")
    path = folder / "r8.safetensors"
    out = succeed(
        *SEARCH, "--agent", "reinforce", "--budget", 10000, "--seed", 1,
        "--study", folder / "s.db", "--save-policy", path,
    )  # fmt: skip
    assert out.endswith(f"policy: {path}\n")
    return path


def test_a_policy_proposes_better_designs_than_chance(policy: Path) -> None:
    out = succeed("policy", policy)
    assert "reinforce on accelerator-resnet8-edge: 64 designs per preference, seed 0" in out
    found = json.loads(succeed("policy", policy, "--json", "-", "--samples", 32))
    assert len(found) == 7
    for proposals in found:
        assert sum(design["drawn"] for design in proposals["designs"]) == 32
        rewards = [design["reward"] for design in proposals["designs"]]
        assert rewards == sorted(rewards, reverse=True)
        assert rewards[0] == proposals["best_reward"]
        assert set(proposals["preference"]) == {"latency_ms", "energy_mj", "area_mm2"}
    better = [p["best_reward"] > p["chance_reward"] for p in found]
    assert sum(better) >= 6
    assert min(p["feasible_share"] for p in found) > 0.8
    again = json.loads(succeed("policy", policy, "--json", "-", "--samples", 32))
    assert again == found
    other = json.loads(succeed("policy", policy, "--json", "-", "--samples", 32, "--seed", 1))
    assert other != found


def test_a_preference_is_followed_and_another_network_may_be_given(policy: Path) -> None:
    wanted = ("latency_ms=3,area_mm2=0", "area_mm2=1")
    options = [word for text in wanted for word in ("--preference", text)]
    for network in ("resnet8", "resnet18"):
        out = succeed("policy", policy, *options, "--network", network, "--json", "-")
        fast, small = json.loads(out)
        assert fast["preference"] == {"latency_ms": 1.0, "energy_mj": 0.0, "area_mm2": 0.0}
        best = [proposals["designs"][0]["metrics"] for proposals in (fast, small)]
        assert best[0]["latency_ms"] < best[1]["latency_ms"]
        assert best[0]["area_mm2"] > best[1]["area_mm2"]


def test_huge_weights_keep_their_ratio(policy: Path) -> None:
    options = ("policy", policy, "--samples", 4, "--json", "-", "--preference")
    (huge,) = json.loads(succeed(*options, "latency_ms=1e308,energy_mj=1e308"))
    assert huge["preference"] == {"latency_ms": 0.5, "energy_mj": 0.5, "area_mm2": 0.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preference", "error=1"), "'error' is none of the objectives latency_ms, energy_mj"),
        (("--preference", "latency_ms"), "weight '' must be a number"),
        (("--preference", "latency_ms=0"), "not all 0"),
        (("--preference", "latency_ms=nan"), "finite"),
        (("--preference", "latency_ms=-1"), ">= 0"),
        (("--preference", "latency_ms=1,latency_ms=2"), "'latency_ms' stands twice"),
        (("--objective", "latency_ms"), "for the objectives latency_ms, energy_mj, area_mm2, not"),
        (("--env", "fpga_folding"), "is for other knobs"),
        (("--samples", "0"), "Invalid value for '--samples'"),
    ],
)
def test_senseless_requests_are_refused(options: tuple[str, ...], words: str, policy: Path) -> None:
    assert words in run("policy", policy, *options).complaint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"agent": "nope"}, "unknown agent 'nope'"),
        ({"agent": "nsga2"}, "agent 'nsga2' has no policy"),
        ({"agent": "ppo", "settings": {"hidden": 10**9}}, "hidden"),
        ({"settings": {"batch": -1}}, "setting batch = -1"),
        ({"settings": {"batch": [1]}}, "must be of type int"),
        ({"settings": {"colour": 1}}, "has no setting 'colour'"),
        ({"settings": 3}, "does not say what it was trained for"),
        ({"problem": {}}, "unknown design problem"),
        ({"problem": {"problem": "nope"}}, "unknown design problem 'nope'"),
        ({"problem": {"problem": "accelerator", "network": 3}}, "network"),
        ({"problem": {"problem": "accelerator", "network": "\x1b[2J"}}, "unknown network"),
        ({"knobs": [[]]}, "is for other knobs"),
        ({"objectives": ["\x1b[2J\n"]}, "is for the objectives"),
    ],
)
def test_files_that_say_nonsense_are_refused(
    change: dict[str, object], words: str, policy: Path
) -> None:
    from safetensors.numpy import load, save

    data = policy.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    meaning = json.loads(header["__metadata__"]["dovetail"]) | change
    Path("f").write_bytes(save(load(data), {"dovetail": json.dumps(meaning)}))
    refused = run("policy", "f").complaint
    assert words in refused
    assert refused.isprintable()


def test_a_study_that_begins_from_a_policy_resumes_to_the_same(policy: Path) -> None:
    options = (*SEARCH, "--policy", policy, "--seed", 5, "--agent-set", "batch=64")
    succeed(*options, "--budget", 400, "--study", "whole.db", "--save-policy", "a")
    succeed(*options, "--budget", 150, "--study", "halves.db")
    resume = ("search", "--study", "halves.db", "--resume", "--budget", 400)
    moved = Path("moved")
    moved.write_bytes(policy.read_bytes())
    succeed(*resume, "--policy", moved, "--save-policy", "b")
    assert_same_study(Path("whole.db"), Path("halves.db"))
    assert Path("a").read_bytes() == Path("b").read_bytes()
    succeed(*SEARCH, "--agent", "reinforce", "--seed", 5, "--agent-set", "batch=64",
            "--budget", 400, "--study", "fresh.db")  # fmt: skip
    feasible = [records(Path(f"{s}.db")).evaluation.feasible.mean() for s in ("whole", "fresh")]
    assert feasible[0] > feasible[1], "the policy knows what the fresh agent does not"
    # Another policy, or the one of the study when it is gone, is refused.
    assert "policy_sha256" in run(*resume, "--policy", "a").complaint


def test_a_study_whose_policy_is_gone_asks_for_it(policy: Path) -> None:
    gone = Path("gone")
    gone.write_bytes(policy.read_bytes())
    succeed(*SEARCH, "--policy", gone, "--budget", 300, "--study", "s.db")
    gone.unlink()
    resume = ("search", "--study", "s.db", "--resume", "--budget", 600)
    assert "there is no policy file 'gone'" in run(*resume).complaint
    gone.write_text("else")
    assert "no safetensors file" in run(*resume).complaint
    succeed(*resume, "--policy", policy)


def test_policies_that_do_not_fit_are_refused_before_a_study_is_made(policy: Path) -> None:
    for options, words in (
        ((*SEARCH, "--agent", "ppo"), "is of agent 'reinforce', not 'ppo'"),
        ((*SEARCH, "--objective", "latency_ms"), "is for the objectives"),
        (("search", "--env", "fpga_folding"), "is for other knobs"),
    ):
        pytest.importorskip("torch")
        assert words in run(*options, "--policy", policy, "--study", "s.db").complaint
    assert "is the input" in run(*SEARCH, "--policy", policy, "--save-policy", policy).complaint
    refused = run(*SEARCH, "--agent", "nsga2", "--save-policy", "x", "--study", "s.db").complaint
    assert "'nsga2' has no policy" in refused
    assert not Path("s.db").exists()


def test_a_device_that_is_not_there_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for agent in ("ppo", "reinforce_lstm"):
        options = ("search", "--agent", agent, "--study", "s.db")
        assert "no CUDA device that torch" in run(*options, "--device", "cuda").complaint
        assert "must be auto, cpu, cuda" in run(*options, "--device", "gpu").complaint
    refused = run(*SEARCH, "--agent", "nsga2", "--device", "cuda", "--study", "s.db").complaint
    assert "neither agent 'nsga2' nor the problem has one" in refused
    # The supernet's training has one, whoever searches.
    refused = run("search", "--agent", "nsga2", "--device", "cuda", "--study", "s.db").complaint
    assert "no CUDA device that torch" in refused
    assert not Path("s.db").exists()
    small = (*SEARCH, "--agent", "ppo", "--agent-set", "batch=32", "--budget", 64)
    succeed(*small, "--study", "a.db")
    succeed(*small, "--study", "b.db", "--device", "cpu")
    assert_same_study(Path("a.db"), Path("b.db"))


def test_ctrl_c_saves_what_was_learnt_until_then() -> None:
    options = (*SEARCH, "--agent", "reinforce", "--budget", 10**9, "--study", "s.db")
    process = subprocess.Popen(
        [*COMMAND, *map(str, options), "--save-policy", "p"], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    limit = time.monotonic() + 60
    while time.monotonic() < limit and stored(Path("s.db")) < 2000:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.endswith("policy: p\n")
    told = int(read_policy("p").arrays["told"])
    assert told >= 2000 - 256
    assert abs(told - len(records(Path("s.db")))) <= 256
