"""Several networks on one chip of two unlike sub-accelerators: NASAIC's problem.

Designs are one or two cells of NAS-Bench-201, each trained for a data set of its own, and two
sub-accelerators: template, PEs and GB/s of each. The networks run concurrently; their blocks are
laid onto the sub-accelerators with the least energy that the bound on latency allows, exactly
(`dovetail.mappers.chains`). Accuracy is looked up, costs are modelled
(`dovetail.envs.multitask_costs`).

References:
    Yang et al., "Co-Exploration of Neural Architectures and Heterogeneous ASIC Accelerator Designs
    Targeting Multiple Tasks", DAC 2020 (problem, bounds of 4,096 PEs and 64 GB/s).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.envs.hardware import distinct
from dovetail.envs.multitask_costs import (
    CLOCK_MHZ,
    Part,
    sub_accelerator,
)
from dovetail.envs.multitask_schedule import UNBOUNDED, costs_of, laid_out
from dovetail.envs.multitask_space import chosen, parsed
from dovetail.envs.nasbench201 import read_table
from dovetail.envs.nasbench201_slots import CONV3, code
from dovetail.envs.nasbench201_table import DATASETS, TRAININGS, CellTable
from dovetail.envs.objectives import (
    assess,
    broken,
    parse_constraints,
    parse_objectives,
    reference_point,
)
from dovetail.envs.problem import Evaluation
from dovetail.envs.registry import check_fields
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.ir.network import Network
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space, Value
from dovetail.mappers.chains import Assignment
from dovetail.mappers.found import check_objective
from dovetail.networks.nasbench201 import SPACE, nasbench201

PES, GB_PER_S = 4096, 64
"""Bounds on the sums over both sub-accelerators."""

PARTS = 2
"""Sub-accelerators."""

COSTS = ("latency_ms", "energy_mj", "area_mm2")

DEFAULTS: dict[str, object] = {
    "table": None,
    "table_sha256": None,
    "seed": 0,
    "dataset": "cifar10+cifar100",
    "epochs": 200,
    "objectives": ("error",),
    "constraints": (),
    "mapping": "edp",
    "knobs": None,
}
"""Fields of a specification: the table of measurements, its digest, or the seed of its twin, as in
`dovetail.envs.nasbench201`; a data set for each network, joined by `+`; epochs of training, 200 or
12; objectives, constraints, what the mapping of each operator minimises, and lists of `template`,
`pes` and `gb_per_s`, if not all are searched."""


class MultitaskProblem:
    """Designs are the cells of one or two networks, then two sub-accelerators.

    Metrics: `latency_ms` until the last network is done, `energy_mj` of all, `area_mm2`, `error`,
    the mean over the networks, and `error_1`, `error_2` of each.

    Args:
        table: what was measured of the cells.
        datasets: one or two of `DATASETS`, one for each network; may be the same.
        objectives: metrics to minimise; costs count in decades against the largest cells on two
            sub-accelerators of the middle value of each knob, `error` in tenths.
        constraints: bounds such as `latency_ms<=1`; the one on latency also bounds the schedule.
        epochs: of the training whose accuracy counts, 200 or 12.
        mapping: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        knobs: values of `template`, `pes` and `gb_per_s`; those of `HARDWARE` if not given.
        source: fields of a specification that rebuild the table.

    Raises:
        ProblemError: if a field is ill-formed.
        UnknownNameError: if there is no such data set, metric or mapping.
    """

    def __init__(
        self,
        table: CellTable,
        datasets: Sequence[str],
        objectives: Iterable[str] = ("error",),
        constraints: Iterable[str] = (),
        *,
        epochs: int = 200,
        mapping: str = "edp",
        knobs: Mapping[str, Sequence[Value]] | None = None,
        source: Mapping[str, object] | None = None,
    ) -> None:
        for dataset in datasets:
            if dataset not in DATASETS:
                raise UnknownNameError("data set", dataset, DATASETS)
        if not 1 <= len(datasets) <= 2:
            raise ProblemError(f"{len(datasets)} data sets: one or two networks are laid out")
        if epochs not in TRAININGS:
            raise ProblemError(f"epochs = {epochs!r}: accuracies are known after 12 and 200")
        self.table, self.datasets, self.epochs = table, tuple(datasets), epochs
        self.mapping = check_objective(mapping)
        self.name = f"multitask-{'+'.join(datasets)}"
        self._source = dict(source or {"table": "given as an object"})
        self.metrics = (*COSTS, "error", *(f"error_{i + 1}" for i in range(len(datasets))))
        self.hardware = chosen(knobs or {})
        cells = _numbered("network", len(datasets), SPACE.knobs)
        self.space = Space((*cells, *_numbered("accelerator", PARTS, self.hardware)))
        self.constraints = parse_constraints(constraints, available=self.metrics)
        names = list(objectives)
        self.objectives = parse_objectives(
            names, available=self.metrics, references=self._references(names)
        )

    @cached_property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume: ten times the base design's costs, an error of 0.3."""
        return reference_point(self.objectives)

    def _references(self, objectives: Sequence[str]) -> dict[str, float]:
        if not set(objectives) & set(COSTS):
            return {}
        cells = [CONV3] * len(SPACE.knobs) * len(self.datasets)
        middle = [len(knob.values) // 2 for knob in self.hardware]
        found = self.costs(np.array([cells + middle * PARTS]))
        return {name: float(f"{values[0]:.6g}") for name, values in found.items()}

    @property
    def deadline(self) -> int:
        """Cycles that the constraints on latency leave a schedule."""
        limits = [c.limit for c in self.constraints if (c.metric, c.sense) == ("latency_ms", "<=")]
        return int(min(limits) * CLOCK_MHZ * 1e3) if limits else UNBOUNDED

    def split(self, designs: IntArray) -> tuple[IntArray, IntArray]:
        """Codes of the cells (n, networks), and sub-accelerators (n, 2, 3) as indices of knobs."""
        width = len(SPACE.knobs) * len(self.datasets)
        cells = designs[:, :width].reshape(len(designs), len(self.datasets), len(SPACE.knobs))
        codes = np.stack([code(cells[:, i]) for i in range(len(self.datasets))], axis=1)
        return codes, designs[:, width:].reshape(len(designs), PARTS, len(self.hardware))

    def networks(self, design: IntArray) -> tuple[Network, ...]:
        """The networks of one design (knobs,)."""
        cells = np.asarray(design)[: len(SPACE.knobs) * len(self.datasets)].reshape(-1, 6)
        return tuple(
            nasbench201([int(op) for op in cell], resolution=DATASETS[name][1],
                        classes=DATASETS[name][2])
            for name, cell in zip(self.datasets, cells, strict=True)
        )  # fmt: skip

    def sub_accelerators(self, design: IntArray) -> tuple[SpatialArray, ...]:
        """The sub-accelerators of one design (knobs,)."""
        _, parts = self.split(np.asarray(design)[None])
        return tuple(sub_accelerator(*values) for values in self.parts(parts[0]))

    def laws(self, designs: IntArray) -> FloatArray:
        """Relative excess (n,) over the bounds on PEs and bandwidth; 0 if lawful."""
        _, parts = self.split(designs)
        pes = np.array(self.hardware[1].values)[parts[:, :, 1]].sum(axis=1)
        bandwidth = np.array(self.hardware[2].values)[parts[:, :, 2]].sum(axis=1)
        found: FloatArray = np.maximum(pes / PES - 1, 0) + np.maximum(bandwidth / GB_PER_S - 1, 0)
        return found

    def costs(self, designs: IntArray) -> dict[str, FloatArray]:
        """`COSTS` (n,) of lawful designs."""
        codes, parts = self.split(designs)
        unique, back = np.unique(parts.reshape(-1, len(self.hardware)), axis=0, return_inverse=True)
        named, index = self.parts(unique), back.reshape(-1, PARTS)
        time, energy = costs_of(self.datasets, codes, named, index, self.mapping, self.deadline)
        areas = np.array([sub_accelerator(*part).area_mm2 for part in named])
        return {
            "latency_ms": time / (CLOCK_MHZ * 1e3),
            "energy_mj": energy * 1e-9,
            "area_mm2": areas[index].sum(axis=1),
        }

    def errors(self, designs: IntArray) -> dict[str, FloatArray]:
        """Errors (n,) of the networks and their mean."""
        codes, _ = self.split(designs)
        each = [self.table.errors[d, self.epochs][codes[:, i]] for i, d in enumerate(self.datasets)]
        named = {f"error_{i + 1}": values for i, values in enumerate(each)}
        return {"error": np.mean(each, axis=0), **named}

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs); those over the bounds on PEs or bandwidth are not costed.

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        violation = self.laws(designs)
        metrics = {name: np.full(len(designs), np.nan) for name in self.metrics}
        lawful = np.flatnonzero(violation <= 0)
        if len(lawful):
            unique, back = distinct(designs[lawful], self.space)
            found = self.costs(designs[lawful[unique]]) | self.errors(designs[lawful[unique]])
            for name in self.metrics:
                metrics[name][lawful] = found[name][back]
        return assess(metrics, violation, self.objectives, self.constraints)

    def assignment(self, design: IntArray) -> Assignment:
        """Which block of each network runs where and when, in cycles and pJ, of one design."""
        codes, parts = self.split(np.asarray(design)[None])
        return laid_out(self.datasets, codes[0], self.parts(parts[0]), self.mapping, self.deadline)

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design (knobs,) breaks; empty if none."""
        _, parts = self.split(np.asarray(design)[None])
        _, pes, rates = zip(*self.parts(parts[0]), strict=True)
        found = [f"{sum(pes):,} PEs together: at most {PES:,}"] if sum(pes) > PES else []
        if sum(rates) > GB_PER_S:
            found.append(f"{sum(rates)} GB/s together: at most {GB_PER_S}")
        return found or broken(self.evaluate(np.asarray(design)[None]).metrics, self.constraints)

    def parts(self, indices: IntArray) -> list[Part]:
        """Template, PEs and GB/s of rows of knob indices (n, 3)."""
        template, pes, rate = (knob.values for knob in self.hardware)
        return [(str(template[t]), int(pes[p]), int(rate[b])) for t, p, b in indices]

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): every value has some lawful design."""
        return tuple(np.ones(len(knob.values), dtype=np.bool_) for knob in self.space.knobs)

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        return {
            "problem": "multitask",
            **self._source,
            "dataset": "+".join(self.datasets),
            "epochs": self.epochs,
            "objectives": [objective.name for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
            "mapping": self.mapping,
            "knobs": [[knob.name, list(knob.values)] for knob in self.hardware],
        }


def _numbered(name: str, count: int, knobs: Sequence[Knob]) -> list[Knob]:
    """The knobs of each of several parts."""
    every = range(1, count + 1)
    return [Knob(f"{name}{i}.{k.name}", k.values, k.ordered) for i in every for k in knobs]


def from_spec(spec: Mapping[str, object]) -> MultitaskProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed, or the table is another one.
    """
    fields = check_fields(spec, DEFAULTS)
    if not isinstance(fields["dataset"], str):
        raise ProblemError(f"dataset = {fields['dataset']!r}: must be names joined by '+'")
    table, source = read_table(fields)
    epochs = fields["epochs"]
    return MultitaskProblem(
        table,
        fields["dataset"].split("+"),
        fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
        fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
        epochs=epochs if type(epochs) is int else -1,
        mapping=str(fields["mapping"]),
        knobs=parsed(fields["knobs"]),
        source=source,
    )
