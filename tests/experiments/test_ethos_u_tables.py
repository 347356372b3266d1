"""Ethos-U against what Arm's compiler Vela 5.2.0 prints: operators, layers and totals.

`ethos_u_operators.csv` is an even sample (2,124 of 6,372 rows) of runs of its performance model,
`ethos_u_layers.csv` its layers of eleven networks on six configurations (legacy core; of networks
that it scheduled more than once, the last schedule).
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import ethos_u_tables as tables
finally:
    sys.path.pop(0)

GOLDEN = Path(__file__).parents[1] / "golden"
OPERATORS = list(tables.read(str(GOLDEN / "ethos_u_operators.csv")))
NETWORKS = {
    key: list(rows)
    for key, rows in itertools.groupby(
        tables.read(str(GOLDEN / "ethos_u_layers.csv")),
        key=lambda row: (row["model"], row["accel"]),
    )
}
NPU_CYCLES = tables.LAYER_COLUMNS.index("cyc_npu")


@pytest.mark.parametrize("name", sorted({row["accel"] for row in OPERATORS}))
def test_every_operator_is_exact_in_every_column(name: str) -> None:
    rows = [row for row in OPERATORS if row["accel"] == name]
    assert len(rows) > 300
    for row in rows:
        expected = tuple(int(row[column]) for column in tables.OPERATOR_COLUMNS)
        assert tables.operator_values(row) == expected, row


def lines() -> list[tables.Layer]:
    return [layer for rows in NETWORKS.values() for layer in tables.layers(rows)]


def test_every_layer_is_exact_but_for_slices_of_unknown_size() -> None:
    unlike = []
    for layer in lines():
        ours, theirs = tables.layer_values(layer), tables.layer_targets(layer.row)
        if ours != pytest.approx(theirs, rel=1e-12):
            unlike.append(layer)
            assert layer.transfer.buffers == 2
            assert ours[:NPU_CYCLES] == theirs[:NPU_CYCLES]
            assert ours == pytest.approx(theirs, rel=0.023)
    assert len(unlike) == 13  # of 1,902


def test_those_are_exact_with_some_size_of_the_first_slice() -> None:
    """The table leaves it out; streams have multiples of 16 bytes."""
    for layer in lines():
        wanted = float(layer.row["cyc_npu"])
        if tables.layer_values(layer)[NPU_CYCLES] != wanted:
            sizes = range(16, layer.encoded, 16)
            assert any(
                tables.layer_values(tables.with_first_slice(layer, size))[NPU_CYCLES] == wanted
                for size in sizes
            )


def test_every_block_of_every_layer_is_the_one_we_choose() -> None:
    found = [(tables.chosen_block(layer), layer.block) for layer in lines()]
    assert len(found) == 1902
    assert all(ours == theirs for ours, theirs in found)


def test_totals_given_encoded_bytes_and_buffering() -> None:
    totals = {
        (row["model"], row["accel"]): float(row["cycles_total"])
        for row in tables.read(str(GOLDEN / "ethos_u_totals.csv"))
        if row["core"] == "legacy"
    }
    for key, rows in NETWORKS.items():
        ours = sum(tables.layer_values(layer)[-1] for layer in tables.layers(rows))
        assert ours == pytest.approx(totals[key], rel=0.001), key
