"""The folding problem: how parallel each layer of a pipeline on an FPGA is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from dovetail.arch import presets
from dovetail.arch.fpga import FpgaDataflow
from dovetail.envs.accelerator import file_digest
from dovetail.envs.objectives import (
    Constraint,
    assess,
    broken,
    parse_constraints,
    parse_objectives,
    reference_point,
)
from dovetail.envs.problem import Evaluation, Objective
from dovetail.envs.registry import check_fields
from dovetail.errors import ProblemError
from dovetail.ir.network import Network
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space
from dovetail.mappers.fpga.folding import fold
from dovetail.mappers.fpga.lowering import lower
from dovetail.networks.registry import load_network
from dovetail.sim.fpga.pipeline import RESOURCES, Costs

OBJECTIVES = ("interval_ms", "device_share")

METRICS = ("interval_ms", "device_share", "utilization", *RESOURCES)
"""Time between inferences; largest share of any resource of the device; share of the interval's
multiplier slots in use; resources in use."""

DEFAULTS: dict[str, object] = {
    "network": "resnet8",
    "network_sha256": None,
    "base": "finn_zcu102",
    "objectives": OBJECTIVES,
    "constraints": (),
}
"""Fields of a specification: the digest that the network's file must have, if it is one, and the
arguments of `FoldingProblem`."""


class FoldingProblem:
    """Designs are `pe` and `simd` of every layer with weights; network and device are fixed.

    A design is lawful if the budget holds it, and no depthwise layer takes several taps at once
    before it takes all channels. Costs count in decades against the mapper's own folding.

    Args:
        network: the network, or what `load_network` takes.
        accelerator: the device, its budget and number formats.
        objectives: metrics to minimise.
        constraints: bounds such as `lut<=50000`.

    Raises:
        MappingError: if the network has an operator without a node, or nothing fits.
        ProblemError: if the design is illegal, or objectives or constraints are ill-formed.
    """

    def __init__(
        self,
        network: Network | str,
        accelerator: FpgaDataflow,
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
    ) -> None:
        if reasons := accelerator.validate():
            raise ProblemError(f"base accelerator '{accelerator.name}' is illegal: {reasons[0]}")
        self.source = network if isinstance(network, str) else None
        self.network_sha256 = file_digest(self.source)
        self.network = load_network(network) if isinstance(network, str) else network
        self.accelerator = accelerator
        self.pipeline = lower(self.network, accelerator).pipeline
        self.name = f"folding-{self.network.name}-{accelerator.name}"
        self.space = self._space()
        self.metrics = METRICS
        self.constraints: tuple[Constraint, ...] = parse_constraints(constraints, available=METRICS)
        self.base = fold(self.pipeline, accelerator)
        costs = self._measured(self.base.costs)
        self.objectives: tuple[Objective, ...] = parse_objectives(
            objectives,
            available=METRICS,
            references={name: float(f"{costs[name][0]:.6g}") for name in OBJECTIVES},
        )

    def _space(self) -> Space:
        knobs = []
        for position, i in enumerate(self.pipeline.compute):
            for part, choices in (
                ("pe", self.pipeline.pe_choices[position]),
                ("simd", self.pipeline.simd_choices[position]),
            ):
                knobs.append(Knob(f"{self.pipeline.nodes[i].name}.{part}", tuple(choices.tolist())))
        return Space(tuple(knobs))

    @cached_property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume: ten times the mapper's own folding."""
        return reference_point(self.objectives)

    def foldings(self, designs: IntArray) -> tuple[IntArray, IntArray]:
        """`pe` and `simd` (n, layers) of designs (n, knobs)."""
        values = np.stack(
            [np.array(k.values)[designs[:, i]] for i, k in enumerate(self.space.knobs)], axis=1
        )
        return values[:, 0::2], values[:, 1::2]

    def encode(self, pe: IntArray, simd: IntArray) -> IntArray:
        """Designs (n, knobs) of `pe` and `simd` (n, layers), the inverse of `foldings`."""
        values = np.empty((len(pe), len(self.space.knobs)), dtype=np.int64)
        values[:, 0::2], values[:, 1::2] = pe, simd
        columns = [
            np.searchsorted(np.array(k.values), values[:, i])
            for i, k in enumerate(self.space.knobs)
        ]
        return np.stack(columns, axis=1).astype(np.int64)

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs), all at once.

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        pe, simd = self.foldings(designs)
        costs = self.pipeline.costs(pe, simd)
        violation = costs.excess(self.accelerator.budget) + self.pipeline.whole_channels(pe, simd)
        lawful = violation <= 0
        metrics = {
            name: np.where(lawful, values, np.nan) for name, values in self._measured(costs).items()
        }
        return assess(metrics, violation, self.objectives, self.constraints)

    def _measured(self, costs: Costs) -> dict[str, FloatArray]:
        totals, device = costs.totals, self.accelerator.device
        shares = [totals[n] / getattr(device, n) for n in RESOURCES if getattr(device, n)]
        compute = list(self.pipeline.compute)
        slots = (costs.pe[:, compute] * costs.simd[:, compute]).sum(axis=1) * costs.interval
        return {
            "interval_ms": costs.interval / self.accelerator.clock_mhz / 1e3,
            "device_share": np.max(shares, axis=0),
            "utilization": self.network.macs / slots,
            **{name: total.astype(np.float64) for name, total in totals.items()},
        }

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design (knobs,) breaks; empty if none."""
        designs = np.asarray(design, dtype=np.int64)[None]
        pe, simd = self.foldings(designs)
        totals, budget = self.pipeline.costs(pe, simd).totals, self.accelerator.budget
        laws = [
            f"{int(totals[name][0]):,} {name} exceed the budget of {int(budget[name]):,}: "
            "lower pe or simd"
            for name in RESOURCES
            if totals[name][0] > budget[name]
        ]
        for position, i in enumerate(self.pipeline.compute):
            node = self.pipeline.nodes[i]
            if node.kind == "vector" and simd[0, position] > 1 and pe[0, position] < node.outputs:
                laws.append(
                    f"'{node.name}' takes {simd[0, position]} taps of {pe[0, position]} channels: "
                    f"set pe = {node.outputs} or simd = 1"
                )
        return laws or broken(self.evaluate(designs).metrics, self.constraints)

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): False where a layer alone, beside the least others, is too large.

        Every other value may be part of a lawful design; not each of them is.
        """
        least, budget = self.pipeline.least_use(), self.accelerator.budget
        masks: list[BoolArray] = []
        for position, i in enumerate(self.pipeline.compute):
            use, node = self.pipeline.use_grid(position), self.pipeline.nodes[i]
            fits = np.ones(use["lut"].shape, dtype=np.bool_)
            if node.kind == "vector":  # several taps take all channels
                fits[:-1, 1:] = False
            for name in RESOURCES:
                others = least[name] - use[name].min()
                fits &= use[name] + others <= budget[name]
            masks += [np.logical_or.reduce(fits, axis=axis) for axis in (1, 0)]
        return tuple(masks)

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem, unless the network is an object.

        A network from a file is described by path and digest.
        """
        source: dict[str, object] = {"network": self.source or {"name": self.network.name}}
        if self.network_sha256 is not None:
            source["network_sha256"] = self.network_sha256
        return {
            "problem": "fpga_folding",
            **source,
            "base": self.accelerator.to_dict(),
            "objectives": [objective.name for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
        }


def from_spec(spec: Mapping[str, object]) -> FoldingProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed.
    """
    fields = check_fields(spec, DEFAULTS)
    network, base = fields["network"], fields["base"]
    if not isinstance(network, str | Network):
        raise ProblemError(
            f"network = {network!r}: must be a name or a file; a network that was handed over as "
            "an object has to be handed over again"
        )
    if isinstance(base, str):
        base = presets.load(base)
    elif isinstance(base, Mapping):
        base = presets.from_dict(base, "base")
    if not isinstance(base, FpgaDataflow):
        raise ProblemError(
            f"base = {getattr(base, 'name', base)!r}: must be an FPGA design, e.g. "
            f"{', '.join(presets.names('fpga'))}"
        )
    problem = FoldingProblem(
        network,
        base,
        fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
        fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
    )
    expected, found = fields["network_sha256"], problem.network_sha256
    if expected is not None and found != expected:
        raise ProblemError(
            f"network '{network}' has SHA-256 {str(found)[:12]}…, but the specification was made "
            f"with {str(expected)[:12]}…: give the same file"
        )
    return problem
