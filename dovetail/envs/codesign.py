"""The co-design problem: which sub-network, and which accelerator to run it on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from dovetail.arch.knobs import DesignSpace
from dovetail.arch.space import SystolicSpace
from dovetail.arch.table import Design
from dovetail.envs import supernet
from dovetail.envs.costing import METRICS, BatchWork, Networks, Workload, rows_by_operator
from dovetail.envs.flow_costing import DEVICE_SHARE, FlowWork, mapper_of
from dovetail.envs.hardware import HardwareProblem, Work, parse_hardware
from dovetail.envs.objectives import parse_constraints, parse_objectives
from dovetail.envs.registry import check_fields
from dovetail.envs.slots import Family, tabulate
from dovetail.ir.network import Network
from dovetail.ir.space import FloatArray, IntArray, Knob, Space
from dovetail.networks.elastic.accuracy import wilson

OBJECTIVES = ("error", "latency_ms", "energy_mj", "area_mm2")

OPERAND_BITS = {"activation_bits": Design.INPUT_BITS, "weight_bits": Design.WEIGHT_BITS}
"""Columns of designs that bound a family's knobs on the RTL machine."""

ACCURACY = ("error", "error_low", "error_high")
"""Metrics of a network: error on held-out samples, and its 95 % confidence interval."""

DEFAULTS: dict[str, object] = {
    **supernet.DEFAULTS,
    "base": "edge",
    "knobs": None,
    "objectives": OBJECTIVES,
    "constraints": (),
    "mapping": "latency",
    "mapper": None,
}
"""Fields of a specification; see `supernet.DEFAULTS` and `CoDesignProblem`."""


class Oracle(Protocol):
    """Knows how well every network of a family does."""

    @property
    def samples(self) -> int:
        """Number of held-out samples that every error is measured on."""

    def errors(self, choices: IntArray) -> FloatArray:
        """Fraction of held-out samples classified wrong (n,), of choices (n, knobs)."""


class CoDesignProblem(HardwareProblem):
    """Designs are an elastic network's choices, then the accelerator's parameters.

    Args:
        family: the networks.
        oracle: their errors.
        hardware: the accelerators.
        objectives: metrics to minimise; costs count in decades against the family's largest
            network on the base design, `error` in tenths.
        constraints: bounds such as `error<=0.05`.
        mapping: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        mapper: one of the family's; None for `greedy` on systolic arrays (`exhaustive` is slower,
            rarely better), else for the family's first.
        source: fields of a specification that rebuild family and oracle; without them the
            problem can be described, but not rebuilt.

    Raises:
        ProblemError: if the base design is illegal, or objectives or constraints are ill-formed.
    """

    def __init__(
        self,
        family: Family,
        oracle: Oracle,
        hardware: DesignSpace,
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
        *,
        mapping: str = "latency",
        mapper: str | None = None,
        source: Mapping[str, object] | None = None,
    ) -> None:
        self.family = family
        self.oracle = oracle
        self._source = {"oracle": type(oracle).__name__} if source is None else dict(source)
        self.name = f"codesign-{hardware.base.name}"
        choices = Space(
            tuple(Knob(f"network.{k.name}", k.values, k.ordered) for k in family.space.knobs)
        )
        work = self._work(hardware, mapping, mapper)
        super().__init__(
            hardware,
            work,
            choices,
            (*work.names, *ACCURACY),
            objectives,
            constraints,
        )

    def _work(self, hardware: DesignSpace, mapping: str, mapper: str | None) -> Work:
        if not isinstance(hardware, SystolicSpace):
            return FlowWork(
                hardware, self.family.network, mapping, mapper_of(hardware.base, mapper)
            )
        machine = hardware.base.machine
        self._slots = tabulate(self.family, lambda network: rows_by_operator(network, machine))
        workload = Workload(self._slots.operators, mapping, mapper or "greedy")
        return BatchWork(hardware, workload, self._networks)

    def network(self, design: IntArray) -> Network:
        """The network of one design (knobs,)."""
        return self.family.network(np.asarray(design)[: len(self.choices.knobs)])

    def _networks(self, choices: IntArray) -> Networks:
        return self._slots.index(choices), np.arange(len(choices))

    def _measured(self, choices: IntArray) -> dict[str, FloatArray]:
        error = np.asarray(self.oracle.errors(choices), dtype=np.float64)
        low, high = wilson(error, self.oracle.samples)
        return {"error": error, "error_low": low, "error_high": high}

    def _misfits(self, choices: IntArray, hardware: IntArray) -> FloatArray:
        """The RTL machine's operands must hold the network's; the ideal one splits wider ones."""
        found = np.zeros(len(choices))
        arrays = self.hardware
        if not isinstance(arrays, SystolicSpace) or arrays.base.machine != "rtl":
            return found
        rows = arrays.rows(hardware)
        for position, knob in enumerate(self.family.space.knobs):
            if knob.name in OPERAND_BITS:
                needed = np.array(knob.values, dtype=np.float64)[choices[:, position]]
                found += needed > rows[:, OPERAND_BITS[knob.name]]
        return found

    @property
    def bound(self) -> tuple[int, ...]:
        """Knobs, by position, that laws speak of: on the RTL machine also the network's widths."""
        arrays, names = self.hardware, self.family.space.names
        narrow = isinstance(arrays, SystolicSpace) and arrays.base.machine == "rtl"
        own = [i for i, name in enumerate(names) if narrow and name in OPERAND_BITS]
        return (*own, *super().bound)

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design (knobs,) breaks; empty if none."""
        choices, hardware = self.split(np.asarray(design, dtype=np.int64)[None])
        if self._misfits(choices, hardware)[0] and not self.accelerator(design).validate():
            return ["machine 'rtl' with operands narrower than the network's: widen input_bits or "
                    "weight_bits"]  # fmt: skip
        return super().reasons(design)

    def _base_choice(self) -> IntArray:
        return self.family.space.cardinalities - 1

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        return {"problem": "codesign", **self._source, **self._hardware_spec()}


def from_spec(spec: Mapping[str, object]) -> CoDesignProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed.
        MissingExtraError: if torch is not installed.
    """
    fields = check_fields(spec, DEFAULTS)
    hardware = parse_hardware(fields["base"], fields["knobs"])
    # A typo must not cost a training: parsed once before it, and again by the problem.
    known = (*METRICS, DEVICE_SHARE, *ACCURACY)
    parse_objectives(fields["objectives"], available=known)  # type: ignore[arg-type]  # it checks
    parse_constraints(fields["constraints"], available=known)  # type: ignore[arg-type]  # it checks
    oracle, source = supernet.build_oracle({name: fields[name] for name in supernet.DEFAULTS})
    return CoDesignProblem(
        oracle.oracle.family,
        oracle,
        hardware,
        fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
        fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
        mapping=str(fields["mapping"]),
        mapper=None if fields["mapper"] is None else str(fields["mapper"]),
        source=source,
    )
