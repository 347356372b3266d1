"""NAS-Bench-201's networks against the counts that the benchmark publishes, and its notation."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.nasbench201 import EDGES, OPERATIONS, SPACE, nasbench201, parse, text

SKELETON = 7_783_040
"""MACs outside the cells: the benchmark's 7.78 MFLOPs of an empty cell on CIFAR-10."""


def parameters(network: Network) -> int:
    """Without the zeros that stand for nodes that no edge feeds."""
    return sum(t.elements for t in network.tensors if t.is_parameter and ".zero" not in t.name)


def test_largest_and_smallest_cell_have_the_published_counts() -> None:
    # NAS-Bench-201's own API prints 220.12 M and 1.53 M, 7.78 M and 0.07 M (CIFAR-10).
    largest, smallest = nasbench201([3] * 6), nasbench201([0] * 6)
    assert (largest.macs, parameters(largest)) == (220_119_680, 1_531_546)
    assert (smallest.macs, parameters(smallest)) == (SKELETON, 73_306)


@pytest.mark.parametrize("seed", range(8))
def test_every_convolution_of_a_cell_adds_its_share(seed: int) -> None:
    cell = np.random.default_rng(seed).integers(0, 5, 6)
    network = nasbench201(cell)
    # Per stage of 5 cells: C^2 k^2 weights at (32 / s)^2 places, C = 16 s; batchnorm has 2 C.
    for name, size in (("nor_conv_3x3", 9), ("nor_conv_1x1", 1)):
        count = int((cell == OPERATIONS.index(name)).sum())
        macs = sum(5 * (16 * s) ** 2 * size * (32 // s) ** 2 for s in (1, 2, 4))
        found = [op for op in network.operators if op.macs and ".edge" in op.name]
        mine = [op for op in found if op.einsum and op.einsum.extent("R") ** 2 == size]
        assert len(mine) == 15 * count
        assert sum(op.macs for op in mine) == count * macs
    pools = [op for op in network.operators if op.kind == "avgpool" and ".edge" in op.name]
    assert len(pools) == 15 * (cell == OPERATIONS.index("avg_pool_3x3")).sum()


def test_a_node_is_the_sum_of_its_edges() -> None:
    network = nasbench201(parse("|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
                                "|none~0|nor_conv_3x3~1|skip_connect~2|"))  # fmt: skip
    ops = {op.name: op for op in network.operators}
    cell = "stage1.cell0"
    assert ops[f"{cell}.sum2.0"].inputs == (f"{cell}.edge02.norm", f"{cell}.edge01")
    assert ops[f"{cell}.sum3.0"].inputs == (f"{cell}.edge13.norm", f"{cell}.sum2.0")
    assert ops[f"{cell}.relu1"].inputs == (f"{cell}.edge01",)
    assert ops["stage1.cell1.relu0"].inputs == (f"{cell}.sum3.0",)


def test_other_data_sets_change_image_and_classifier() -> None:
    cell = [3, 2, 1, 4, 0, 3]
    network = nasbench201(cell, resolution=16, classes=120, batch=2)
    assert network.tensor["image"].shape == (2, 3, 16, 16)
    assert network.tensor["classifier"].shape == (2, 120)
    convs = nasbench201(cell).macs - 640
    assert network.macs == 2 * (convs // 4 + 64 * 120)


def test_cells_are_read_and_written_as_the_benchmark_does() -> None:
    best = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"  # noqa: E501
    assert parse(best) == (3, 3, 3, 1, 3, 3)
    assert text(parse(best)) == best
    for cell in SPACE.sample(np.random.default_rng(0), 50):
        assert parse(text(cell)) == tuple(cell)
    assert len(EDGES) == len(SPACE.knobs)


@pytest.mark.parametrize("wrong", ["", "|conv~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|x~2|"])
def test_what_is_no_cell_is_refused(wrong: str) -> None:
    with pytest.raises(NetworkError, match="must be"):
        parse(wrong)


@pytest.mark.parametrize("wrong", [[0] * 5, [0] * 7, [5] * 6, [-1] * 6])
def test_wrong_indices_are_refused(wrong: list[int]) -> None:
    with pytest.raises(NetworkError, match="6 indices"):
        nasbench201(wrong)
