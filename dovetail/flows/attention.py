"""The flow of the attention family: attention as one cascade, products, and the rest on 1D PEs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dovetail.arch.attention import FIDELITIES, AttentionArray
from dovetail.flows import check_fidelity, check_legal, mapper_for
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement
from dovetail.mappers.attention.choose import MAPPERS, choose
from dovetail.mappers.attention.pattern import Attention, find_attention
from dovetail.mappers.attention.product import Product, product_of
from dovetail.mappers.schedule import engine_of, schedule, streamed_elements
from dovetail.sim.attention.costs import Cost
from dovetail.sim.attention.cycle import (
    product_simulated,
    simulate_attention,
    vector_simulated,
)
from dovetail.sim.attention.estimate import attention_cost
from dovetail.sim.attention.kernels import product_estimate, vector_estimate
from dovetail.sim.attention.reading import fused_report, operator_report, view_report
from dovetail.sim.attention.work import AttentionMapping, tiles


@dataclass(frozen=True)
class MappedAttention:
    """A network laid onto an attention design.

    Attributes:
        network: what is computed.
        accelerator: what computes it.
        placements: operators that run on their own, and what is fused into them.
        attention: attention by the name of its first product.
        mappings: what stays on chip, by the same name.
        products: of the other Einsums, by name.
    """

    network: Network
    accelerator: AttentionArray
    placements: tuple[Placement, ...]
    attention: dict[str, Attention]
    mappings: dict[str, AttentionMapping]
    products: dict[str, Product]

    def report(self, fidelity: str = "estimate") -> Report:
        """What it costs.

        Raises:
            FidelityError: if the fidelity is neither `estimate` nor `cycle`.
        """
        check_fidelity(fidelity, FAMILY)
        a, bandwidth = self.accelerator, self.accelerator.dram_bytes_per_cycle
        parts = (self._reports(placement, fidelity) for placement in self.placements)
        return Report(
            network=self.network.name,
            accelerator=a.to_dict(),
            fidelity=fidelity,
            clock_mhz=a.clock_mhz,
            area_mm2=a.area_mm2,
            peak_macs_per_cycle=a.peak_macs_per_cycle,
            dram_bytes_per_cycle=bandwidth if math.isfinite(bandwidth) else 0.0,
            operators=tuple(report for part in parts for report in part),
        )

    def note(self) -> str:
        """A line on what ran fused."""
        softmaxes = sum(op.kind == "softmax" for op in self.network.operators)
        if not self.attention:
            return f"no attention found around {softmaxes} softmax operators: nothing runs fused"
        first = next(iter(self.attention.values()))
        w, kept = first.work, self.mappings[first.scores.name]
        how = ", ".join(f"{k} {v}" for k, v in kept.describe().items()) if kept else "unfused"
        return (
            f"{len(self.attention)} of {softmaxes} softmax operators run in attention; the first: "
            f"{w.groups} groups of {w.queries} queries x {w.keys} keys, {how}"
        )

    def _reports(self, placement: Placement, fidelity: str) -> Iterator[OperatorReport]:
        op, a = placement.operator, self.accelerator
        if op.name in self.attention:
            yield from self._attention(self.attention[op.name], fidelity)
        elif placement.engine == "none":
            yield view_report(op)
        else:
            ops = sum(fused.vector_ops for fused in placement.fused)
            cost = self._cost(placement, ops, fidelity)
            yield operator_report(op, a, cost, macs=op.macs, vector_ops=op.vector_ops)
        yield from (fused_report(fused, op) for fused in placement.fused)

    def _cost(self, placement: Placement, fused_ops: int, fidelity: str) -> Cost:
        op, a, closed = placement.operator, self.accelerator, fidelity == "estimate"
        if op.name in self.products:
            product = product_estimate if closed else product_simulated
            return product(a, *self.products[op.name], fused_ops)
        moved = (n * a.word_bytes for n in streamed_elements(self.network, placement))
        vector = vector_estimate if closed else vector_simulated
        return vector(a, op.vector_ops + fused_ops, *moved)

    def _attention(self, found: Attention, fidelity: str) -> Iterator[OperatorReport]:
        a, kept = self.accelerator, self.mappings[found.scores.name]
        cost_of = attention_cost if fidelity == "estimate" else simulate_attention
        first, *others = cost_of(a, found.work, kept)
        # What prepares the operands takes 1D PEs as they are loaded.
        extra = tiles(sum(op.vector_ops for op in found.around), a.dim)
        costs = [_longer(first, extra), *others]
        how = {"binding": a.binding, **(kept.describe() if kept else {})}
        hosts = (found.scores, found.softmax, found.mix) if len(costs) == 3 else (found.scores,)
        for op, cost in zip(hosts, costs, strict=True):
            macs = op.macs if len(costs) == 3 else found.work.macs
            yield operator_report(op, a, cost, macs=macs, vector_ops=op.vector_ops, mapping=how)
        for op in found.members:
            if op not in hosts:
                pj = a.mac_pj if op in found.around else 0.0
                yield fused_report(op, found.scores, pj)


def _longer(cost: Cost, cycles: int) -> Cost:
    """A cost with more work of the 1D PEs, one after the other."""
    return replace(
        cost,
        cycles=cost.cycles + cycles,
        pipeline_cycles=cost.pipeline_cycles + cycles,
        vector_cycles=cost.vector_cycles + cycles,
    )


def _placements(network: Network) -> tuple[tuple[Placement, ...], dict[str, Attention]]:
    """Operators that run on their own, and attention by the first of its operators."""
    plan = schedule(network).placements
    host = {fused.name: p.operator.name for p in plan for fused in p.fused}
    found = {}
    inside: set[str] = set()
    for one in find_attention(network):
        names = {op.name for op in (one.scores, *one.members)}
        # What rides along with an operator outside stays there.
        around = tuple(op for op in one.around if host.get(op.name, op.name) in names)
        found[one.scores.name] = one = replace(one, around=around)
        inside |= {op.name for op in one.members}
    placements: list[Placement] = []
    for placement in plan:
        left = tuple(op for op in placement.fused if op.name not in inside)
        if placement.operator.name not in inside:
            placements.append(replace(placement, fused=left))
        else:
            placements += [Placement(op, engine_of(op)) for op in left]
    return tuple(placements), found


class AttentionFamily:
    """Attention designs, as `dovetail.flows.base.Family`."""

    name = "attention"
    accelerator = AttentionArray
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return MAPPERS

    def map_network(
        self, network: Network, accelerator: AttentionArray, request: Request
    ) -> MappedAttention:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if an operator is neither product nor elementwise, tiles do not fit the
                buffer, or loop nests or another schedule are asked for.
            UnknownNameError: if objective or mapper are unknown.
        """
        check_legal(accelerator)
        mapper = mapper_for(request, self)
        placements, found = _placements(network)
        mappings = {name: choose(accelerator, one.work, mapper) for name, one in found.items()}
        products = {
            p.operator.name: product_of(network, p.operator, accelerator)
            for p in placements
            if p.operator.einsum is not None and p.operator.name not in found
        }
        return MappedAttention(network, accelerator, placements, found, mappings, products)


FAMILY = AttentionFamily()
