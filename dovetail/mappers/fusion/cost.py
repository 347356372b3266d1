"""What fused operators cost on a spatial array, and what they cost alone.

A run's tensors lie in the *stage*: the outermost memory on the chip that holds inputs and outputs
alike and serves the whole array. Every operator of a tile is an operator of its own whose input and
output never leave the stage, so that the mapping analysis gives its cycles and energy; what crosses
the chip's border is added: the run's inputs (halos again in every tile that computes them again),
its result once, and its weights once if they fit beside each other, else for every tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.schedule import Placement
from dovetail.mappers.found import Found
from dovetail.mappers.fusion.price import Price, access, analysed, vector_energy
from dovetail.mappers.fusion.tiles import Run, Tile, Tiling
from dovetail.mappers.patches.receptive import COLUMNS, ROWS, activations
from dovetail.mappers.schedule import streamed_elements
from dovetail.mappers.spatial.mapper import find_mapping
from dovetail.sim.nest import NestCost
from dovetail.sim.nest.flow import write_bandwidth
from dovetail.sim.spatial_reading import stream_cycles


@dataclass(frozen=True, slots=True)
class Pricing:
    """How costs are found.

    Attributes:
        accelerator: legal.
        objective: `latency`, `energy` or `edp`.
        mapper: of `dovetail.mappers.spatial.mapper`.
        seed: of mappers that draw at random.
        time_limit_s: for each operator or part of one.
    """

    accelerator: SpatialArray
    objective: str = "energy"
    mapper: str = "optimal"
    seed: int = 0
    time_limit_s: float | None = None

    def find(self, einsum: Einsum, accelerator: SpatialArray) -> Found:
        """The mapping of an Einsum."""
        return find_mapping(
            einsum, accelerator, self.objective, self.mapper, seed=self.seed,
            time_limit_s=self.time_limit_s,
        )  # fmt: skip

    @property
    def word(self) -> int:
        """Bits of an element that passes from operator to operator."""
        return max(self.accelerator.input_bits, self.accelerator.output_bits)


def stage_of(accelerator: SpatialArray) -> Store | None:
    """The memory where fused operators hand tensors on; None if there is none."""
    return _shared(accelerator, ("input", "output"))


def _shared(accelerator: SpatialArray, operands: tuple[str, ...]) -> Store | None:
    """The outermost memory on the chip that holds these operands for the whole array."""
    everywhere = {name for name, _ in accelerator.dimensions}
    for store in reversed(accelerator.stores[:-1]):
        if set(operands) <= set(store.operands) and everywhere <= set(store.serves):
            return store
    return None


def weights_stay(tiling: Tiling, pricing: Pricing) -> bool:
    """Whether all weights of a run stay on the chip, beside its tensors where they share."""
    a = pricing.accelerator
    stage, home = stage_of(a), _shared(a, ("weight",))
    if home is None or stage is None:
        return False
    bits = tiling.run.weights * a.weight_bits
    return bits + (tiling.held * pricing.word if home is stage else 0) <= home.tile_bits


def fits(tiling: Tiling, pricing: Pricing) -> bool:
    """Whether the tensors of a tile fit the stage."""
    stage = stage_of(pricing.accelerator)
    return stage is not None and tiling.held * pricing.word <= stage.tile_bits


def unfused(placement: Placement, network: Network, pricing: Pricing) -> Price:
    """Cost of an operator alone: it reads and writes the outermost memory.

    Args:
        placement: the operator and what is fused into its output path.
        network: that it belongs to.
        pricing: how.
    """
    a, op = pricing.accelerator, placement.operator
    if placement.engine == "none":
        return Price()
    extra, dram = vector_energy(_vector_pj(placement, a)), a.stores[-1]
    if op.einsum:
        return analysed(pricing.find(op.einsum, a).cost, dram.name) + extra
    read, written = (n * pricing.word for n in streamed_elements(network, placement))
    work = _lane_cycles(placement, a)
    cycles = max(work, stream_cycles(dram, read, written))
    moved = access(dram, read, 0, "input") + access(dram, 0, written, "output")
    return moved + extra + Price(cycles, compute_cycles=work)


def _vector_pj(placement: Placement, accelerator: SpatialArray) -> float:
    ops = placement.operator.vector_ops + sum(op.vector_ops for op in placement.fused)
    return ops * accelerator.technology.vector_op_pj


def _lane_cycles(placement: Placement, accelerator: SpatialArray) -> float:
    if placement.engine == "none" or placement.operator.einsum:
        return 0.0
    ops = placement.operator.vector_ops + sum(op.vector_ops for op in placement.fused)
    return ops / accelerator.vector_lanes


def estimate(tiling: Tiling, alone: tuple[Price, ...], pricing: Pricing) -> Price:
    """Rough cost of a tiling: what operators cost alone, with other traffic beyond the chip.

    Time is that of work or of traffic, whichever is longer; energy on the chip grows with the work.

    Args:
        tiling: of a run that fits.
        alone: costs of its placements alone.
        pricing: how.
    """
    a, dram = pricing.accelerator, pricing.accelerator.stores[-1]
    read, written = _border(tiling, pricing)
    cycles, energy = 0.0, access(dram, read, written).energy_pj
    for placement, price in zip(tiling.run.placements, alone, strict=True):
        again = tiling.repeated(placement.operator)
        inside = price.energy_pj - access(dram, price.read_bits, price.written_bits).energy_pj
        energy += inside * again
        busy = stream_cycles(dram, price.read_bits, price.written_bits)
        work = max(placement.operator.macs / a.peak_macs_per_cycle, _lane_cycles(placement, a))
        cycles += max(work, price.cycles if price.cycles > 1.01 * busy else 0.0) * again
    return Price(
        max(cycles, stream_cycles(dram, read, written)), energy, read, written, tiling.macs
    )


def _border(tiling: Tiling, pricing: Pricing) -> tuple[float, float]:
    """Bits that a tiling reads from and writes to the outermost memory."""
    times = 1 if weights_stay(tiling, pricing) else tiling.count
    weights = tiling.run.weights * pricing.accelerator.weight_bits * times
    return tiling.read * pricing.word + weights, tiling.written * pricing.word


def priced(tiling: Tiling, pricing: Pricing) -> tuple[Price, ...]:
    """Costs of a tiling by the mapping analysis, part by part; one per placement of the run.

    The time until the first tile is there, and while work waits for traffic, is the first
    placement's; the time after the last tile the last one's.

    Args:
        tiling: of a run that fits.
        pricing: how.

    Raises:
        MappingError: if a part cannot be mapped, or its partial sums do not fit the stage.
    """
    a = pricing.accelerator
    stage, dram = stage_of(a), a.stores[-1]
    if stage is None:
        raise MappingError(
            f"accelerator '{a.name}' has no memory on the chip that holds inputs and outputs of "
            "the whole array: fused operators need one"
        )
    stay = weights_stay(tiling, pricing)
    inner = _inside(a, stage, tiling, pricing, stay)
    parts = []
    for placement in tiling.run.placements:
        runs = (_part(tiling, tile, placement, inner, stage, pricing).times(tile.count)
                for tile in tiling.tiles)  # fmt: skip
        parts.append(sum(runs, _weights(tiling.run, placement, pricing) if stay else Price()))
    read, written = tiling.read * pricing.word, tiling.written * pricing.word
    parts[0] += access(dram, read, 0, "input") + access(stage, 0, read)
    parts[-1] += access(dram, 0, written, "output") + access(stage, written, 0)
    work = sum(parts, Price())
    busy = stream_cycles(dram, work.read_bits, work.written_bits)
    first, last = _ends(tiling, pricing, stage)
    wait = busy if stage.buffering == "single" else max(0.0, busy - work.cycles)
    parts[0] += Price(first + wait)
    parts[-1] += Price(last)
    return tuple(parts)


def _weights(run: Run, placement: Placement, pricing: Pricing) -> Price:
    """Bringing a placement's weights onto the chip once."""
    home = _shared(pricing.accelerator, ("weight",))
    assert home is not None
    bits = run.weights_of(placement) * pricing.accelerator.weight_bits
    return access(pricing.accelerator.stores[-1], bits, 0, "weight") + access(home, 0, bits)


def _ends(tiling: Tiling, pricing: Pricing, stage: Store) -> tuple[float, float]:
    """Cycles before the first operator starts and after the last ends."""
    dram, run = pricing.accelerator.stores[-1], tiling.run
    begin, end = tiling.tiles[0].computed, tiling.tiles[-1].computed
    read = sum(run.depth(name) * math.prod(begin[name]) for name in run.inputs) * pricing.word
    written = run.depth(run.result) * math.prod(end[run.result]) * pricing.word
    into = min(dram.read_bits_per_cycle, write_bandwidth(stage))
    away = min(stage.read_bits_per_cycle, write_bandwidth(dram))
    return read / into, written / away


def _inside(
    a: SpatialArray, stage: Store, tiling: Tiling, pricing: Pricing, stay: bool
) -> SpatialArray:
    """The accelerator as an operator of a tile sees it: inputs and outputs end at the stage.

    Room was checked for the whole run, so that the stage itself seems unbounded; weights that come
    and go share what is left of it.
    """
    own = ("input", "output")
    stores = []
    for store in a.stores[:-1]:
        if store is stage and "weight" in store.operands and not stay:
            left = (stage.tile_bits - tiling.held * pricing.word) / 8
            stores.append(replace(store, name=f"{store.name}*", operands=("weight",),
                                  capacity_bytes=left, buffering="ideal", bypass=()))  # fmt: skip
            stores.append(_unbounded(store, own))
        elif store is stage or (stay and store is _shared(a, ("weight",))):
            stores.append(_unbounded(store, store.operands))
        else:
            stores.append(store)
    outside = () if stay else ("weight",)
    # Inputs and outputs that a memory beyond the stage could hold never get there.
    end = next(i for i, store in enumerate(stores) if store.name == stage.name)
    beyond = [
        replace(store, operands=tuple(o for o in store.operands if o not in own))
        for store in stores[end + 1 :]
    ]
    beyond.append(replace(a.stores[-1], operands=outside))
    kept = (store for store in beyond if store.operands)
    return replace(a, stores=(*stores[: end + 1], *kept))


def _unbounded(store: Store, operands: tuple[str, ...]) -> Store:
    return replace(store, operands=operands, capacity_bytes=math.inf, buffering="ideal", bypass=())


def _part(
    tiling: Tiling, tile: Tile, placement: Placement, inner: SpatialArray, stage: Store,
    pricing: Pricing,
) -> Price:  # fmt: skip
    """One operator of one tile."""
    run, op = tiling.run, placement.operator
    rows, columns = tile.computed[op.outputs[0]]
    if not rows * columns or placement.engine == "none":
        return Price()
    share = rows * columns / run.pixels(op.outputs[0])
    extra = vector_energy(_vector_pj(placement, inner) * share)
    if op.einsum:
        cost = pricing.find(part_of(op.einsum, rows, columns), inner).cost
        _check_sums(cost, op, run.depth(op.outputs[0]) * rows * columns, tiling, pricing)
        return analysed(cost, pricing.accelerator.stores[-1].name) + extra
    written = run.depth(op.outputs[0]) * rows * columns * pricing.word
    read = written * _reads(run, op)
    work = _lane_cycles(placement, inner) * share
    cycles = max(work, stream_cycles(stage, read, written))
    return access(stage, read, written) + extra + Price(cycles, compute_cycles=work)


def _reads(run: Run, op: Operator) -> float:
    """Elements that a vector operator reads per element that it writes."""
    tensors = run.network.tensor
    read = sum(tensors[name].elements for name in activations(run.network, op))
    return read / tensors[op.outputs[0]].elements


def part_of(einsum: Einsum, rows: int, columns: int) -> Einsum:
    """The Einsum of a part of the output's rows and columns, of one image."""
    new = {
        einsum.output.indices[0].terms[0][0]: 1,
        einsum.output.indices[ROWS].terms[0][0]: rows,
        einsum.output.indices[COLUMNS].terms[0][0]: columns,
    }
    ranks = tuple((name, new.get(name, extent)) for name, extent in einsum.ranks)
    return Einsum(ranks, einsum.operands, einsum.output)


def _check_sums(
    cost: NestCost, op: Operator, elements: int, tiling: Tiling, pricing: Pricing
) -> None:
    """Partial sums in the stage are wider than the results that room was made for.

    Raises:
        MappingError: if they do not fit.
    """
    stage = stage_of(pricing.accelerator)
    assert stage is not None
    waiting = cost.level(stage.name, "output").reductions > 0
    wide = max(0, pricing.accelerator.sum_bits - pricing.word) if waiting else 0
    need = tiling.held * pricing.word + elements * wide
    if weights_stay(tiling, pricing) and _shared(pricing.accelerator, ("weight",)) is stage:
        need += tiling.run.weights * pricing.accelerator.weight_bits
    if need > stage.tile_bits:
        raise MappingError(
            f"partial sums of operator '{op.name}' and all that stays take {math.ceil(need / 8)} B "
            f"of memory '{stage.name}', which has {stage.tile_bits / 8:g} B for them: take smaller "
            "tiles"
        )
