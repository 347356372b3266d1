"""The optimal mapper against every mapping there is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.mappers.found import OBJECTIVES, value_of
from dovetail.mappers.spatial.optimal import optimal
from dovetail.sim.nest import analyse, analyse_batch, faults
from tests.mappers.spatial.brute_force import batches, best


def conv(k: int, c: int, p: int, r: int, stride: int = 1, groups: int = 1, n: int = 1) -> Einsum:
    """A convolution of one spatial axis with all features of two: stride, groups, batch."""

    def index(*terms: tuple[str, int]) -> Affine:
        return Affine(terms)

    ranks = {"N": n, "G": groups, "K": k, "C": c, "P": p, "R": r}
    moving = (index(("N", 1)), index(("G", c), ("C", 1)), index(("P", stride), ("R", 1)))
    kernel = (index(("G", k), ("K", 1)), index(("C", 1)), index(("R", 1)))
    result = (index(("N", 1)), index(("G", k), ("K", 1)), index(("P", 1)))
    return Einsum(
        tuple(ranks.items()), (Access("i", moving), Access("w", kernel)), Access("o", result)
    )


LAYERS = (
    conv(2, 3, 2, 3), conv(4, 2, 3, 1), conv(3, 3, 5, 1), conv(2, 2, 2, 2, stride=2),
    conv(1, 1, 4, 3, groups=3), conv(1, 1, 3, 2, stride=3, groups=4), conv(6, 4, 1, 1),
    conv(7, 5, 1, 1), conv(2, 2, 3, 1, n=2), conv(1, 6, 2, 2), conv(2, 1, 6, 2, groups=2),
)  # fmt: skip


def draw(rng: np.random.Generator) -> SpatialArray:
    """A random accelerator: two inner stores, perhaps shared, and one or two outer ones."""

    def store(name: str, operands: tuple[str, ...], serves: tuple[str, ...], low: int) -> Store:
        shared_port = rng.random() < 0.4
        rate = float(rng.choice([2, 4, 16, math.inf]))
        return Store(
            name, operands, serves,
            capacity_bytes=int(rng.integers(low, 4 * low + 8)),
            access_bits=int(rng.choice([1, 8, 24])),
            read_pj=float(rng.integers(1, 20)), write_pj=float(rng.integers(1, 20)),
            read_bits_per_cycle=rate,
            write_bits_per_cycle=None if shared_port else float(rng.choice([3, 8, math.inf])),
            buffering=str(rng.choice(["ideal", "single", "double"])),
            bypass=tuple(e for e in operands if rng.random() < 0.15),
        )  # fmt: skip

    split = rng.random() < 0.5
    everything = ("input", "weight", "output")
    inner = (
        (store("wreg", ("weight",), (), 2), store("oreg", ("output",), (), 4))
        if split
        else (store("reg", ("input", "output"), ("x",) if rng.random() < 0.3 else (), 9),)
    )
    held = everything if rng.random() < 0.5 else ("input", "output")
    sram = store("sram", held, ("x", "y"), 12)
    dram = Store(
        "dram", everything, ("x", "y"), access_bits=8, read_pj=100, write_pj=120,
        read_bits_per_cycle=float(rng.choice([4, 16, 64])), write_bits_per_cycle=None,
    )  # fmt: skip
    x, y = ("K", "P"), ("C", "G")
    latched = tuple(e for e in everything if rng.random() < 0.4)
    return SpatialArray(
        "random", (("x", int(rng.integers(1, 4))), ("y", int(rng.integers(1, 3)))),
        (*inner, sram, dram), (("x", x[: int(rng.integers(1, 3))]), ("y", y)), latched,
        bool(rng.random() < 0.5), 8, 8, 16, 8, 1.0,
    )  # fmt: skip


def compare(einsum: Einsum, accelerator: SpatialArray, composite: bool = False) -> None:
    """Holds the mapper to the brute force in every objective."""
    expected, count = best(einsum, accelerator, composite)
    assert count > 100
    for objective in OBJECTIVES:
        if math.isinf(expected[objective]):
            with pytest.raises(MappingError):
                optimal(einsum, accelerator, objective)
            continue
        found = optimal(einsum, accelerator, objective)
        assert found.proven
        assert found.gap == 0
        assert found.value == pytest.approx(expected[objective], rel=1e-9)
        assert not faults(einsum, accelerator, found.mapping)
        cost = analyse(einsum, accelerator, found.mapping)
        assert value_of(cost.cycles, cost.energy_pj, objective) == found.value


@pytest.mark.parametrize("seed", range(24))
def test_finds_the_optimum_of_all_mappings(seed: int) -> None:
    compare(LAYERS[seed % len(LAYERS)], draw(np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", range(12))
def test_labels_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.mappers.spatial.optimal.family.SHORT", 1)
    monkeypatch.setattr("dovetail.mappers.spatial.optimal.family.STRIDE", 7)
    compare(LAYERS[seed % len(LAYERS)], draw(np.random.default_rng(100 + seed)))


WINDOWS = (
    conv(2, 1, 4, 3), conv(1, 2, 4, 3), conv(2, 1, 4, 2, stride=2), conv(1, 1, 6, 3),
    conv(1, 1, 4, 3, groups=2), conv(2, 1, 4, 2), conv(1, 1, 8, 2),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(21))
def test_a_window_slides_by_one_loop(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    given = draw(rng)
    sliding = [rng.random() < 0.7 for _ in given.stores]
    stores = tuple(
        replace(store, sliding=slides) for store, slides in zip(given.stores, sliding, strict=True)
    )
    # The count of the one loop matters: nests of prime counts alone would miss the best.
    compare(WINDOWS[seed % len(WINDOWS)], replace(given, stores=stores), composite=True)


@pytest.mark.parametrize("seed", range(6))
def test_an_operand_may_live_below_the_outermost_store(seed: int) -> None:
    given = draw(np.random.default_rng(300 + seed))
    *inner, sram, dram = given.stores
    stores = (*inner, replace(sram, operands=("input", "output"), capacity_bytes=40.0 + 10 * seed))
    only = replace(dram, operands=("weight",) if seed % 2 else ("weight", "output"))
    compare(LAYERS[seed], replace(given, stores=(*stores, only)))


@pytest.mark.parametrize("seed", range(12))
def test_of_equally_fast_mappings_the_one_of_least_energy(seed: int) -> None:
    """With one choice of spatial counts and bypasses, so that the tie-break sees all of them."""
    given = draw(np.random.default_rng(400 + seed))
    stores = tuple(replace(store, bypass=(), sliding=seed % 3 == 0) for store in given.stores)
    array = replace(given, stores=stores, unrolls=())
    einsum = WINDOWS[seed % len(WINDOWS)]
    found = optimal(einsum, array, "latency")
    costs = [analyse_batch(einsum, array, batch) for batch in batches(einsum, array, True)]
    tied = [c.energy_pj[c.valid & (c.cycles <= found.value * (1 + 1e-9))].min() for c in costs
            if (c.valid & (c.cycles <= found.value * (1 + 1e-9))).any()]  # fmt: skip
    assert found.cost.energy_pj == pytest.approx(min(tied), rel=1e-9)
