"""The comparison with HAWQ-V3 on tables made up here."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from experiments import hawqv3

LAYERS = 19


def write_tables(folder: Path) -> None:
    rng = np.random.default_rng(3)
    inputs = {
        "Hutchinson_trace": rng.lognormal(-5, 2, LAYERS),
        "delta_weights_8bit_square": rng.uniform(0.01, 0.1, LAYERS),
        "delta_weights_4bit_square": rng.uniform(1, 30, LAYERS),
        "parameters": rng.integers(10_000, 2_000_000, LAYERS),
        "bops": rng.integers(10_000_000, 200_000_000, LAYERS),
        "latency_int4": rng.uniform(0.1, 0.2, LAYERS),
        "latency_int8": rng.uniform(0.2, 0.4, LAYERS),
    }
    made = hawqv3.instance({name: values.tolist() for name, values in inputs.items()})
    solved = []
    for constraint in hawqv3.CONSTRAINTS:
        bits = best(made, constraint)
        solved.append({"net": "resnet18", "constraint": constraint, "fraction": 0.5, "bits": bits})
    tables = {
        "hawqv3_ilp_inputs": {"resnet18": {n: v.tolist() for n, v in inputs.items()}},
        "hawqv3_ilp_solutions": solved,
        "hawqv3_vs_table": [["resnet18", "size", 0.5, 7.0, 7.5, 90.0, 100]],
    }
    for name, table in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(table))


def best(made: hawqv3.Instance, constraint: str) -> list[int]:
    """The optimum by enumeration of all choices that keep tied layers equal."""
    tied = {b: a for a, b in hawqv3.TIES["resnet18"]}
    free = [layer for layer in range(LAYERS) if layer not in tied]
    choices = np.zeros((2 ** len(free), LAYERS), dtype=np.int64)
    choices[:, free] = np.array(list(itertools.product((0, 1), repeat=len(free))))
    for layer, first in tied.items():
        choices[:, layer] = choices[:, first]
    rows = np.arange(LAYERS)
    legal = made.costs[constraint][rows, choices].sum(axis=1) <= made.limit(constraint, 0.5)
    losses = np.where(legal, made.perturbation[rows, choices].sum(axis=1), np.inf)
    return hawqv3.BITS[choices[losses.argmin()]].tolist()


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    arguments = ["x", "--tables", str(folder), "--out", str(folder / "h.svg"), *more]
    monkeypatch.setattr("sys.argv", arguments)
    return hawqv3.main()


def test_rows_equal_enumeration_and_differences_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path)
    solved = json.loads((tmp_path / "hawqv3_ilp_solutions.json").read_text())
    bits = list(solved[0]["bits"])
    bits[0] = 12 - bits[0]
    lines = [f"'stage1.unit{k}.quant_convbn1': {b}," for k, b in enumerate(bits)]
    config = tmp_path / "bit_config.py"
    config.write_text(
        'bit_config_dict = {"bit_config_resnet18_modelsize_0.5": {\'quant_input\': 8,\n'
        + "\n".join(lines) + "}}\n"
    )  # fmt: skip
    assert run(tmp_path, monkeypatch, "--bit-config", str(config)) == 0
    out = capsys.readouterr().out
    assert "bits equal the solved programs in 3 of 3 rows" in out
    assert "bits equal the published models in 0 of 1 rows" in out
    assert "resnet18 size 0.5: the published bits" in out
    assert (tmp_path / "h.svg").stat().st_size > 1000


def test_missing_and_foreign_files_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, monkeypatch) == 2
    assert "hawqv3_ilp_inputs.json' cannot be read" in capsys.readouterr().err
    write_tables(tmp_path)
    (tmp_path / "bad.py").write_text("print(1)")
    assert run(tmp_path, monkeypatch, "--bit-config", str(tmp_path / "bad.py")) == 2
    assert "is not HAWQ's bit_config.py" in capsys.readouterr().err
