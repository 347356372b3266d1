"""The joint problem of NAS-Bench-201: which of 15,625 cells, and which accelerator to run it on.

Accuracy is looked up, costs are modelled: the whole space can be enumerated, so that what a search
misses is known exactly (`dovetail.envs.nasbench201_front`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from functools import cache, cached_property, partial

import numpy as np

from dovetail.arch.knobs import DesignSpace
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import SystolicArray
from dovetail.envs import nasbench201_table
from dovetail.envs.costing import BatchWork, Workload, rows_by_operator
from dovetail.envs.flow_costing import FlowWork, mapper_of
from dovetail.envs.hardware import HardwareProblem, Work, parse_hardware
from dovetail.envs.nasbench201_slots import CONV3, CellTables, code, tabulate_cells
from dovetail.envs.nasbench201_table import DATASETS, TRAININGS, CellTable
from dovetail.envs.registry import check_fields
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.ir.network import Network
from dovetail.ir.space import FloatArray, IntArray, Knob, Space, Value
from dovetail.networks.nasbench201 import SPACE, nasbench201

OBJECTIVES = ("error", "latency_ms", "energy_mj", "area_mm2")

KNOBS: dict[str, tuple[Value, ...]] = {
    "rows": (8, 16, 32, 64),
    "cols": (8, 16, 32, 64),
    "dataflow": ("ws", "os", "is"),
    "input_sram_kib": (16, 32, 64),
    "weight_sram_kib": (16, 32, 64),
    "vector_lanes": (16, 64),
}
"""Parameters of a systolic array that are searched by default: 864 arrays, 1.35e7 designs."""

DEFAULTS: dict[str, object] = {
    "table": None,
    "table_sha256": None,
    "seed": 0,
    "dataset": "cifar10",
    "epochs": 200,
    "base": "edge",
    "knobs": None,
    "objectives": OBJECTIVES,
    "constraints": (),
    "mapping": "latency",
    "mapper": None,
}
"""Fields of a specification: the table of measurements (see `dovetail.envs.nasbench201_table`;
None for the synthetic twin of `seed`) and the digest it must have; the data set, `cifar10`,
`cifar100` or `imagenet16`; epochs of training, 200 or 12; and those of `CoDesignProblem`."""

CORNERS = {"cifar10": 0.3, "cifar100": 0.6, "imagenet16": 0.8}
"""Error at the corner of the hypervolume."""


class NasBench201Problem(HardwareProblem):
    """Designs are the six operations of a cell, then the accelerator's parameters.

    Args:
        table: what was measured of the cells.
        hardware: the accelerators.
        objectives: metrics to minimise; costs count in decades against the largest cell on the
            base design, `error` in tenths.
        constraints: bounds such as `error<=0.1`.
        dataset: one of `DATASETS`.
        epochs: of the training whose accuracy counts, 200 or 12.
        mapping: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        mapper: one of the family's; None for `greedy` on systolic arrays, else for its first.
        source: fields of a specification that rebuild the table.

    Raises:
        ProblemError: if the base design is illegal, or a field is ill-formed.
    """

    def __init__(
        self,
        table: CellTable,
        hardware: DesignSpace,
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
        *,
        dataset: str = "cifar10",
        epochs: int = 200,
        mapping: str = "latency",
        mapper: str | None = None,
        source: Mapping[str, object] | None = None,
    ) -> None:
        if dataset not in DATASETS:
            raise UnknownNameError("data set", dataset, DATASETS)
        if epochs not in TRAININGS:
            raise ProblemError(f"epochs = {epochs!r}: accuracies are known after 12 and 200")
        self.table, self.dataset, self.epochs = table, dataset, epochs
        self._errors = table.errors[dataset, epochs]
        self._source = dict(source or {"table": "given as an object"})
        self.name = f"nasbench201-{dataset}-{hardware.base.name}"
        knobs = tuple(Knob(f"network.{k.name}", k.values, k.ordered) for k in SPACE.knobs)
        work = self._work(hardware, dataset, mapping, mapper)
        metrics = (*work.names, "error")
        super().__init__(hardware, work, Space(knobs), metrics, objectives, constraints)

    def _work(self, hardware: DesignSpace, dataset: str, mapping: str, mapper: str | None) -> Work:
        base = hardware.base
        if isinstance(hardware, SystolicSpace) and hardware.base.machine == "ideal":
            self.cells: CellTables | None = _operators(dataset)
            workload = Workload(self.cells.operators, mapping, mapper or "greedy")
            return BatchWork(hardware, workload, self.cells.networks)
        self.cells = None
        if isinstance(base, SystolicArray):
            mapper = mapper or "greedy"
        return FlowWork(hardware, self._network, mapping, mapper_of(base, mapper))

    def _network(self, cell: IntArray) -> Network:
        return _build(self.dataset, cell)

    def network(self, design: IntArray) -> Network:
        """The network of one design (knobs,)."""
        return self._network(np.asarray(design)[: len(SPACE.knobs)])

    @cached_property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume: ten times the base design's costs, `CORNERS`' error."""
        corner = super().reference_point.copy()
        names = [objective.name for objective in self.objectives]
        if "error" in names:
            place = names.index("error")
            scaled = self.objectives[place].normalise(np.array([CORNERS[self.dataset]]))
            corner[place] = scaled[0]
        return corner

    def measured(self, choices: IntArray) -> dict[str, FloatArray]:
        """What is looked up (n,) of cells (n, 6)."""
        return {"error": self._errors[code(choices)]}

    def _measured(self, choices: IntArray) -> dict[str, FloatArray]:
        return self.measured(choices)

    def _base_choice(self) -> IntArray:
        return np.full(len(SPACE.knobs), CONV3)

    def trained(self, epochs: int) -> NasBench201Problem:
        """The same problem with the accuracies after another training, of 12 or 200 epochs.

        Raises:
            ProblemError: if the table knows no training of so many epochs.
        """
        if epochs not in TRAININGS:
            raise ProblemError(f"epochs = {epochs!r}: accuracies are known after 12 and 200")
        other = copy(self)
        other.epochs, other._errors = epochs, self.table.errors[self.dataset, epochs]
        return other

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        chosen = {"dataset": self.dataset, "epochs": self.epochs}
        return {"problem": "nasbench201", **self._source, **chosen, **self._hardware_spec()}


def _build(dataset: str, cell: IntArray) -> Network:
    _, resolution, classes = DATASETS[dataset]
    return nasbench201([int(op) for op in cell], resolution=resolution, classes=classes)


@cache
def _operators(dataset: str) -> CellTables:
    """Operators of all networks for a data set: the same for every problem of a process."""
    return tabulate_cells(partial(_build, dataset), rows_by_operator)


def from_spec(spec: Mapping[str, object]) -> NasBench201Problem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed, or the table is another one.
    """
    fields = check_fields(spec, DEFAULTS)
    base = parse_hardware(fields["base"], None).base
    knobs = fields["knobs"]
    if knobs is None and isinstance(base, SystolicArray):
        knobs = KNOBS
    table, source = read_table(fields)
    epochs = fields["epochs"]
    return NasBench201Problem(
        table,
        parse_hardware(base, knobs),
        fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
        fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
        dataset=str(fields["dataset"]),
        epochs=epochs if type(epochs) is int else -1,
        mapping=str(fields["mapping"]),
        mapper=None if fields["mapper"] is None else str(fields["mapper"]),
        source=source,
    )


def read_table(fields: Mapping[str, object]) -> tuple[CellTable, dict[str, object]]:
    """The table of a specification, and the fields that name it.

    Raises:
        ProblemError: if `table` or `seed` is ill-formed, or the table is another one.
    """
    path, seed = fields["table"], fields["seed"]
    if path is None:
        if type(seed) is not int or seed < 0:
            raise ProblemError(f"seed = {seed!r}: must be a whole number >= 0")
        arrays = nasbench201_table.twin(seed)
        return nasbench201_table.from_arrays(arrays, "twin"), {"table": None, "seed": seed}
    if not isinstance(path, str):
        raise ProblemError(f"table = {path!r}: must be the path of an .npz file")
    table = nasbench201_table.load(path)
    expected = fields["table_sha256"]
    if expected is not None and table.sha256 != expected:
        raise ProblemError(
            f"table '{path}' has SHA-256 {str(table.sha256)[:12]}…, but the specification was made "
            f"with {str(expected)[:12]}…: give the same file"
        )
    return table, {"table": path, "table_sha256": table.sha256}
