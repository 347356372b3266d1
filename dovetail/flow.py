"""The whole flow in one call: network + accelerator -> schedule -> mappings -> Report."""

from __future__ import annotations

from typing import overload

from dovetail.arch.accelerator import Accelerator
from dovetail.arch.systolic import SystolicArray
from dovetail.flows import check_fidelity, family_of
from dovetail.flows.base import Mapped, Request
from dovetail.flows.systolic import MappedNetwork, timings
from dovetail.ir.network import Network
from dovetail.ir.report import Report

__all__ = [
    "Mapped",
    "MappedNetwork",
    "Request",
    "check_fidelity",
    "family_of",
    "map_network",
    "map_scheduled",
    "read_report",
    "simulate",
    "timings",
]


@overload
def map_network(
    network: Network,
    accelerator: SystolicArray,
    *,
    objective: str = "latency",
    mapper: str | None = None,
    request: Request | None = None,
) -> MappedNetwork: ...


@overload
def map_network(
    network: Network,
    accelerator: Accelerator,
    *,
    objective: str = "latency",
    mapper: str | None = None,
    request: Request | None = None,
) -> Mapped: ...


def map_network(
    network: Network,
    accelerator: Accelerator,
    *,
    objective: str = "latency",
    mapper: str | None = None,
    request: Request | None = None,
) -> Mapped:
    """Lays a network onto an accelerator of any family.

    Args:
        network: what is computed.
        accelerator: what computes it; floating tensors are deployed at its operand widths.
        objective: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        mapper: one of the family's; None for its first: `exhaustive` over the candidates for a
            systolic array, `optimal` for a spatial one.
        request: objective, mapper and what else is wanted, instead of these two.

    Raises:
        AcceleratorError: if the accelerator is illegal.
        MappingError: if an operator fits no tiling.
        UnknownNameError: if objective or mapper are unknown.
    """
    wanted = request or Request(objective, mapper)
    return family_of(accelerator).map_network(network, accelerator, wanted)


def map_scheduled(network: Network, accelerator: Accelerator, request: Request) -> Mapped:
    """Lays a network onto an accelerator by the request's schedule.

    Raises:
        AcceleratorError, MappingError, UnknownNameError: see `map_network`; a MappingError too if
            the family has no such schedule.
    """
    if request.schedule == "serial" and request.scratchpad_kib is None:
        return family_of(accelerator).map_network(network, accelerator, request)
    from dovetail.flows import schedules

    return schedules.map_scheduled(network, accelerator, request)


def read_report(mapped: Mapped, fidelity: str = "estimate") -> Report:
    """Reads a mapped network's costs at a fidelity.

    Raises:
        FidelityError: if the accelerator does not support it.
    """
    return mapped.report(fidelity)


def simulate(
    network: Network,
    accelerator: Accelerator,
    *,
    fidelity: str = "estimate",
    objective: str = "latency",
    mapper: str | None = None,
) -> Report:
    """What a network costs on an accelerator.

    Args:
        network: what is computed.
        accelerator: what computes it, of any family.
        fidelity: `estimate` (closed form), or `cycle` (event-driven simulation of the Program),
            which all families but spatial arrays, systems and FPGA pipelines support.
        objective: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        mapper: one of the family's; None for its first.

    Raises:
        AcceleratorError, MappingError, FidelityError, UnknownNameError: see `map_network`.
    """
    check_fidelity(fidelity, family_of(accelerator))
    mapped = map_network(network, accelerator, objective=objective, mapper=mapper)
    return read_report(mapped, fidelity)
