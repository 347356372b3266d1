"""Reports of operators on spatial arrays, from what their loop nests cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Spatial
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport
from dovetail.ir.schedule import Placement
from dovetail.sim.nest import NestCost

OPERANDS = ("input", "weight", "output")


def array_reports(
    placement: Placement, accelerator: SpatialArray, cost: NestCost, mapping: Mapping, gap: float
) -> list[OperatorReport]:
    """Reports of an Einsum and of the operators fused into it.

    Args:
        placement: what ran where.
        accelerator: that ran it.
        cost: of its mapping.
        mapping: for the record.
        gap: by how much of its value the mapping may be worse than the best; 0 if proven.
    """
    op, peak = placement.operator, accelerator.peak_macs_per_cycle
    ideal = -(-op.macs // peak)
    cycles = math.ceil(cost.cycles)
    fill, drain = math.floor(cost.onload_cycles), math.floor(cost.offload_cycles)
    host = OperatorReport(
        name=op.name,
        kind=op.kind,
        engine="array",
        fused_into="",
        macs=op.macs,
        vector_ops=0,
        cycles=cycles,
        compute_cycles=ideal,
        stall_cycles={
            "padding": cost.compute_cycles - ideal,
            "fill": fill,
            "drain": drain,
            "memory": cycles - cost.compute_cycles - fill - drain,
        },
        dram_bytes=_dram_bytes(accelerator.stores[-1], cost),
        sram_bytes=_sram_bytes(accelerator.stores[:-1], cost),
        energy_pj={"mac": cost.mac_pj, **_store_energy(accelerator, cost)},
        utilization=op.macs / (cycles * peak),
        mapping=described(mapping, accelerator, gap),
    )
    return [host, *_fused(placement, accelerator)]


def vector_reports(
    placement: Placement, accelerator: SpatialArray, read_bits: int, written_bits: int
) -> list[OperatorReport]:
    """Reports of an operator that streams from the outermost memory through the vector lanes.

    Loading, computing and storing overlap: the slowest of them is its time.

    Args:
        placement: what ran where.
        accelerator: that ran it.
        read_bits: what it and those fused into it read.
        written_bits: what they write.
    """
    op, dram = placement.operator, accelerator.stores[-1]
    ops = op.vector_ops + sum(fused.vector_ops for fused in placement.fused)
    compute = -(-ops // accelerator.vector_lanes)
    cycles = max(compute, math.ceil(stream_cycles(dram, read_bits, written_bits)))
    access = dram.access_bits
    energy = -(-read_bits // access) * dram.read_pj + -(-written_bits // access) * dram.write_pj
    host = OperatorReport(
        name=op.name,
        kind=op.kind,
        engine="vector",
        fused_into="",
        macs=0,
        vector_ops=op.vector_ops,
        cycles=cycles,
        compute_cycles=compute,
        stall_cycles={"padding": 0, "fill": 0, "drain": 0, "memory": cycles - compute},
        dram_bytes={"input": -(-read_bits // 8), "weight": 0, "output": -(-written_bits // 8)},
        sram_bytes=dict.fromkeys(_sram_keys(accelerator), 0),
        energy_pj={
            "mac": 0.0,
            **{store.name: 0.0 for store in accelerator.stores[:-1]},
            dram.name: energy,
            "vector": op.vector_ops * accelerator.technology.vector_op_pj,
        },
        utilization=0.0,
        mapping={},
    )
    return [host, *_fused(placement, accelerator)]


def view_report(op: Operator) -> OperatorReport:
    """Report of an operator that only renames data."""
    return OperatorReport(op.name, op.kind, "none", "", 0, 0, 0, 0, {}, {}, {}, {}, 0.0, {})


def stream_cycles(store: Store, read_bits: float, written_bits: float) -> float:
    """Cycles that a memory's ports take for so many bits."""
    if store.write_bits_per_cycle is None:
        return (read_bits + written_bits) / store.read_bits_per_cycle
    return max(read_bits / store.read_bits_per_cycle, written_bits / store.write_bits_per_cycle)


def _fused(placement: Placement, accelerator: SpatialArray) -> list[OperatorReport]:
    """They run in the host's output path; their energy alone is theirs."""
    each = accelerator.technology.vector_op_pj
    return [
        OperatorReport(
            op.name, op.kind, "vector", placement.operator.name, 0, op.vector_ops, 0, 0, {}, {}, {},
            {"vector": op.vector_ops * each}, 0.0, {},
        )
        for op in placement.fused
    ]  # fmt: skip


def _dram_bytes(outermost: Store, cost: NestCost) -> dict[str, int]:
    found = dict.fromkeys(OPERANDS, 0)
    for level in cost.levels:
        if level.store == outermost.name:
            found[level.operand] = -(-(level.read_bits + level.write_bits) // 8)
    return found


def _sram_keys(accelerator: SpatialArray) -> list[str]:
    return [f"{store.name}_{way}" for store in accelerator.stores[:-1] for way in ("write", "read")]


def _sram_bytes(stores: Sequence[Store], cost: NestCost) -> dict[str, int]:
    """Bytes per memory and direction, all its instances and operands together."""
    found = {}
    for store in stores:
        levels = [level for level in cost.levels if level.store == store.name]
        found[f"{store.name}_write"] = -(-sum(level.write_bits for level in levels) // 8)
        found[f"{store.name}_read"] = -(-sum(level.read_bits for level in levels) // 8)
    return found


def _store_energy(accelerator: SpatialArray, cost: NestCost) -> dict[str, float]:
    return {
        store.name: sum(level.energy_pj for level in cost.levels if level.store == store.name)
        for store in accelerator.stores
    }


def described(mapping: Mapping, accelerator: SpatialArray, gap: float) -> dict[str, int | str]:
    """A mapping in a few short texts: its loop nest, and the ranks along each dimension."""
    parts, spatial = [], {name: "" for name, _ in accelerator.dimensions}
    for node in mapping.nodes:
        if isinstance(node, Keep):
            parts.append(f"{node.memory}[{' '.join(node.tensors)}]")
        elif isinstance(node, Spatial):
            spatial[node.dimension] += f" {node.rank}{node.count}"
        elif node.count > 1:
            parts.append(f"{node.rank}{node.count}")
    found: dict[str, int | str] = {"nest": " ".join(parts)}
    found |= {name: text.strip() for name, text in spatial.items() if text}
    return found | {"gap": f"{gap:.2%}" if gap else "0"}
