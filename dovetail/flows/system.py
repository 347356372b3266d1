"""The flow of systems: every core maps the network, a schedule lays its operators onto cores.

Assumptions: cores exchange tensors through the shared memory alone; an operator runs on one core;
its traffic is even over its time; cores that together want more than the shared bandwidth slow
down alike (`dovetail.sim.sharing`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dovetail.arch.accelerator import Accelerator
from dovetail.arch.system import FIDELITIES, System
from dovetail.errors import DovetailError, MappingError, UnknownNameError
from dovetail.flows import check_fidelity, check_legal, family_of
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement
from dovetail.mappers.cores import Assignment, Choice, assign
from dovetail.mappers.found import check_objective
from dovetail.mappers.schedule import schedule

OWN = "own"
"""The mapper of a system: every core's family takes its first."""


@dataclass(frozen=True)
class MappedSystem:
    """A network laid onto the cores of a system.

    Attributes:
        network: what is computed.
        accelerator: the system.
        parts: per placement and core, the reports of its operator and of those fused into it.
        placed: indices of the placements that take time.
        assignment: core and time, in microseconds, of each of those.
    """

    network: Network
    accelerator: System
    parts: tuple[tuple[tuple[OperatorReport, ...], ...], ...]
    placed: tuple[int, ...]
    assignment: Assignment

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs; cycles are those of the system's clock.

        Raises:
            FidelityError: if the fidelity is not `estimate`.
        """
        check_fidelity(fidelity, FAMILY)
        system = self.accelerator
        found: list[OperatorReport] = []
        times = dict(zip(self.placed, self.assignment.times, strict=True))
        cores = dict(zip(self.placed, self.assignment.cores, strict=True))
        for index, part in enumerate(self.parts):
            if index not in cores:
                found += part[0]
                continue
            core = cores[index]
            name, design = system.cores[core]
            host, *fused = part[core]
            found.append(_timed(host, name, times[index], system, design))
            found += fused
        makespan = max((end for _, end in times.values()), default=0.0)
        return Report(
            network=self.network.name,
            accelerator=system.to_dict(),
            fidelity=fidelity,
            clock_mhz=system.clock_mhz,
            area_mm2=system.area_mm2,
            peak_macs_per_cycle=system.peak_macs_per_cycle,
            dram_bytes_per_cycle=system.dram_bytes_per_cycle,
            operators=tuple(found),
            makespan_cycles=math.ceil(makespan * system.clock_mhz),
        )


def _timed(
    host: OperatorReport,
    core: str,
    times: tuple[float, float],
    system: System,
    design: Accelerator,
) -> OperatorReport:
    """A core's report in the system's clock; what contention adds waits for memory."""
    scale = system.clock_mhz / design.clock_mhz
    start, end = (round(time * system.clock_mhz, 6) for time in times)
    cycles = math.ceil(round(end - start, 6))
    compute = min(cycles, math.floor(host.compute_cycles * scale))
    stalls, left = {}, cycles - compute
    for cause, count in host.stall_cycles.items():
        if cause != "memory":
            stalls[cause] = min(left, math.floor(count * scale))
            left -= stalls[cause]
    return replace(
        host,
        engine=core,
        cycles=cycles,
        compute_cycles=compute,
        stall_cycles={**stalls, "memory": left},
        utilization=host.macs / (cycles * system.peak_macs_per_cycle) if cycles else 0.0,
        mapping={**host.mapping, "start_cycle": math.floor(start)},
    )


def map_network(network: Network, accelerator: System, request: Request) -> MappedSystem:
    """Lays a network onto a system.

    Args:
        network: what is computed.
        accelerator: the system.
        request: the objective of mappings and of the assignment, and what every core's family
            is asked for; a mapper goes to the families that have it.

    Raises:
        AcceleratorError: if the system is illegal.
        MappingError: if a core cannot run an operator.
        UnknownNameError: if objective or mapper are unknown.
    """
    check_legal(accelerator)
    check_objective(request.objective)
    request.only_serial(FAMILY.name)
    if request.mappings:
        raise MappingError("mappings of files are for one spatial array, not for a system's cores")
    mappers = {name: family_of(core).mappers() for name, core in accelerator.cores}
    if request.mapper == OWN:
        request = replace(request, mapper=None)
    if request.mapper is not None and not any(request.mapper in m for m in mappers.values()):
        known = {OWN, *(name for m in mappers.values() for name in m)}
        raise UnknownNameError("mapper", request.mapper, known)
    placements = schedule(network).placements
    by_core = [
        _on_core(network, name, core, _for_core(request, mappers[name]))
        for name, core in accelerator.bounded()
    ]
    parts = tuple(tuple(reports[p.operator.name] for reports in by_core) for p in placements)
    placed = tuple(i for i, p in enumerate(placements) if p.engine != "none")
    choices = _choices(placements, placed, parts, accelerator)
    bandwidth = accelerator.dram_gb_per_s * 1e3  # bytes per microsecond
    assignment = assign(choices, bandwidth, request.objective)
    return MappedSystem(network, accelerator, parts, placed, assignment)


def _for_core(request: Request, mappers: Sequence[str]) -> Request:
    return request if request.mapper in mappers else replace(request, mapper=None)


def _on_core(
    network: Network, name: str, core: Accelerator, request: Request
) -> dict[str, tuple[OperatorReport, ...]]:
    """Reports of each placed operator and of those fused into it, by the operator's name."""
    try:
        report = family_of(core).map_network(network, core, request).report()
    except DovetailError as error:
        raise type(error)(f"core '{name}': {error}") from None
    found: dict[str, tuple[OperatorReport, ...]] = {}
    for op in report.operators:
        host = op.fused_into or op.name
        found[host] = (*found.get(host, ()), op)
    return found


def _choices(
    placements: Sequence[Placement],
    placed: Sequence[int],
    parts: Sequence[Sequence[Sequence[OperatorReport]]],
    system: System,
) -> list[Choice]:
    """What every placement that takes time costs on each core, and what it waits for."""
    makers: dict[str, tuple[int, ...]] = {}
    place = {index: position for position, index in enumerate(placed)}
    choices = []
    for index, placement in enumerate(placements):
        operators = (placement.operator, *placement.fused)
        needs = {m for op in operators for name in op.inputs for m in makers.get(name, ())}
        needs.discard(place.get(index, -1))
        own = (place[index],) if index in place else tuple(sorted(needs))
        makers |= {name: own for op in operators for name in op.outputs}
        if index not in place:
            continue
        reports = parts[index]
        choices.append(
            Choice(
                tuple(
                    part[0].cycles / core.clock_mhz
                    for part, (_, core) in zip(reports, system.cores, strict=True)
                ),
                tuple(float(sum(part[0].dram_bytes.values())) for part in reports),
                tuple(sum(sum(op.energy_pj.values()) for op in part) for part in reports),
                tuple(sorted(needs)),
            )
        )
    return choices


class SystemFamily:
    """Systems, as `dovetail.flows.base.Family`."""

    name = "system"
    accelerator = System
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return (OWN,)

    def map_network(self, network: Network, accelerator: System, request: Request) -> MappedSystem:
        """Lays a network onto a design; see `map_network`."""
        return map_network(network, accelerator, request)


FAMILY = SystemFamily()
