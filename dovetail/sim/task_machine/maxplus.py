"""Matrices of the max-plus algebra over whole numbers: products and powers, exact.

The sum of two numbers is the larger one, their product the sum: a matrix times a state is when
tasks end that wait for several others.

References:
    Baccelli, Cohen, Olsder, Quadrat, Synchronization and Linearity, 1992, chapter 3.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

WORD = 2**60
"""Sums of two entries of a matrix of machine words must not overflow."""

Matrix: TypeAlias = NDArray[Any]


class MaxPlus:
    """Matrices whose entries are lengths of paths, or say that there is none.

    Args:
        total: that no length of a path exceeds. Python's integers are used where words may not do.
    """

    def __init__(self, total: int) -> None:
        self.never = -4 * (total + 1)
        self.kind: type = np.int64 if -self.never < WORD else object

    def identity(self, size: int) -> Matrix:
        """The matrix that changes no state."""
        rows: Matrix = np.full((size, size), self.never, dtype=self.kind)
        np.fill_diagonal(rows, 0)
        return rows

    def times(self, a: Matrix, b: Matrix) -> Matrix:
        """Product; paths that do not exist stay so."""
        product: Matrix = np.empty((a.shape[0], b.shape[1]), dtype=self.kind)
        for i, row in enumerate(a):
            product[i] = (row[:, None] + b).max(axis=0)
        product[product < 0] = self.never
        return product

    def power(self, once: Matrix, count: int) -> Matrix:
        """Product of `count` factors, by squaring."""
        total, square = self.identity(len(once)), once
        for bit in range(count.bit_length()):
            square = self.times(square, square) if bit else once
            if count >> bit & 1:
                total = self.times(square, total)
        return total

    def apply(self, matrix: Matrix, state: list[int]) -> list[int]:
        """The state after what a matrix stands for."""
        row: Matrix = np.array(state, dtype=self.kind)
        found: list[int] = (matrix + row).max(axis=1).tolist()
        return found


def work_of_power(size: int, count: int) -> int:
    """Tasks that could be played one by one in the time of raising a matrix to a power."""
    return 3 * count.bit_length() * size * (8 + size * size // 500)
