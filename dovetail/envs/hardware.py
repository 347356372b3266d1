"""What all problems share whose designs end in the parameters of an accelerator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from dovetail.arch import presets
from dovetail.arch.accelerator import Accelerator
from dovetail.arch.knobs import DesignSpace
from dovetail.arch.space import SystolicSpace
from dovetail.arch.systolic import SystolicArray
from dovetail.envs.costing import UNMAPPABLE
from dovetail.envs.known import KnownDesigns
from dovetail.envs.objectives import (
    Constraint,
    assess,
    broken,
    parse_constraints,
    parse_objectives,
    reference_point,
)
from dovetail.envs.problem import Evaluation, Objective
from dovetail.errors import MappingError, ProblemError
from dovetail.flow import map_network
from dovetail.ir.network import Network
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space, Value


class HardwareSpace(Protocol):
    """Accelerators that share a base design and differ in some parameters."""

    @property
    def base(self) -> Accelerator:
        """Gives every parameter that is no knob."""

    @property
    def knobs(self) -> Mapping[str, Sequence[Value]]:
        """Values by parameter name."""

    @property
    def space(self) -> Space:
        """The knobs as a design space."""

    @property
    def bound(self) -> Sequence[str]:
        """Knobs that laws speak of; whether a design is legal does not depend on the others."""

    @property
    def enumerable(self) -> int:
        """Designs whose laws are checked in some seconds."""

    def decode(self, design: Sequence[int] | IntArray) -> Accelerator:
        """The accelerator of one index vector (knobs,)."""

    def violations(self, designs: IntArray) -> FloatArray:
        """(n, knobs) -> (n,); 0 if legal, else how far from it."""

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, which values some legal design has."""


class Choices(Protocol):
    """How operators are mapped."""

    @property
    def mapping(self) -> str:
        """What each mapping minimises."""

    @property
    def mapper(self) -> str:
        """Its name."""


class Work(Protocol):
    """Costs designs of one hardware space: in batches, or one after the other."""

    @property
    def workload(self) -> Choices:
        """How operators are mapped."""

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics that designs have."""

    def metrics(self, choices: IntArray, hardware: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) of lawful designs: choices (n, a) on accelerators (n, b); NaN if unfit."""

    def base(self, choice: IntArray) -> dict[str, float]:
        """Metrics of the base design with a choice (a,) of the network."""


class HardwareProblem:
    """Designs (n, knobs): choices of a network, if any, then the parameters of an accelerator.

    Args:
        hardware: the accelerators.
        work: what they cost.
        choices: knobs of the network; empty if it is fixed.
        metrics: metrics that a design has.
        objectives: metrics to minimise; costs count in decades against the base design.
        constraints: bounds such as `area_mm2<=20`.

    Raises:
        ProblemError: if the base design is illegal, or objectives or constraints are ill-formed.
    """

    name: str
    """What studies and reports call it."""

    def __init__(
        self,
        hardware: HardwareSpace,
        work: Work,
        choices: Space,
        metrics: Sequence[str],
        objectives: Iterable[str],
        constraints: Iterable[str],
    ) -> None:
        self.hardware = hardware
        self.work = work
        self.choices = choices
        self.metrics = tuple(metrics)
        named = [Knob(f"accelerator.{k.name}", k.values, k.ordered) for k in hardware.space.knobs]
        self.space = Space(choices.knobs + tuple(named)) if choices.knobs else hardware.space
        self.constraints: tuple[Constraint, ...] = parse_constraints(
            constraints, available=self.metrics
        )
        references = self._references()
        # What a family does not give, as energy of FPGAs, is 0 in its reports: nothing to minimise.
        given = [name for name in self.metrics if references.get(name) != 0]
        self.objectives: tuple[Objective, ...] = parse_objectives(
            objectives, available=given, references=references
        )

    @property
    def workload(self) -> Choices:
        """How operators are mapped."""
        return self.work.workload

    @cached_property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume: ten times the base design's costs, an error of 0.3."""
        return reference_point(self.objectives)

    def network(self, design: IntArray) -> Network:
        """The network of one design (knobs,)."""
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        raise NotImplementedError

    def _measured(self, choices: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) that depend on the network alone."""
        return {}

    def _misfits(self, choices: IntArray, hardware: IntArray) -> FloatArray:
        """Laws (n,) that networks and accelerators break together."""
        return np.zeros(len(choices))

    def _base_choice(self) -> IntArray:
        """Choice (knobs,) of the network that the base design runs."""
        return np.empty(0, dtype=np.int64)

    def _references(self) -> dict[str, float]:
        base = self.hardware.base
        if reasons := base.validate():
            raise ProblemError(f"base accelerator '{base.name}' is illegal: {reasons[0]}")
        try:
            costs = self.work.base(self._base_choice())
        except MappingError as error:
            raise ProblemError(
                f"base accelerator '{base.name}' cannot run the network: {error}"
            ) from error
        if math.isnan(costs["latency_ms"]):
            raise ProblemError(
                f"base accelerator '{base.name}' cannot run the network: no mapping fits; "
                "enlarge its memories"
            )
        # Six digits, so that libraries that round differently agree on what a study is.
        return {name: float(f"{value:.6g}") for name, value in costs.items()}

    def split(self, designs: IntArray) -> tuple[IntArray, IntArray]:
        """Choices (n, a) and accelerators (n, b) of designs (n, a + b)."""
        count = len(self.choices.knobs)
        return designs[:, :count], designs[:, count:]

    def accelerator(self, design: IntArray) -> Accelerator:
        """The accelerator of one design (knobs,)."""
        return self.hardware.decode(np.asarray(design)[len(self.choices.knobs) :])

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs); illegal ones are left out before anything is simulated.

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        violation = self.excess(designs)
        figures = np.full((len(designs), len(self.metrics)), np.nan)
        lawful = np.flatnonzero(violation <= 0)
        if len(lawful):
            figures[lawful] = self._figures(designs[lawful])
        metrics = dict(zip(self.metrics, np.ascontiguousarray(figures.T), strict=True))
        violation[lawful] += np.where(np.isnan(metrics["latency_ms"][lawful]), UNMAPPABLE, 0.0)
        return assess(metrics, violation, self.objectives, self.constraints)

    def _figures(self, designs: IntArray) -> FloatArray:
        """Metrics (n, metrics) of lawful designs, none costed twice."""
        if self._known is not None:
            return self._known.figures(designs, self._cost)
        unique, back = distinct(designs, self.space)
        return self._cost(designs[unique])[back]

    @cached_property
    def _known(self) -> KnownDesigns | None:
        return KnownDesigns(self.space, len(self.metrics)) if self.space.size < 2**62 else None

    def __getstate__(self) -> dict[str, object]:
        """What copies have: all but what is known of designs, for copies are made to be changed."""
        return {name: value for name, value in self.__dict__.items() if name != "_known"}

    def _cost(self, designs: IntArray) -> FloatArray:
        """Metrics (n, metrics) of lawful designs; NaN where an operator cannot be mapped."""
        choices, hardware = self.split(designs)
        costs = self.work.metrics(choices, hardware) | self._measured(choices)
        figures = np.stack([costs[name] for name in self.metrics], axis=1)
        figures[np.isnan(costs["latency_ms"])] = np.nan
        return figures

    def excess(self, designs: IntArray) -> FloatArray:
        """How far designs (n, knobs) are from the laws that hold whatever is mapped, (n,)."""
        choices, hardware = self.split(designs)
        return self.hardware.violations(hardware) + self._misfits(choices, hardware)

    @property
    def bound(self) -> tuple[int, ...]:
        """Knobs, by position, that these laws speak of."""
        names, count = self.hardware.space.names, len(self.choices.knobs)
        return tuple(count + names.index(name) for name in self.hardware.bound)

    @property
    def enumerable(self) -> int:
        """Designs for which `excess` takes some seconds."""
        return self.hardware.enumerable

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design (knobs,) breaks; empty if none."""
        accelerator = self.accelerator(design)
        if laws := accelerator.validate():
            return laws
        evaluation = self.evaluate(np.asarray(design, dtype=np.int64)[None])
        if np.isnan(evaluation.metrics["latency_ms"][0]):
            return self._mapping_failure(self.network(design), accelerator)
        return broken(evaluation.metrics, self.constraints)

    def _mapping_failure(self, network: Network, accelerator: Accelerator) -> list[str]:
        work = self.workload
        try:
            map_network(network, accelerator, objective=work.mapping, mapper=work.mapper)
        except MappingError as error:
            return [str(error)]
        return []

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): True where some lawful design has that value."""
        free = tuple(np.ones(len(k.values), dtype=np.bool_) for k in self.choices.knobs)
        return free + self.hardware.masks()

    def _base_spec(self) -> dict[str, object]:
        """Parameters of the base; systolic arrays are described without their family."""
        base = self.hardware.base
        return {**({"family": base.family} if base.family != "systolic" else {}), **base.to_dict()}

    def _hardware_spec(self) -> dict[str, object]:
        """Fields of `describe` that all these problems have."""
        return {
            "base": self._base_spec(),
            # A list, because the order of knobs matters and that of JSON keys does not.
            "knobs": [[name, list(values)] for name, values in self.hardware.knobs.items()],
            "objectives": [objective.name for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
            "mapping": self.workload.mapping,
            "mapper": self.workload.mapper,
        }


def distinct(designs: IntArray, space: Space) -> tuple[IntArray, IntArray]:
    """Rows (u,) of the first of each distinct design, and for each of n designs its place there."""
    if space.size < 2**63:
        keys = np.ravel_multi_index(tuple(designs.T), tuple(space.cardinalities))
        _, unique, back = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, unique, back = np.unique(designs, axis=0, return_index=True, return_inverse=True)
    return unique, back


def parse_hardware(base: object, knobs: object) -> DesignSpace:
    """The accelerators of a specification.

    Args:
        base: name or path of a preset, or parameters by name, or an accelerator.
        knobs: None for the family's own, values by parameter name, or a list of pairs of both.

    Raises:
        ProblemError: if either is of another form.
        AcceleratorError: if a parameter or value is illegal.
    """
    if isinstance(base, str):
        base = presets.load(base)
    elif isinstance(base, Mapping):
        base = presets.from_dict(base, "base")
    if not isinstance(getattr(base, "family", None), str):
        raise ProblemError(f"base = {base!r}: must be a preset or accelerator parameters by name")
    accelerator: Accelerator = base  # type: ignore[assignment]  # families are checked by use
    chosen = _table(accelerator.default_knobs() if knobs is None else knobs)
    if isinstance(accelerator, SystolicArray):
        return SystolicSpace(accelerator, chosen)
    return DesignSpace(accelerator, chosen)


def _table(knobs: object) -> dict[str, tuple[Value, ...]]:
    try:
        listed = list(knobs.items() if isinstance(knobs, Mapping) else knobs)  # type: ignore[call-overload]  # what is no pair of lists raises below
        table: dict[str, tuple[Value, ...]] = {str(k): tuple(values) for k, values in listed}
    except (TypeError, ValueError):
        raise ProblemError(f"knobs = {knobs!r}: must be lists of values by parameter") from None
    if not table or len(table) < len(listed):
        raise ProblemError(f"knobs = {knobs!r}: must name at least one parameter, each once")
    return table
