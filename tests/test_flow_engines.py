"""The FPGA engine family through the flow: reports, fidelities, bounds, search and refusals."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.knobs import DesignSpace
from dovetail.envs import make_problem
from dovetail.envs.codesign import CoDesignProblem
from dovetail.errors import AcceleratorError, DovetailError, FidelityError, UnknownNameError
from dovetail.flow import Request, map_network, simulate
from dovetail.flows.engines import FAMILY
from dovetail.networks.elastic import ElasticFamily
from dovetail.networks.registry import load_network
from dovetail.networks.zoo.moe import m3vit
from tests.envs.test_codesign import StubOracle

EDGE = presets.load("edge_moe_zcu102")
CASES = [
    ("m3vit", "edge_moe_zcu102"),
    ("m3vit", "engines_ultra96"),
    ("vit_b16", "engines_vcu1525"),
    ("gpt2_prefill", "engines_u280"),
    ("gpt2_decode", "engines_u280"),
    ("autoencoder", "engines_ultra96"),
]


@pytest.fixture(scope="module", params=CASES, ids=" on ".join)
def mapped(request):
    network, design = request.param
    return map_network(load_network(network), presets.load(design))


@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
def test_the_report_has_the_common_form(mapped, fidelity):
    report = mapped.report(fidelity)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()
    assert report.macs == mapped.network.macs
    assert [op.name for op in report.operators] == [op.name for op in mapped.network.operators]
    for op in report.operators:
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert all(count >= 0 for count in op.stall_cycles.values())
        assert 0 <= op.utilization <= 1
        assert (op.cycles == 0) == (op.engine == "none" or op.fused_into != "")
    assert report.total["energy_pj"] == 0
    moved = sum(report.total["dram_bytes"].values())
    assert report.cycles >= moved / mapped.accelerator.dram_bytes_per_cycle
    assert report.cycles >= report.macs / report.peak_macs_per_cycle


def test_estimate_equals_cycle(mapped):
    # Designs whose engines are their slowest stages; `tests/sim/fpga/test_steps.py` has others.
    estimate, cycle = mapped.report(), mapped.report("cycle")
    assert estimate.cycles == cycle.cycles
    for one, other in zip(estimate.operators, cycle.operators, strict=True):
        assert one.cycles == other.cycles
        assert one.stall_cycles == other.stall_cycles


def test_slow_memory_keeps_both_close():
    network = load_network("m3vit")
    for bandwidth in (8, 2, 0.5):
        mapped = map_network(network, EDGE.replace({"dram_gb_per_s": bandwidth}))
        estimate, cycle = mapped.report().cycles, mapped.report("cycle").cycles
        assert cycle <= estimate <= 1.001 * cycle


def test_more_bandwidth_and_more_parallelism_are_never_slower():
    network = load_network("m3vit")

    def cycles(**change):
        return simulate(network, EDGE.replace(change)).cycles

    for name, values in (
        ("dram_gb_per_s", (1, 4, 16, 64)),
        ("queries", (1, 2, 4, 8, 16)),
        ("linear_inputs", (8, 16, 32)),
        ("linear_outputs", (8, 16, 32)),
        ("norm_lanes", (1, 2, 4, 8)),
        ("gelu_lanes", (1, 2, 4)),
    ):
        found = [cycles(**{name: value}) for value in values]
        assert found == sorted(found, reverse=True), name


KNOBS = {
    **EDGE.default_knobs(),
    "dram_gb_per_s": (0.3, 3, 17, 100),
    "axi_bits": (128, 256, 512),
    "activation_bits": (16, 32),
    "share": (1.0,),
}


@settings(max_examples=12, deadline=None)
@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in KNOBS.items()}))
def test_laws_hold_for_any_design(change):
    network, design = m3vit(rows=32, columns=48, experts=4, expert_hidden=64), EDGE.replace(change)
    assume(not design.validate())
    mapped = map_network(network, design)
    estimate, cycle = mapped.report(), mapped.report("cycle")
    assert cycle.cycles <= estimate.cycles <= 1.02 * cycle.cycles
    assert estimate.macs == cycle.macs == network.macs
    for report in (estimate, cycle):
        moved = sum(report.total["dram_bytes"].values())
        assert report.cycles >= moved / design.dram_bytes_per_cycle
        for op in report.operators:
            assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
            assert min([*op.stall_cycles.values(), op.cycles]) >= 0


def test_a_batch_takes_its_multiple():
    one = simulate(load_network("m3vit"), EDGE)
    four = simulate(m3vit(batch=4), EDGE)
    assert four.macs == 4 * one.macs
    assert 3.5 * one.cycles < four.cycles < 4 * one.cycles  # weights are loaded once


def test_the_line_below_the_table_says_what_is_used():
    note = map_network(load_network("m3vit"), EDGE).note()
    assert "458 DSP (18%)" in note
    assert "of the XCZU9EG" in note


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(objective="energy"), "no energy is known of the engines family"),
        (Request(schedule="fused"), "the engines family runs operators one by one"),
        (Request(mappings={"a": 1}), "leave out --mapping"),
    ],
)
def test_what_the_family_has_not_is_refused(request_, words):
    with pytest.raises(DovetailError, match=words):
        FAMILY.map_network(load_network("m3vit"), EDGE, request_)


def test_unknown_names_and_illegal_designs():
    network = load_network("m3vit")
    with pytest.raises(UnknownNameError, match="in_order"):
        map_network(network, EDGE, mapper="greedy")
    with pytest.raises(FidelityError, match="estimate, cycle"):
        map_network(network, EDGE).report("rtl")
    with pytest.raises(AcceleratorError, match="is illegal: lut: the engines need"):
        map_network(network, EDGE.replace({"share": 0.05}))


def test_designs_are_searched_in_the_common_environments():
    assert dovetail.envs
    env = gymnasium.make(
        "dovetail/Accelerator-v0", network="m3vit", base="edge_moe_zcu102",
        objectives=("latency_ms",),
    )  # fmt: skip
    env.reset(seed=0)
    env.action_space.seed(0)
    seen = [env.step(env.action_space.sample())[4] for _ in range(8)]
    legal = [info["metrics"]["latency_ms"] for info in seen if info["legal"]]
    assert len(set(legal)) > 3
    assert all(0 < latency < 100 for latency in legal)


@pytest.mark.parametrize("base", ["edge_moe_zcu102", "finn_zcu102"])
def test_latency_is_traded_for_a_share_of_the_device(base):
    network = "m3vit" if base == "edge_moe_zcu102" else "resnet8"
    problem = make_problem(
        {"problem": "accelerator", "network": network, "base": base,
         "objectives": ["latency_ms", "device_share"], "constraints": ["device_share<=0.5"]}
    )  # fmt: skip
    designs = problem.space.sample(np.random.default_rng(0), 12)
    evaluation = problem.evaluate(designs)
    for design, share in zip(designs, evaluation.metrics["device_share"], strict=True):
        accelerator = problem.accelerator(design)
        if accelerator.validate() or np.isnan(share):
            continue
        mapped = map_network(load_network(network), accelerator)
        assert share == mapped.device_share
        parts = [count / getattr(accelerator.device, n) for n, count in mapped_used(mapped).items()
                 if count]  # fmt: skip
        assert share == max(parts) <= accelerator.share
    assert len(np.unique(evaluation.metrics["device_share"])) > 3


def mapped_used(mapped):
    return mapped.used if hasattr(mapped, "used") else mapped.accelerator.used()


def test_what_the_family_does_not_give_is_no_objective():
    with pytest.raises(UnknownNameError, match="unknown objective 'energy_mj'") as error:
        gymnasium.make("dovetail/Accelerator-v0", network="m3vit", base="edge_moe_zcu102")
    assert "latency_ms" in str(error.value)
    assert "area_mm2" not in str(error.value)


def test_a_design_over_the_budget_has_reasons_in_the_environment():
    env = gymnasium.make(
        "dovetail/Accelerator-v0", network="m3vit", base="engines_ultra96",
        objectives=("latency_ms",), knobs={"linear_outputs": (8, 64)},
    )  # fmt: skip
    env.reset(seed=0)
    info = env.step([1])[4]
    assert not info["legal"]
    assert "dsp: the engines need" in info["reasons"][0]


def test_networks_and_designs_are_searched_together():
    design = presets.load("engines_ultra96")
    space = DesignSpace(design, design.default_knobs())
    family = ElasticFamily()
    problem = CoDesignProblem(family, StubOracle(family), space, objectives=("latency_ms", "error"))
    designs = problem.space.sample(np.random.default_rng(0), 24)
    evaluation = problem.evaluate(designs)
    seen = set()
    for row, each in enumerate(designs):
        accelerator = problem.accelerator(each)
        latency = evaluation.metrics["latency_ms"][row]
        if reasons := accelerator.validate():
            assert np.isnan(latency)
            assert problem.reasons(each) == reasons
        else:
            assert latency == simulate(problem.network(each), accelerator).latency_ms
        seen.add(bool(reasons))
    assert seen == {True, False}  # the Ultra96 is small


def test_estimate_is_within_two_hundredths_of_a_percent_on_cnns():
    for network, name in (("resnet8", "engines_u280"), ("alexnet", "engines_u280")):
        mapped = map_network(load_network(network), presets.load(name))
        estimate, cycle = mapped.report().cycles, mapped.report("cycle").cycles
        assert cycle < estimate < 1.0002 * cycle  # ports are slower than engines there
