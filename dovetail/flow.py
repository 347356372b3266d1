"""The whole flow in one call: network + accelerator -> schedule -> mappings -> Report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dovetail.arch.systolic import FIDELITIES, SystolicArray
from dovetail.arch.table import design_row
from dovetail.errors import AcceleratorError, FidelityError, MappingError
from dovetail.ir.network import Network
from dovetail.ir.program import Program
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Loop, Mapping, Schedule
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.lower import lower_array, lower_vector, mapping_of
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.tiling import cost_pairs, mapper_code, objective_code
from dovetail.sim.columns import ARRAY, VECTOR, Cost, Op, Tile
from dovetail.sim.cycle import Timing, run
from dovetail.sim.reading import cost_of_timing, network_report, operator_reports


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
    """

    network: Network
    accelerator: SystolicArray
    plan: Schedule
    rows: IntArray
    costs: FloatArray
    mappings: tuple[Mapping | None, ...]

    def program(self, placement: int) -> Program | None:
        """The Program of one placement; None for a view."""
        op = self.rows[placement]
        if op[Op.ENGINE] == ARRAY:
            mapping = self.mappings[placement]
            assert mapping is not None
            return lower_array(self.accelerator, op, mapping)
        if op[Op.ENGINE] == VECTOR:
            name = self.plan.placements[placement].operator.name
            return lower_vector(self.accelerator, op, name)
        return None


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
    reasons = accelerator.validate()
    if reasons:
        raise AcceleratorError(f"accelerator '{accelerator.name}' is illegal: {reasons[0]}")
    plan = schedule(network)
    rows = op_rows(network, plan)
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
        raise MappingError(
            f"operator '{plan.placements[first].operator.name}' fits no tiling: one output "
            f"channel over one input channel needs more than half a scratchpad; enlarge "
            f"input_sram_kib, weight_sram_kib or output_sram_kib"
        )
    tiles, costs = some_tiles[inverse], some_costs[inverse]
    mappings = tuple(
        mapping_of(p.operator.name, rows[i], tiles[i], accelerator)
        if rows[i, Op.ENGINE] == ARRAY
        else None
        for i, p in enumerate(plan.placements)
    )
    return MappedNetwork(network, accelerator, plan, rows, costs, mappings)


def read_report(mapped: MappedNetwork, fidelity: str = "estimate") -> Report:
    """Reads a mapped network's costs at a fidelity.

    Raises:
        FidelityError: if the accelerator does not support it.
    """
    if fidelity not in FIDELITIES:
        raise FidelityError(
            f"fidelity '{fidelity}': a systolic array supports {', '.join(FIDELITIES)}"
        )
    costs = mapped.costs if fidelity == "estimate" else _simulated_costs(mapped)
    reports: list[OperatorReport] = []
    for i, placement in enumerate(mapped.plan.placements):
        reports += operator_reports(placement, mapped.accelerator, costs[i], mapped.mappings[i])
    return network_report(mapped.network.name, mapped.accelerator, fidelity, reports)


def simulate(
    network: Network,
    accelerator: SystolicArray,
    *,
    fidelity: str = "estimate",
    objective: str = "latency",
    mapper: str = "exhaustive",
) -> Report:
    """What a network costs on an accelerator.

    Args:
        network: what is computed.
        accelerator: what computes it.
        fidelity: `estimate` (closed form) or `cycle` (event-driven simulation of the Program).
        objective: what each tiling minimises: `latency`, `energy` or `edp`.
        mapper: `exhaustive` or `greedy`.

    Raises:
        AcceleratorError, MappingError, FidelityError, UnknownNameError: see `map_network`.
    """
    mapped = map_network(network, accelerator, objective=objective, mapper=mapper)
    return read_report(mapped, fidelity)


def timings(mapped: MappedNetwork, *, trace: bool = False) -> Iterator[Timing | None]:
    """Simulates the Program of one placement after the other; None for views.

    Args:
        mapped: network on accelerator.
        trace: record every instruction.
    """
    design = design_row(mapped.accelerator)
    for i in range(len(mapped.rows)):
        program = mapped.program(i)
        yield run(program, design, trace=trace) if program else None


def _simulated_costs(mapped: MappedNetwork) -> FloatArray:
    """Costs of every placement's Program; equal operators under equal mappings run once."""
    design = design_row(mapped.accelerator)
    costs = mapped.costs.copy()
    known: dict[tuple[bytes, tuple[Loop, ...]], FloatArray] = {}
    for i, mapping in enumerate(mapped.mappings):
        key = (mapped.rows[i].tobytes(), mapping.loops if mapping else ())
        if key not in known:
            program = mapped.program(i)
            if program is None:
                continue
            timing = run(program, design)
            known[key] = cost_of_timing(timing, design, mapped.rows[i], mapped.costs[i])
        costs[i] = known[key]
    return costs
