"""Schedules of spatial arrays beyond one operator after the other: fused groups."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError, UnknownNameError
from dovetail.flows import check_fidelity, check_legal
from dovetail.flows.base import Mapped, Request
from dovetail.flows.spatial import FAMILY, TIME_LIMIT_S
from dovetail.ir.network import Network
from dovetail.ir.report import Report
from dovetail.mappers.found import check_objective
from dovetail.mappers.fusion import FusedSchedule, fuse
from dovetail.mappers.fusion_report import fused_report
from dovetail.mappers.spatial import check_mapper

SCHEDULES = ("serial", "fused")


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
        check_fidelity(fidelity, FAMILY)
        return fused_report(self.network, self.accelerator, self.fused)


def map_scheduled(network: Network, accelerator: SpatialArray, request: Request) -> Mapped:
    """Lays a network onto a spatial array by the request's schedule.

    Raises:
        AcceleratorError: if the accelerator is illegal.
        MappingError: if an operator cannot be mapped, or mappings are given.
        UnknownNameError: if schedule, objective or mapper are unknown.
    """
    if request.schedule not in SCHEDULES:
        raise UnknownNameError("schedule", request.schedule, SCHEDULES)
    check_legal(accelerator)
    check_objective(request.objective)
    mapper = check_mapper(request.mapper or "optimal")
    if request.mappings:
        raise MappingError(
            f"schedule '{request.schedule}' maps parts of operators: leave out --mapping"
        )
    fused = fuse(
        network,
        accelerator,
        request.objective,
        mapper=mapper,
        seed=request.seed,
        time_limit_s=request.time_limit_s or TIME_LIMIT_S,
    )
    return MappedGroups(network, accelerator, fused)
