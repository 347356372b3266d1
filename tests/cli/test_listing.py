"""`dovetail list`."""

from __future__ import annotations

import gymnasium
import pytest

from dovetail.agents.base import names as agents
from dovetail.arch import presets
from dovetail.networks.registry import names as networks
from tests.cli.driver import succeed

EXPECTED = {
    "networks": [name for name, _ in networks()],
    "mappers": presets.families(),
    "agents": list(agents()),
    "envs": sorted(name for name in gymnasium.registry if name.startswith("dovetail/")),
}


@pytest.mark.parametrize("what", EXPECTED)
def test_everything_is_listed_and_fits_a_page(what: str) -> None:
    out = succeed("list", what)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 120
    assert "…" not in out
    first = [line.split()[0] for line in lines[2:] if line[0] != " "]
    assert first == EXPECTED[what]


def test_accelerators_are_listed_by_family() -> None:
    out = succeed("list", "accelerators")
    assert max(map(len, out.splitlines())) <= 120
    first = [line.split()[0] for line in out.splitlines() if line[:1] not in ("", " ", "─")]
    listed = []
    for family in presets.families():
        listed += ["family:", "accelerator", *presets.names(family)]
    assert first == listed


def test_parameters_are_those_of_every_family() -> None:
    out = succeed("list", "parameters")
    assert max(map(len, out.splitlines())) <= 120
    assert "…" not in out
    first = [line.split()[0] for line in out.splitlines() if line[:1] not in ("", " ", "─")]
    listed = []
    for name in presets.families():
        rows = presets.family_class(name, "test").parameters()
        listed += ["family:", "parameter", *(parameter for parameter, *_ in rows)]
    assert first == listed


def test_accelerators_have_a_title_and_their_peak() -> None:
    out = succeed("list", "accelerators")
    assert "91.8 TOPS" in out  # Jouppi et al., ISCA 2017: 92 TOPS
    for name in presets.names():
        assert 5 < len(presets.title(name)) < 40
        assert presets.title(name)[-1].isalnum()


def test_agents_whose_package_is_broken_are_listed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "no_such_module:Agent", "dovetail.agents")
    found = lambda group, name="broken": [broken] if name == "broken" else []  # noqa: E731
    monkeypatch.setattr("dovetail.agents.base.entry_points", found)
    out = succeed("list", "agents")
    assert "agent 'broken' from no_such_module:Agent fails: ModuleNotFoundError" in out
