"""The command stream's program: what four lanes of blocks mean, against the closed form."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.arch.npu import EthosU
from dovetail.flow import map_network
from dovetail.flows.npu import MappedNpu
from dovetail.ir.tasks import TaskProgram
from dovetail.mappers.npu.commands import TOKENS, Lengths, blocks_of, program, times
from dovetail.networks.registry import load_network
from dovetail.sim.tasks import run


def cycles_of(lengths: Lengths, blocks: int) -> int:
    return run(TaskProgram(tuple(blocks_of(lengths, 0, blocks)), TOKENS)).cycles


def lengths(read: int, dpu: int, output: int, write: int, latency: int = 0) -> Lengths:
    return Lengths("sram", "sram", "", read, 0, 0, latency, dpu, output, write, latency)


@given(
    dpu=st.integers(1, 500), output=st.integers(1, 500), part=st.floats(0, 1),
    latency=st.integers(0, 20), blocks=st.integers(1, 60),
)  # fmt: skip
def test_stages_longer_than_commands(
    dpu: int, output: int, part: float, latency: int, blocks: int
) -> None:
    """max x blocks + min, and the first fetch and the last store."""
    slow, fast = max(dpu, output), min(dpu, output)
    room = max(3 * fast - slow, 0)  # so that a quarter of all is no more than the faster stage
    latency = min(latency, room // 4)
    moved = int(part * (room - 2 * latency))
    read, write = min(moved // 2, fast), min(moved - moved // 2, fast)
    ours = cycles_of(lengths(read, dpu, output, write, latency), blocks)
    beside = read + write + 2 * latency
    assert ours == slow * blocks + fast + beside


@pytest.mark.parametrize("blocks", [4, 5, 9, 1000, 10**9])
def test_commands_longer_than_stages(blocks: int) -> None:
    """Four lanes give a block every quarter of the way through all of them."""
    form = lengths(100, 100, 100, 100, 200)
    command = (100 + 200 + 100 + 100 + 100 + 200) // 4
    ours = cycles_of(form, blocks)
    estimate = command * blocks + command
    assert ours - estimate <= 2 * command
    assert cycles_of(form, blocks + 4) - ours == 4 * command


@pytest.mark.parametrize("core", ["u55-32", "u55-256", "u65-512"])
def test_a_network_comes_close_to_its_estimate(core: str) -> None:
    dedicated = {"memory_mode": "dedicated_sram", "sram_kib": 384.0, "dram_rate": 0.75}
    design = EthosU(core=core, **(dedicated if core.startswith("u65") else {}))
    mapped = map_network(load_network("resnet8"), design)
    assert isinstance(mapped, MappedNpu)
    ends = times(mapped.plan)
    assert ends == sorted(ends)
    assert run(program(mapped.plan)).cycles == ends[-1]
    estimate = sum(step.cost.cycles for step in mapped.plan.steps)
    assert math.isclose(ends[-1], estimate, rel_tol=0.2)
    assert times(mapped.plan, transfers=False)[-1] <= ends[-1]


def test_slower_memory_is_never_faster() -> None:
    network = load_network("ds_cnn")
    cycles = [
        map_network(network, EthosU(dram_rate=rate)).report("cycle").cycles
        for rate in (0.25, 0.125, 0.0625)
    ]
    assert cycles == sorted(cycles)


@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v1_025"])
def test_weights_come_only_while_sram_has_room_for_them(name: str) -> None:
    """The plan keeps room beside the step before, or none: no earlier step finds them in SRAM."""
    mapped = map_network(load_network(name), EthosU(dram_rate=0.0625))
    assert isinstance(mapped, MappedNpu)
    found = run(program(mapped.plan), trace=10**6)
    begins = [start for task, _, start, _ in found.events if task == "weights"]
    ends = times(mapped.plan)
    count = 0
    for index, step in enumerate(mapped.plan.steps):
        if not step.buffer.transfer.buffers:
            continue
        after = index - (2 if step.buffer.ahead_bytes else 1)
        assert begins[count] >= (ends[after] if after >= 0 else 0)
        count += len(step.buffer.slices) - 1
    assert count == len(begins)
