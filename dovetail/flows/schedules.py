"""Schedules beyond one operator after the other: fused groups, activations that stay on chip."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dovetail.arch.accelerator import Accelerator
from dovetail.arch.spatial import SpatialArray
from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError, UnknownNameError
from dovetail.flows import check_fidelity, check_legal, family_of
from dovetail.flows.base import Mapped, Request
from dovetail.flows.spatial import TIME_LIMIT_S, cancelled_by_interrupt
from dovetail.ir.network import Network
from dovetail.ir.report import Report
from dovetail.mappers.found import check_objective
from dovetail.mappers.fusion.groups import FusedSchedule, fuse
from dovetail.mappers.fusion.report import fused_report
from dovetail.mappers.graph.resident import Residency, keep_on_chip, residency
from dovetail.mappers.spatial.mapper import check_mapper

SCHEDULES = ("serial", "fused", "cosma")
LIMIT_S = 60.0
"""Of the graph scheduler."""


@dataclass(frozen=True)
class MappedGroups:
    """A network whose operators run in fused groups.

    Attributes:
        network: what is computed.
        accelerator: what computes it.
        fused: the groups.
    """

    network: Network
    accelerator: SpatialArray
    fused: FusedSchedule

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs; raises as that of `MappedSpatial` does."""
        check_fidelity(fidelity, family_of(self.accelerator))
        return fused_report(self.network, self.accelerator, self.fused)

    def note(self) -> str:
        """A line on what is fused."""
        sizes = [len(group.placements) for group in self.fused.groups if group.tiling]
        if not sizes:
            return "nothing is fused: no group fits a memory that inputs and outputs share and pays"
        return f"{sum(sizes)} operators run in {len(sizes)} fused groups"


@dataclass(frozen=True)
class MappedResident:
    """A mapped network whose activations stay in a scratchpad beside the accelerator.

    Attributes:
        mapped: every tensor through off-chip memory.
        accelerator: what computes it.
        kept: what stays.
        scratchpad_bytes: size of the scratchpad.
    """

    mapped: Mapped
    accelerator: SystolicArray | SpatialArray
    kept: Residency
    scratchpad_bytes: int

    @property
    def network(self) -> Network:
        """What is computed."""
        return self.mapped.network

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs; raises as that of the family does."""
        size, tech = self.scratchpad_bytes, self.accelerator.technology
        plain = self.mapped.report(fidelity)
        array = self.accelerator
        outermost = array.stores[-1].name if isinstance(array, SpatialArray) else "dram"
        kept = keep_on_chip(
            plain,
            self.network,
            self.kept,
            pj_per_byte=tech.sram_pj_per_byte(size),
            dram=outermost,
        )
        return replace(
            kept,
            accelerator={**plain.accelerator, "scratchpad_kib": size / 1024},
            area_mm2=plain.area_mm2 + tech.sram_mm2(size),
        )

    def note(self) -> str:
        """A line on how good the schedule is."""
        found = self.kept.scheduled
        how = "proven optimal" if found.proven else f"at most {found.gap_bytes:,} B above the least"
        return (
            f"activations stay in a scratchpad of {self.scratchpad_bytes / 1024:g} KiB: "
            f"{found.traffic.bytes:,} non-compulsory bytes ({how})"
        )


def map_scheduled(network: Network, accelerator: Accelerator, request: Request) -> Mapped:
    """Lays a network onto an accelerator by the request's schedule.

    Raises:
        AcceleratorError: if the accelerator is illegal.
        MappingError: if an operator cannot be mapped, the scratchpad is too small, or the family
            has no such schedule.
        UnknownNameError: if schedule, objective or mapper are unknown.
    """
    if request.schedule not in SCHEDULES:
        raise UnknownNameError("schedule", request.schedule, SCHEDULES)
    if request.scratchpad_kib is not None and request.schedule != "cosma":
        raise MappingError("--scratchpad-kib: goes with --schedule cosma")
    if request.schedule == "fused" and isinstance(accelerator, SpatialArray):
        return _fused(network, accelerator, request)
    if request.schedule == "cosma" and isinstance(accelerator, SystolicArray | SpatialArray):
        return _resident(network, accelerator, request)
    return family_of(accelerator).map_network(network, accelerator, request)


def _fused(network: Network, accelerator: SpatialArray, request: Request) -> MappedGroups:
    check_legal(accelerator)
    check_objective(request.objective)
    mapper = check_mapper(request.mapper or "optimal")
    if request.mappings:
        raise MappingError("schedule 'fused' maps parts of operators: leave out --mapping")
    with cancelled_by_interrupt():
        fused = fuse(
            network,
            accelerator,
            request.objective,
            mapper=mapper,
            seed=request.seed,
            time_limit_s=request.time_limit_s or TIME_LIMIT_S,
        )
    return MappedGroups(network, accelerator, fused)


def _resident(
    network: Network, accelerator: SystolicArray | SpatialArray, request: Request
) -> MappedResident:
    check_legal(accelerator)
    kib = request.scratchpad_kib
    size = largest_bytes(accelerator) if kib is None else int(kib * 1024)
    kept = residency(
        network, size, bits=accelerator.input_bits, time_limit_s=request.time_limit_s or LIMIT_S
    )
    plain = replace(request, schedule="serial", scratchpad_kib=None)
    mapped = family_of(accelerator).map_network(network, accelerator, plain)
    return MappedResident(mapped, accelerator, kept, size)


def largest_bytes(accelerator: SystolicArray | SpatialArray) -> int:
    """Bytes of the largest memory on chip; of a systolic array, of inputs and outputs together."""
    if isinstance(accelerator, SystolicArray):
        return int((accelerator.input_sram_kib + accelerator.output_sram_kib) * 1024)
    sizes = [s.capacity_bytes for s in accelerator.stores if math.isfinite(s.capacity_bytes)]
    return int(max(sizes, default=0))
