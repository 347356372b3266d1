"""The flow of the GPU family: one kernel after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dovetail.arch.gpu import FIDELITIES, Gpu
from dovetail.flows import check_fidelity, check_legal, mapper_for
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement
from dovetail.mappers.gpu.lowering import placements, product_of, stream_of
from dovetail.mappers.gpu.tiling import MAPPERS, best_tiling
from dovetail.sim.gpu.kernel import Kernel
from dovetail.sim.gpu.product import Product, ProductCost, Tiling
from dovetail.sim.gpu.stream import Stream, reads, stream_energy_pj, stream_kernel


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel and what it runs.

    Attributes:
        placement: its operators.
        kernel: its waves.
        macs: multiply-accumulates.
        ops: scalar operations.
        least: cycles at the peak rate of what it runs on.
        dram_bytes: by operand.
        l2_bytes: through the L2.
        energy_pj: by component.
        mapping: its tile; empty for a stream.
    """

    placement: Placement
    kernel: Kernel
    macs: int
    ops: int
    least: int
    dram_bytes: dict[str, int]
    l2_bytes: int
    energy_pj: dict[str, float]
    mapping: dict[str, int | str]


@dataclass(frozen=True)
class MappedGpu:
    """A network laid onto a GPU.

    Attributes:
        network: what is computed.
        accelerator: what computes it.
        launches: kernels by the name of their first operator; views have none.
    """

    network: Network
    accelerator: Gpu
    launches: dict[str, Launch]

    def report(self, fidelity: str = "estimate") -> Report:
        """What one inference costs.

        Raises:
            FidelityError: if the fidelity is unknown.
        """
        check_fidelity(fidelity, FAMILY)
        gpu = self.accelerator
        waits = self._waits(fidelity)
        into = {
            fused.name: launch.placement.operator.name
            for launch in self.launches.values()
            for fused in launch.placement.fused
        }
        return Report(
            network=self.network.name,
            accelerator=gpu.to_dict(),
            fidelity=fidelity,
            clock_mhz=gpu.clock_mhz,
            area_mm2=gpu.area_mm2,
            peak_macs_per_cycle=gpu.peak_macs_per_cycle,
            dram_bytes_per_cycle=gpu.dram_bytes_per_cycle,
            operators=tuple(
                self._kernel(op, *waits[op.name])
                if op.name in waits
                else _without(op, into.get(op.name, ""))
                for op in self.network.operators
            ),
        )

    def note(self) -> str:
        """A line on what launching takes."""
        report = self.report()
        waiting = sum(op.stall_cycles.get("launch", 0) for op in report.operators)
        share = waiting / max(1, report.cycles)
        return f"{len(self.launches)} kernels; waiting for launches takes {share:.0%} of the time"

    def _waits(self, fidelity: str) -> dict[str, tuple[int, int]]:
        """By operator: cycles until its kernel is launched, and those from then to its end.

        A queue lets the host launch one kernel after the other while the device works; without
        one it waits for the device.
        """
        found, host, device = {}, 0, 0
        for name, launch in self.launches.items():
            kernel = launch.kernel
            whole = kernel.simulate() if fidelity == "cycle" else kernel.cycles
            host = (host if self.accelerator.queued else device) + kernel.launch
            wait = max(0, host - device)
            found[name] = (wait, whole - kernel.launch)
            device += wait + whole - kernel.launch
        return found

    def _kernel(self, op: Operator, wait: int, running: int) -> OperatorReport:
        launch, gpu = self.launches[op.name], self.accelerator
        cycles, work = wait + running, launch.kernel.work_cycles
        least = min(launch.least, work)
        stalls = {"launch": wait, "tiling": work - least, "memory": running - work}
        return OperatorReport(
            name=op.name,
            kind=op.kind,
            engine=launch.placement.engine,
            fused_into="",
            macs=launch.macs,
            vector_ops=launch.ops,
            cycles=cycles,
            compute_cycles=least,
            stall_cycles=stalls,
            dram_bytes=launch.dram_bytes,
            sram_bytes={"l2": launch.l2_bytes},
            energy_pj=launch.energy_pj,
            utilization=launch.macs / (cycles * gpu.peak_macs_per_cycle) if cycles else 0.0,
            mapping=launch.mapping,
        )


def _without(op: Operator, into: str) -> OperatorReport:
    """An operator without a kernel: a view, or part of another's."""
    engine = "vector" if into else "none"
    return OperatorReport(op.name, op.kind, engine, into, 0, 0, 0, 0, {}, {}, {}, {}, 0.0, {})


def product_launch(
    placement: Placement, product: Product, gpu: Gpu, tiling: Tiling, cost: ProductCost
) -> Launch:
    """The launch of a tiled product."""
    mapping: dict[str, int | str] = {
        "tile_p": tiling.rows, "tile_k": tiling.columns, "splits": tiling.splits,
        "units": tiling.engine,
    }  # fmt: skip
    return Launch(
        placement=placement,
        kernel=cost.kernel,
        macs=product.macs,
        ops=product.epilogue_ops,
        least=math.ceil(product.macs / gpu.peak_macs_per_cycle),
        dram_bytes=cost.dram_bytes,
        l2_bytes=cost.l2_bytes,
        energy_pj=cost.energy_pj(product, gpu),
        mapping=mapping,
    )


def stream_launch(placement: Placement, stream: Stream, gpu: Gpu) -> Launch:
    """The launch of a stream."""
    read = reads(stream, gpu)
    moved = {"input": read, "weight": 0, "output": stream.written_bytes}
    return Launch(
        placement=placement,
        kernel=stream_kernel(stream, gpu),
        macs=0,
        ops=stream.ops,
        least=math.ceil(stream.ops / (gpu.sms * gpu.vector_lanes)),
        dram_bytes=moved,
        l2_bytes=read + stream.written_bytes,
        energy_pj=stream_energy_pj(stream, gpu),
        mapping={},
    )


class GpuFamily:
    """GPUs, as `dovetail.flows.base.Family`."""

    name = "gpu"
    accelerator = Gpu
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return MAPPERS

    def map_network(self, network: Network, accelerator: Gpu, request: Request) -> MappedGpu:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if an Einsum is no product of two matrices, no tile fits, or loop nests
                or another schedule are asked for.
            UnknownNameError: if objective or mapper are unknown.
        """
        check_legal(accelerator)
        mapper = mapper_for(request, self)
        launches = {}
        for placement in placements(network, accelerator):
            if placement.engine == "array":
                product = product_of(network, placement, accelerator)
                tiling, cost = best_tiling(product, accelerator, mapper, request.objective)
                found = product_launch(placement, product, accelerator, tiling, cost)
            elif placement.engine == "vector":
                stream = stream_of(network, placement, accelerator)
                found = stream_launch(placement, stream, accelerator)
            else:
                continue
            launches[placement.operator.name] = found
        return MappedGpu(network, accelerator, launches)


FAMILY = GpuFamily()
