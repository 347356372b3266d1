"""NAS-Bench-201 on systolic arrays: tables, batched costs, the exact front, the environment."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dovetail.arch import presets
from dovetail.arch.space import SystolicSpace
from dovetail.envs import make_problem
from dovetail.envs.costing import rows_by_operator
from dovetail.envs.nasbench201 import CORNERS, KNOBS, NasBench201Problem
from dovetail.envs.nasbench201_front import exact_front
from dovetail.envs.nasbench201_slots import CellTables, all_cells, code, tabulate_cells
from dovetail.envs.nasbench201_table import CellTable, from_arrays, load, twin, write
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.ir.pareto import ParetoArchive, hypervolume, non_dominated
from dovetail.networks.nasbench201 import nasbench201, parse
from tests.agents.driver import run
from tests.envs.test_accelerator import compare

SMALL = {"rows": (8, 64), "cols": (32,), "dataflow": ("ws", "os")}

ODD = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_3x3~1|none~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|",
)
"""Cells with nodes that no edge feeds, results that nothing reads, nodes that are their input."""


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return twin(0)


@pytest.fixture(scope="module")
def table(arrays: dict[str, np.ndarray]) -> CellTable:
    return from_arrays(arrays, "twin")


@pytest.fixture(scope="module")
def cells() -> CellTables:
    return tabulate_cells(nasbench201, rows_by_operator)


@pytest.fixture(scope="module")
def problem(table: CellTable) -> NasBench201Problem:
    hardware = SystolicSpace(presets.load("edge"), SMALL)
    return NasBench201Problem(table, hardware, ["error", "latency_ms", "energy_mj"])


def test_codes_number_the_cells() -> None:
    assert np.array_equal(code(all_cells()), np.arange(15625))


def test_tables_hold_the_operators_of_every_network(cells: CellTables) -> None:
    assert cells.built < 300
    rng = np.random.default_rng(0)
    chosen = np.concatenate([[parse(cell) for cell in ODD], rng.integers(0, 5, (60, 6))])
    known = {row.tobytes(): i for i, row in enumerate(cells.operators)}
    for cell in chosen:
        expected = [known[row.tobytes()] for row in rows_by_operator(nasbench201(cell)).values()]
        table, number = cells.networks(cell[None])
        assert sorted(table[number[0]][: len(expected)]) == sorted(expected), cell
        assert (table[number[0]][len(expected) :] == -1).all()


def test_batched_costs_equal_the_flow_design_by_design(problem: NasBench201Problem) -> None:
    designs = problem.space.sample(np.random.default_rng(1), 12)
    designs[: len(ODD), :6] = [parse(cell) for cell in ODD]
    evaluation = problem.evaluate(designs)
    for row, design in enumerate(designs):
        compare(problem, design, row, evaluation)


def test_errors_are_looked_up(table: CellTable, arrays: dict[str, np.ndarray]) -> None:
    hardware = SystolicSpace(presets.load("edge"), {"rows": (8, 16)})
    for dataset, short in (("cifar10", "cifar10"), ("imagenet16", "imagenet")):
        for epochs, name in ((200, f"acc200_{short}"), (12, f"acc12_{short}_test")):
            problem = NasBench201Problem(table, hardware, dataset=dataset, epochs=epochs)
            cell = arrays["edge_ops"][7].astype(np.int64)
            found = problem.evaluate(np.append(cell, 1)[None]).metrics["error"][0]
            assert found == pytest.approx(1 - float(arrays[name][7]) / 100, abs=1e-12)
            error_corner = problem.reference_point[0]
            assert error_corner == pytest.approx(CORNERS[dataset] / 0.1)
    network = problem.network(np.append(cell, 1))
    assert network.tensor["image"].shape == (1, 3, 16, 16)
    assert network.tensor["classifier"].shape == (1, 120)


def test_the_exact_front_is_that_of_every_design_evaluated(problem: NasBench201Problem) -> None:
    front = exact_front(problem)
    hardware = np.stack(np.meshgrid([0, 1], [0], [0, 1], indexing="ij"), -1).reshape(-1, 3)
    everything = np.concatenate(
        [np.repeat(all_cells(), len(hardware), axis=0), np.tile(hardware, (15625, 1))], axis=1
    )
    evaluation = problem.evaluate(everything)
    expected = evaluation.objectives[non_dominated(evaluation.objectives, keep_equal=False)]
    assert front.enumerated == front.feasible == len(everything)
    assert front.hypervolume == pytest.approx(
        hypervolume(expected, problem.reference_point), rel=1e-12
    )
    assert np.allclose(np.sort(front.objectives, axis=0), np.sort(expected, axis=0), rtol=1e-12)
    assert np.allclose(front.least, evaluation.objectives.min(axis=0), rtol=1e-12)
    found = problem.evaluate(front.designs)
    assert np.array_equal(found.objectives, front.objectives)


def test_constraints_cut_the_front(table: CellTable, problem: NasBench201Problem) -> None:
    limit = 0.3
    bound = NasBench201Problem(
        table, problem.hardware, ["error", "latency_ms"], [f"latency_ms<={limit}"]
    )
    front = exact_front(bound)
    assert 0 < front.feasible < front.enumerated
    latency = bound.evaluate(front.designs).metrics["latency_ms"]
    assert latency.max() <= limit


def test_regret_is_nought_on_the_front_and_agents_come_closer_than_chance(
    problem: NasBench201Problem,
) -> None:
    front = exact_front(problem)
    whole = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    assert front.share(whole) == 0.0
    assert np.isinf(front.regret(whole)).all()
    whole.add(front.designs, front.objectives)
    assert front.share(whole) == pytest.approx(1.0)
    assert np.allclose(front.regret(whole), 0.0, atol=1e-12)
    share = {
        name: np.median([front.share(run(problem, name, s, 1500).archive) for s in range(3)])
        for name in ("random", "cem", "nsga2")
    }
    assert share["random"] < min(share["cem"], share["nsga2"]) < 1.0


def test_too_many_accelerators_and_other_families_are_not_enumerated(table: CellTable) -> None:
    many = SystolicSpace(
        presets.load("edge"),
        {n: tuple(range(1, 61)) for n in ("rows", "cols", "vector_lanes")},
    )
    with pytest.raises(ProblemError, match="216,000 accelerators"):
        exact_front(NasBench201Problem(table, many))
    spatial = make_problem({"problem": "nasbench201", "base": "eyeriss_like"})
    assert isinstance(spatial, NasBench201Problem)
    with pytest.raises(ProblemError, match="only ideal systolic arrays"):
        exact_front(spatial)


def test_the_twin_has_the_traits_of_the_benchmark(
    table: CellTable, arrays: dict[str, np.ndarray]
) -> None:
    for name, chance in (("cifar10", 0.9), ("cifar100", 0.99), ("imagenet16", 1 - 1 / 120)):
        long, short = table.errors[name, 200], table.errors[name, 12]
        ranks = [np.argsort(np.argsort(e)) for e in (long, short)]
        assert 0.7 < np.corrcoef(*ranks)[0, 1] < 0.999
        assert np.mean(short > long) > 0.9
        cut = code(np.array([[3, 3, 3, 0, 0, 0], [0, 0, 3, 0, 3, 3], [0] * 6]))
        assert np.allclose(long[cut], chance)
    assert {"eyeriss", "fpga"} <= set(table.latency_ms)
    again, other = twin(0), twin(1)
    assert all(np.array_equal(again[name], arrays[name]) for name in arrays)
    assert not np.array_equal(other["acc200_cifar10"], arrays["acc200_cifar10"])


def test_a_file_is_the_table_whatever_the_order_of_its_rows(
    tmp_path: Path, table: CellTable, arrays: dict[str, np.ndarray]
) -> None:
    order = np.random.default_rng(0).permutation(15625)
    write(tmp_path / "t.npz", {name: values[order] for name, values in arrays.items()})
    read = load(tmp_path / "t.npz")
    for key, errors in table.errors.items():
        assert np.array_equal(read.errors[key], errors)
    spec = {"problem": "nasbench201", "table": str(tmp_path / "t.npz"), "dataset": "cifar100",
            "epochs": 12, "knobs": {"rows": [8, 16]}}  # fmt: skip
    problem = make_problem(spec)
    described = json.loads(json.dumps(problem.describe()))
    assert make_problem(described).describe() == described
    with pytest.raises(ProblemError, match="SHA-256"):
        make_problem({**described, "table_sha256": "0" * 64})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edge_ops": None}, "no array 'edge_ops'"),
        ({"acc12_cifar10_test": None}, "no array 'acc12_cifar10_test'"),
        ({"edge_ops": np.zeros((15625, 6), np.int8)}, "every cell once"),
        ({"edge_ops": np.zeros((3, 6), np.int8)}, r"must be \(15625, 6\)"),
        ({"acc200_cifar100": np.full(15625, np.nan)}, "15625 finite numbers"),
        ({"acc200_cifar100": np.full(15625, 101.0)}, "0 to 100"),
        ({"latency_eyeriss": np.zeros(3)}, "latency_eyeriss"),
    ],
)
def test_wrong_tables_are_refused(
    change: dict[str, np.ndarray | None], message: str, arrays: dict[str, np.ndarray]
) -> None:
    changed = {**arrays, **change}
    with pytest.raises(ProblemError, match=message):
        from_arrays({name: v for name, v in changed.items() if v is not None}, "t.npz")


def test_pickles_and_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(pickle.dumps({"edge_ops": 3}))
    (tmp_path / "t.npz").write_bytes(b"PK\x03\x04broken")
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "o.npz", edge_ops=np.array([print], dtype=object))
    for name in ("p.npz", "t.npz", "a.npy", "o.npz", "missing.npz"):
        with pytest.raises(ProblemError, match=name):
            load(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("dataset", "digits", UnknownNameError),
        ("epochs", 13, ProblemError),
        ("epochs", True, ProblemError),
        ("seed", -1, ProblemError),
        ("table", 3, ProblemError),
        ("tabel", "x", UnknownNameError),
    ],
)
def test_wrong_fields_are_refused(field: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        make_problem({"problem": "nasbench201", field: value})


def test_environment_keeps_the_contract() -> None:
    env = gymnasium.make("dovetail/NasBench201-v0", knobs=SMALL)
    check_env(env.unwrapped, skip_render_check=True)
    batched = gymnasium.make_vec("dovetail/NasBench201-v0", num_envs=16, knobs=SMALL)
    batched.reset(seed=0)
    _, rewards, *_ = batched.step(batched.action_space.sample())
    assert rewards.shape == (16,)


def test_by_default_the_joint_space_has_over_ten_million_designs() -> None:
    assert 15625 * np.prod([len(values) for values in KNOBS.values()]) == 13_500_000
