"""The flow of the spatial family: a mapping for every Einsum, streams for everything else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dovetail.arch.spatial import FIDELITIES, SpatialArray
from dovetail.errors import AcceleratorError, MappingError, UnknownNameError
from dovetail.flows import check_fidelity, check_legal
from dovetail.flows.base import Request
from dovetail.ir.mapping import Mapping as Nest
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement, Schedule
from dovetail.mappers.found import Found, check_objective
from dovetail.mappers.schedule import schedule, streamed_elements
from dovetail.mappers.spatial.mapper import check_mapper, find_mapping, names, shape_key
from dovetail.mappers.stopping import ending_on_interrupt, stop_requested
from dovetail.sim.nest import analyse
from dovetail.sim.spatial_reading import array_reports, vector_reports, view_report
from dovetail.workers import process_pool

TIME_LIMIT_S = 30.0
"""Of the mapper, for each distinct operator; the best mapping so far and its gap stand then."""

RANKS = "N G K C O P Q T R S"
"""The field's names of ranks; an array may name some that a network lacks."""


@dataclass(frozen=True)
class MappedSpatial:
    """A network laid onto a spatial array.

    Attributes:
        network: what is computed.
        accelerator: what computes it.
        plan: engines and fusion.
        found: mapping and cost of every Einsum, by operator.
    """

    network: Network
    accelerator: SpatialArray
    plan: Schedule
    found: Mapping[str, Found]

    @property
    def mappings(self) -> dict[str, Nest]:
        """Loop nests by operator."""
        return {name: found.mapping for name, found in self.found.items()}

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs.

        Raises:
            FidelityError: if the fidelity is not `estimate`.
        """
        check_fidelity(fidelity, FAMILY)
        a = self.accelerator
        parts = (placement_reports(self, placement) for placement in self.plan.placements)
        bandwidth = a.dram_bytes_per_cycle
        return Report(
            network=self.network.name,
            accelerator=a.to_dict(),
            fidelity=fidelity,
            clock_mhz=a.clock_mhz,
            area_mm2=a.area_mm2,
            peak_macs_per_cycle=a.peak_macs_per_cycle,
            dram_bytes_per_cycle=bandwidth if math.isfinite(bandwidth) else 0.0,
            operators=tuple(report for part in parts for report in part),
        )


def placement_reports(mapped: MappedSpatial, placement: Placement) -> list[OperatorReport]:
    """Reports of a placed operator and of those fused into it."""
    op = placement.operator
    if placement.engine == "none":
        return [view_report(op), *(view_report(fused) for fused in placement.fused)]
    if op.einsum is not None:
        found = mapped.found[op.name]
        return array_reports(placement, mapped.accelerator, found.cost, found.mapping, found.gap)
    read, written = streamed_bits(mapped.network, placement, mapped.accelerator)
    return vector_reports(placement, mapped.accelerator, read, written)


def streamed_bits(network: Network, placement: Placement, a: SpatialArray) -> tuple[int, int]:
    """Bits that a vector operator and those fused into it read and write."""
    read, written = streamed_elements(network, placement)
    op = placement.operator
    last = placement.fused[-1] if placement.fused else op
    bits_in = max((_bits(network, name, a.input_bits) for name in op.inputs), default=0)
    return read * bits_in, written * _bits(network, last.outputs[0], a.output_bits)


def _bits(network: Network, name: str, width: int) -> int:
    """Bits that an element takes in memory: the accelerator's word, or a wider one of its own."""
    kind = network.tensor[name].format
    return max(width, kind.bits) if kind.kind == "int" else width


def map_network(network: Network, accelerator: SpatialArray, request: Request) -> MappedSpatial:
    """Lays a network onto a spatial array.

    Args:
        network: what is computed; its Einsums may have any ranks.
        accelerator: what computes it.
        request: objective, mapper, and mappings to replay.

    Raises:
        AcceleratorError: if the accelerator is illegal.
        MappingError: if an operator cannot be mapped, or a given mapping is invalid.
        UnknownNameError: if objective or mapper are unknown, or a given mapping's operator.
    """
    check_legal(accelerator)
    check_mapper(request.mapper or "optimal")
    check_objective(request.objective)
    plan = schedule(network)
    einsums = {
        p.operator.name: _checked(network, p.operator, accelerator)
        for p in plan.placements
        if p.operator.einsum is not None
    }
    _check_ranks(network, accelerator, einsums)
    for name in request.mappings:
        if name not in einsums:
            raise UnknownNameError("operator of a mapping", name, einsums)
    given = {
        name: _replayed(name, einsums[name], accelerator, mapping)
        for name, mapping in request.mappings.items()
    }
    missing = {name: einsum for name, einsum in einsums.items() if name not in given}
    found = given | _searched(missing, accelerator, request)
    return MappedSpatial(network, accelerator, plan, found)


def _check_ranks(
    network: Network, accelerator: SpatialArray, einsums: Mapping[str, Einsum]
) -> None:
    """Refuses a rank that is neither the field's nor any operator's: a typo never unrolls."""
    known = {*RANKS.split(), *(rank for einsum in einsums.values() for rank, _ in einsum.ranks)}
    for dimension, ranks in accelerator.unrolls:
        for rank in ranks:
            if rank not in known:
                hint = f"; did you mean {rank.upper()}?" if rank.upper() in known else ""
                raise AcceleratorError(
                    f"accelerator '{accelerator.name}': unrolls.{dimension} names rank '{rank}', "
                    f"which no operator of '{network.name}' has{hint or f': legal are {RANKS}'}"
                )


def _checked(network: Network, op: Operator, accelerator: SpatialArray) -> Einsum:
    """The Einsum of an operator that the PEs can compute."""
    einsum = op.einsum
    assert einsum is not None
    if len(einsum.operands) != 2:
        raise MappingError(
            f"operator '{op.name}' has {len(einsum.operands)} factors: an array multiplies two"
        )
    for role, access in zip(("input", "weight"), einsum.operands, strict=True):
        number, width = network.tensor[access.tensor].format, accelerator.bits(role)
        if number.kind == "int" and number.bits > width:
            raise MappingError(
                f"operator '{op.name}' reads '{access.tensor}' of {number.bits} bit; the PEs of "
                f"'{accelerator.name}' take {width}: set {role}_bits = {number.bits}"
            )
    return einsum


def _replayed(name: str, einsum: Einsum, accelerator: SpatialArray, mapping: Nest) -> Found:
    try:
        cost = analyse(einsum, accelerator, mapping)
    except MappingError as error:
        raise MappingError(f"operator '{name}': {error}") from None
    return Found(mapping, cost, bound=0.0, value=cost.cycles, proven=True, nodes=0)


def _searched(
    einsums: Mapping[str, Einsum], accelerator: SpatialArray, request: Request
) -> dict[str, Found]:
    """Mappings by operator; each distinct shape is searched once."""
    shapes: dict[object, list[str]] = {}
    for name, einsum in einsums.items():
        shapes.setdefault(shape_key(einsum), []).append(name)
    firsts = [names[0] for names in shapes.values()]
    questions = [(name, einsums[name], accelerator, request) for name in firsts]
    answers = _ask(questions, request.workers)
    return {
        name: answer.named(name)
        for alike, answer in zip(shapes.values(), answers, strict=True)
        for name in alike
    }


_Question = tuple[str, Einsum, SpatialArray, Request]


def _ask(questions: Sequence[_Question], workers: int) -> list[Found]:
    if workers == 1 or len(questions) < 2:
        with cancelled_by_interrupt():
            return [_find(question) for question in questions]
    with process_pool(min(workers, len(questions))) as pool:
        return list(pool.map(_find, questions))


@contextmanager
def cancelled_by_interrupt() -> Iterator[None]:
    """Within it, Ctrl-C ends searches at their next step, and only then is a KeyboardInterrupt."""
    with ending_on_interrupt():
        try:
            yield
        except MappingError:
            if not stop_requested():
                raise
        if stop_requested():
            raise KeyboardInterrupt


def _find(question: _Question) -> Found:
    name, einsum, accelerator, request = question
    try:
        return find_mapping(
            einsum,
            accelerator,
            request.objective,
            request.mapper or "optimal",
            seed=request.seed,
            time_limit_s=request.time_limit_s or TIME_LIMIT_S,
        )
    except MappingError as error:
        raise MappingError(f"operator '{name}': {error}") from None


class SpatialFamily:
    """Spatial arrays, as `dovetail.flows.base.Family`."""

    name = "spatial"
    accelerator = SpatialArray
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return names()

    def map_network(
        self, network: Network, accelerator: SpatialArray, request: Request
    ) -> MappedSpatial:
        """Lays a network onto a design; see `map_network`.

        Other schedules than `serial` are those of `dovetail.flows.schedules`.
        """
        return map_network(network, accelerator, request)


FAMILY = SpatialFamily()
