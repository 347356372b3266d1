"""From a TFLite model to an Ethos-U's report, against what Vela says of the same file.

`ethos_u_tflite.csv`: total cycles that ethos-u-vela 5.2.0 estimates for the zoo's networks as
`dovetail.networks.tflite_export` writes them (seed 0), U55 in High_End_Embedded / Shared_Sram, U65
in Client_Server / Dedicated_Sram_384KB; `legacy` is the scheduler that our mapper follows.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dovetail.arch import presets
from dovetail.cli import app
from dovetail.flow import map_network
from dovetail.flows.npu import MappedNpu
from dovetail.networks.registry import load_network
from dovetail.networks.tflite_export import to_tflite

GOLDEN = Path(__file__).parent / "golden" / "ethos_u_tflite.csv"
WITHIN = {"resnet8": 0.003, "ds_cnn": 0.03, "autoencoder": 0.008, "mobilenet_v1_025": 0.031}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("models")
    for name in WITHIN:
        (found / f"{name}.tflite").write_bytes(to_tflite(load_network(name)))
    return found


@pytest.mark.parametrize("name", WITHIN)
def test_totals_come_close_to_velas(folder: Path, name: str) -> None:
    network = load_network(str(folder / f"{name}.tflite"))
    with GOLDEN.open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if (r["network"], r["core"]) == (name, "legacy")]
    assert len(rows) == 6
    for row in rows:
        mapped = map_network(network, presets.load(row["accel"].replace("-", "_")))
        assert isinstance(mapped, MappedNpu)
        assert not mapped.lowered.host
        expected = float(row["cycles_total"])
        assert mapped.report().cycles == pytest.approx(expected, rel=WITHIN[name]), row


def test_one_command_from_file_to_report(folder: Path) -> None:
    model = str(folder / "resnet8.tflite")
    done = CliRunner().invoke(app, ["simulate", model, "-a", "ethos_u55_128"])
    assert done.exit_code == 0, done.output
    assert "45 block operations; 75 KiB of encoded weights" in done.output
    assert "resnet8 on ethos_u55_128" in done.output
