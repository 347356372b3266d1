"""The flow of the FPGA engine family: operators one after the other, each on its engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, starmap

from dovetail.arch.engines import FIDELITIES, FpgaEngines
from dovetail.flows import check_fidelity, check_legal, mapper_for
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.report import OperatorReport, Report
from dovetail.mappers.engines.lowering import Placed, lower
from dovetail.mappers.engines.program import END, program
from dovetail.sim import tasks
from dovetail.sim.fpga.steps import Span, Step, spans, stalls

MAPPERS = ("in_order",)


@dataclass(frozen=True)
class MappedEngines:
    """A network laid onto FPGA engines.

    Attributes:
        network: what is computed.
        accelerator: what computes it.
        placed: its operators, in order.
    """

    network: Network
    accelerator: FpgaEngines
    placed: tuple[Placed, ...]

    def report(self, fidelity: str = "estimate") -> Report:
        """What one inference costs.

        Raises:
            FidelityError: if the fidelity is neither `estimate` nor `cycle`.
        """
        check_fidelity(fidelity, FAMILY)
        a, bandwidth = self.accelerator, self.accelerator.dram_bytes_per_cycle
        times = self._estimated if fidelity == "estimate" else self._simulated
        used: dict[str, int | float | str] = {f"used_{k}": v for k, v in a.used().items()}
        return Report(
            network=self.network.name,
            accelerator={**a.to_dict(), **used},
            fidelity=fidelity,
            clock_mhz=a.clock_mhz,
            area_mm2=a.area_mm2,
            peak_macs_per_cycle=a.peak_macs_per_cycle,
            dram_bytes_per_cycle=bandwidth if math.isfinite(bandwidth) else 0.0,
            operators=tuple(self._reports(times)),
        )

    @property
    def device_share(self) -> float:
        """The largest share of any resource of the device."""
        return self.accelerator.device.share(self.accelerator.used())

    def note(self) -> str:
        """Lines on number formats, and on what the engines take of the device."""
        device = self.accelerator.device
        shares = ", ".join(
            f"{count:,} {name.upper()} ({count / getattr(device, name):.0%})"
            for name, count in self.accelerator.used().items()
        )
        a = self.accelerator
        return (
            f"tensors deployed as {a.bits}-bit numbers; activations take {a.activation_bits} bits "
            f"in memory\n{shares} of the {device.part}"
        )

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Steps of all operators, in order."""
        return tuple(step for placed in self.placed for step in placed.steps)

    @property
    def _estimated(self) -> list[Span]:
        return spans(self.steps)

    @cached_property
    def _simulated(self) -> list[Span]:
        """The same spans, from the simulation of every row."""
        if not self.steps:
            return []
        at = tasks.run(program(self.steps)).first_start
        starts = [at[f"step {i}"] for i in range(len(self.steps))] + [at[END]]
        return [Span(*both) for both in pairwise(starts)]

    def _reports(self, times: Iterable[Span]) -> Iterable[OperatorReport]:
        rest = iter(times)
        for placed in self.placed:
            yield self._report(placed, [next(rest) for _ in placed.steps])

    def _report(self, placed: Placed, times: list[Span]) -> OperatorReport:
        op, steps = placed.operator, placed.steps
        cycles, peak = sum(span.cycles for span in times), self.accelerator.peak_macs_per_cycle
        return OperatorReport(
            name=op.name,
            kind=op.kind,
            engine=placed.engine,
            fused_into=placed.host,
            macs=op.macs,
            vector_ops=op.vector_ops if placed.engine != "none" else 0,
            cycles=cycles,
            compute_cycles=sum(step.compute for step in steps),
            stall_cycles=_sums(starmap(stalls, zip(steps, times, strict=True))),
            dram_bytes=_sums(step.moved._asdict() for step in steps),
            sram_bytes={},
            energy_pj={},
            utilization=op.macs / (cycles * peak) if cycles else 0.0,
            mapping={"passes": len(steps), "rows": steps[0].rows} if steps else {},
        )


def _sums(each: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for entries in each:
        for name, count in entries.items():
            total[name] = total.get(name, 0) + count
    return total


class EnginesFamily:
    """FPGA engines, as `dovetail.flows.base.Family`."""

    name = "engines"
    accelerator = FpgaEngines
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers: operators run in the network's order."""
        return MAPPERS

    def map_network(
        self, network: Network, accelerator: FpgaEngines, request: Request
    ) -> MappedEngines:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if no engine runs an operator, or loop nests, energy or another schedule
                are asked for.
            UnknownNameError: if objective or mapper are unknown.
        """
        check_legal(accelerator)
        mapper_for(request, self, energy=False)
        return MappedEngines(network, accelerator, lower(network, accelerator))


FAMILY = EnginesFamily()
