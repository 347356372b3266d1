"""Policies as files: what is saved comes back, and what is none is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.agents import policy_file
from dovetail.agents.base import Agent, Trained, make_agent, resolve_settings
from dovetail.agents.policy_file import (
    check_fits,
    check_trained,
    read_policy,
    restore,
    save_policy,
)
from dovetail.agents.preferences import preference_set
from dovetail.envs.problem import Objective
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.space import IntArray, Knob, Space
from tests.agents.toy import ToyProblem

SMALL: dict[str, dict[str, object]] = {
    "maskable_ppo": {"batch": 16, "group": 8, "hidden": 8},
    "ppo": {"batch": 16, "group": 8, "hidden": 8},
    "reinforce": {"batch": 16, "group": 8},
    "reinforce_lstm": {"batch": 16, "group": 8, "hidden": 8, "learning_rate": 0.05},
}
NAMES = sorted(SMALL)


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    pytest.importorskip("sb3_contrib")


def made(name: str, seed: int = 0) -> Agent:
    return make_agent(name, ToyProblem(), seed, SMALL[name])


def trained(name: str, rounds: int = 4, agent: Agent | None = None) -> Agent:
    agent = agent or made(name)
    for _ in range(rounds):
        designs = agent.ask()
        agent.tell(designs, ToyProblem().evaluate(designs))
    return agent


def saved(name: str, path: Path, agent: Agent | None = None) -> Path:
    args = resolve_settings(name, SMALL[name])
    save_policy(path, agent or trained(name), name, args, ToyProblem())
    return path


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_comes_back(name: str, tmp_path: Path) -> None:
    agent = trained(name)
    file = read_policy(saved(name, tmp_path / "a", agent))
    assert (file.agent, file.settings) == (name, resolve_settings(name, SMALL[name]))
    check_fits(file, name, ToyProblem())
    other = made(name, seed=5)
    assert isinstance(agent, Trained)
    assert isinstance(other, Trained)
    before = other.state()
    restore(other, file)
    for key, array in agent.state().items():
        assert array.tobytes() == other.state()[key].tobytes()
    assert any(before[key].tobytes() != array.tobytes() for key, array in other.state().items())
    assert saved(name, tmp_path / "b", other).read_bytes() == (tmp_path / "a").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_asks_are_a_function_of_file_seed_and_tells(name: str, tmp_path: Path) -> None:
    file = read_policy(saved(name, tmp_path / "f"))

    def asks(seed: int, begin: bool = True) -> IntArray:
        agent = made(name, seed)
        if begin:
            restore(agent, file)
        batches = []
        for _ in range(3):
            batches.append(agent.ask())
            agent.tell(batches[-1], ToyProblem().evaluate(batches[-1]))
        return np.concatenate(batches)

    assert np.array_equal(asks(3), asks(3))
    assert not np.array_equal(asks(3), asks(4))
    assert not np.array_equal(asks(3), asks(3, begin=False))


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_a_restored_policy_learns_as_the_saved_one_would(name: str, tmp_path: Path) -> None:
    """One step on the same batch from the same moments gives the same weights."""
    agent = trained(name)
    file = read_policy(saved(name, tmp_path / "f", agent))
    # Both asked by the same state of chance: that of an agent which has drawn nothing yet.
    one, two = made(name, 9), made(name, 9)
    restore(one, file)
    restore(two, read_policy(saved(name, tmp_path / "g", agent)))
    fresh = made(name, 9)
    for learner in (one, two, fresh):
        trained(name, 1, learner)
    assert isinstance(one, Trained)
    assert isinstance(two, Trained)
    for key, array in one.state().items():
        assert np.array_equal(array, two.state()[key])
    assert int(one.state()["told"]) == 5 * 16


@pytest.mark.parametrize("name", NAMES)
def test_proposals_are_better_than_chance(name: str) -> None:
    problem = ToyProblem()
    args = {**SMALL[name], "batch": 256, "group": 16}
    rounds = {"reinforce_lstm": 30, "maskable_ppo": 15}.get(name, 20)
    agent = trained(name, rounds, make_agent(name, problem, 0, args | {"horizon": 20_000}))
    assert isinstance(agent, Trained)
    wanted = np.repeat(preference_set(3), 50, axis=0)
    chance = problem.space.sample(np.random.default_rng(0), len(wanted))
    rewards = [problem.evaluate(d).scalar(wanted) for d in (agent.propose(wanted), chance)]
    assert rewards[0].mean() > rewards[1].mean() + 1.0


def test_agents_without_a_policy_say_so(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"'nsga2' has no policy.* maskable_ppo, ppo, reinforce"):
        check_trained("nsga2")
    check_trained("ppo")
    agent = make_agent("random", ToyProblem(), 0)
    with pytest.raises(ProblemError, match="no policy to save"):
        save_policy(tmp_path / "f", agent, "random", {}, ToyProblem())
    with pytest.raises(ProblemError, match="no policy to load"):
        restore(agent, read_policy(saved("reinforce", tmp_path / "f")))


def test_another_agents_or_problems_policy_is_refused(tmp_path: Path) -> None:
    file = read_policy(saved("reinforce", tmp_path / "f"))
    with pytest.raises(StudyError, match="is of agent 'reinforce', not 'ppo': use --agent"):
        check_fits(file, "ppo", ToyProblem())
    fewer = dataclasses.replace(ToyProblem(), space=Space(ToyProblem().space.knobs[:-1]))
    with pytest.raises(StudyError, match=r"other knobs .*it has 12, the problem has 11"):
        check_fits(file, "reinforce", fewer)
    knobs = (Knob("rows", (1, 2)), *ToyProblem().space.knobs[1:])
    with pytest.raises(StudyError, match=r"other knobs .*'rows'.*differs"):
        check_fits(file, "reinforce", dataclasses.replace(ToyProblem(), space=Space(knobs)))
    one = dataclasses.replace(ToyProblem(), objectives=(Objective("error", "linear", 0.5),))
    with pytest.raises(StudyError, match="latency_ms, energy_mj, error, not error"):
        check_fits(file, "reinforce", one)


def test_other_settings_are_refused_where_they_shape_the_policy(tmp_path: Path) -> None:
    file = read_policy(saved("ppo", tmp_path / "f"))
    wide = make_agent("ppo", ToyProblem(), 0, {**SMALL["ppo"], "hidden": 16})
    with pytest.raises(StudyError, match="use the settings that it was trained with"):
        restore(wide, file)
    restore(make_agent("ppo", ToyProblem(), 0, {**SMALL["ppo"], "epochs": 1}), file)


def rewritten(path: Path, **changes: np.ndarray) -> Path:
    """A file whose arrays are replaced."""
    from safetensors.numpy import load, save

    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    path.write_bytes(save({**load(data), **changes}, metadata))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": np.zeros((3, 12, 5))}, r"float64\(3, 12, 5\), the agent's is float64\(3, 12"),
        ({"weight": np.zeros((3, 12, 12), np.float32)}, "is float32"),
        ({"weight": np.zeros((3, 12, 12), np.float16)}, "array 'weight' is F16"),
        ({"weight": np.full((3, 12, 12), np.nan)}, "NaN"),
        ({"weight": np.full((3, 12, 12), np.inf)}, "NaN"),
        ({"weight": np.full((3, 12, 12), -1e30)}, "beyond"),
        ({"square": np.full((3, 12, 12), -1e-3)}, "'square' holds a negative value"),
        ({"steps": np.array(-1)}, "'steps' holds a negative value"),
        ({"extra": np.zeros(1)}, "does not fit its agent: array 'extra'"),
    ],
)
def test_arrays_that_no_agent_learnt_are_refused(
    change: dict[str, np.ndarray], words: str, tmp_path: Path
) -> None:
    path = rewritten(saved("reinforce", tmp_path / "f"), **change)
    with pytest.raises(StudyError, match=words) as caught:
        restore(made("reinforce"), read_policy(path))
    assert "\n" not in str(caught.value)


def with_header(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


DEEP = b'{"__metadata__":{"dovetail":"' + b"[" * 200_000 + b'"}}'


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 7, with_header(b""), with_header(b"{}"), with_header(b"x" * 40),
        with_header(b"{}", 2**63), with_header(b"{}", 2**21), b"\xff" * 64, b"\x80\x04K\x01.",
        with_header(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
        with_header(b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'),
        with_header(b'{"__metadata__":{"dovetail":"{}"}}'),
        with_header(b'{"__metadata__":{"dovetail":"[]"}}'),
        with_header(b'{"__metadata__":{"dovetail":"3"}}'),
        with_header(b'{"__metadata__":{"dovetail":3}}'),
        with_header(b'{"__metadata__":{}}'), with_header(DEEP),
    ],
)  # fmt: skip
def test_files_that_are_no_policies_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(data)
    with pytest.raises(StudyError, match="policy '") as caught:
        read_policy(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_refused_or_hold_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file cut anywhere is refused; one changed byte is noticed, or is a number within reason."""
    path = saved("reinforce", tmp_path_factory.mktemp("damage") / "f", made("reinforce"))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    with pytest.raises(StudyError):
        read_policy(path)
    spot, value = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    path.write_bytes(whole[:spot] + bytes([value]) + whole[spot + 1 :])
    try:
        file = read_policy(path)
        check_fits(file, "reinforce", ToyProblem())
        agent = made("reinforce")
        restore(agent, file)
    except StudyError:
        return
    ToyProblem().space.check(agent.ask())


def test_large_and_missing_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for absent in (tmp_path / "none", tmp_path):
        with pytest.raises(StudyError, match="there is no policy file"):
            read_policy(absent)
    path = saved("reinforce", tmp_path / "f")
    monkeypatch.setattr(policy_file, "MOST_BYTES", 100)
    with pytest.raises(StudyError, match="at most 100 are read"):
        read_policy(path)
    (tmp_path / "g").write_text("{}")
    with pytest.raises(StudyError, match="is no safetensors file"):
        read_policy(tmp_path / "g")


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_file, "FORMAT", 2)
    path = saved("reinforce", tmp_path / "f")
    monkeypatch.undo()
    with pytest.raises(StudyError, match="has format 2, this version reads 1"):
        read_policy(path)
