"""The flow of the RDU family: sections of stages, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dovetail.arch.rdu import FIDELITIES, Rdu
from dovetail.errors import MappingError
from dovetail.flows import check_fidelity, check_legal
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.mappers.found import check_objective
from dovetail.mappers.rdu.lowering import lower
from dovetail.mappers.rdu.partition import MAPPERS, partition
from dovetail.mappers.rdu.program import program
from dovetail.mappers.rdu.sections import Section
from dovetail.sim.rdu.pipeline import COLLECTIVES, STREAMS, Pipeline, Stage
from dovetail.sim.tasks import TaskTimes, run


class Placed(NamedTuple):
    """A stage in its section: number of the section, the section, and the place in it."""

    number: int
    section: Section
    position: int


@dataclass(frozen=True)
class MappedRdu:
    """A network laid onto an RDU.

    Attributes:
        network: what is computed.
        pipeline: its stages.
        sections: in the order in which they run.
    """

    network: Network
    pipeline: Pipeline
    sections: tuple[Section, ...]

    @property
    def accelerator(self) -> Rdu:
        """What computes it."""
        return self.pipeline.rdu

    @cached_property
    def times(self) -> dict[int, TaskTimes]:
        """Simulated sections by the identity of their costs: equal sections run alike."""
        distinct = {id(section.costs): section for section in self.sections}
        return {key: run(program(section)) for key, section in distinct.items()}

    def cycles(self, fidelity: str = "estimate") -> list[int]:
        """Cycles of each section, its launch included.

        Raises:
            FidelityError: if the family does not support the fidelity.
        """
        check_fidelity(fidelity, FAMILY)
        if fidelity == "estimate":
            return [section.cycles for section in self.sections]
        launch = self.accelerator.launch_cycles
        return [launch + self.times[id(section.costs)].cycles for section in self.sections]

    def report(self, fidelity: str = "estimate") -> Report:
        """What one inference costs; operators of a section overlap.

        Raises:
            FidelityError: if the family does not support the fidelity.
        """
        total, a = sum(self.cycles(fidelity)), self.accelerator
        rests = self._rests(fidelity)
        return Report(
            network=self.network.name,
            accelerator={**a.to_dict(), "sections": len(self.sections)},
            fidelity=fidelity,
            clock_mhz=a.clock_mhz,
            area_mm2=a.area_mm2,
            peak_macs_per_cycle=a.peak_macs_per_cycle,
            dram_bytes_per_cycle=a.dram_bytes_per_cycle,
            operators=tuple(self._operator(op, fidelity, rests) for op in self.network.operators),
            makespan_cycles=total,
        )

    def note(self) -> str:
        """A line on the sections."""
        kernels, count = len(self.pipeline.stages), len(self.sections)
        launches = count * self.accelerator.launch_cycles / sum(s.cycles for s in self.sections)
        return (
            f"{count} sections of {kernels} stages ({kernels / count:.1f} a section), started by "
            f"{self.accelerator.orchestration}: {launches:.0%} of the time; operators of a section "
            "run at once"
        )

    @cached_property
    def _placed(self) -> dict[str, list[Placed]]:
        """Stages of each operator, with its exchanges between sockets."""
        found: dict[str, list[Placed]] = {}
        for number, section in enumerate(self.sections):
            for position, index in enumerate(section.outline.members):
                name = self.pipeline.operators[index]
                found.setdefault(name, []).append(Placed(number, section, position))
        return found

    def _rests(self, fidelity: str) -> list[int]:
        """Cycles of each section in which its stages' own cycles do not account for its time.

        The first tile's way over the mesh, and loads and stores that nothing hides.
        """
        return [
            max(0, total - self._accounted(section, fidelity))
            for total, section in zip(self.cycles(fidelity), self.sections, strict=True)
        ]

    def _accounted(self, section: Section, fidelity: str) -> int:
        stages = [Placed(0, section, i) for i in range(len(section.outline.members))]
        spent = sum(self._stage_cycles(p, fidelity)[0] + int(_once(p)) for p in stages)
        return self.accelerator.launch_cycles + spent

    def _operator(self, op: Operator, fidelity: str, rests: list[int]) -> OperatorReport:
        placed = self._placed.get(op.name, [])
        main = next((p for p in placed if _stage(p).kind not in COLLECTIVES), None)
        parts = [self._stage_cycles(p, fidelity) for p in placed]
        exchanged = sum(
            cycles for p, (cycles, _) in zip(placed, parts, strict=True) if p is not main
        )
        launched = sum(p.position == 0 for p in placed) * self.accelerator.launch_cycles
        cycles, busy = parts[placed.index(main)] if main else (0, 0)
        loaded = int(sum(_once(p) for p in placed))
        rest = sum(rests[p.number] for p in placed if _last(p))
        total = launched + loaded + cycles + exchanged + rest
        stalls = {"launch": launched, "memory": loaded, "pipeline": cycles - busy, "fill": rest}
        stalls |= {"sockets": exchanged} if exchanged else {}
        moved = np.sum([_dram(p) for p in placed], axis=0) if placed else np.zeros(4)
        dram = {
            "input": int(moved[0]), "weight": int(moved[1]), "output": int(moved[2])
        }  # fmt: skip
        sram = _sram(main) if main else {}
        sockets = self.accelerator.sockets
        return OperatorReport(
            name=op.name,
            kind=op.kind,
            engine="units" if main else "none",
            fused_into="",
            macs=op.macs,
            vector_ops=op.vector_ops if main else 0,
            cycles=total,
            compute_cycles=busy,
            stall_cycles=stalls if placed else {},
            dram_bytes={k: v * sockets for k, v in dram.items()} if placed else {},
            sram_bytes={k: v * sockets for k, v in sram.items()},
            energy_pj=self._energy(main, moved, sram) if main else {},
            utilization=op.macs / (total * self.accelerator.peak_macs_per_cycle) if total else 0.0,
            mapping=_mapping(main) if main else {},
        )

    def _stage_cycles(self, placed: Placed, fidelity: str) -> tuple[int, int]:
        """Cycles from a stage's first tile to its last, and those in which it works."""
        section, position = placed.section, placed.position
        costs, at, tiles = section.costs, section.column, section.tiles
        if fidelity == "estimate":
            busy = tiles * int(costs.compute[position, at])
            last = int(costs.stage[position, at])
            return max(busy, (tiles - 1) * int(costs.interval[at]) + last), busy
        times, name = self.times[id(costs)], f"stage {position}"
        busy = times.task_busy[name]
        if name not in times.first_start:  # an exchange: sockets' links serve several
            return busy, busy
        return times.last_end[name] - times.first_start[name], busy

    def _energy(
        self, placed: Placed, moved: np.ndarray[tuple[int], np.dtype[np.float64]],
        sram: dict[str, int],
    ) -> dict[str, float]:  # fmt: skip
        """Energy of all sockets: of what each does, though it be the same."""
        per, stage = self.accelerator.energies_pj, _stage(placed)
        macs = float(np.prod(stage.work, dtype=np.float64)) if stage.kind == "matrix" else 0.0
        operations = stage.work[1] if stage.kind == "vector" else 0
        energy = {
            "mac": macs * per["mac"],
            "vector": operations * per["vector"],
            "sram": sum(sram.values()) * per["sram"],
            "hbm": float(moved[:3].sum() - moved[3]) * per["hbm"],
            "ddr": float(moved[3]) * per["ddr"],
        }
        return {name: value * self.accelerator.sockets for name, value in energy.items()}


def _stage(placed: Placed) -> Stage:
    return placed.section.outline.stages[placed.position]


def _last(placed: Placed) -> bool:
    return placed.position == len(placed.section.outline.members) - 1


def _times(placed: Placed) -> int:
    """How often what every tile needs is loaded."""
    section = placed.section
    stays = section.costs.resident[placed.position, section.column]
    return 1 if stays else section.tiles


def _once(placed: Placed) -> float:
    """Cycles of memories for what stays."""
    costs, place = placed.section.costs, (placed.position, placed.section.column)
    return float(max(costs.near.once[place], costs.far.once[place]))


def _dram(placed: Placed) -> tuple[float, float, float, float]:
    """Bytes of inputs, weights and outputs of one socket, and how many of all come from DDR."""
    outline, i = placed.section.outline, placed.position
    times = _times(placed)
    streamed = outline.streamed[i] + outline.far_streamed[i]
    read = streamed + times * outline.kept[i]
    weights = min(read, outline.weights[i] * (times if outline.kept[i] else 1))
    far = outline.far_streamed[i] + times * outline.far_fixed[i]
    return read - weights, weights, outline.stored[i], far


def _sram(placed: Placed) -> dict[str, int]:
    """Bytes of one socket's PMUs: what comes from outside is written, what PCUs take is read."""
    outline, i = placed.section.outline, placed.position
    inside = sum(edge.size for edge in outline.edges if edge.consumer == i)
    streamed = outline.streamed[i] + outline.far_streamed[i]
    return {
        "read": int(inside + streamed + placed.section.tiles * outline.kept[i]),
        "write": int(_stage(placed).output + inside + streamed + _times(placed) * outline.kept[i]),
    }


def _mapping(placed: Placed) -> dict[str, int | str]:
    section, costs = placed.section, placed.section.costs
    return {
        "section": placed.number,
        "tiles": section.tiles,
        "stream": STREAMS[section.outline.kind],
        "pcus": int(costs.units[placed.position, section.column]),
        "pmus": int(costs.pmus[placed.position, section.column]),
        "resident": str(bool(costs.resident[placed.position, section.column])).lower(),
    }


class RduFamily:
    """RDUs, as `dovetail.flows.base.Family`."""

    name = "rdu"
    accelerator = Rdu
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return MAPPERS

    def map_network(self, network: Network, accelerator: Rdu, request: Request) -> MappedRdu:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if an operator alone does not fit, memories are too small, or loop nests
                or another objective or schedule are asked for.
            UnknownNameError: if objective or mapper are unknown.
        """
        check_legal(accelerator)
        check_objective(request.objective)
        if request.schedule != "serial":
            raise MappingError(
                f"schedule '{request.schedule}': an RDU fuses by its mapper: leave out --schedule"
            )
        if request.objective != "latency":
            raise MappingError(
                f"objective '{request.objective}': sections of an RDU are cut for latency"
            )
        if request.mappings:
            raise MappingError(
                "mappings of files are loop nests for spatial arrays; an RDU places stages: leave "
                "out --mapping"
            )
        pipeline = lower(network, accelerator)
        sections = partition(pipeline, request.mapper or MAPPERS[0])
        return MappedRdu(network, pipeline, tuple(sections))


FAMILY = RduFamily()
