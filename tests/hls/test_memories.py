"""Kernels with memories: how long they take, and what a slow or a broken memory does to them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from dovetail.hls import KERNELS, build
from dovetail.sim.fpga.edge_moe import attention_cycles, linear_cycles, load_cycles
from dovetail.verify.hls_attention import Sequence, meetings, read_sizes
from dovetail.verify.hls_cases import CHECKS
from dovetail.verify.hls_judge import judge
from dovetail.verify.hls_linear_layer import TOKENS, Layer, layers
from dovetail.verify.hls_run import simulate
from tests.rtl.icarus import require_icarus

SMALL = {
    "attention_scores": {"parallel": 3, "block": 6, "acc": 18, "row": 6, "words": 60},
    "attention_values": {"parallel": 3, "block": 6, "acc": 18, "row": 6, "words": 60},
    "deformable": {"width": 6, "height": 7, "range": 3},
    "linear_layer": {"inputs": 4, "outputs": 3, "row": 5, "tiles": 15, "acc": 20},
}


def test_every_kernel_with_memories_is_tried():
    assert set(SMALL) == {name for name, kernel in KERNELS.items() if kernel.rams}


@pytest.mark.parametrize(("outputs", "cycles"), [(192, 18_576), (768, 74_304)])
def test_linear_layers_take_the_cycles_of_the_simulator(outputs, cycles):
    """What each word of `linear_layer` takes, by which its Verilog is judged."""
    check = CHECKS["linear_layer"]
    values = KERNELS["linear_layer"].values({"tiles": 12 * outputs // 16})
    layer = layers(values, np.random.default_rng(0), 1000)[0]
    assert layer == Layer(TOKENS, 12, outputs)
    table = check.vectors(values, np.random.default_rng(0), 1000)
    taken, given = check.turns(values, table)
    beats = load_cycles(192, outputs)
    assert table[1 : 1 + beats, -1].tolist() == [1] * beats
    assert taken[1 + beats] == 1 + beats
    after = 1 + beats + TOKENS * 12
    assert table[after, -1] == 2
    assert taken[after] - taken[1 + beats] == linear_cycles(TOKENS, 192, outputs) == cycles
    assert given[TOKENS * outputs // 16 - 1] == taken[after] - 1


@pytest.mark.parametrize("kernel", ["attention_scores", "attention_values"])
@pytest.mark.parametrize("parallel", [1, 2, 3, 4, 8, 16])
def test_attention_takes_the_cycles_of_the_simulator(kernel, parallel):
    check = CHECKS[kernel]
    values = KERNELS[kernel].values({"parallel": parallel})
    table = check.vectors(values, np.random.default_rng(0), 1000)
    taken, given = check.turns(values, table)
    _, size = next(read_sizes(values, table))
    assert size == Sequence(TOKENS, 24, 8)
    begin = 1 + TOKENS * 24
    after = np.flatnonzero(table[:, -1] == 2)[1]
    cycles = taken[after] - taken[begin]
    assert cycles == attention_cycles(TOKENS, 192, parallel)
    assert parallel != 4 or cycles == 102_168
    assert taken[after] - 1 in given  # the last cycle gives a result


@pytest.mark.parametrize(("tokens", "parallel"), [(129, 4), (10, 3), (2, 5), (1, 1)])
def test_every_query_meets_every_key_and_one_query_comes_at_a_time(tokens, parallel):
    met = [(q, key) for key, slots in meetings(tokens, parallel) for q in slots.values()]
    assert sorted(met) == [(q, key) for q in range(tokens) for key in range(tokens)]
    newest = [max(slots.values()) for _, slots in meetings(tokens, parallel)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(newest))


@pytest.mark.parametrize("kernel", SMALL)
def test_a_memory_that_stalls_changes_no_value_and_is_too_late(kernel):
    made, arguments = _case(kernel)
    quick = "assign rd_req_ready = !rd_valid || rd_ready;"
    noise = "(!rd_valid || rd_ready) && noise[0];\n  reg [6:0] noise = 7'd1;\n"
    noise += "  always @ (posedge clk) noise <= {noise[5:0], noise[6] ^ noise[5]};"
    faults = _judged(made, arguments, quick, f"assign rd_req_ready = {noise}")
    assert faults
    assert all("edge" in fault or fault.startswith(("latencies", "intervals")) for fault in faults)


@pytest.mark.parametrize("kernel", SMALL)
def test_a_memory_that_loses_a_write_is_found(kernel):
    made, arguments = _case(kernel)
    faults = _judged(made, arguments, "if (wr_valid &&", "if (wr_valid && address != 1 &&")
    assert any("results differ" in fault for fault in faults)


def _case(kernel):
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    require_icarus()
    made = build(kernel, SMALL[kernel])
    check = CHECKS[kernel]
    scalars = check.vectors(made.parameters, np.random.default_rng(0), 200)
    turns = check.turns(made.parameters, scalars) if check.turns else None
    triggers, words = check.reference(made.parameters, scalars)
    return made, (check.words(made.parameters, scalars), triggers, words, turns)


def _judged(made, arguments, old, new):
    vectors, triggers, words, turns = arguments
    other = made.verilog.replace(old, new)
    assert other != made.verilog
    seen = simulate(replace(made, verilog=other), [[word] for word in vectors], seed=0)
    return judge(made, triggers, words, seen, turns)
