"""Edge-MoE's cycle forms (specs of its HLS code), and the schedule that they are the sum of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import AcceleratorError
from dovetail.sim.fpga import edge_moe
from dovetail.sim.fpga.edge_moe import Transformer

M3VIT = Transformer()


def test_attention_of_m3vit():
    assert edge_moe.attention_cycles(129, 192, 4) == 102_168
    run = edge_moe.simulate_attention(129, 192, 4)
    assert run.cycles == 102_168
    assert run.key_reads == 33 * 129  # instead of 129 * 129
    assert run.query_reads == 129


@pytest.mark.parametrize("parallel", range(1, 17))
def test_two_blocks_per_cycle_suffice_for_any_parallelism(parallel):
    run = edge_moe.simulate_attention(129, 192, parallel)
    assert run.reads.max() == 2
    assert run.reads.min() >= 1
    assert run.finished.max() == 1  # one result is written at a time, too
    assert (run.met == 1).all()
    assert run.cycles == edge_moe.attention_cycles(129, 192, parallel)


@pytest.mark.parametrize("parallel", [2, 4, 16])
def test_without_skew_a_cycle_reads_a_block_of_every_query(parallel):
    run = edge_moe.simulate_attention(129, 192, parallel, skewed=False)
    assert run.reads.max() == parallel + 1
    assert (run.met == 1).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))))
def test_the_closed_form_is_the_schedule_whatever_the_shape(shape):
    tokens, parallel = shape
    run = edge_moe.simulate_attention(tokens, 20, parallel)
    assert run.cycles == edge_moe.attention_cycles(tokens, 20, parallel)
    assert run.key_reads == edge_moe.key_rows(tokens, parallel)
    assert run.query_reads == tokens
    assert (run.met == 1).all()
    assert run.reads.max() == 2
    assert run.finished.max() == 1


def test_the_matrix_unit():
    assert edge_moe.linear_cycles(129, 192, 192) == 18_576
    mlp = edge_moe.linear_cycles(129, 192, 768) + edge_moe.linear_cycles(129, 768, 192)
    experts = edge_moe.linear_cycles(258, 192, 384) + edge_moe.linear_cycles(258, 384, 192)
    assert mlp == experts == 148_608
    assert edge_moe.load_cycles(192, 192) == 2_304
    assert edge_moe.load_cycles(192, 768) == edge_moe.load_cycles(768, 192) == 9_216
    assert edge_moe.load_cycles(192, 384) == edge_moe.load_cycles(384, 192) == 4_608
    assert 16 * 2 * edge_moe.load_cycles(192, 384) == 147_456


def test_an_image_takes_at_least():
    parts = edge_moe.compute_cycles(M3VIT)
    assert sum(parts.values()) == 5_126_976
    assert parts["experts"] == 6 * 148_608
    assert edge_moe.macs(M3VIT) == pytest.approx(761.5e6, rel=1e-4)


def test_expert_queues():
    one = [258, *[0] * 15]
    assert edge_moe.moe_cycles(M3VIT, one) == 4_608 + 148_608  # all but the first load is hidden
    # 16 tokens work as long as their weights load (16 * 288 = 4,608); 18 tokens a little longer.
    even = [16] * 15 + [18]
    assert edge_moe.moe_cycles(M3VIT, even) == 4_608 + 15 * 2 * 4_608 + 2 * 18 * 288
    with pytest.raises(AcceleratorError, match="must be 16 queues of 258"):
        edge_moe.moe_cycles(M3VIT, [258])


@given(st.lists(st.integers(0, 15), min_size=258, max_size=258))
def test_queues_take_at_least_work_and_loads(tokens):
    queues = [tokens.count(expert) for expert in range(16)]
    cycles = edge_moe.moe_cycles(M3VIT, queues)
    used = sum(length > 0 for length in queues)
    assert cycles >= max(148_608, used * 2 * 4_608)
    assert cycles <= 148_608 + used * 2 * 4_608


def test_more_parallel_queries_than_tokens_are_refused():
    with pytest.raises(AcceleratorError, match="within 1 to 8"):
        edge_moe.simulate_attention(9, 8, 9)
