"""Layer fusion: laws of tiles against brute force, costs against accelforge, and the grouping."""

from __future__ import annotations

import csv
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import AcceleratorError, MappingError, UnknownNameError
from dovetail.ir.network import Network
from dovetail.mappers.fusion.cost import (
    Pricing,
    fits,
    priced,
    stage_of,
    unfused,
    weights_stay,
)
from dovetail.mappers.fusion.groups import _Candidate, _partition, fuse, runs
from dovetail.mappers.fusion.price import Price
from dovetail.mappers.fusion.report import fused_report
from dovetail.mappers.fusion.tiles import Run, Tiling, tiling, tilings
from dovetail.mappers.patches.receptive import COLUMNS, ROWS, field, fields, split
from dovetail.mappers.patches.token_view import tokens_as_images
from dovetail.mappers.schedule import schedule
from dovetail.networks.builder import NetworkBuilder

ALL = ("input", "weight", "output")


def array(kilobytes: float = 16, **changes: object) -> SpatialArray:
    """4 x 4 PEs under registers, a shared buffer, and a memory that is slow and dear."""
    registers = Store("rf", ALL, (), 64, 8, 0.1, 0.1, 64.0, 64.0)
    buffer = Store("sram", ALL, ("x", "y"), kilobytes * 1024, 64, 2.0, 2.0, 256.0, 256.0)
    memory = Store("dram", ALL, ("x", "y"), access_bits=64, read_pj=500.0, write_pj=500.0,
                   read_bits_per_cycle=32.0, write_bits_per_cycle=None)  # fmt: skip
    built = SpatialArray(
        "tiny", (("x", 4), ("y", 4)), (registers, buffer, memory),
        (("x", ("K", "G")), ("y", ("C", "P"))), sum_bits=16, mac_pj=0.2,
    )  # fmt: skip
    return replace(built, **changes)  # type: ignore[arg-type]


def residual(side: int = 16, stride: int = 1, padding: int = 1, batch: int = 1) -> Network:
    net = NetworkBuilder("residual")
    x = net.input("image", (batch, 3, side, side))
    x = net.activation(net.conv2d(x, 8, 3, stride=stride, padding=padding, name="a"), "relu")
    y = net.activation(net.conv2d(x, 16, 1, name="b"), "relu")
    y = net.depthwise(y, 3, padding=1, name="c")
    y = net.conv2d(y, 8, 1, name="d")
    x = net.add(x, y, name="sum")
    x = net.pool(x, "maxpool", 2, name="pool")
    return net.build([net.flatten(x, name="flat")])


def whole(network: Network, last: str) -> Run:
    placements = schedule(network).placements
    end = next(i for i, p in enumerate(placements, 1) if p.operator.name == last)
    return Run(network, tuple(placements[:end]))


shapes = st.builds(
    residual, st.integers(9, 20), st.integers(1, 2), st.integers(0, 1)
).map(lambda network: whole(network, "sum"))  # fmt: skip


@given(shapes, st.data())
def test_spans_are_receptive_fields(run: Run, data: st.DataObject) -> None:
    extent = run.extent(run.result, ROWS)
    parts = split(extent, data.draw(st.integers(1, extent)))
    spans = run.spans(ROWS, *np.array(parts).T)
    for i, part in enumerate(parts):
        for name, interval in fields(run.network, run.operators, ROWS, {run.result: part}).items():
            assert (spans[name][0][i], spans[name][1][i]) == interval


@given(shapes, st.data())
@settings(max_examples=30)
def test_recomputed_work_is_what_brute_force_counts(run: Run, data: st.DataObject) -> None:
    rows, columns = run.extent(run.result, ROWS), run.extent(run.result, COLUMNS)
    grid = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    macs, read = 0, 0
    for high in split(rows, grid[0]):
        for wide in split(columns, grid[1]):
            needs = {run.result: {(r, c) for r in range(*high) for c in range(*wide)}}
            for op in reversed(run.operators):
                pixels = needs[op.outputs[0]]
                image = run.network.tensor[op.outputs[0]].shape
                macs += op.macs // (image[2] * image[3]) * len(pixels)
                for name in (n for n in op.inputs if not run.network.tensor[n].is_parameter):
                    needs.setdefault(name, set()).update(
                        (r, c)
                        for pixel in pixels
                        for r in range(*field(run.network, op, ROWS, _one(pixel[0]))[name])
                        for c in range(*field(run.network, op, COLUMNS, _one(pixel[1]))[name])
                    )
            read += sum(len(needs[name]) * run.depth(name) for name in run.inputs)
    found = tiling(run, "recompute", grid)
    assert found.macs == macs
    assert found.read == read
    assert sum(tile.count for tile in found.tiles) == found.count == grid[0] * grid[1]


def _one(position: int) -> tuple[int, int]:
    return position, position + 1


@given(shapes, st.data())
@settings(max_examples=50)
def test_line_buffers_hold_what_strips_need(run: Run, data: st.DataObject) -> None:
    """A walk through the strips with sets of rows; nothing is computed twice or missing."""
    rows = run.extent(run.result, ROWS)
    parts = split(rows, data.draw(st.integers(1, rows)))
    found = tiling(run, "retain", (len(parts), 1))
    needs = [fields(run.network, run.operators, ROWS, {run.result: part}) for part in parts]
    done = {name: set() for name in needs[0]}
    total, most = dict.fromkeys(done, 0), dict.fromkeys(done, 0)
    for i, need in enumerate(needs):
        for name, interval in need.items():
            new = set(range(*interval)) - done[name]
            total[name] += len(new)
            done[name] |= new
            later = set().union(*(range(*one[name]) for one in needs[i:]))
            most[name] = max(most[name], len(done[name] & later))
    for name in done:
        assert found.computed[name] == total[name] * run.extent(name, COLUMNS)
        assert max(tile.held[name][0] for tile in found.tiles) >= most[name]
    assert found.macs <= sum(op.macs for op in run.operators)


@given(shapes)
@settings(max_examples=10)
def test_one_tile_is_the_whole(run: Run) -> None:
    lines, once = tiling(run, "retain", (1, 1)), tiling(run, "recompute", (1, 1))
    assert lines.macs == once.macs <= sum(op.macs for op in run.operators)
    assert lines.read >= once.read  # strips are as wide as the image
    # Line buffers all exist at once; tensors of a tile live as long as they are needed.
    assert lines.held >= once.held
    for one in tilings(run):
        assert one.held <= lines.held
        assert one.macs >= (once.macs if one.mode == "recompute" else 0)


def test_runs_have_one_result() -> None:
    network = residual()
    placements = schedule(network).placements
    names = {
        tuple(p.operator.name for p in run.placements)
        for _, run in runs(network, placements, len(placements))
    }
    assert ("a", "b", "c", "d", "sum", "pool") in names
    assert ("b", "c", "d") in names
    assert ("a", "b") not in names  # the addition needs a as well
    assert all("flat" not in run for run in names)


# ---- costs


@cache
def chain(n: int, m: int, kn: int) -> Network:
    """Matrix products one after the other."""
    net = NetworkBuilder("chain")
    x = net.input("T0", (m, kn))
    for i in range(n):
        x = net.linear(x, kn, bias=False, name=f"T{i + 1}")
    return net.build([x])


def accelforge_cases() -> list[tuple[str, int, int, int, float, float, float]]:
    path = Path(__file__).parents[2] / "golden" / "accelforge_matmuls.csv"
    lines = (line for line in path.read_text().splitlines() if not line.startswith("#"))
    traffic: dict[tuple[str, int, int, int, float, float], float] = defaultdict(float)
    for row in csv.DictReader(lines):
        key = (row["mapping"], *(int(row[name]) for name in ("n_einsums", "M", "KN")),
               float(row["energy_total"]), float(row["latency_total"]))  # fmt: skip
        traffic[key] += float(row["count"]) if row["component"] == "MainMemory" else 0
    return [(*key, bits) for key, bits in traffic.items()]


@pytest.mark.parametrize("case", [c for c in accelforge_cases() if c[2] == 64], ids=str)
def test_accelforge_chains(case: tuple[str, int, int, int, float, float, float]) -> None:
    name, n, m, kn, energy, cycles, traffic = case
    buffer, memory = (Store(s, ALL, ("x",), read_pj=1.0, write_pj=1.0) for s in ("glb", "main"))
    simple = SpatialArray("simple", (("x", 1),), (buffer, memory), sum_bits=8, mac_pj=1.0)
    pricing = Pricing(simple, "energy", "random")
    view = tokens_as_images(chain(n, m, kn))
    run = Run(view, schedule(view).placements)
    if name.startswith("unfused"):
        cost = sum((unfused(one, run.network, pricing) for one in run.placements), Price())
    else:
        cost = total(tiling(run, "retain", (m, 1)), pricing)
    assert cost.energy_pj == energy
    assert cost.cycles == cycles
    assert cost.traffic_bits == traffic


@pytest.fixture(scope="module")
def pricing() -> Pricing:
    return Pricing(array())


def total(one: Tiling, pricing: Pricing) -> Price:
    return sum(priced(one, pricing), Price())


def tilings_of(run: Run) -> list[Tiling]:
    return [tiling(run, "retain", (4, 1)), tiling(run, "recompute", (4, 2))]


def test_fused_traffic_counts_no_intermediate(pricing: Pricing) -> None:
    run = whole(residual(), "sum")
    for one in tilings_of(run):
        assert fits(one, pricing)
        assert weights_stay(one, pricing)
        cost = total(one, pricing)
        assert cost.read_bits == 8 * (one.read + run.weights)
        assert cost.written_bits == 8 * run.network.tensor[run.result].elements
        assert cost.macs == one.macs


def test_weights_that_do_not_fit_are_read_for_every_tile() -> None:
    run = whole(residual(), "sum")
    one = tiling(run, "recompute", (4, 2))
    small = Pricing(array((one.held + run.weights / 2) / 1024))
    assert fits(one, small)
    assert not weights_stay(one, small)
    assert total(one, small).read_bits >= 8 * (one.read + one.count * run.weights)


def test_cost_is_at_least_its_traffic_and_work(pricing: Pricing) -> None:
    for one in tilings_of(whole(residual(), "sum")):
        cost = total(one, pricing)
        assert cost.cycles >= cost.traffic_bits / 32
        assert cost.cycles >= one.macs / 16
        assert cost.energy_pj >= cost.traffic_bits / 64 * 500 + one.macs * 0.2


def test_images_of_a_batch_follow_one_another(pricing: Pricing) -> None:
    single, double = (whole(residual(batch=n), "sum") for n in (1, 2))
    for one, two in zip(tilings_of(single), tilings_of(double), strict=True):
        assert two.held == one.held
        assert (two.macs, two.read, two.count) == (2 * one.macs, 2 * one.read, 2 * one.count)
        first, both = total(one, pricing), total(two, pricing)
        weights = 8 * single.weights
        assert both.read_bits - weights == 2 * (first.read_bits - weights)
        assert both.compute_cycles == 2 * first.compute_cycles


def test_prices_say_where_they_come_from(pricing: Pricing) -> None:
    for one in tilings_of(whole(residual(), "sum")):
        for part in priced(one, pricing):
            assert sum(part.energy.values()) == pytest.approx(part.energy_pj)
            border = sum(part.moved.get(name, 0) for name in ALL)
            assert border == pytest.approx(part.traffic_bits)


def test_partial_sums_need_room() -> None:
    """Where no register holds outputs, sums wait in the stage, wider than what was planned."""
    run = whole(residual(), "sum")
    one = tiling(run, "retain", (1, 1))
    registers, *others = array((one.held + run.weights + 100) / 1024).stores
    stores = (replace(registers, operands=("input", "weight")), *others)
    pricing = Pricing(array(stores=stores, sum_bits=8))
    assert fits(one, pricing)
    assert total(one, pricing).macs == one.macs
    with pytest.raises(MappingError, match=r"partial sums of operator .* take smaller tiles"):
        priced(one, replace(pricing, accelerator=array(stores=stores, sum_bits=64)))


# ---- grouping


@pytest.mark.parametrize("objective", ["energy", "latency", "edp"])
def test_fusing_is_never_worse(objective: str) -> None:
    found = fuse(residual(), array(), objective)
    assert [p for g in found.groups for p in g.placements] == list(schedule(residual()).placements)
    for group in found.groups:
        alone = (
            group.unfused_cost.value(objective)
            if objective != "edp" or group.tiling is None
            else float("inf")
        )
        assert group.cost.value(objective) <= alone * (1 + 1e-12)
    if objective != "latency":
        assert found.cost.traffic_bits < found.unfused_cost.traffic_bits


@pytest.mark.parametrize("objective", ["energy", "latency"])
def test_the_best_of_all_groupings_and_tilings_is_found(objective: str) -> None:
    """Of a network so small that all of them can be priced; the search itself proves nothing."""
    net = NetworkBuilder("three")
    x = net.conv2d(net.input("image", (1, 4, 8, 8)), 8, 1)
    network = net.build([net.conv2d(net.depthwise(x, 3, padding=1), 4, 1)])
    pricing = Pricing(array(0.5), objective)
    placements = schedule(network).placements
    alone = [unfused(one, network, pricing) for one in placements]
    spans = {}
    for span, run in runs(network, placements, 3):
        prices = []
        for one in tilings(run):
            with suppress(MappingError):  # no room left for weights that come and go
                prices += [total(one, pricing)] if fits(one, pricing) else []
        spans[span] = _Candidate((), min(prices, key=lambda price: price.value(objective)))
    chosen = _partition(3, alone, spans, {}, objective)
    best = sum((spans[s].rough if s in spans else alone[s[0]] for s in chosen), Price())
    assert chosen == [(0, 3)]
    found = fuse(network, array(0.5), objective)
    assert found.cost.value(objective) == pytest.approx(best.value(objective))


def test_fused_operators_share_a_group() -> None:
    found = fuse(residual(), array())
    groups = [group for group in found.groups if group.tiling]
    assert groups
    for group in groups:
        assert len(group.intermediates) == len(group.placements) - 1
        assert group.cost.energy_pj < group.unfused_cost.energy_pj


def test_nothing_fuses_without_room() -> None:
    nowhere = [array(1 / 32)]
    buffer = array().stores[1]
    apart = (replace(buffer, operands=("input", "weight")),
             replace(buffer, name="sums", operands=("output",)))  # fmt: skip
    nowhere.append(array(stores=(array().stores[0], *apart, array().stores[2])))
    assert stage_of(nowhere[1]) is None
    net = NetworkBuilder("two")
    x = net.conv2d(net.input("image", (1, 4, 6, 6)), 4, 1)
    network = net.build([net.conv2d(x, 4, 1)])
    for accelerator in nowhere:
        found = fuse(network, accelerator)
        assert all(group.tiling is None for group in found.groups)
        assert found.cost == found.unfused_cost


def test_bad_questions_say_why() -> None:
    network = residual()
    with pytest.raises(UnknownNameError, match="objective 'speed'"):
        fuse(network, array(), "speed")
    with pytest.raises(UnknownNameError, match="mapper 'best'"):
        fuse(network, array(), mapper="best")
    with pytest.raises(AcceleratorError, match=r"'tiny' is illegal: .*input_bits"):
        fuse(network, array(input_bits=0))


def test_nothing_fuses_alone() -> None:
    found = fuse(residual(), array(), max_length=1)
    assert found.cost == found.unfused_cost
    with pytest.raises(MappingError, match="at most 0 operators"):
        fuse(residual(), array(), max_length=0)


@given(st.integers(1, 6), st.data())
def test_the_partition_is_the_best(count: int, data: st.DataObject) -> None:
    values = st.integers(0, 20)
    alone = [Price(energy_pj=data.draw(values)) for _ in range(count)]
    every = [(a, b) for a in range(count) for b in range(a + 2, count + 1)]
    spans = {span: _Candidate((), Price(energy_pj=data.draw(values))) for span in every
             if data.draw(st.booleans())}  # fmt: skip
    price = {(i, i + 1): one.energy_pj for i, one in enumerate(alone)}
    price |= {span: one.rough.energy_pj for span, one in spans.items()}
    chosen = _partition(count, alone, spans, {}, "energy")
    assert [a for a, _ in chosen] == [0, *(b for _, b in chosen)][:-1]
    assert chosen[-1][1] == count
    best = min(
        sum(price[span] for span in spans_of)
        for k in range(count)
        for ends in combinations(range(1, count), k)
        for spans_of in [list(zip((0, *ends), (*ends, count), strict=True))]
        if all(span in price for span in spans_of)
    )
    assert sum(price[span] for span in chosen) == best


def test_tokens_are_images_of_one_column() -> None:
    net = NetworkBuilder("tokens")
    x = net.input("x", (2, 6, 8))
    y = net.linear(net.activation(net.linear(x, 32, name="up"), "gelu"), 8, name="down")
    z = net.norm(net.add(x, y, name="sum"), "layernorm", name="norm")
    z = net.matmul(z, z, transpose_b=True, name="scores")
    network = net.build([z])
    view = tokens_as_images(network)
    assert [op.macs for op in view.operators] == [op.macs for op in network.operators]
    assert view.tensor["up"].shape == (1, 32, 12, 1)
    found = {tuple(p.operator.name for p in run.placements)
             for _, run in runs(view, schedule(view).placements, 8)}  # fmt: skip
    assert found == {("up", "down"), ("up", "down", "sum"), ("down", "sum")}
    fused = fuse(network, array())
    assert len(fused.groups[0].placements) == 3
    weights = 8 * (2 * 8 * 32)
    assert fused.groups[0].cost.traffic_bits == weights + 8 * 2 * (2 * 6 * 8)


def test_a_report_of_fused_groups() -> None:
    network, accelerator = residual(), array()
    fused = fuse(network, accelerator)
    report = fused_report(network, accelerator, fused)
    assert [op.name for op in report.operators] == [op.name for op in network.operators]
    assert report.macs == network.macs
    total_pj = sum(sum(op.energy_pj.values()) for op in report.operators)
    assert total_pj == pytest.approx(fused.cost.energy_pj)
    assert fused.cost.cycles <= report.cycles <= fused.cost.cycles + len(report.operators)
    moved = sum(sum(op.dram_bytes.values()) for op in report.operators)
    assert fused.cost.traffic_bits / 8 <= moved <= fused.cost.traffic_bits / 8 + 30
    for group in fused.groups:
        for placement in group.placements[1:-1]:
            (own,) = (op for op in report.operators if op.name == placement.operator.name)
            assert not own.dram_bytes["input"]
            assert not own.dram_bytes["output"]
            assert own.cycles == own.compute_cycles + sum(own.stall_cycles.values())
