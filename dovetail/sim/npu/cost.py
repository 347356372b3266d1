"""What one block operation costs with its memories and the transfers of its weights.

A transfer runs while the operation before it works: `slack` is how long that one gives.

References:
    The performance model of Arm's open compiler Vela, release 5.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.arch.npu import Port
from dovetail.arch.npu_cores import Core
from dovetail.sim.npu.accesses import memory_bytes
from dovetail.sim.npu.timing import Ports, Timing, timing
from dovetail.sim.npu.work import Block, Work


@dataclass(frozen=True, slots=True)
class Transfer:
    """How encoded weights come closer before they are used.

    Attributes:
        buffers: 0: the NPU reads them where they are; 1: all come first; 2: slices of channels
            come in turns.
        full_cycles: of all of them.
        first_cycles: of the first slice.
        slack: cycles in which the next operation's weights may come: those of this one's last
            slice.
    """

    buffers: int = 0
    full_cycles: float = 0.0
    first_cycles: float = 0.0
    slack: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation costs.

    Attributes:
        timing: of its blocks.
        npu_cycles: with the waiting for weights and tables.
        moved: bytes by memory and operand.
        port_cycles: of each memory.
    """

    timing: Timing
    npu_cycles: float
    moved: dict[str, dict[str, float]]
    port_cycles: dict[str, float]

    @property
    def cycles(self) -> float:
        """Of whatever takes longest."""
        return max(self.npu_cycles, *self.port_cycles.values())


def transfer_cycles(size_bytes: int, source: Port, target: Port) -> float:
    """Cycles of a copy."""
    read = size_bytes // source.bytes_per_cycle + source.read_latency
    return max(read, size_bytes // target.bytes_per_cycle)


def npu_cycles(cycles: int, transfer: Transfer, slack: int, table_cycles: float = 0.0) -> float:
    """Cycles of an operation and what it waits for transfers.

    Args:
        cycles: of its blocks.
        transfer: of its weights.
        slack: that the operation before it gives.
        table_cycles: of its look-up table's transfer.
    """
    table = max(table_cycles - slack, 0)
    if transfer.buffers == 2:
        first = max(transfer.first_cycles - slack, 0)
        return max(transfer.full_cycles - slack + transfer.slack, cycles + first) + table
    if transfer.buffers == 1:
        return cycles + transfer.full_cycles - min(transfer.first_cycles, slack) + table
    return cycles + table


def cost(
    core: Core, ports: Ports, work: Work, block: Block, transfer: Transfer, encoded: float,
    slack: int, table_cycles: float = 0.0,
) -> Cost:  # fmt: skip
    """What an operation costs.

    Args:
        core: configuration.
        ports: memories by name.
        work: the operation.
        block: how it is cut.
        transfer: of its weights.
        encoded: bytes of encoded weights and biases.
        slack: that the operation before it gives.
        table_cycles: of its look-up table's transfer.
    """
    found = timing(core, ports, work, block)
    direct = 0.0 if transfer.buffers else encoded
    moved = memory_bytes(core, ports, work, block, direct)
    return Cost(
        found,
        npu_cycles(found.cycles, transfer, slack, table_cycles),
        moved,
        {name: sum(moved[name].values()) / port.bytes_per_cycle for name, port in ports.items()},
    )
