"""Foldings against FINN's algorithm tried value by value, and against their budgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.fpga import FpgaDataflow
from dovetail.errors import MappingError
from dovetail.mappers.fpga.folding import cheapest, fit, fold, set_folding
from dovetail.mappers.fpga.lowering import lower
from dovetail.networks.registry import load_network
from dovetail.sim.fpga.pipeline import RESOURCES, Node, Pipeline
from dovetail.sim.fpga.resources import Numbers

ZCU102 = FpgaDataflow(input_bits=4, weight_bits=4, multipliers="lut")
FREE = dict.fromkeys(RESOURCES, 1e12)


def divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


def literal(node, bits, target, limit):
    """SetFolding on one node, value by value, as its documentation says."""
    pe = simd = 1
    if node.kind == "matrix":
        for value in divisors(node.fan_in):
            before, simd = simd, value
            if node.cycles(1, simd) < target:
                break
            if bits * simd > limit:
                simd = before
                break
        for pe in divisors(node.outputs):
            if node.cycles(pe, simd) < target:
                break
        return pe, simd
    for pe in divisors(node.outputs):
        if node.cycles(pe, 1) < target:
            break
    if pe == node.outputs and node.cycles(pe, 1) > target:
        for simd in divisors(node.fan_in):
            if node.cycles(pe, simd) < target:
                break
    return pe, simd


NODES = st.builds(
    Node,
    st.just("n"),
    st.just("n"),
    st.sampled_from(["matrix", "vector"]),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 30),
)


@settings(max_examples=150, deadline=None)
@given(NODES, st.integers(1, 40), st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_many_targets_fold_as_one_at_a_time(node, bits, targets):
    pipeline = Pipeline("p", (node,), Numbers(bits, 8, 8))
    pe, simd = set_folding(pipeline, np.array(targets), 36, relax=False)
    found = list(zip(pe[:, 0].tolist(), simd[:, 0].tolist(), strict=True))
    assert found == [literal(node, bits, target, 36) for target in targets]


def test_by_hand():
    node = Node("n", "n", "matrix", 64, 576, 100)
    pipeline = Pipeline("p", (node,), Numbers(4, 4, 4))
    # 9 inputs of 4 bits are 36 wide; 64 * 64 * 100 cycles, then 8 outputs come below 60,000.
    pe, simd = set_folding(pipeline, np.array([60_000]))
    assert (pe.item(), simd.item()) == (8, 9)
    assert pipeline.costs(pe, simd).interval.item() == 51_200


def test_the_second_pass_balances_what_the_slowest_node_cannot_reach():
    slow = Node("slow", "slow", "matrix", 1, 1, 1000)
    other = Node("other", "other", "matrix", 64, 1, 100)
    pipeline = Pipeline("p", (slow, other), Numbers(8, 8, 8))
    eager, _ = set_folding(pipeline, np.array([200]), relax=False)
    balanced, _ = set_folding(pipeline, np.array([200]))
    assert eager.tolist() == [[1, 64]]
    assert balanced.tolist() == [[1, 8]]  # 800 < 1000


@pytest.fixture(scope="module")
def resnet8():
    return lower(load_network("resnet8"), ZCU102).pipeline


def test_the_slowest_node_sets_the_interval(resnet8):
    found = fit(resnet8, ZCU102.budget)
    costs = found.costs
    assert costs.interval.item() == costs.cycles.max() == 16_384
    assert costs.cycles.shape == (1, len(resnet8.nodes))
    for name, each in costs.used.items():
        assert costs.totals[name].item() == each.sum() <= ZCU102.budget[name]


def test_a_smaller_budget_is_never_faster(resnet8):
    intervals = []
    for share in (0.05, 0.1, 0.3, 1.0):
        budget = FpgaDataflow(share=share, multipliers="lut").budget
        try:
            intervals.append(fit(resnet8, budget, 4096).costs.interval.item())
        except MappingError:
            intervals.append(10**12)
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[0] > intervals[-1]


@pytest.mark.parametrize("stream_bits", [36, 4096])
def test_the_fit_is_never_slower_than_finns_folding_for_any_target(resnet8, stream_bits):
    best = fit(resnet8, ZCU102.budget, stream_bits).costs.interval.item()
    targets = np.unique(np.geomspace(100, 10**7, 300).astype(np.int64))
    pe, simd = set_folding(resnet8, targets, stream_bits, relax=False)
    costs = resnet8.costs(pe, simd)
    assert best <= costs.interval[costs.excess(ZCU102.budget) <= 0].min()


SMALL = (
    Node("wide", "wide", "matrix", 12, 18, 40),
    Node("wise", "wise", "vector", 8, 9, 30),
    Node("last", "last", "matrix", 6, 12, 20),
)


def every(pipeline):
    """All lawful foldings of a small pipeline."""
    axes = [
        v for pair in zip(pipeline.pe_choices, pipeline.simd_choices, strict=True) for v in pair
    ]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)
    pe, simd = grid[:, 0::2], grid[:, 1::2]
    lawful = pipeline.whole_channels(pe, simd) == 0
    return pe[lawful], simd[lawful]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["lut", "dsp"]), st.integers(20, 400), st.sampled_from([2, 8]))
def test_where_one_resource_is_short_the_fit_is_the_best_of_all_foldings(name, tenths, bits):
    numbers = Numbers(bits, bits, bits, multipliers=name)
    pipeline = Pipeline("p", SMALL, numbers)
    costs = pipeline.costs(*every(pipeline))
    # From a little more than the least that any folding takes.
    budget = {**FREE, name: (costs.totals[name].min() + 1) * tenths / 10}
    lawful = costs.excess(budget) <= 0
    if not lawful.any():
        return
    assert fit(pipeline, budget, 4096).costs.interval.item() == costs.interval[lawful].min()


def test_cheapest_is_what_trying_all_finds():
    pipeline = Pipeline("p", SMALL, Numbers(4, 4, 4, multipliers="dsp"))
    prices = {"lut": 1.0, "dsp": 50.0, "bram18": 300.0, "uram": 0.0}
    targets = np.array([1, 50, 333, 1000, 2500, 10**6])
    pe, simd = cheapest(pipeline, targets, prices, 36)
    for position, node in enumerate(SMALL):
        use = pipeline.use_grid(position)
        price = sum(prices[name] * use[name] for name in prices)
        for row, target in enumerate(targets):
            legal = {
                (p, s): (int(node.cycles(p, s)), price[i, j])
                for i, p in enumerate(pipeline.pe_choices[position].tolist())
                for j, s in enumerate(pipeline.simd_choices[position].tolist())
                if s == 1 or (p == node.outputs if node.kind == "vector" else 4 * s <= 36)
            }
            chosen = legal[int(pe[row, position]), int(simd[row, position])]
            meets = [cost for taken, cost in legal.values() if taken <= target]
            if meets:
                assert chosen[0] <= target
                assert chosen[1] == min(meets)
            else:
                assert chosen[0] == min(taken for taken, _ in legal.values())


def test_followers_keep_up_with_the_slowest_compute_node(resnet8):
    rng = np.random.default_rng(0)
    pe = np.stack([rng.choice(values, 200) for values in resnet8.pe_choices], axis=1)
    simd = np.stack([rng.choice(values, 200) for values in resnet8.simd_choices], axis=1)
    costs = resnet8.costs(pe, simd)
    compute = costs.cycles[:, resnet8.compute].max(axis=1)
    for i, node in enumerate(resnet8.nodes):
        late = costs.cycles[:, i] > compute
        if node.kind in ("window", "pool", "stream"):
            assert (costs.pe[late, i] == node.outputs).all()
            assert (node.outputs % costs.pe[:, i] == 0).all()


def test_many_foldings_cost_what_each_alone_does(resnet8):
    rng = np.random.default_rng(1)
    pe = np.stack([rng.choice(values, 20) for values in resnet8.pe_choices], axis=1)
    simd = np.stack([rng.choice(values, 20) for values in resnet8.simd_choices], axis=1)
    together = resnet8.costs(pe, simd)
    for row in range(20):
        alone = resnet8.costs(pe[row : row + 1], simd[row : row + 1])
        np.testing.assert_array_equal(alone.cycles[0], together.cycles[row])
        for name in RESOURCES:
            assert alone.totals[name].item() == together.totals[name][row]


def test_depthwise_windows_feed_their_reader():
    pipeline = lower(load_network("ds_cnn"), ZCU102).pipeline
    place = {node.name: i for i, node in enumerate(pipeline.nodes)}
    costs = fit(pipeline, FREE, 4096).costs
    fed = [node for node in pipeline.nodes if node.reader]
    assert len(fed) == 4
    for node in fed:
        assert costs.pe[0, place[node.name]] == costs.pe[0, place[node.reader]]
    assert pipeline.whole_channels(np.ones((1, 10), int), np.full((1, 10), 3)).item() == 4


def test_wanted_intervals():
    design = ZCU102.replace({"interval_cycles": 100_000})
    pipeline = lower(load_network("resnet8"), design).pipeline
    for mapper in ("fit", "set_folding"):
        found = fold(pipeline, design, mapper)
        assert 50_000 < found.costs.interval.item() <= 100_000
    tiny = design.replace({"board": "ultra96", "share": 0.05})
    with pytest.raises(MappingError, match=r"needs .* the budget has .*larger board"):
        fold(pipeline, tiny)
    with pytest.raises(MappingError, match=r"needs .* the budget has"):
        fold(pipeline, tiny.replace({"interval_cycles": "least"}))
