"""The flow of the FPGA family: a pipeline of nodes, folded within the device's budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dovetail.arch.fpga import FIDELITIES, FpgaDataflow
from dovetail.flows import check_fidelity, check_legal, mapper_for
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement
from dovetail.mappers.fpga.folding import MAPPERS, Folding, fold
from dovetail.mappers.fpga.lowering import Lowered, lower


@dataclass(frozen=True)
class MappedFpga:
    """A network laid onto an FPGA.

    Attributes:
        lowered: its pipeline.
        accelerator: what computes it.
        folding: of the pipeline.
    """

    lowered: Lowered
    accelerator: FpgaDataflow
    folding: Folding

    @property
    def network(self) -> Network:
        """What is computed."""
        return self.lowered.network

    @property
    def interval_cycles(self) -> int:
        """Cycles between two inferences: the slowest node's, or those of moving in and out."""
        moving = sum(self._moved_bytes) / self.accelerator.dram_bytes_per_cycle
        return max(int(self.folding.costs.interval[0]), math.ceil(moving))

    @property
    def used(self) -> dict[str, int]:
        """Resources in use, by name."""
        return {name: int(total[0]) for name, total in self.folding.costs.totals.items()}

    @cached_property
    def _moved_bytes(self) -> tuple[int, int]:
        """Bytes of the network's inputs and outputs."""
        tensor, bits = self.network.tensor, self.accelerator.input_bits
        sides = (self.network.inputs, self.network.outputs)
        read, written = (
            sum(-(-tensor[name].elements * bits // 8) for name in names) for names in sides
        )
        return read, written

    def report(self, fidelity: str = "estimate") -> Report:
        """What one inference costs; `cycles` is the bound of its latency in an empty pipeline.

        The interval between inferences and the resources in use stand with the accelerator.

        Raises:
            FidelityError: if the fidelity is not `estimate`.
        """
        check_fidelity(fidelity, FAMILY)
        a, bandwidth = self.accelerator, self.accelerator.dram_bytes_per_cycle
        operators: list[OperatorReport] = []
        for placement in self.lowered.plan.placements:
            operators += self._reports(placement)
        used: dict[str, int | float | str] = {f"used_{k}": v for k, v in self.used.items()}
        return Report(
            network=self.network.name,
            accelerator={**a.to_dict(), "reached_interval_cycles": self.interval_cycles, **used},
            fidelity=fidelity,
            clock_mhz=a.clock_mhz,
            area_mm2=a.area_mm2,
            peak_macs_per_cycle=a.peak_macs_per_cycle,
            dram_bytes_per_cycle=bandwidth if math.isfinite(bandwidth) else 0.0,
            operators=tuple(operators),
            makespan_cycles=self._critical_path(),
        )

    @property
    def device_share(self) -> float:
        """The largest share of any resource of the device."""
        return self.accelerator.device.share(self.used)

    def note(self) -> str:
        """A line on the throughput and what it takes of the device."""
        device = self.accelerator.device
        rate = self.accelerator.clock_mhz * 1e6 / self.interval_cycles
        shares = ", ".join(
            f"{count:,} {name.upper()} ({count / getattr(device, name):.0%})"
            for name, count in self.used.items()
            if count
        )
        return (
            f"an inference every {self.interval_cycles:,} cycles ({rate:,.0f} per second) with "
            f"{shares} of the {device.part}"
        )

    def _critical_path(self) -> int:
        """Cycles of the longest path, each node waiting for the whole output of the one before it.

        Nodes start at the first word they get, so that this bounds the latency from above.
        """
        ready: dict[str, int] = {}
        for placement in self.lowered.plan.placements:
            parts = (placement.operator, *placement.fused)
            begin = max((ready.get(name, 0) for op in parts for name in op.inputs), default=0)
            end = begin + sum(self._cycles(placement.operator).values())
            ready |= {name: end for op in parts for name in op.outputs}
        return max(ready.values(), default=0)

    def _cycles(self, op: Operator) -> dict[str, int]:
        """Cycles of an operator's nodes by kind."""
        found: dict[str, int] = {}
        for node, cycles in zip(
            self.lowered.pipeline.nodes, self.folding.costs.cycles[0], strict=True
        ):
            if node.operator == op.name:
                found[node.kind] = found.get(node.kind, 0) + int(cycles)
        return found

    def _reports(self, placement: Placement) -> list[OperatorReport]:
        op = placement.operator
        parts = self._cycles(op)
        total = sum(parts.values())
        compute = sum(parts.get(kind, 0) for kind in ("matrix", "vector", "pool"))
        if not compute:  # a stream is its own work
            compute = parts.get("stream", 0)
        read, written = self._moved_bytes
        first, last = self._ends
        moved = {
            "input": read if op.name == first else 0,
            "weight": 0,
            "output": written if op.name == last else 0,
        }
        engine = self._engine(placement)
        peak = self.accelerator.peak_macs_per_cycle
        host = OperatorReport(
            name=op.name,
            kind=op.kind,
            engine=engine,
            fused_into="",
            macs=op.macs,
            vector_ops=op.vector_ops if engine == "vector" else 0,
            cycles=total,
            compute_cycles=compute,
            stall_cycles={"window": total - compute} if parts else {},
            dram_bytes=moved if parts else {},
            sram_bytes={},
            energy_pj={},
            utilization=op.macs / (total * peak) if total else 0.0,
            mapping=self._folded(op),
        )
        return [host, *(self._fused(fused, op, engine) for fused in placement.fused)]

    def _engine(self, placement: Placement) -> str:
        if placement.operator.name in self.lowered.host:
            return "host"
        return placement.engine

    @cached_property
    def _ends(self) -> tuple[str, str]:
        """Operators of the first and the last node."""
        nodes = self.lowered.pipeline.nodes
        return nodes[0].operator, nodes[-1].operator

    def _folded(self, op: Operator) -> dict[str, int | str]:
        """Parallelism of an operator's nodes."""
        found: dict[str, int | str] = {}
        costs = self.folding.costs
        for i, node in enumerate(self.lowered.pipeline.nodes):
            if node.operator == op.name:
                suffix = node.name.removeprefix(op.name).lstrip(".")
                key = f"{suffix}_channels" if suffix else "pe"
                found[key] = int(costs.pe[0, i])
                if node.kind in ("matrix", "vector"):
                    found["simd"] = int(costs.simd[0, i])
        return found

    def _fused(self, op: Operator, into: Operator, engine: str) -> OperatorReport:
        engine = "host" if engine == "host" else "vector"
        ops = 0 if engine == "host" else op.vector_ops
        return OperatorReport(
            op.name, op.kind, engine, into.name, 0, ops, 0, 0, {}, {}, {}, {}, 0.0, {}
        )


class FpgaFamily:
    """FPGA designs, as `dovetail.flows.base.Family`."""

    name = "fpga"
    accelerator = FpgaDataflow
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return MAPPERS

    def map_network(
        self, network: Network, accelerator: FpgaDataflow, request: Request
    ) -> MappedFpga:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if an operator has no node, the folding does not fit, or loop nests,
                energy or another schedule are asked for.
            UnknownNameError: if objective or mapper are unknown.
        """
        check_legal(accelerator)
        mapper = mapper_for(request, self, energy=False)
        lowered = lower(network, accelerator)
        return MappedFpga(lowered, accelerator, fold(lowered.pipeline, accelerator, mapper))


FAMILY = FpgaFamily()
