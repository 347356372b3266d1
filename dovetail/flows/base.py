"""What a family of accelerators is to the flow: how networks are mapped onto it and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dovetail.arch.accelerator import Accelerator
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.report import Report


@dataclass(frozen=True)
class Request:
    """What is wanted of a mapping.

    Attributes:
        objective: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        mapper: name; None for the family's first.
        seed: of mappers that draw at random.
        time_limit_s: for each distinct operator; None for the family's own.
        mappings: of operators by name, to replay instead of searching.
        workers: processes that search.
        schedule: `serial`: one operator after the other, all tensors through off-chip memory;
            `fused`: groups of operators run tile by tile (`dovetail.mappers.fusion`); `cosma`:
            activations stay in a scratchpad (`dovetail.mappers.graph`).
        scratchpad_kib: size of that scratchpad, for `cosma`; None for as much as the accelerator's
            largest memories have.
    """

    objective: str = "latency"
    mapper: str | None = None
    seed: int = 0
    time_limit_s: float | None = None
    mappings: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    schedule: str = "serial"
    scratchpad_kib: float | None = None

    def only_serial(self, family: str) -> None:
        """Refuses other schedules.

        Raises:
            MappingError: naming the family that has no others.
        """
        if self.schedule != "serial":
            raise MappingError(
                f"schedule '{self.schedule}': the {family} family runs operators one by one; "
                "the spatial family has others"
            )


class Mapped(Protocol):
    """A network laid onto an accelerator."""

    @property
    def network(self) -> Network:
        """What is computed."""

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs.

        Raises:
            FidelityError: if the family does not support the fidelity.
        """


class Family(Protocol):
    """One family; what an entry point of the group `dovetail.accelerators` names."""

    @property
    def name(self) -> str:
        """What files call it: `family: NAME`."""

    @property
    def accelerator(self) -> type[Accelerator]:
        """Class of its designs."""

    @property
    def fidelities(self) -> tuple[str, ...]:
        """Fidelities that it supports."""

    def mappers(self) -> tuple[str, ...]:
        """Names of its mappers, the default first."""

    def map_network(self, network: Network, accelerator: Any, request: Request) -> Mapped:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if an operator cannot be mapped.
            UnknownNameError: if objective or mapper are unknown.
        """
