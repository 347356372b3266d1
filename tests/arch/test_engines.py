"""FPGA engine designs: parts from the table of builds, budgets, and what is said of bad ones."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from dovetail.arch import presets
from dovetail.arch.devices import bram18
from dovetail.arch.engines import RESOURCES, SUM_BITS, FpgaEngines
from dovetail.arch.kernels import builds, find, widest
from dovetail.arch.knobs import DesignSpace
from dovetail.errors import AcceleratorError
from dovetail.hls import KERNELS

NAMES = presets.names("engines")
EDGE = presets.load("edge_moe_zcu102")


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_legal_and_survive_json(name):
    design = presets.load(name)
    assert isinstance(design, FpgaEngines)
    assert (design.name, design.family, design.validate()) == (name, "engines", [])
    flat = json.loads(json.dumps(design.to_dict(), allow_nan=False))
    assert presets.from_dict(flat) == design
    assert all(0 < count <= design.budget[what] for what, count in design.used().items())


def test_every_board_has_a_preset():
    boards = {presets.load(name).to_dict()["board"] for name in NAMES}
    assert boards == {"zcu102", "ultra96", "u280", "vcu1525"}


def test_every_build_is_of_one_of_our_kernels_and_says_its_command():
    for cost in builds():
        kernel = KERNELS[cost.kernel]
        assert {name for name, _ in cost.parameters} == {p.name for p in kernel.parameters}
        assert cost.command.startswith(f"dovetail hls build {cost.kernel}")
        assert cost.lut + cost.dsp > 0


def test_resources_are_builds_times_copies():
    by_hand = dict.fromkeys(RESOURCES, 0)
    for kernel, copies, fixed in (
        ("linear", 1, {"inputs": 16, "outputs": 16, "bits": 16}),
        ("linear", 4, {"inputs": 8, "outputs": 1, "bits": 16}),
        ("linear", 4, {"inputs": 1, "outputs": 8, "bits": 16}),
        ("quantize", 2, {"in": SUM_BITS[16], "lanes": 1}),
        ("gelu", 2, {"lanes": 1}),
        ("layernorm", 8, {"count": 192}),
        ("layernorm_scale", 1, {"count": 192, "lanes": 8}),
        ("softmax", 4, {"width": 16}),
        ("softmax_weight", 4, {"width": 16, "lanes": 1}),
    ):
        (cost,) = {
            c
            for c in builds()
            if c.kernel == kernel
            and fixed.items() <= {**dict(c.parameters), "lanes": c.lanes}.items()
        }
        for what in RESOURCES:
            by_hand[what] += copies * getattr(cost, what)
    by_hand["lut"] += 2 * 256
    for what, count in EDGE.control().items():
        by_hand[what] += count
    # Two buffers of 576 words of 4096 bits, four rows of 96 blocks, and of each query a row of
    # 32-bit features and one of 44-bit sums: all by blocks 36 bits wide.
    by_hand["bram18"] += 2 * 114 * 2 + 4 * 8 + 29 + 40
    assert EDGE.used() == by_hand


def test_control_is_what_whole_engines_take_beyond_their_multipliers():
    control = EDGE.control()
    assert 0 < control["lut"] < 0.1 * EDGE.used()["lut"]
    assert 0 < control["ff"] < 0.1 * EDGE.used()["ff"]
    without = EDGE.replace({"queries": 0}).control()
    whole, inside = find(builds(), "linear_layer"), find(builds(), "linear", bits=8, outputs=16)
    assert without == {"lut": whole.lut - inside.lut, "ff": whole.ff - inside.ff}
    assert control["lut"] > without["lut"]
    for name, form in (("attention_scores", {"outputs": 1}), ("attention_values", {"inputs": 1})):
        parts = [c for c in builds() if c.kernel == "linear"
                 and {"bits": 8, **form}.items() <= dict(c.parameters).items()]  # fmt: skip
        assert find(builds(), name).dsp == 4 * next(c.dsp for c in parts if c.dsp == 8)


@pytest.mark.parametrize("bits", [8, 16])
def test_copies_stand_for_what_is_built_as_one(bits):
    form = {"inputs": 16, "bits": bits, "acc": SUM_BITS[bits]}
    (whole, one), (half, _) = (widest("linear", "outputs", n, **form) for n in (16, 8))
    assert (one, dict(whole.parameters)["outputs"], dict(half.parameters)["outputs"]) == (1, 16, 8)
    assert whole.dsp == 2 * half.dsp == 256
    assert whole.lut == pytest.approx(2 * half.lut, rel=0.003)
    assert whole.ff == pytest.approx(2 * half.ff, rel=0.005)


def test_the_least_copies_that_make_a_parallelism():
    one, eight = widest("gelu", "lanes", 1), widest("gelu", "lanes", 8)
    assert (one[0].lanes, one[1], eight[0].lanes, eight[1]) == (1, 1, 8, 1)
    assert widest("gelu", "lanes", 12)[1] == 12  # the build of 8 does not divide them
    assert widest("gelu", "lanes", 16)[1] == 2
    listed = "has inputs 1, 8, 16, 32; bits 8, 16; outputs 1, 8, 16"
    with pytest.raises(AcceleratorError, match=listed):
        widest("linear", "outputs", 8, inputs=7, bits=16)
    with pytest.raises(AcceleratorError, match="has none"):
        widest("nothing", "lanes", 1)


def test_memory_blocks_by_hand():
    assert bram18(4096, 576) == min(114 * 2, 228 * 1)
    assert [bram18(36, words) for words in (512, 513)] == [1, 2]
    assert [bram18(1, words) for words in (16384, 16385)] == [1, 2]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": 0.02}, r"lut: the engines need 63,\d+, the budget of the XCZU9EG has 5,481: "),
        ({"board": "ultra96"}, "dsp: the engines need 458, the budget of the XCZU3EG has 288: "),
        ({"weight_buffer_kib": 2000}, "bram18: the engines need .* lower weight_buffer_kib"),
        ({"linear_inputs": 12}, "no build of kernel 'linear' with inputs=12 bits=16 acc=44"),
        ({"bits": 12}, "must be a multiple of activation_bits = 32 and of bits = 12"),
        ({"bits": 4}, "no build of kernel 'linear' with inputs=16 bits=4"),
        ({"activation_bits": 24}, "axi_bits = 256 must be a multiple of activation_bits = 24"),
        ({"norm_features": 200}, "no build of kernel 'layernorm' with count=200"),
        ({"deformable_channels": 1}, "multiplies 8 bits, not 16: set bits = 8"),
        ({"queries": 100}, "queries = 100: must be a whole number within 0 to 64"),
    ],
)
def test_illegal_designs_are_values_with_reasons(change, reason):
    design = FpgaEngines(**({k: v for k, v in EDGE.to_dict().items() if k != "family"} | change))
    reasons = design.validate()
    assert reasons
    assert any(re.search(reason, text) for text in reasons), reasons
    assert all("\n" not in text for text in reasons)


def test_engines_that_are_left_out_take_nothing():
    bare = EDGE.replace({"queries": 0, "norm_lanes": 0, "gelu_lanes": 0})
    assert {part.engine for part in bare.parts()} == {"linear", "requantize"}
    assert bare.used()["lut"] < EDGE.used()["lut"]
    assert set(bare.default_knobs()) == {
        "linear_inputs", "linear_outputs", "requantize_lanes", "weight_buffer_kib"
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_design_space_has_legal_designs_around_the_preset(name):
    design = presets.load(name)
    space = DesignSpace(design, design.default_knobs())
    masks = space.masks()
    assert all(mask.any() for mask in masks)
    assert sum(int(mask.sum()) for mask in masks) > len(masks)  # there is something to choose


def test_more_of_anything_takes_no_less():
    for name, values in EDGE.default_knobs().items():
        used = [EDGE.replace({name: value}).used() for value in values]
        for what in ("lut", "dsp", "bram18"):
            counts = [each[what] for each in used]
            # A build of eight lanes may take a few LUTs less than eight of one.
            assert all(b >= 0.97 * a for a, b in pairwise(counts)), (name, what)
