"""The script that compares Ethos-U networks with Vela."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def test_it_prints_totals_rows_and_the_sweep(root: Path, tmp_path: Path) -> None:
    golden = root / "tests" / "golden"
    shutil.copy(golden / "ethos_u_operators.csv", tmp_path / "op_sweep.csv")
    lines = (golden / "ethos_u_layers.csv").read_text().splitlines()
    header = "name," + lines[0].split(",", 2)[2]
    own = [f"n{i}," + line.split(",", 2)[2] for i, line in enumerate(lines)
           if line.startswith("resnet8_cifar,ethos-u55-128,")]  # fmt: skip
    table = tmp_path / "layers_resnet8_cifar_ethos-u55-128.csv"
    table.write_text("\n".join([header, *own]) + "\n")
    figure = tmp_path / "sweep.png"
    done = subprocess.run(
        [sys.executable, "experiments/ethos_u.py", "--tables", str(tmp_path), "--figure", figure],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2,124 of 2,124 rows exact in every column" in done.stdout
    assert "45 of 45 rows exact" in done.stdout
    assert "45 of 45 as chosen by us; worst total 0.000% off" in done.stdout
    flat = next(line for line in done.stdout.splitlines() if line.count("1.00x") == 4)
    assert flat.startswith("autoencoder")
    assert figure.stat().st_size > 0
