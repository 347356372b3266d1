"""NAS-Bench-201's networks: a cell of four nodes and six edges, repeated fifteen times.

Every operator of a cell is there, as the benchmark builds, counts and measures it: also those
whose result nothing reads, and those that read a node that no edge feeds, whose value is zero.
Rectifiers before convolutions are computed once per node.

References:
    Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
    ICLR 2020, section 2.1 and figure 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.space import Knob, Space
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cnn import conv_norm

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""What an edge computes, in the order of its indices."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Nodes (from, to) of each edge, in the order of a cell's operations."""

NODES = 4

CELLS = 5
"""Cells of a stage."""

SPACE = Space(tuple(Knob(f"edge{a}{b}", OPERATIONS, ordered=False) for a, b in EDGES))
"""The 15,625 cells."""

_ARCH = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


def parse(text: str) -> tuple[int, ...]:
    """Operation indices of a cell as the benchmark writes it, `|nor_conv_3x3~0|+|…~0|…~1|+|…|`.

    Raises:
        NetworkError: if it is no cell.
    """
    match = _ARCH.fullmatch(text)
    if match is None or not set(match.groups()) <= set(OPERATIONS):
        raise NetworkError(
            f"cell '{text}': must be '|A~0|+|B~0|C~1|+|D~0|E~1|F~2|' of {', '.join(OPERATIONS)}"
        )
    return tuple(OPERATIONS.index(name) for name in match.groups())


def text(cell: Sequence[int]) -> str:
    """A cell (6,) as the benchmark writes it."""
    nodes = []
    for node in range(1, NODES):
        into = [(a, op) for (a, b), op in zip(EDGES, cell, strict=True) if b == node]
        nodes.append("|" + "".join(f"{OPERATIONS[op]}~{a}|" for a, op in into))
    return "+".join(nodes)


def nasbench201(
    cell: Sequence[int], *, batch: int = 1, resolution: int = 32, classes: int = 10,
    channels: int = 16, cells: int = CELLS,
) -> Network:  # fmt: skip
    """The network of a cell; 7.8 to 220 MMAC and 0.07 to 1.53 M parameters on CIFAR-10.

    Args:
        cell: index in `OPERATIONS` of each of the six edges.
        batch: images per inference.
        resolution: rows and columns of an image, 32 for CIFAR and 16 for ImageNet16-120.
        classes: outputs of the classifier.
        channels: of the stem and the first of three stages.
        cells: per stage.

    Raises:
        NetworkError: if the cell is none.
    """
    if len(cell) != len(EDGES) or not all(0 <= op < len(OPERATIONS) for op in cell):
        raise NetworkError(f"cell {list(cell)}: must be 6 indices below {len(OPERATIONS)}")
    net = NetworkBuilder("nb201-" + "".join(str(int(op)) for op in cell))
    x = net.input("image", (batch, 3, resolution, resolution))
    x = conv_norm(net, x, channels, 3, padding=1, activation=None, name="stem")
    for stage in range(3):
        if stage:
            with net.scope(f"reduce{stage}"):
                x = _reduction(net, x, channels << stage)
        for index in range(cells):
            with net.scope(f"stage{stage + 1}.cell{index}"):
                x = _cell(net, x, cell)
    x = net.activation(net.norm(x, "batchnorm", name="last.norm"), "relu", name="last.relu")
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def _cell(net: NetworkBuilder, x: str, cell: Sequence[int]) -> str:
    width = net.shape(x)[1]
    nodes, rectified = [x], dict[int, str]()
    for node in range(1, NODES):
        terms = []
        for (source, target), op in zip(EDGES, cell, strict=True):
            if target != node or OPERATIONS[op] == "none":
                continue
            kind, name = OPERATIONS[op], f"edge{source}{target}"
            if kind == "skip_connect":
                terms.append(nodes[source])
            elif kind == "avg_pool_3x3":
                terms.append(net.pool(nodes[source], "avgpool", 3, stride=1, padding=1, name=name))
            else:
                if source not in rectified:
                    rectified[source] = net.activation(nodes[source], "relu", name=f"relu{source}")
                size = 3 if kind == "nor_conv_3x3" else 1
                terms.append(
                    conv_norm(
                        net, rectified[source], width, size, padding=size // 2, activation=None,
                        name=name,
                    )
                )  # fmt: skip
        nodes.append(_sum(net, terms, node) if terms else _zero(net, x, node))
    return nodes[-1]


def _sum(net: NetworkBuilder, terms: list[str], node: int) -> str:
    total = terms[0]
    for place, term in enumerate(terms[1:]):
        total = net.add(total, term, name=f"sum{node}.{place}")
    return total


def _zero(net: NetworkBuilder, x: str, node: int) -> str:
    """A node that no edge feeds: one zero, spread over the shape of the cell's input."""
    zero = net.parameter(f"zero{node}", (1,))
    return net.vector("expand", (zero,), net.shape(x), name=f"node{node}")


def _reduction(net: NetworkBuilder, x: str, channels: int) -> str:
    """A residual block of stride 2; its shortcut pools and then widens."""
    y = net.activation(x, "relu", name="relu0")
    y = conv_norm(net, y, channels, 3, stride=2, padding=1, activation=None, name="first")
    y = net.activation(y, "relu", name="relu1")
    y = conv_norm(net, y, channels, 3, padding=1, activation=None, name="second")
    short = net.pool(x, "avgpool", 2, name="shortcut.pool")
    return net.add(y, net.conv2d(short, channels, 1, name="shortcut.conv"))
