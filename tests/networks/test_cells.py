"""Searched cells: shapes, operations, and what they read."""

from __future__ import annotations

import pytest

from dovetail.errors import NetworkError
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo import searched
from dovetail.networks.zoo.cells import Cell, Stack, add_cell

CELLS = {
    name: cell for name, cell in vars(searched).items() if isinstance(cell, Cell)
}  # fmt: skip


def _stack(channels: int = 16, size: int = 12) -> Stack:
    net = NetworkBuilder("net")
    return Stack(net, net.input("x", (2, channels, size, size)))


# Cells that return their inputs cannot reduce.
STRIDES = [
    (name, s) for name, cell in CELLS.items() for s in (1, 2) if s <= max(1, min(cell.outputs))
]


@pytest.mark.parametrize(("name", "stride"), STRIDES)
def test_cells_stack_whatever_the_shapes_before_them(name: str, stride: int) -> None:
    cell, stack = CELLS[name], _stack()
    stack.add(cell, 8)
    stack.add(cell, 8, stride)
    stack.add(cell, 16)  # after a reduction, its earlier input has twice the rows
    size = 12 // stride
    assert stack.net.shape(stack.x) == (2, 16 * len(cell.outputs), size, size)
    network = stack.net.build([stack.x])
    dead = [name for name, readers in network.consumers.items() if not readers]
    assert dead == [stack.x]


@pytest.mark.parametrize("name", CELLS)
def test_cells_read_states_that_exist_and_return_all_that_nothing_reads(name: str) -> None:
    cell = CELLS[name]
    for index, pair in enumerate(cell.sums, start=2):
        assert all(state < index for _, state in pair)
    read = {state for pair in cell.sums for _, state in pair}
    unread = set(range(2, len(cell.sums) + 2)) - read
    assert unread <= set(cell.outputs)


def test_operations_have_the_parameters_of_their_kind() -> None:
    def parameters(operation: str, stride: int = 1) -> int:
        stack = _stack(channels=8)
        cell = Cell((((operation, 0), ("none", 0)),), (2,))
        net = stack.net
        if stride == 1:
            network = net.build([add_cell(net, cell, None, stack.x, 8)])
        else:
            cell = Cell((((operation, 0), ("max3", 0)),), (2,))
            network = net.build([add_cell(net, cell, None, stack.x, 8, 2)])
        return network.parameters - 8 * 8 - 2 * 8  # the 1x1 that makes state 1

    assert parameters("none") == parameters("max3") == parameters("avg3") == 0
    assert parameters("none", stride=2) == parameters("conv1") == 8 * 8 + 2 * 8
    assert parameters("sep5") == 2 * (8 * 25 + 8 * 8 + 2 * 8)
    assert parameters("dil3") == 8 * 9 + 8 * 8 + 2 * 8
    assert parameters("conv3") == 8 * 2 + 2 * 2 * 9 + 2 * 8 + 2 * (2 + 2 + 8)
    assert parameters("conv7") == 8 * 2 + 2 * (2 * 2 * 7) + 2 * 8 + 2 * (2 + 2 + 2 + 8)


def test_unknown_operations_are_named() -> None:
    stack = _stack()
    cell = Cell(((("swirl3", 0), ("none", 0)),), (2,))
    with pytest.raises(NetworkError, match="cell operation 'swirl3' is none of sep, dil"):
        stack.add(cell, 16)
