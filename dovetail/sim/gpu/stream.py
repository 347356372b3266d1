"""Kernels without a matrix product: passes of a multiprocessor's lanes over memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dovetail.arch.gpu import Gpu
from dovetail.sim.gpu.kernel import Kernel

BLOCK_BYTES = 16384
"""Read by a multiprocessor in a wave."""

NORMS = ("layernorm", "rmsnorm", "groupnorm", "instancenorm")
ROWS = {"softmax": "softmax_row", "log_softmax": "softmax_row", **dict.fromkeys(NORMS, "norm_row")}
"""Parameter that says how long a row a kind of operator keeps on chip."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A kernel that reads, computes and writes.

    Attributes:
        kind: of its first operator, e.g. `softmax`.
        read_bytes: of all inputs, once.
        written_bytes: of all outputs.
        ops: scalar operations.
        row: elements over which a softmax or a norm reduces; 0 for others.
        rows: of them; 0 for others.
    """

    kind: str
    read_bytes: int
    written_bytes: int
    ops: int
    row: int = 0
    rows: int = 0


def reads(stream: Stream, gpu: Gpu) -> int:
    """Bytes read: rows that are too long to keep are read once more.

    Fitted to measured kernels (`docs/gpu.md`), which then take as long as if the second read came
    from off-chip memory, too.
    """
    kept = ROWS.get(stream.kind)
    again = kept is not None and stream.row > getattr(gpu, kept)
    return stream.read_bytes * (2 if again else 1)


def stream_kernel(stream: Stream, gpu: Gpu) -> Kernel:
    """The kernel of a stream."""
    bandwidth = gpu.hbm_efficiency * gpu.dram_bytes_per_cycle
    read = reads(stream, gpu)
    waves = max(1, math.ceil(read / (gpu.sms * BLOCK_BYTES)))
    work = stream.ops / gpu.vector_lanes
    if stream.kind in NORMS:
        work += stream.rows * gpu.norm_row_cycles
    return Kernel(
        launch=math.ceil(_launch_us(stream.kind, gpu) * gpu.clock_mhz),
        waves=waves,
        steps=1,
        load=math.ceil(read / waves / bandwidth),
        work=math.ceil(work / waves / gpu.sms),
        store=math.ceil(stream.written_bytes / waves / bandwidth),
    )


def _launch_us(kind: str, gpu: Gpu) -> float:
    if kind in NORMS:
        return gpu.norm_us
    return gpu.softmax_us if ROWS.get(kind) else gpu.elementwise_us


def stream_energy_pj(stream: Stream, gpu: Gpu) -> dict[str, float]:
    """Energy by component; everything passes through the L2."""
    per, moved = gpu.energies_pj, reads(stream, gpu) + stream.written_bytes
    return {
        "vector": stream.ops * per["vector"],
        "l2": moved * per["l2"],
        "dram": moved * per["dram"],
    }
