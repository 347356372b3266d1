"""`experiments/real_gpus.py` on tables that are made here, and on the measured ones if at hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import real_gpus
finally:
    sys.path.pop(0)

TABLES = os.environ.get("DOVETAIL_REAL_GPUS", "")
M, N = 4096, 12288


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of a machine whose times are the model's own, 10 % longer."""
    for machine, preset in real_gpus.MACHINES.items():
        gpu = real_gpus.load(preset)
        shapes = {
            "matmul": [(64, N, N), (512, N, N), (M, N, N), (8192, 512, 512)],
            "softmax": [(M, 128), (M, 8192), (32, M), (M, M)],
            "layernorm": [(M, 128), (M, 32768), (32, M), (M, M)],
        }
        for kernel, rows in shapes.items():
            lines = [line(kernel, shape, gpu) for shape in rows]
            write(tmp_path, f"{real_gpus.FILES[kernel]}_{machine}", lines)
        counts = [2**i for i in range(10, 30, 4)]
        write(tmp_path, f"{real_gpus.FILES['gelu']}_{machine}", [
            f"{n}, {n / (1.1e9 * real_gpus.predicted(real_gpus.stream('gelu', 1, n), gpu))}"
            for n in counts
        ])  # fmt: skip
    gpu = real_gpus.load("a100")
    for phase, stem in real_gpus.LAYERS.items():
        times = [1.1 * real_gpus.predicted(work, gpu) for _, work in real_gpus.layer(phase)]
        write(tmp_path, stem, [str(time) for time in [*times, 1e-3, 1e-3]])
    return tmp_path


def line(kernel: str, shape: tuple[int, ...], gpu: real_gpus.Gpu) -> str:
    if kernel == "matmul":
        seconds = 1.1 * real_gpus.predicted(real_gpus.product(*shape), gpu)
        return f"{', '.join(map(str, shape))}, {1e3 * seconds}ms, 0Tflops"
    seconds = 1.1 * real_gpus.predicted(real_gpus.stream(kernel, *shape), gpu)
    return f"{shape[0]}, {shape[1]}, {np.prod(shape) / seconds / 1e9}"


def write(folder: Path, stem: str, lines: list[str]) -> None:
    (folder / f"{stem}.csv").write_text("\n".join(lines) + "\n")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["real_gpus.py", *map(str, arguments)])
    return real_gpus.main()


def test_errors_are_those_of_the_tables(folder, monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, folder, "--figure", tmp_path / "roofline.png") == 0
    out = capsys.readouterr().out
    rows = [row.split("│") for row in out.splitlines() if "│ A100" in row or "│ MI210" in row]
    assert len(rows) == 8
    for row in rows:  # every prediction is 1 / 1.1 of the time: 9.1 % too short
        assert [cell.strip() for cell in row[4:7]] == ["9.1", "9.1", "9.1"]
        assert row[7].strip() == "1.0000"
    assert "sum" in out
    assert (tmp_path / "roofline.png").stat().st_size > 10_000


def test_the_fit_finds_what_made_the_table(folder):
    """Times 10 % longer than a100's are those of a machine with 10 % less bandwidth."""
    rows = real_gpus.read_kernels(folder, "A100")
    gpu = real_gpus.load("a100")
    found = real_gpus.fitted(gpu, rows)
    fit, rest = real_gpus.halves(rows)
    for kernel in real_gpus.FILES:
        assert real_gpus.error(found, kernel, fit, real_gpus.predicted) < 4
        assert real_gpus.error(gpu, kernel, fit, real_gpus.predicted) > 9
    assert {row.label for row in fit}.isdisjoint(row.label for row in rest)
    assert found.hbm_efficiency < gpu.hbm_efficiency


def test_what_is_missing_is_said(folder, monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, tmp_path / "none") == 2
    assert "download https://github.com/" in capsys.readouterr().err
    (folder / "ae_figure5_g_real_hardware_gelu_A100.csv").write_text("12, many\n")
    assert run(monkeypatch, folder) == 2
    assert capsys.readouterr().err.startswith("real_gpus: ")


@pytest.mark.skipif(not TABLES, reason="DOVETAIL_REAL_GPUS names no folder of measured tables")
def test_measured_kernels():
    """What docs/gpu.md says of rows that no fit has seen."""
    limits = {
        "A100": {"matmul": 3.5, "softmax": 7.5, "layernorm": 10, "gelu": 5.5},
        "MI210": {"matmul": 4.5, "softmax": 12, "layernorm": 11, "gelu": 5.5},
    }
    for machine, preset in real_gpus.MACHINES.items():
        _, rest = real_gpus.halves(real_gpus.read_kernels(Path(TABLES), machine))
        gpu = real_gpus.load(preset)
        for kernel, limit in limits[machine].items():
            assert real_gpus.error(gpu, kernel, rest, real_gpus.predicted) < limit
