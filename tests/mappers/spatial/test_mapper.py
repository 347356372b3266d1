"""The registry of spatial mappers, what it remembers, and the mappers that it names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from dovetail.errors import MappingError, UnknownNameError
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.mappers.found import OBJECTIVES, Found, value_of
from dovetail.mappers.spatial import anytime
from dovetail.mappers.spatial import mapper as spatial
from dovetail.mappers.spatial.genetic import genetic_mapping
from dovetail.mappers.spatial.mapper import find_mapping
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.mappers.spatial.milp import milp_mapping
from dovetail.mappers.spatial.random_search import random_mapping
from dovetail.sim.nest import analyse, analyse_batch, faults
from tests.mappers.spatial.spatial_cases import array, layer


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    spatial.forget()
    yield
    spatial.forget()


@pytest.mark.parametrize("mapper", ["random", "genetic", "milp"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_mapper_returns_a_valid_mapping_and_what_it_costs(mapper: str, objective: str) -> None:
    einsum, accelerator = layer(), array()
    found = find_mapping(einsum, accelerator, objective, mapper, seed=1)
    assert not faults(einsum, accelerator, found.mapping)
    assert found.cost == analyse(einsum, accelerator, found.mapping)
    assert found.value == value_of(found.cost.cycles, found.cost.energy_pj, objective)
    assert found.bound <= found.value
    assert 0 <= found.gap < 1
    assert not found.interrupted
    assert found.nodes > 0


@pytest.mark.parametrize("mapper", ["random", "genetic"])
def test_the_same_seed_gives_the_same_mapping(mapper: str) -> None:
    answers = []
    for seed in (5, 5, 6):
        spatial.forget()
        answers.append(find_mapping(layer(), array(), "energy", mapper, seed=seed))
    assert answers[0] == answers[1]
    assert answers[0].mapping != answers[2].mapping


def test_more_samples_are_never_worse() -> None:
    values = [
        random_mapping(layer(), array(), "energy", seed=2, samples=n).value for n in (10, 100, 500)
    ]
    assert values == sorted(values, reverse=True)


def test_of_equal_latencies_the_one_of_least_energy_is_taken() -> None:
    free = {"read_bits_per_cycle": math.inf, "write_bits_per_cycle": math.inf}
    stores = tuple(replace(store, **free) for store in array().stores)
    space = Mapspace(layer(), array(stores=stores))
    rng = np.random.default_rng(0)
    points = [space.draw(rng) for _ in range(400)]
    cost = analyse_batch(space.einsum, space.accelerator, space.encode(points))
    least = cost.energy_pj[cost.cycles == cost.cycles.min()]
    assert len(least) > 1
    for batches in ([points], [points[:200], points[200:]]):
        incumbent = anytime.Incumbent(space, "latency")
        for batch in batches:
            incumbent.evaluate(batch)
        assert incumbent.found().cost.energy_pj == pytest.approx(least.min())


def test_generations_improve_on_the_first() -> None:
    first = genetic_mapping(layer(), array(), "edp", seed=0, generations=0)
    last = genetic_mapping(layer(), array(), "edp", seed=0, generations=10)
    assert last.value < first.value


def test_the_descent_improves_on_the_program() -> None:
    for objective in OBJECTIVES:
        plain = milp_mapping(layer(), array(), objective, polish=False)
        assert milp_mapping(layer(), array(), objective).value <= plain.value


def test_the_optimum_is_not_beaten() -> None:
    einsum, accelerator = layer(K=4, C=4, P=6, Q=1, R=1, S=1), array()
    for objective in OBJECTIVES:
        best = find_mapping(einsum, accelerator, objective, "optimal")
        assert best.proven
        for mapper in ("random", "genetic", "milp"):
            found = find_mapping(einsum, accelerator, objective, mapper)
            assert found.value >= best.value * (1 - 1e-9), (objective, mapper)
            assert found.bound <= best.value * (1 + 1e-9)


def renamed(einsum: Einsum, prefix: str) -> Einsum:
    def access(old: Access) -> Access:
        shifted = tuple(Affine(index.terms, index.offset - 1) for index in old.indices)
        return Access(prefix + old.tensor, shifted)

    return Einsum(einsum.ranks, tuple(map(access, einsum.operands)), access(einsum.output))


def test_identical_operators_are_mapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    first = find_mapping(layer(), array(), "latency", "random")
    second = find_mapping(renamed(layer(), "b."), array(), "latency", "random")
    assert len(calls) == 1
    assert second.mapping.nodes == first.mapping.nodes
    assert second.mapping.operator == "b.op"


def test_designs_that_differ_in_what_costs_nothing_are_mapped_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = counted(monkeypatch)
    find_mapping(layer(), array(), "latency", "random")
    find_mapping(layer(), array(name="other", clock_mhz=3.0, node_nm=7.0), "latency", "random")
    assert len(calls) == 1
    find_mapping(layer(), array(mac_pj=0.3), "latency", "random")
    find_mapping(layer(), array(), "energy", "random")
    find_mapping(layer(), array(), "latency", "random", seed=1)
    find_mapping(layer(K=9), array(), "latency", "random")
    assert len(calls) == 5


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    calls: list[object] = []

    def mapper(*arguments: object, **options: object) -> Found:
        calls.append(arguments)
        return random_mapping(*arguments, **options, samples=20)  # type: ignore[arg-type]

    monkeypatch.setattr("dovetail.mappers.spatial.random_search.random_mapping", mapper)
    return calls


def test_an_answer_cut_short_is_not_taken_for_one_with_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = counted(monkeypatch)
    monkeypatch.setattr("dovetail.mappers.spatial.random_search.BATCH", 5)
    for limit in (1e-9, 1e-10, 1.0, None):
        found = find_mapping(layer(), array(), "latency", "random", time_limit_s=limit)
        assert found.interrupted == (limit in (1e-9, 1e-10))
    assert len(calls) == 2


@pytest.mark.parametrize("mapper", ["random", "genetic", "milp"])
def test_a_time_limit_gives_the_best_so_far_with_its_gap(mapper: str) -> None:
    found = find_mapping(layer(), array(), "latency", mapper, time_limit_s=1e-6)
    assert found.interrupted
    assert not faults(layer(), array(), found.mapping)
    assert found.gap == pytest.approx(1 - found.bound / found.value)


@pytest.mark.parametrize("mapper", [random_mapping, genetic_mapping, milp_mapping])
def test_ctrl_c_gives_the_best_so_far(mapper: object, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = anytime.Incumbent.evaluate
    calls: list[int] = []

    def interrupted(self: anytime.Incumbent, points: list[object]) -> object:
        calls.append(len(points))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(self, points)  # type: ignore[arg-type]

    monkeypatch.setattr(anytime.Incumbent, "evaluate", interrupted)
    found = mapper(layer(), array(), "energy")  # type: ignore[operator]
    assert found.interrupted
    assert not faults(layer(), array(), found.mapping)


def test_wrong_names_and_limits_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown mapper 'genetics'; did you mean genetic"):
        find_mapping(layer(), array(), "latency", "genetics")
    with pytest.raises(UnknownNameError, match="unknown objective 'area'"):
        find_mapping(layer(), array(), "area", "random")
    with pytest.raises(MappingError, match="must be above 0"):
        find_mapping(layer(), array(), "latency", "random", time_limit_s=0)


def test_operators_that_do_not_fit_are_refused() -> None:
    tiny = array()
    stores = tuple(replace(store, capacity_bytes=0.1) for store in tiny.stores[:-1])
    small = replace(tiny, stores=(*stores, tiny.stores[-1]))
    for mapper in ("random", "genetic", "milp"):
        with pytest.raises(MappingError):
            find_mapping(layer(), small, "latency", mapper)


def plugin(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    point = EntryPoint("mine", f"{__name__}:{name}", spatial.GROUP)
    monkeypatch.setattr(
        spatial, "entry_points", lambda **query: EntryPoints([point]).select(**query)
    )


def good(einsum: Einsum, accelerator: object, objective: str, *, seed: int,
         time_limit_s: float | None) -> Found:  # fmt: skip
    return random_mapping(einsum, array(), objective, seed=seed, samples=10)


def bad(*arguments: object, **options: object) -> Found:
    raise ZeroDivisionError("division by zero")


def ugly(*arguments: object, **options: object) -> str:
    return "no answer"


def test_mappers_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, "good")
    assert spatial.names()[-1] == "mine"
    assert find_mapping(layer(), array(), "latency", "mine", seed=7).nodes == 10
    plugin(monkeypatch, "bad")
    spatial.forget()
    with pytest.raises(MappingError, match=r"'mine' from .*:bad fails: ZeroDivisionError"):
        find_mapping(layer(), array(), "latency", "mine")
    plugin(monkeypatch, "ugly")
    with pytest.raises(MappingError, match="returns str: it must return"):
        find_mapping(layer(), array(), "latency", "mine")
