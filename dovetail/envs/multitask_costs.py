"""What the blocks of NAS-Bench-201's networks cost on sub-accelerators of three dataflows.

A sub-accelerator is one of three published templates with as many PEs as are chosen, behind a
network interface of so many GB/s to the memory that all share. Templates keep the buffers of their
presets; the ports of buffers grow with the array's edge. Node, clock and word widths are alike.

Each distinct operator is mapped once onto each sub-accelerator (`dovetail.mappers.spatial`), and
what it costs is kept. A network is a chain of ten blocks: stem, three stages in two parts each (of
three and two cells), two reductions, head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.envs.costing import rows_by_operator
from dovetail.envs.nasbench201_slots import tabulate_cells
from dovetail.envs.nasbench201_table import DATASETS
from dovetail.errors import AcceleratorError
from dovetail.flows.spatial import streamed_bits
from dovetail.ir.network import Network
from dovetail.ir.report import OperatorReport
from dovetail.ir.schedule import Placement
from dovetail.ir.space import IntArray
from dovetail.mappers.schedule import schedule
from dovetail.mappers.spatial.mapper import find_mapping
from dovetail.networks.nasbench201 import nasbench201
from dovetail.sim.spatial_reading import array_reports, vector_reports
from dovetail.workers import process_pool

TEMPLATES = {
    "shidiannao": "shidiannao", "nvdla": "nvdla_small", "row_stationary": "eyeriss_v1",
}  # fmt: skip
"""Preset of each template: output, weight and row stationary."""

ARRAYS = {
    64: (8, 8), 128: (8, 16), 256: (16, 16), 512: (16, 32), 1024: (32, 32), 1536: (32, 48),
    2048: (32, 64), 3072: (48, 64),
}  # fmt: skip
"""Array of each number of PEs."""

BANDWIDTHS = (8, 16, 24, 32, 40, 48, 56)
"""GB/s of a sub-accelerator's network interface."""

CLOCK_MHZ = 1000.0

COMMON: dict[str, object] = {
    "input_bits": 8, "weight_bits": 8, "sum_bits": 32, "output_bits": 8, "vector_lanes": 16,
    "clock_mhz": CLOCK_MHZ, "node_nm": 28.0, "dram": "ddr4",
}  # fmt: skip
"""What all sub-accelerators share."""

BLOCKS = (
    "stem", "stage1.first", "stage1.last", "reduce1", "stage2.first", "stage2.last", "reduce2",
    "stage3.first", "stage3.last", "head",
)  # fmt: skip
"""Chain of blocks of every network."""

FIRST = 3
"""Cells of the first part of a stage; the others are its last."""


@cache
def sub_accelerator(template: str, pes: int, gb_per_s: float) -> SpatialArray:
    """A template with so many PEs and so much bandwidth.

    Raises:
        AcceleratorError: if it is none of `TEMPLATES`, or the number of PEs none of `ARRAYS`.
    """
    if template not in TEMPLATES or pes not in ARRAYS:
        raise AcceleratorError(
            f"sub-accelerator {template}, {pes} PEs: templates are {', '.join(TEMPLATES)}, "
            f"numbers of PEs {', '.join(map(str, ARRAYS))}"
        )
    base = presets.load(TEMPLATES[template])
    assert isinstance(base, SpatialArray)
    edge = math.sqrt(pes / base.peak_macs_per_cycle)
    # Energies are left out, so that all are those of the common node.
    values = {k: v for k, v in base.to_dict().items() if not k.endswith(("_pj", "derived"))}
    for store in base.stores[:-1]:
        if store.serves == tuple(name for name, _ in base.dimensions):
            for port in ("read_bits_per_cycle", "write_bits_per_cycle"):
                values[f"memories.{store.name}.{port}"] = edge * getattr(store, port)
    for (name, _), size in zip(base.dimensions, ARRAYS[pes], strict=True):
        values[f"array.{name}"] = size
    off_chip = f"memories.{base.stores[-1].name}.read_bits_per_cycle"
    values |= {off_chip: gb_per_s * 8e3 / CLOCK_MHZ, "name": f"{template}_{pes}_{gb_per_s:g}"}
    return SpatialArray.from_dict({**values, **COMMON}, "sub-accelerator")


@dataclass(frozen=True)
class Operators:
    """Operators of all networks for one data set.

    Attributes:
        examples: a network and a placement of each distinct operator.
        slots: (15625, slots) row of `kind` and `block`, -1 where a slot is empty; cells in the
            order of `dovetail.envs.nasbench201_slots.code`.
        kind: place in `examples`, (rows,).
        block: place in `BLOCKS`, (rows,).
    """

    examples: tuple[tuple[Network, Placement], ...]
    slots: NDArray[np.int16]
    kind: IntArray
    block: IntArray


@cache
def operators(dataset: str) -> Operators:
    """Operators of all networks for a data set: the same for every problem of a process."""
    _, resolution, classes = DATASETS[dataset]
    examples: dict[bytes, tuple[Network, Placement]] = {}

    def rows_of(network: Network) -> Mapping[str, IntArray]:
        placed = {p.operator.name: p for p in schedule(network).placements}
        rows = rows_by_operator(network)
        for name, row in rows.items():
            examples.setdefault(row.tobytes(), (network, placed[name]))
        return {name: np.append(row, _block(name)) for name, row in rows.items()}

    tables = tabulate_cells(
        lambda cell: nasbench201([int(op) for op in cell], resolution=resolution, classes=classes),
        rows_of,
    )
    order = {row: place for place, row in enumerate(examples)}
    kind = np.array([order[row[:-1].tobytes()] for row in tables.operators])
    return Operators(tuple(examples.values()), tables.table, kind, tables.operators[:, -1].copy())


def _block(operator: str) -> int:
    """The block of an operator, by its name."""
    block, *rest = operator.split(".")
    if block.startswith("stage"):
        block += ".first" if int(rest[0].removeprefix("cell")) < FIRST else ".last"
    return BLOCKS.index(block if block in BLOCKS else "head")


Part = tuple[str, int, int]
"""Template, PEs and GB/s of a sub-accelerator."""

_known: dict[tuple[str, Part, str], IntArray] = {}


def operator_costs(dataset: str, part: Part, mapping: str) -> IntArray:
    """Cycles and whole pJ of every distinct operator on a sub-accelerator, (2, kinds).

    Args:
        dataset: that the networks are for.
        part: the sub-accelerator.
        mapping: what each mapping minimises: `latency`, `energy` or `edp`.

    Raises:
        MappingError: if an operator cannot be mapped.
    """
    key = dataset, part, mapping
    if key not in _known:
        _known[key] = _costs(key)
    return _known[key]


def prepare(
    datasets: Iterable[str], parts: Iterable[Part], mapping: str, *, workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """Maps all operators onto sub-accelerators, seconds each, so that designs cost microseconds.

    Args:
        datasets: that networks are for.
        parts: the sub-accelerators.
        mapping: as in `operator_costs`.
        workers: processes.
        progress: called with sub-accelerators done and in all.
    """
    keys = [(name, part, mapping) for name in dict.fromkeys(datasets) for part in parts]
    missing = [key for key in keys if key not in _known]
    with process_pool(workers) if workers > 1 else nullcontext() as pool:
        answers = pool.map(_costs, missing) if pool else map(_costs, missing)
        for done, (key, costs) in enumerate(zip(missing, answers, strict=True), start=1):
            _known[key] = costs
            if progress:
                progress(done, len(missing))


def _costs(key: tuple[str, Part, str]) -> IntArray:
    dataset, part, mapping = key
    design = sub_accelerator(*part)
    costs = np.zeros((2, len(operators(dataset).examples)), dtype=np.int64)
    for place, (network, placement) in enumerate(operators(dataset).examples):
        reports = _reports(network, placement, design, mapping)
        costs[0, place] = reports[0].cycles
        costs[1, place] = round(sum(sum(report.energy_pj.values()) for report in reports))
    return costs


def _reports(
    network: Network, placement: Placement, design: SpatialArray, mapping: str
) -> list[OperatorReport]:
    if placement.operator.einsum is None:
        return vector_reports(placement, design, *streamed_bits(network, placement, design))
    found = find_mapping(placement.operator.einsum, design, mapping)
    return array_reports(placement, design, found.cost, found.mapping, found.gap)
