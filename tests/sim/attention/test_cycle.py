"""The simulated pipeline of attention: what it counts, what bounds it, and what slows it down."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.attention import BINDINGS, AttentionArray
from dovetail.errors import MappingError
from dovetail.mappers.attention.choose import choose
from dovetail.sim.attention.cycle import cascade_program, simulate_attention
from dovetail.sim.attention.estimate import attention_cost
from dovetail.sim.attention.work import AttentionWork, Resident
from dovetail.sim.tasks import run

FUSEMAX = presets.load("fusemax")
assert isinstance(FUSEMAX, AttentionArray)
CASCADES = ("fusemax", "architecture", "cascade")


def small(**values: object) -> AttentionArray:
    return FUSEMAX.replace({"dim": 16, "buffer_kib": 64, **values})


works = st.builds(
    AttentionWork,
    groups=st.integers(1, 4),
    queries=st.integers(1, 120),
    keys=st.integers(1, 120),
    query_width=st.sampled_from((8, 16, 32)),
    value_width=st.sampled_from((8, 16, 32)),
    score_ops=st.integers(0, 1),
    score_reads=st.integers(0, 1),
)
designs = st.builds(
    small,
    binding=st.sampled_from(BINDINGS),
    buffer_kib=st.sampled_from((8, 32, 512)),
    dram_gb_per_s=st.sampled_from((5.0, 50.0, 400.0)),
    rf_words=st.sampled_from((1, 12)),
    exp_unit=st.booleans(),
)


@settings(max_examples=60)
@given(designs, works)
def test_bounds(a: AttentionArray, work: AttentionWork) -> None:
    """No faster than any engine's work or memory's; work, traffic and energy as in closed form."""
    try:
        mapping = choose(a, work)
    except MappingError:
        return
    for cycle, closed in zip(
        simulate_attention(a, work, mapping), attention_cost(a, work, mapping), strict=True
    ):
        assert cycle.dram_bytes == closed.dram_bytes
        assert cycle.energy_pj == closed.energy_pj
        assert cycle.array_cycles == pytest.approx(closed.array_cycles, rel=1e-3)
        assert cycle.vector_cycles == pytest.approx(closed.vector_cycles, rel=1e-3)
        least = max(closed.array_cycles, closed.vector_cycles)
        assert cycle.cycles >= max(least, closed.traffic / a.dram_bytes_per_cycle) * (1 - 1e-9)
        # Even one after the other it takes no longer than all work, traffic and drains together.
        drains = 2 * a.dim * work.groups * -(-work.keys // a.dim) * -(-work.queries // a.dim)
        moved = closed.traffic / a.dram_bytes_per_cycle
        parts = closed.array_cycles + closed.vector_cycles + moved * 1.01 + drains
        assert cycle.cycles <= parts + 10


@pytest.mark.parametrize("kib", [12, 64])
@pytest.mark.parametrize(("queries", "query_tiles"), [(1, 1), (30, 2), (100, 7)])
@pytest.mark.parametrize("binding", CASCADES)
def test_every_tile_runs_once(binding: str, queries: int, query_tiles: int, kib: int) -> None:
    a = small(binding=binding, buffer_kib=kib)
    work = AttentionWork(6, queries, 150, 16, 16)
    mapping = choose(a, work)
    assert isinstance(mapping, Resident)
    program = cascade_program(a, work, mapping)
    found = run(program.program())
    key_tiles = 10
    assert program.rows == key_tiles
    assert program.blocks * program.width == 6 * query_tiles
    count = found.task_count
    assert count["scores"] == count["values"] == count["sums"] == 6 * query_tiles * key_tiles
    assert count["divide"] == count["store"] == 6 * query_tiles
    assert count["load"] == program.blocks * (1 + 2 * key_tiles * mapping.groups)


def test_interleaving_hides_the_drain_if_registers_hold_the_tiles() -> None:
    """Without registers for tiles in flight the array waits for its maxima, as +Architecture."""
    work = AttentionWork(256, 1024, 4096, 64, 64)
    cycles = {}
    for words in (1, 6, 12):
        a = FUSEMAX.replace({"rf_words": words})
        mapping = choose(a, work)
        assert isinstance(mapping, Resident)
        assert cascade_program(a, work, mapping).ahead == {1: 0, 6: 1, 12: 2}[words]
        (cost,) = simulate_attention(a, work, mapping)
        cycles[words] = cost.cycles
    (closed,) = attention_cost(FUSEMAX, work, choose(FUSEMAX, work))
    assert cycles[12] == pytest.approx(closed.cycles, rel=2e-3)
    assert cycles[6] > 1.3 * cycles[12]
    assert cycles[1] > 1.3 * cycles[6]
    stepwise = FUSEMAX.replace({"binding": "architecture"})
    (slow,) = attention_cost(stepwise, work, choose(stepwise, work))
    assert cycles[1] == pytest.approx(slow.cycles, rel=0.15)


@pytest.mark.parametrize("binding", BINDINGS)
def test_more_bandwidth_is_never_slower(binding: str) -> None:
    work = AttentionWork(2, 256, 512, 32, 32)
    last = float("inf")
    for bandwidth in (1.0, 10.0, 100.0, 1000.0, "unlimited"):
        a = small(binding=binding, dram_gb_per_s=bandwidth, buffer_kib=256)
        cycles = sum(one.cycles for one in simulate_attention(a, work, choose(a, work)))
        assert cycles <= last + 1
        last = cycles


def test_memory_bound_cascades_take_their_traffic_s_time() -> None:
    a = FUSEMAX.replace({"dram_gb_per_s": 2.0})
    work = AttentionWork(8, 2048, 2048, 64, 64)
    (cost,) = simulate_attention(a, work, choose(a, work))
    assert cost.cycles == pytest.approx(cost.traffic / a.dram_bytes_per_cycle, rel=0.02)
    assert cost.cycles - cost.pipeline_cycles > 0.5 * cost.cycles


def test_long_sequences_cost_their_transient() -> None:
    """XLM at 1M tokens, 1.7e10 tiles, with the simulator's tasks counted one by one."""
    work = AttentionWork(1024, 2**20, 2**20, 128, 128)
    (cost,) = simulate_attention(FUSEMAX, work, choose(FUSEMAX, work))
    (closed,) = attention_cost(FUSEMAX, work, choose(FUSEMAX, work))
    assert cost.cycles == pytest.approx(closed.cycles, rel=1e-7)
    assert cost.array_cycles == closed.array_cycles


def test_a_softmax_without_an_exponential_unit_takes_its_polynomials() -> None:
    work = AttentionWork(2, 512, 512, 64, 64)
    flat = presets.load("flat")
    assert isinstance(flat, AttentionArray)
    (unit,), (none,) = (
        attention_cost(a, work, choose(a, work)) for a in (flat, flat.replace({"exp_unit": False}))
    )
    assert unit.vector_cycles == 2 * 512 * 2 * 4
    assert none.vector_cycles == 2 * 512 * 2 * (1 + 7 + 1 + 1)


def test_few_resident_queries_expose_the_second_drain() -> None:
    """Sums of a query tile must have left the array before it meets the next keys."""
    work = AttentionWork(768, 16_384, 16_384, 64, 64)
    ratio = {}
    for kib, tiles, behind in ((192, 1, 0), (320, 2, 1), (512, 4, 2)):
        a = FUSEMAX.replace({"buffer_kib": kib})
        mapping = choose(a, work)
        assert mapping == Resident(tiles)
        assert cascade_program(a, work, mapping).behind == behind
        (cycle,), (closed,) = (of(a, work, mapping) for of in (simulate_attention, attention_cost))
        ratio[tiles] = cycle.cycles / closed.cycles
    assert ratio[1] > 2.5
    assert 1.3 < ratio[2] < 1.5
    assert ratio[4] == pytest.approx(1, abs=0.003)
