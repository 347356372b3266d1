"""The flow of the systolic family: tilings, their closed form, and the simulated Programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dovetail.arch.systolic import FIDELITIES, SystolicArray
from dovetail.arch.table import design_row
from dovetail.errors import MappingError
from dovetail.flows import check_fidelity, check_legal
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.program import Program
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Schedule, TileLoop, Tiling
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.rtl.programs import LayerPrograms, joined_row
from dovetail.mappers.rtl.rows import rtl_rows
from dovetail.mappers.rtl.twins import structure
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.systolic.lower import lower_array, lower_vector, mapping_of, tile_of
from dovetail.mappers.systolic.tiling import MAPPERS, cost_pairs, mapper_code, objective_code
from dovetail.sim.columns import ARRAY, NONE, VECTOR, Cost, Op, Tile
from dovetail.sim.cycle import Timing, delayed, run
from dovetail.sim.reading import cost_of_timing, network_report, operator_reports
from dovetail.sim.rtl_reading import cost_of_rtl_timing


@dataclass(frozen=True)
class MappedNetwork:
    """A network laid onto an accelerator; both fidelities read it.

    Attributes:
        network: what is computed.
        accelerator: what computes it.
        plan: engines and fusion.
        rows: (placements, len(Op)) numeric operators.
        costs: (placements, len(Cost)) closed-form costs.
        mappings: tiling of each placement; None where nothing is tiled.
        layers: what the RTL machine runs, by shape alone; None on the ideal machine.
    """

    network: Network
    accelerator: SystolicArray
    plan: Schedule
    rows: IntArray
    costs: FloatArray
    mappings: tuple[Tiling | None, ...]
    layers: LayerPrograms | None = None

    @property
    def tilings(self) -> dict[str, IntArray]:
        """Rows of `Tile` columns by operator, as `dovetail.mappers.rtl.lower.lower` takes them."""
        return {mapping.operator: tile_of(mapping) for mapping in self.mappings if mapping}

    def program(self, placement: int) -> Program | None:
        """The Program of one placement; None for a view and for what is left to the host."""
        op = self.rows[placement]
        if self.layers is not None:
            mapping = self.mappings[placement]
            return self.layers.program(mapping.operator, tile_of(mapping)) if mapping else None
        if op[Op.ENGINE] == ARRAY:
            mapping = self.mappings[placement]
            assert mapping is not None
            return lower_array(self.accelerator, op, mapping)
        if op[Op.ENGINE] == VECTOR:
            name = self.plan.placements[placement].operator.name
            return lower_vector(self.accelerator, op, name)
        return None

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs, in closed form (`estimate`) or simulated (`cycle`).

        Raises:
            FidelityError: if systolic arrays do not support the fidelity.
        """
        return _report(self, fidelity)


def map_network(
    network: Network,
    accelerator: SystolicArray,
    *,
    objective: str = "latency",
    mapper: str = "exhaustive",
) -> MappedNetwork:
    """Lays a network onto an accelerator.

    Args:
        network: what is computed.
        accelerator: what computes it; floating tensors are deployed at its operand widths.
        objective: what each tiling minimises: `latency`, `energy` or `edp`.
        mapper: `exhaustive` over the candidates, or `greedy` as searches use it.

    Raises:
        AcceleratorError: if the accelerator is illegal.
        MappingError: if an operator fits no tiling.
        UnknownNameError: if objective or mapper are unknown.
    """
    check_legal(accelerator)
    plan = schedule(network)
    layers = _layers(network, plan, accelerator)
    rows = rtl_rows(plan, layers.network) if layers else op_rows(network, plan)
    count = len(rows)
    tiles = np.zeros((count, len(Tile)), dtype=np.int64)
    costs = np.zeros((count, len(Cost)), dtype=np.float64)
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    some_tiles, some_costs = tiles[: len(distinct)].copy(), costs[: len(distinct)].copy()
    failed = cost_pairs(
        design_row(accelerator)[None, :],
        distinct,
        np.zeros(len(distinct), dtype=np.int64),
        np.arange(len(distinct), dtype=np.int64),
        objective_code(objective),
        mapper_code(mapper),
        some_tiles,
        some_costs,
    )
    if failed >= 0:
        first = int(np.flatnonzero(inverse == failed)[0])
        unit = "word" if layers else "channel"
        raise MappingError(
            f"operator '{plan.placements[first].operator.name}' fits no tiling: one output "
            f"{unit} over one input {unit} needs more than half a scratchpad; enlarge "
            f"input_sram_kib, weight_sram_kib or output_sram_kib"
        )
    tiles, costs = some_tiles[inverse], some_costs[inverse]
    mappings = tuple(
        _mapping(p.operator.name, rows[i], tiles[i], accelerator)
        for i, p in enumerate(plan.placements)
    )
    return MappedNetwork(network, accelerator, plan, rows, costs, mappings, layers)


def _layers(network: Network, plan: Schedule, accelerator: SystolicArray) -> LayerPrograms | None:
    if accelerator.machine == "ideal":
        return None
    twins = structure(
        network, plan, activation_bits=accelerator.input_bits,
        weight_bits=accelerator.weight_bits, accumulator_bits=accelerator.accumulator_bits,
    )  # fmt: skip
    return LayerPrograms(twins, accelerator)


def _mapping(name: str, row: IntArray, tile: IntArray, accelerator: SystolicArray) -> Tiling | None:
    if accelerator.machine == "rtl" and row[Op.ENGINE] != NONE:
        return mapping_of(name, joined_row(row, accelerator), tile, accelerator)
    return mapping_of(name, row, tile, accelerator) if row[Op.ENGINE] == ARRAY else None


def _report(mapped: MappedNetwork, fidelity: str) -> Report:
    check_fidelity(fidelity, FAMILY)
    costs = mapped.costs if fidelity == "estimate" else _simulated_costs(mapped)
    reports: list[OperatorReport] = []
    for i, planned in enumerate(mapped.plan.placements):
        left = mapped.rows[i, Op.ENGINE] == NONE and planned.engine != "none"
        placement = replace(planned, engine="host") if left else planned
        reports += operator_reports(placement, mapped.accelerator, costs[i], mapped.mappings[i])
    return network_report(mapped.network.name, mapped.accelerator, fidelity, reports)


def timings(mapped: MappedNetwork, *, trace: bool = False) -> Iterator[Timing | None]:
    """Simulates the Program of one placement after the other; None for views.

    Args:
        mapped: network on accelerator.
        trace: record every instruction.
    """
    for i in range(len(mapped.rows)):
        program = mapped.program(i)
        yield _timing(mapped, program, trace=trace) if program else None


def _timing(mapped: MappedNetwork, program: Program, *, trace: bool = False) -> Timing:
    timing = run(program, design_row(mapped.accelerator), trace=trace)
    return delayed(timing, mapped.layers.overhead(program)) if mapped.layers else timing


def _simulated_costs(mapped: MappedNetwork) -> FloatArray:
    """Costs of every placement's Program; equal operators under equal mappings run once."""
    design = design_row(mapped.accelerator)
    costs = mapped.costs.copy()
    known: dict[tuple[bytes, tuple[TileLoop, ...]], FloatArray] = {}
    for i, mapping in enumerate(mapped.mappings):
        key = (mapped.rows[i].tobytes(), mapping.loops if mapping else ())
        if key not in known:
            program = mapped.program(i)
            if program is None:
                continue
            timing = _timing(mapped, program)
            known[key] = (
                cost_of_rtl_timing(timing, design, mapped.costs[i])
                if mapped.layers
                else cost_of_timing(timing, design, mapped.rows[i], mapped.costs[i])
            )
        costs[i] = known[key]
    return costs


class SystolicFamily:
    """The systolic array, as `dovetail.flows.base.Family`."""

    name = "systolic"
    accelerator = SystolicArray
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return MAPPERS[::-1]

    def map_network(
        self, network: Network, accelerator: SystolicArray, request: Request
    ) -> MappedNetwork:
        """Lays a network onto a design; see `map_network`."""
        request.only_serial(self.name)
        if request.mappings:
            raise MappingError(
                "mappings of files are loop nests for spatial arrays; a systolic array tiles by "
                "itself: choose another accelerator"
            )
        return map_network(
            network,
            accelerator,
            objective=request.objective,
            mapper=request.mapper or self.mappers()[0],
        )


FAMILY = SystolicFamily()
