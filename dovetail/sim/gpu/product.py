"""Matrix products on a GPU: how a tiling turns into waves, traffic and cycles.

References:
    H. Zhang et al., "LLMCompass", ISCA 2024, section IV: a product as tiles over cores, reuse in
    the shared buffer, and the time of the busier of compute and memory; the measured kernels of
    `experiments/real_gpus.py` are its artifact's. The wave form here is our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dovetail.arch.gpu import SUM_BYTES, TILE_DEPTH, Gpu
from dovetail.sim.gpu.kernel import STAGES, Kernel


@dataclass(frozen=True, slots=True)
class Product:
    """Products of groups of matrices (rows x depth) x (depth x columns), and what they move.

    Attributes:
        groups: products side by side.
        rows, columns, depth: of each.
        input_bytes: of all left operands in memory: an image, not its windows.
        weight_bytes: of all right operands.
        output_bytes: of all results.
        operand_bits: of an operand on its way to the matrix units.
        epilogue_ops: scalar operations on the results, and before they are stored.
    """

    groups: int
    rows: int
    columns: int
    depth: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    operand_bits: int
    epilogue_ops: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.groups * self.rows * self.columns * self.depth


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a product is cut.

    Attributes:
        rows, columns: of a tile of results.
        splits: parts of the depth that are summed apart.
        engine: `tensor` for matrix units, `vector` for the lanes.
    """

    rows: int
    columns: int
    splits: int = 1
    engine: str = "tensor"

    def fits(self, gpu: Gpu, bits: int) -> bool:
        """Whether scratchpad and registers hold a tile."""
        operands = STAGES * (self.rows + self.columns) * TILE_DEPTH * bits / 8
        sums = self.rows * self.columns * SUM_BYTES
        return operands <= gpu.shared_kib * 1024 and sums <= gpu.register_kib * 1024 / 2


@dataclass(frozen=True, slots=True)
class ProductCost:
    """What a product costs with a tiling.

    Attributes:
        kernel: its waves.
        dram_bytes: by operand.
        l2_bytes: that the L2 gives to multiprocessors, and takes of their sums.
    """

    kernel: Kernel
    dram_bytes: dict[str, int]
    l2_bytes: int

    def energy_pj(self, product: Product, gpu: Gpu) -> dict[str, float]:
        """Energy by component; padded multiply-accumulates take none."""
        per = gpu.energies_pj
        return {
            "mac": product.macs * per["mac"],
            "vector": product.epilogue_ops * per["vector"],
            "l2": self.l2_bytes * per["l2"],
            "dram": sum(self.dram_bytes.values()) * per["dram"],
        }


def product_cost(product: Product, tiling: Tiling, gpu: Gpu) -> ProductCost:
    """The kernel of a product with a tiling."""
    grid = (math.ceil(product.rows / tiling.rows), math.ceil(product.columns / tiling.columns))
    tiles = product.groups * math.prod(grid) * tiling.splits
    waves = math.ceil(tiles / gpu.sms)
    depth = math.ceil(product.depth / tiling.splits)
    steps = math.ceil(depth / TILE_DEPTH)
    traffic = _traffic(product, tiling, grid, gpu)
    bandwidth = gpu.hbm_efficiency * gpu.dram_bytes_per_cycle
    reads = traffic["input"] + traffic["weight"]
    step_bytes = (tiling.rows + tiling.columns) * TILE_DEPTH * product.operand_bits / 8
    parts = (tiling.splits - 1) * product.groups * product.rows * product.columns * SUM_BYTES
    tail = math.ceil(2 * parts / gpu.l2_bytes_per_cycle)
    kernel = Kernel(
        launch=math.ceil(gpu.matmul_us * gpu.clock_mhz),
        waves=waves,
        steps=steps,
        load=math.ceil(reads / (waves * steps) / bandwidth),
        work=_step_cycles(product, tiling, gpu, step_bytes, waves * steps, min(tiles, gpu.sms)),
        store=math.ceil(traffic["output"] / (waves * steps) / bandwidth),
        tail=tail,
    )
    return ProductCost(kernel, traffic, int(tiles * steps * step_bytes) + 2 * parts)


def _step_cycles(
    product: Product, tiling: Tiling, gpu: Gpu, step_bytes: float, steps: int, active: int
) -> int:
    """The slower of a step's arithmetic and its share of the L2, which `active` ones share."""
    sums = tiling.rows * tiling.columns
    if tiling.engine == "tensor":
        arithmetic = sums * TILE_DEPTH / (gpu.tensor_efficiency * gpu.tensor_macs)
    else:  # a multiply and an add are two operations of a lane, which need no full depth
        arithmetic = 2 * sums * min(product.depth, TILE_DEPTH) / gpu.vector_lanes
    arithmetic += product.epilogue_ops / steps / (gpu.sms * gpu.vector_lanes)
    share = min(gpu.sm_bytes_per_cycle, gpu.l2_bytes_per_cycle / active)
    return math.ceil(max(arithmetic, step_bytes / share))


def _traffic(product: Product, tiling: Tiling, grid: tuple[int, int], gpu: Gpu) -> dict[str, int]:
    """Off-chip bytes by operand.

    A wave covers a block of tiles that is about square; what is read by it is read once. An
    operand that fits half of the L2 beside the others' streams is read once in all; else each
    further row of blocks reads the weights again, and each further column the inputs, whichever
    order of blocks takes less.
    """
    side = max(1, round(math.sqrt(gpu.sms * tiling.columns / tiling.rows)))
    block_rows = min(grid[0], side)
    block_columns = min(grid[1], max(1, gpu.sms // block_rows))
    down, across = math.ceil(grid[0] / block_rows), math.ceil(grid[1] / block_columns)
    room = gpu.l2_bytes / 2
    inputs, weights = product.input_bytes, product.weight_bytes
    group_inputs, group_weights = inputs / product.groups, weights / product.groups
    again_weights = 1 if group_weights <= room else down
    again_inputs = 1 if group_inputs <= room else across
    by_rows = (1 if group_inputs / down <= room else again_inputs, again_weights)
    by_columns = (again_inputs, 1 if group_weights / across <= room else again_weights)
    times = min(by_rows, by_columns, key=lambda t: inputs * t[0] + weights * t[1])
    return {
        "input": inputs * times[0],
        "weight": weights * times[1],
        "output": product.output_bytes,
    }
