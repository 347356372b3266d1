"""NEMO: species, their sizes, and what its parts add on a network's bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dovetail.agents.base import make_agent, resolve_settings
from dovetail.agents.nemo import NEMOArgs, shares
from dovetail.agents.nemo_species import (
    Boltzmann,
    GraphPolicy,
    neighbour_means,
    node_features,
)
from dovetail.envs.registry import make_problem
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

SMALL = {"population": 24, "min_size": 4, "seeds": 4}


@pytest.fixture(scope="module")
def problem():
    return make_problem({"problem": "mixed_precision", "network": "mobilenet_v1_025"})


def volume(problem, budget, seed=0, **settings):
    chosen = {"seeds": 20, **settings}
    return run(problem, "nemo", seed, budget, chosen).archive.hypervolume


def test_problems_without_layers_are_refused_in_one_line():
    with pytest.raises(ProblemError, match=r"'nemo' reads the layers.*'toy' has none"):
        make_agent("nemo", ToyProblem(), 0)


def test_asks_are_new_legal_and_a_function_of_the_seed(problem):
    first = run(problem, "nemo", 3, 120, SMALL).designs
    problem.space.check(first)
    assert len(np.unique(first, axis=0)) == 120
    assert np.array_equal(first, run(problem, "nemo", 3, 120, SMALL).designs)
    assert not np.array_equal(first, run(problem, "nemo", 4, 120, SMALL).designs)


def test_half_a_study_resumes_to_the_whole(problem, tmp_path):
    spec = StudySpec.of(problem, "nemo", resolve_settings("nemo", SMALL), 3, 80)
    for file, budgets in (("whole", [80]), ("halves", [31, 80])):
        for spent in budgets:
            with open_study(tmp_path / file, spec.with_budget(spent), resume=True) as store:
                run_study(problem, store, budget=spent)
    found = []
    for file in ("whole", "halves"):
        with StudyStore.open(tmp_path / file) as store:
            found.append(store.records().designs)
    assert np.array_equal(*found)


def test_beats_nsga2_and_each_of_its_species():
    problem = make_problem({"problem": "mixed_precision", "network": "resnet50"})
    seeds = range(2)
    together = np.median([volume(problem, 800, seed) for seed in seeds])
    for species in ("direct", "graph", "boltzmann"):
        alone = np.median([volume(problem, 800, seed, species=species) for seed in seeds])
        assert together > 1.01 * alone, species
    nsga2 = [run(problem, "nsga2", seed, 800).archive.hypervolume for seed in seeds]
    assert together > 1.2 * np.median(nsga2)
    deaf = [volume(problem, 800, seed, species="graph", messages=0) for seed in seeds]
    heard = [volume(problem, 800, seed, species="graph") for seed in seeds]
    assert np.median(heard) > 1.02 * np.median(deaf)


def test_sizes_follow_the_front(problem):
    agent = make_agent("nemo", problem, 0, SMALL)
    assert [p.size for p in agent.populations.values()] == [8, 8, 8]
    for _ in range(6):
        designs = agent.ask()
        assert len(designs) == 24
        agent.tell(designs, problem.evaluate(designs))
        sizes = [p.size for p in agent.populations.values()]
        assert sum(sizes) == 24
        assert min(sizes) >= 4
        assert all(len(p.genomes) <= p.size for p in agent.populations.values())
    assert len(set(sizes)) > 1
    fixed = make_agent("nemo", problem, 0, {**SMALL, "resize": False})
    for _ in range(3):
        designs = fixed.ask()
        fixed.tell(designs, problem.evaluate(designs))
    assert [p.size for p in fixed.populations.values()] == [8, 8, 8]


def test_shares_are_proportional_above_the_least():
    assert shares(np.array([1.0, 1.0, 1.0]), 100, 10).tolist() == [34, 33, 33]
    assert shares(np.array([0.0, 7.0, 0.0]), 100, 10).tolist() == [10, 80, 10]
    assert shares(np.array([1.0, 3.0]), 20, 4).tolist() == [7, 13]


def test_first_asks_of_boltzmann_hold_the_programs_answers(problem):
    designs = make_agent("nemo", problem, 0, {"species": "boltzmann", "seeds": 6}).ask()
    for seed in problem.solved(6):
        assert (designs == seed).all(axis=1).any()


def test_further_answers_enter_with_every_generation(problem):
    settings = {"species": "boltzmann", "seeds": 20, "population": 8, "fresh": 0.5}
    agent = make_agent("nemo", problem, 0, settings)
    asked = []
    for _ in range(4):
        designs = agent.ask()
        agent.tell(designs, problem.evaluate(designs))
        asked.append(designs)
    solved = problem.solved(20)
    counts = [int((batch[:, None] == solved).all(axis=2).any(axis=1).sum()) for batch in asked]
    assert counts[0] == 8
    assert counts[1] >= 4
    assert sum(counts) >= len(solved) - 4


def test_a_policy_tells_layers_apart_by_features_and_neighbours(problem):
    features = node_features(problem.graph, problem.sensitivity)
    assert np.abs(features.mean(axis=0)).max() < 1e-9
    spread = []
    for messages in (0, 2):
        policy = GraphPolicy(
            np.zeros_like(features), problem.graph.edges, problem.space,
            hidden=6, messages=messages, noise=0.5, mutated=0.1,
        )  # fmt: skip
        genomes = policy.initial(np.random.default_rng(0), 5)
        scores = policy.scores(genomes)
        assert scores.shape == (5, len(problem.space.knobs), 3)
        layers = scores.reshape(5, len(problem.graph), -1)
        spread.append(np.ptp(layers, axis=1).max())
    # All layers have neighbours here, so equal ones hear the same, too.
    assert spread == [0, 0]


def test_a_policy_reads_features_and_the_graph(problem):
    features = node_features(problem.graph, problem.sensitivity)
    policy = GraphPolicy(
        features, problem.graph.edges, problem.space, hidden=6, messages=1, noise=0.5, mutated=0.1
    )
    genomes = policy.initial(np.random.default_rng(0), 4)
    layers = policy.scores(genomes).reshape(4, len(problem.graph), -1)
    assert np.ptp(layers, axis=1).min() > 1e-3
    # What a layer hears one hop away changes its score, what is farther does not.
    changed = features.copy()
    changed[0] += 1.0
    near = GraphPolicy(
        changed, problem.graph.edges, problem.space, hidden=6, messages=1, noise=0.5, mutated=0.1
    )
    moved = np.abs(near.scores(genomes).reshape(layers.shape) - layers).max(axis=(0, 2)) > 1e-9
    assert moved[:3].tolist() == [True, True, False]


def test_messages_average_over_neighbours():
    means = neighbour_means(4, np.array([[0, 1], [1, 2]]))
    expected = [[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert means.tolist() == expected


def test_cold_distributions_name_their_seed(problem):
    seeds = problem.uniform()[1:2]
    kind = Boltzmann(problem.space, seeds, fresh=0.5, noise=0.5, mutated=0.1)
    rng = np.random.default_rng(0)
    genomes = kind.initial(rng, 50)
    designs = kind.designs(rng, genomes)
    assert (designs[0] == seeds[0]).all()
    assert 0.4 < (designs == seeds[0]).mean() < 1
    children = kind.children(rng, genomes, genomes[::-1])
    assert children.shape == genomes.shape


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"species": "direct,mice"}, UnknownNameError, "unknown species 'mice'"),
        ({"species": "direct,direct"}, UnknownNameError, "species 'direct'"),
        ({"min_size": 50}, ProblemError, "min_size"),
        ({"messages": -1}, ProblemError, "messages"),
        ({"bathc": 3}, ProblemError, "has no setting"),
    ],
)
def test_ill_formed_settings_are_one_line(problem, settings, kind, words):
    with pytest.raises(kind, match=words):
        make_agent("nemo", problem, 0, settings)


def test_settings_are_documented():
    text = NEMOArgs.__doc__ or ""
    for field in dataclasses.fields(NEMOArgs):
        assert f" {field.name}: " in text, field.name
