"""Spatial counts that must cost the same as others, so that only one of them is looked at.

Two dimensions that every store serves or does not serve alike are one: costs depend on the product
of a rank's counts along both. And where swapping ranks of equal extents changes nothing but names
(rows and columns of a square convolution), so does swapping their counts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.boundary import accesses, indices

Ints = NDArray[np.int64]


def distinct(einsum: Einsum, accelerator: SpatialArray, counts: Ints) -> Ints:
    """One of every set of equals, in the given order.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        counts: spatial counts, (choices, dimensions, ranks).
    """
    if len(counts) < 2:
        return counts
    groups: dict[tuple[bool, ...], list[int]] = {}
    for i, (name, _) in enumerate(accelerator.dimensions):
        serving = tuple(name in store.serves for store in accelerator.stores)
        groups.setdefault(serving, []).append(i)
    joint = np.stack([counts[:, group].prod(axis=1) for group in groups.values()], axis=1)
    keep = np.zeros(len(counts), np.bool_)
    _, first = np.unique(_rows(joint), return_index=True)
    keep[first] = True
    for swap in _swaps(einsum):
        # Of a choice and its image the one with the lesser number stays, if both are there.
        rows = np.concatenate((_rows(joint), _rows(joint[:, :, swap])))
        number = np.unique(rows, return_inverse=True)[1]
        mine, image = number[: len(counts)], number[len(counts) :]
        keep &= ~((image < mine) & np.isin(image, mine))
    return counts[keep]


def _rows(joint: Ints) -> NDArray[np.void]:
    """Every choice as one thing that can be compared."""
    flat = np.ascontiguousarray(joint.reshape(len(joint), -1).astype(np.int32))
    return flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1]))).ravel()


def _swaps(einsum: Einsum) -> Iterator[list[int]]:
    """Ways to swap pairs of ranks under which every tensor is indexed as before."""
    extents = [extent for _, extent in einsum.ranks]
    tensors = [
        Counter(frozenset(index) for index in indices(einsum, operand))
        for operand in accesses(einsum)
    ]
    pairs = [
        (a, b)
        for a, b in itertools.combinations(range(len(extents)), 2)
        if extents[a] == extents[b] > 1
    ]
    for number in range(1, len(extents) // 2 + 1):
        for some in itertools.combinations(pairs, number):
            if len(set(itertools.chain(*some))) < 2 * number:
                continue
            swap = list(range(len(extents)))
            for a, b in some:
                swap[a], swap[b] = b, a
            if all(tensor == _renamed(tensor, swap) for tensor in tensors):
                yield swap


def _renamed(
    tensor: Counter[frozenset[tuple[int, int]]], swap: list[int]
) -> Counter[frozenset[tuple[int, int]]]:
    found: Counter[frozenset[tuple[int, int]]] = Counter()
    for index, times in tensor.items():
        found[frozenset((swap[rank], step) for rank, step in index)] += times
    return found
