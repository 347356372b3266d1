"""The placement problem: where sections of an RDU are cut, who gets its units, how many sockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from dovetail.arch import presets
from dovetail.arch.rdu import Rdu
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
from dovetail.errors import MappingError, ProblemError
from dovetail.ir.network import Network
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space
from dovetail.mappers.rdu.lowering import lower
from dovetail.mappers.rdu.partition import cut, partition
from dovetail.mappers.rdu.sections import Section, Sectioner
from dovetail.networks.registry import load_network
from dovetail.sim.rdu.pipeline import COLLECTIVES, Pipeline

OBJECTIVES = ("latency_ms", "socket_ms")

METRICS = ("latency_ms", "socket_ms", "sections", "utilization")
"""Time of one inference; the same times sockets, what it costs; sections; share of all sockets'
multiplier slots in use."""

SHARES = (0.5, 1.0, 2.0)
"""Weights of an operator's work when PCUs are shared out in proportion to it."""

DEFAULTS: dict[str, object] = {
    "network": "resnet8",
    "network_sha256": None,
    "base": "sn40l",
    "sockets": (1, 2, 4, 8),
    "objectives": OBJECTIVES,
    "constraints": (),
}
"""Fields of a specification: the digest that the network's file must have, if it is one, and the
arguments of `PlacementProblem`."""


class PlacementProblem:
    """Designs are the sockets that share the work, and of every kind of operator a cut and a share.

    Operators that do the same among the same neighbours, as those of equal layers, are one kind:
    `KIND.cut` says whether a section ends after each of them, `KIND.share` weighs its work when the
    units of a section are shared out. A design is lawful if every section fits the units and
    scratchpads. Costs count in decades against the mapper's own sections on the fewest sockets.

    Args:
        network: the network, or what `load_network` takes.
        accelerator: gives all but the sockets.
        sockets: numbers of them to choose from.
        objectives: metrics to minimise.
        constraints: bounds such as `latency_ms<=2`.

    Raises:
        MappingError: if memories are too small, or an operator fits on no number of sockets.
        ProblemError: if the design is illegal, or objectives or constraints are ill-formed.
    """

    def __init__(
        self,
        network: Network | str,
        accelerator: Rdu,
        sockets: Iterable[int] = (1, 2, 4, 8),
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
    ) -> None:
        self.sockets = _counts(sockets)
        self.source = network if isinstance(network, str) else None
        self.network_sha256 = file_digest(self.source)
        self.network = load_network(network) if isinstance(network, str) else network
        self.accelerator = accelerator
        self.pipelines = {count: self._pipeline(count) for count in self.sockets}
        self.name = f"placement-{self.network.name}-{accelerator.name}"
        self.kinds, self.kind_of = self._kinds()
        self.space = self._space()
        self.metrics = METRICS
        self.constraints: tuple[Constraint, ...] = parse_constraints(constraints, available=METRICS)
        costs = self._base()
        self.objectives: tuple[Objective, ...] = parse_objectives(
            objectives,
            available=METRICS,
            references={name: float(f"{costs[name]:.6g}") for name in OBJECTIVES},
        )

    def _pipeline(self, sockets: int) -> Pipeline:
        rdu = self.accelerator.replace({"sockets": sockets})
        if reasons := rdu.validate():
            raise ProblemError(f"base accelerator '{rdu.name}' is illegal: {reasons[0]}")
        return lower(self.network, rdu)

    def _base(self) -> dict[str, float]:
        """Metrics of the mapper's own sections on the fewest sockets that hold the network."""
        for count in self.sockets[:-1]:
            try:
                return self._measured(count, partition(self.pipelines[count], "fused"))
            except MappingError:
                continue
        most = self.sockets[-1]
        return self._measured(most, partition(self.pipelines[most], "fused"))

    def _kinds(self) -> tuple[tuple[str, ...], dict[str, int]]:
        """Names of the kinds of operators, and the kind of each operator; by the most sockets."""
        pipeline = self.pipelines[self.sockets[-1]]
        names: list[str] = []
        index: dict[object, int] = {}
        kind_of: dict[str, int] = {}
        for stage, operator in zip(pipeline.stages, pipeline.operators, strict=True):
            if stage.kind in COLLECTIVES:
                continue
            if stage not in index:
                index[stage] = len(names)
                names.append(operator)
            kind_of[operator] = index[stage]
        return tuple(names), kind_of

    def _space(self) -> Space:
        knobs = [Knob("sockets", self.sockets)]
        for name in self.kinds:
            knobs.append(Knob(f"{name}.cut", ("no", "yes"), ordered=False))
            knobs.append(Knob(f"{name}.share", SHARES))
        return Space(tuple(knobs))

    @cached_property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume: ten times the mapper's own sections."""
        return reference_point(self.objectives)

    def sections(self, design: IntArray) -> list[Section] | None:
        """Sections of one design (knobs,); None if one does not fit."""
        count = self.sockets[int(design[0])]
        pipeline, cuts = self.pipelines[count], design[1::2]
        kinds = [self.kind_of[name] for name in pipeline.operators]
        bounds = [0]
        for index in range(1, len(kinds)):
            # An exchange runs where its operator does.
            apart = pipeline.operators[index] != pipeline.operators[index - 1]
            if apart and cuts[kinds[index - 1]]:
                bounds.append(index)
        return cut(self._finder(count, design[2::2]), (*bounds, len(kinds)))

    def _finder(self, sockets: int, shares: IntArray) -> Sectioner:
        pipeline = self.pipelines[sockets]
        weights = [SHARES[int(shares[self.kind_of[name]])] for name in pipeline.operators]
        return Sectioner(pipeline, weights)

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs), each distinct one once.

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        distinct, back = np.unique(designs, axis=0, return_inverse=True)
        rows = [self._row(design) for design in distinct]
        table = {name: np.array([row[name] for row in rows])[back.reshape(-1)] for name in METRICS}
        return assess(table, np.isnan(table["latency_ms"]) * 1.0, self.objectives, self.constraints)

    def _row(self, design: IntArray) -> dict[str, float]:
        found = self.sections(design)
        if found is None:
            return dict.fromkeys(METRICS, np.nan)
        return self._measured(self.sockets[int(design[0])], found)

    def _measured(self, sockets: int, sections: list[Section]) -> dict[str, float]:
        cycles = sum(section.cycles for section in sections)
        rdu = self.pipelines[sockets].rdu
        latency = cycles / rdu.clock_mhz / 1e3
        return {
            "latency_ms": latency,
            "socket_ms": latency * sockets,
            "sections": float(len(sections)),
            "utilization": self.network.macs / (cycles * rdu.peak_macs_per_cycle),
        }

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design (knobs,) breaks; empty if none."""
        designs = np.asarray(design, dtype=np.int64)[None]
        evaluation = self.evaluate(designs)
        if np.isnan(evaluation.metrics["latency_ms"][0]):
            return ["a section exceeds the units or scratchpads: cut it, or add sockets"]
        return broken(evaluation.metrics, self.constraints)

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): False for sockets on which some operator alone does not fit.

        With every operator cut from the next any share is lawful there.
        """
        fits = np.array([self._fits(count) for count in self.sockets])
        every = tuple(np.ones(len(k.values), dtype=np.bool_) for k in self.space.knobs[1:])
        return (fits, *every)

    def _fits(self, sockets: int) -> bool:
        finest = np.ones(len(self.space.knobs), dtype=np.int64)
        finest[0] = self.sockets.index(sockets)
        return self.sections(finest) is not None

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem, unless the network is an object.

        A network from a file is described by path and digest.
        """
        source: dict[str, object] = {"network": self.source or {"name": self.network.name}}
        if self.network_sha256 is not None:
            source["network_sha256"] = self.network_sha256
        return {
            "problem": "rdu_placement",
            **source,
            "base": self.accelerator.to_dict(),
            "sockets": list(self.sockets),
            "objectives": [objective.name for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
        }


def _counts(sockets: object) -> tuple[int, ...]:
    """Numbers of sockets, ascending.

    Raises:
        ProblemError: if they are no whole numbers of at least 1.
    """
    listed = list(sockets) if isinstance(sockets, Iterable) and not isinstance(sockets, str) else []
    if not listed or not all(type(count) is int and count >= 1 for count in listed):
        raise ProblemError(f"sockets = {sockets!r}: must be whole numbers of at least 1")
    return tuple(sorted(set(listed)))


def from_spec(spec: Mapping[str, object]) -> PlacementProblem:
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
    if not isinstance(base, Rdu):
        raise ProblemError(
            f"base = {getattr(base, 'name', base)!r}: must be an RDU, e.g. "
            f"{', '.join(presets.names('rdu'))}"
        )
    try:
        problem = PlacementProblem(
            network,
            base,
            fields["sockets"],  # type: ignore[arg-type]  # _counts checks it
            fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
            fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
        )
    except MappingError as error:
        raise ProblemError(str(error)) from None
    expected, found = fields["network_sha256"], problem.network_sha256
    if expected is not None and found != expected:
        raise ProblemError(
            f"network '{network}' has SHA-256 {str(found)[:12]}…, but the specification was made "
            f"with {str(expected)[:12]}…: give the same file"
        )
    return problem
