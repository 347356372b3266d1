from __future__ import annotations

import dataclasses
import math
import signal
from importlib.metadata import EntryPoint

import pytest

from dovetail.arch import presets
from dovetail.arch.spatial import OPERANDS, SpatialArray, Store
from dovetail.errors import AcceleratorError, FidelityError, MappingError, UnknownNameError
from dovetail.flow import Request, family_of, map_network, simulate
from dovetail.ir.tensor import FLOAT32, INT8, NumberFormat
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.nest import analyse

SMALL = SpatialArray(
    "small",
    (("x", 4), ("y", 2)),
    (
        Store("rf", OPERANDS, (), 16, 8, 0.1, 0.1, 32, 32),
        Store("glb", OPERANDS, ("x", "y"), 2048, 64, 5.0, 6.0, 64, 64, buffering="double"),
        Store("dram", OPERANDS, ("x", "y"), math.inf, 64, 100.0, 100.0, 16, None),
    ),
    unrolls=(("x", ("K", "P")), ("y", ("C", "K"))),
    sum_bits=16,
    mac_pj=0.5,
    vector_lanes=4,
)


def small_network(number=FLOAT32):
    """Convolutions, a depthwise one, a residual sum, a view, a linear layer and a softmax."""
    net = NetworkBuilder("small", number)
    x = net.input("x", (1, 3, 6, 6))
    y = net.activation(net.conv2d(x, 8, 3, padding=1, name="stem"), "relu")
    z = net.depthwise(y, 3, padding=1, name="depthwise")
    y = net.add(net.conv2d(z, 8, 1, name="point"), y)
    y = net.conv2d(y, 8, 1, name="again")
    return net.build([net.softmax(net.linear(net.flatten(y), 5, name="last"))])


@pytest.fixture(scope="module")
def mapped():
    return map_network(small_network(), SMALL)


def assert_lawful(network, report, array):
    """Physical laws of any report of a spatial array."""
    assert sorted(op.name for op in report.operators) == sorted(op.name for op in network.operators)
    assert report.macs == network.macs
    assert report.cycles == sum(op.cycles for op in report.operators)
    stores = {store.name for store in array.stores}
    for op in report.operators:
        assert 0 <= op.utilization <= 1
        assert all(count >= 0 for count in op.stall_cycles.values()), op
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert op.cycles * array.peak_macs_per_cycle >= op.macs
        if op.engine == "array":
            assert set(op.energy_pj) == {"mac", *stores}
            assert set(op.stall_cycles) == {"padding", "fill", "drain", "memory"}
        moved = sum(op.dram_bytes.values())
        assert op.cycles >= (moved - 8) / array.dram_bytes_per_cycle


def test_reports_obey_the_laws(mapped):
    report = mapped.report()
    assert_lawful(small_network(), report, SMALL)
    engines = {op.name: op.engine for op in report.operators}
    assert (engines["stem"], engines["softmax"], engines["flatten"]) == ("array", "vector", "none")
    relu = next(op for op in report.operators if op.kind == "relu")
    assert (relu.fused_into, relu.cycles) == ("stem", 0)
    assert report.accelerator["memories.glb.capacity_bytes"] == 2048
    assert report.dram_bytes_per_cycle == 2


def test_a_report_is_the_analysis_of_its_mappings(mapped):
    einsums = {op.name: op.einsum for op in mapped.network.operators if op.einsum}
    assert set(mapped.mappings) == set(einsums)
    for op in mapped.report().operators:
        if op.name not in einsums:
            continue
        cost = analyse(einsums[op.name], SMALL, mapped.mappings[op.name])
        assert op.cycles == math.ceil(cost.cycles)
        assert sum(op.energy_pj.values()) == pytest.approx(cost.energy_pj)
        moved = sum(e.read_bits + e.write_bits for e in cost.levels if e.store == "dram")
        assert sum(op.dram_bytes.values()) == pytest.approx(moved / 8, abs=3)
        assert op.mapping["nest"].startswith("dram[")


def test_equal_operators_are_mapped_once(monkeypatch):
    import dovetail.flows.spatial as flow

    asked = []
    inner = flow.find_mapping
    monkeypatch.setattr(flow, "find_mapping", lambda *a, **k: asked.append(a[0]) or inner(*a, **k))
    mapped = map_network(small_network(), SMALL, mapper="random")
    assert len(mapped.found) == 5
    assert len(asked) == 4  # the two 1 x 1 convolutions are one
    assert mapped.mappings["point"].nodes == mapped.mappings["again"].nodes


def test_each_objective_is_best_at_its_own():
    reports = {
        name: simulate(small_network(), SMALL, objective=name) for name in ("latency", "energy")
    }
    assert reports["latency"].cycles <= reports["energy"].cycles
    assert reports["energy"].energy_pj <= reports["latency"].energy_pj * (1 + 1e-9)


def test_more_bandwidth_is_never_slower_and_random_never_better(mapped):
    wide = SMALL.replace({"memories.dram.read_bits_per_cycle": 64})
    assert simulate(small_network(), wide).cycles <= mapped.report().cycles
    assert simulate(small_network(), SMALL, mapper="random").cycles >= mapped.report().cycles


def test_given_mappings_are_replayed(mapped):
    slow = simulate(small_network(), SMALL, mapper="random").cycles
    request = Request(mapper="random", mappings=mapped.mappings)
    replayed = map_network(small_network(), SMALL, request=request).report()
    assert replayed.cycles == mapped.report().cycles <= slow
    one = {"stem": mapped.mappings["stem"]}
    again = map_network(small_network(), SMALL, request=Request(mappings=one)).report()
    assert again.cycles == mapped.report().cycles


def test_a_mapping_that_does_not_belong_is_refused(mapped):
    with pytest.raises(UnknownNameError, match="unknown operator of a mapping 'stam'"):
        map_network(
            small_network(), SMALL, request=Request(mappings={"stam": mapped.mappings["stem"]})
        )
    with pytest.raises(MappingError, match="operator 'stem': "):
        map_network(
            small_network(), SMALL, request=Request(mappings={"stem": mapped.mappings["last"]})
        )
    with pytest.raises(MappingError, match="loop nests for spatial arrays"):
        map_network(
            small_network(), presets.load("edge"), request=Request(mappings=mapped.mappings)
        )


def test_two_processes_find_what_one_finds():
    one = map_network(small_network(), SMALL, request=Request(mapper="random", seed=3))
    two = map_network(small_network(), SMALL, request=Request(mapper="random", seed=3, workers=2))
    assert two.report() == one.report()


def test_operators_of_any_ranks_run():
    net = NetworkBuilder("ranks")
    x = net.input("x", (1, 2, 4, 4, 4))
    y = net.conv3d(x, 3, 3, padding=1)
    a = net.reshape(y, (1, 4, 6, 8))
    b = net.input("b", (1, 4, 8, 5))
    network = net.build([net.matmul(a, b)])
    array = dataclasses.replace(SMALL, unrolls=(("x", ("K", "O")), ("y", ("C", "G"))))
    report = simulate(network, array)
    assert_lawful(network, report, array)
    assert [op.engine for op in report.operators if op.macs] == ["array", "array"]


@pytest.mark.parametrize("preset", presets.names("spatial"))
def test_every_preset_runs(preset):
    network, array = small_network(INT8), presets.load(preset)
    report = simulate(network, array, mapper="random")
    assert_lawful(network, report, array)


def test_a_network_of_the_zoo_runs():
    network = NETWORKS["ds_cnn"]()
    assert_lawful(network, simulate(network, SMALL, mapper="random"), SMALL)


def test_vector_operators_stream_from_the_outermost_memory():
    net = NetworkBuilder("net")
    softmax = net.softmax(net.input("x", (1, 64)))
    (op,) = simulate(net.build([softmax]), SMALL).operators
    assert op.dram_bytes == {"input": 64, "weight": 0, "output": 64}
    assert op.cycles == max(128 // 2, -(-op.vector_ops // 4))
    assert op.energy_pj["dram"] == 2 * 8 * 100.0


def test_widths_that_do_not_fit_are_refused_with_the_remedy():
    with pytest.raises(MappingError, match=r"'stem' reads 'x' of 16 bit; .*set input_bits = 16"):
        simulate(small_network(NumberFormat("int", 16)), SMALL)
    wide = SMALL.replace({"input_bits": 16, "weight_bits": 16})
    assert simulate(small_network(NumberFormat("int", 16)), wide, mapper="random").cycles > 0


def test_what_is_wrong_is_said():
    network = small_network()
    with pytest.raises(FidelityError, match="'cycle': the spatial family supports estimate"):
        simulate(network, SMALL, fidelity="cycle")
    with pytest.raises(UnknownNameError, match="optimal"):
        simulate(network, SMALL, mapper="optimum")
    with pytest.raises(UnknownNameError, match="latency"):
        simulate(network, SMALL, objective="latnecy", mapper="random")
    with pytest.raises(AcceleratorError, match=r"'small' is illegal: .*outermost"):
        simulate(network, dataclasses.replace(SMALL, stores=SMALL.stores[:-1]))


class OtherFamily:
    """A family of another package: spatial arrays under another name."""

    name = "other"
    fidelities = ("estimate",)

    class Accelerator(SpatialArray):
        family = "other"

    accelerator = Accelerator

    def mappers(self):
        return ("random",)

    def map_network(self, network, accelerator, request):
        return map_network(network, SMALL, mapper="random")


def test_families_of_other_packages_are_found(monkeypatch, tmp_path):
    point = EntryPoint("other", f"{__name__}:OtherFamily", "dovetail.accelerators")
    found = lambda group, name="other": [point] if name == "other" else []  # noqa: E731
    monkeypatch.setattr("dovetail.flows.entry_points", found)
    monkeypatch.setattr("dovetail.arch.presets.entry_points", found)
    path = tmp_path / "chip.yaml"
    path.write_text(
        "family: other\nname: chip\narray: {x: 2}\nmemories: [{name: d, operands: [input]}]\n"
    )
    chip = presets.load(path)
    assert (chip.family, chip.name) == ("other", "chip")
    assert family_of(chip) is OtherFamily
    assert "other" in presets.families()


def test_a_broken_family_of_another_package_is_one_line(monkeypatch, tmp_path):
    point = EntryPoint("other", "no_such_module:Family", "dovetail.accelerators")
    monkeypatch.setattr("dovetail.arch.presets.entry_points", lambda group, name="other": [point])
    path = tmp_path / "chip.yaml"
    path.write_text("family: other\n")
    with pytest.raises(AcceleratorError, match="family 'other' from no_such_module:Family fails"):
        presets.load(path)


def test_an_interrupt_ends_the_search_and_is_one(monkeypatch):
    import dovetail.flows.spatial as flow

    inner = flow.find_mapping

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return inner(*arguments, **options)

    monkeypatch.setattr(flow, "find_mapping", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        map_network(small_network(), SMALL, mapper="random")
    assert signal.getsignal(signal.SIGINT) is before
