"""Sections: the optimum against all partitions, limits, and estimate against simulation."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dovetail.arch.rdu import Rdu
from dovetail.errors import DovetailError, MappingError
from dovetail.mappers.rdu.lowering import lower
from dovetail.mappers.rdu.partition import MAPPERS, cut, exact, fused, partition
from dovetail.mappers.rdu.program import program
from dovetail.mappers.rdu.sections import Sectioner
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.tasks import run

SMALL = Rdu(
    tile_rows=1, tile_columns=1, rows=4, columns=5, pmu_kib=64, hardware_us=0.05, program_us=0.1
)


def branches():
    """Two branches in an order that one cut cannot follow."""
    net = NetworkBuilder("branches")
    x = net.input("x", (1, 64, 96))
    left = net.activation(net.linear(x, 256, bias=False, name="a1"), "relu", name="a2")
    right = net.activation(net.linear(x, 64, bias=False, name="b1"), "gelu", name="b2")
    left = net.linear(left, 64, bias=False, name="a3")
    return net.build([net.add(left, right, name="sum")])


def legal_partitions(count, needs):
    """All partitions into sections whose order has no cycle, as lists of sets."""
    for labels in itertools.product(range(count), repeat=count):
        if labels[0] or any(label > max(labels[:i]) + 1 for i, label in enumerate(labels) if i):
            continue
        groups = max(labels) + 1
        after = {(labels[p], labels[c]) for c, ps in enumerate(needs) for p in ps}
        after = {pair for pair in after if pair[0] != pair[1]}
        left = set(range(groups))
        while left:
            free = {g for g in left if not any(a in left and b == g for a, b in after)}
            if not free:
                break
            left -= free
        if not left:
            yield [tuple(i for i in range(count) if labels[i] == g) for g in range(groups)]


def test_exact_is_the_best_of_all_partitions():
    pipeline = lower(branches(), SMALL)
    finder = Sectioner(pipeline)
    needs = [
        [i - read.producer for read in stage.reads if read.producer]
        for i, stage in enumerate(pipeline.stages)
    ]
    costs = []
    for groups in legal_partitions(len(needs), needs):
        found = [finder.best(group) for group in groups]
        if all(section is not None for section in found):
            costs.append(sum(section.cycles for section in found))
    assert len(costs) > 50
    assert sum(section.cycles for section in exact(finder)) == min(costs)
    members = sorted(m for section in exact(finder) for m in section.outline.members)
    assert members == list(range(len(needs)))


@pytest.mark.parametrize("network", [branches(), NETWORKS["resnet8"]()])
def test_fused_is_the_best_of_all_cuts(network):
    pipeline = lower(network, SMALL.replace({"rows": 8}))
    finder = Sectioner(pipeline)
    count = min(len(pipeline.stages), 10)
    known = {
        (i, j): finder.best(range(i, j)) for i in range(count) for j in range(i + 1, count + 1)
    }
    if count < len(pipeline.stages):
        pipeline = type(pipeline)(pipeline.stages[:count], pipeline.operators[:count], pipeline.rdu)
        finder = Sectioner(pipeline)
        known = {key: finder.best(range(*key)) for key in known}
    costs = []
    for size in range(count):
        for inner in itertools.combinations(range(1, count), size):
            found = [known[pair] for pair in pairwise((0, *inner, count))]
            if all(section is not None for section in found):
                costs.append(sum(section.cycles for section in found))
    assert sum(section.cycles for section in fused(finder, window=count)) == min(costs)


def test_mappers_are_ordered_and_places_never_slow_a_section():
    pipeline = lower(NETWORKS["resnet8"](), Rdu())
    totals = {name: sum(s.cycles for s in partition(pipeline, name)) for name in MAPPERS}
    assert totals["exact"] <= totals["fused"] <= totals["greedy"] <= totals["unfused"]
    finder = Sectioner(pipeline)
    for section in partition(pipeline, "fused"):
        assert section.cycles <= finder.best(section.outline.members).cycles


@pytest.mark.parametrize("rdu", [Rdu(), Rdu(sockets=8), Rdu(pmu_kib=64)])
def test_sections_keep_within_units_and_scratchpads(rdu):
    network = NETWORKS["llama2_7b_prefill"](sequence=512, layers=2)
    for section in partition(lower(network, rdu), "greedy"):
        units = section.costs.units[:, section.column]
        pmus = section.costs.pmus[:, section.column]
        assert units.sum() <= rdu.units
        assert pmus.sum() <= rdu.units
        assert (units[section.outline.computing] >= 1).all()
        kept = np.where(section.costs.resident[:, section.column], section.outline.kept, 0)
        assert kept.sum() <= rdu.units * rdu.pmu_bytes


CASES = [
    ("llama2_7b_prefill", {"sequence": 512, "layers": 2}, Rdu()),
    ("llama2_7b_prefill", {"sequence": 512, "layers": 2}, Rdu(sockets=8)),
    ("llama2_7b_decode", {"context": 511, "layers": 2}, Rdu(sockets=8)),
    ("llama2_7b_decode", {"batch": 16, "context": 511, "layers": 2}, Rdu()),
    ("resnet18", {}, Rdu()),
    ("vit_b16", {}, Rdu()),
    ("resnet8", {"batch": 64}, SMALL),
]


@pytest.mark.parametrize(("name", "arguments", "rdu"), CASES)
@pytest.mark.parametrize("mapper", ["greedy", "unfused"])
def test_estimate_is_close_to_simulation(name, arguments, rdu, mapper):
    sections = partition(lower(NETWORKS[name](**arguments), rdu), mapper)
    times = [run(program(section)).cycles + rdu.launch_cycles for section in sections]
    estimate = sum(section.cycles for section in sections)
    assert estimate == pytest.approx(sum(times), rel=0.05 if mapper == "greedy" else 0.01)


def test_several_exchanges_in_a_section_take_turns_that_the_estimate_does_not_see():
    rdu = Rdu(sockets=4)  # 12 heads on 4 sockets, and features that need gathering
    sections = partition(lower(NETWORKS["vit_b16"](), rdu), "greedy")
    times = [run(program(section)).cycles + rdu.launch_cycles for section in sections]
    assert sum(section.cycles for section in sections) == pytest.approx(sum(times), rel=0.08)


def test_simulation_is_no_faster_than_any_engine_and_no_slower_than_one_by_one():
    for section in partition(lower(NETWORKS["resnet18"](), Rdu()), "greedy"):
        times = run(program(section))
        costs, at = section.costs, section.column
        assert times.cycles >= max(times.busy.values())
        assert times.cycles <= sum(times.busy.values())
        for position in range(len(section.outline.members)):
            if section.outline.computing[position]:
                busy = times.task_busy[f"stage {position}"]
                assert busy == pytest.approx(section.tiles * costs.compute[position, at], rel=0.01)
        moved = section.outline.streamed.sum() + section.outline.stored.sum()
        moved += section.outline.kept.sum()
        least = moved / Rdu().hbm_bytes_per_cycle
        assert times.busy["hbm"] >= 0.999 * least


def test_many_tiles_are_leapt_over():
    net = NetworkBuilder("long")
    x = net.linear(net.input("x", (1, 2**20, 64)), 64, bias=False, name="one")
    network = net.build([net.activation(x, "gelu", name="two")])
    finder = Sectioner(lower(network, Rdu()))
    section = finder.best((0, 1))
    long = replace(section, column=14)
    assert long.tiles == 2**14
    start = time.process_time()
    cycles = run(program(long)).cycles + Rdu().launch_cycles
    assert time.process_time() - start < 0.5
    assert cycles == pytest.approx(long.cycles, rel=0.01)
    assert cycles > section.cycles


def test_more_of_anything_is_never_slower():
    network = branches()

    def cycles(**changes):
        design = Rdu(sockets=2).replace(changes)
        return sum(s.cycles for s in partition(lower(network, design), "exact"))

    base = cycles()
    for more in ({"hbm_gb_per_s": 3600}, {"socket_gb_per_s": 800}, {"program_us": 0}):
        assert cycles(**more) <= base
    assert cycles(orchestration="software") > base


def test_what_does_not_fit_is_said_in_one_line():
    pipeline = lower(branches(), SMALL.replace({"pmu_kib": 1, "rows": 1, "columns": 1}))
    for mapper in MAPPERS:
        with pytest.raises(MappingError, match=r"operator 'a1' alone does not fit"):
            partition(pipeline, mapper)
    with pytest.raises(DovetailError, match="unknown mapper 'best'"):
        partition(pipeline, "best")
    large = lower(NETWORKS["nasnet_a"](), Rdu())
    with pytest.raises(MappingError, match="use 'fused'"):
        partition(large, "exact")
    assert cut(Sectioner(pipeline), (0, 1, len(pipeline.stages))) is None
