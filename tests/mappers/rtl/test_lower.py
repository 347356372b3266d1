import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir import isa
from dovetail.ir.encoding import ENTRY_BYTES
from dovetail.ir.program import HardwareLoop
from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.shape import Axis, LayerShape, layer_shape, misfit, require_fit
from dovetail.mappers.rtl.tiling import default_tiling, random_tiling
from dovetail.networks.operators import Window
from dovetail.networks.quantized import Activation, Convolution, QuantizedNetwork, Requantization
from dovetail.sim.columns import Tile
from dovetail.sim.interpreter import execute
from dovetail.sim.values_network import reference
from tests.mappers.rtl.cases import KINDS, codes, random_design, random_network

EIGHT = SystolicArray(
    machine="rtl", rows=8, cols=8, input_sram_kib=1, weight_sram_kib=8, output_sram_kib=4
)


def _tile(**extents: int) -> np.ndarray:
    tile = np.ones(len(Tile), dtype=np.int64)
    tile[Tile.ORDER] = 0
    for rank, value in extents.items():
        tile[Tile[rank]] = value
    return tile


def _convolution(
    channels: int, size: int, outputs: int, kernel: int = 3, groups: int = 1
) -> QuantizedNetwork:
    rng = np.random.default_rng(1)
    window = Window((kernel, kernel), padding=(kernel // 2,) * 4)
    law = Requantization(
        rng.integers(-99, 99, outputs), rng.integers(1, 2**20, outputs), np.full(outputs, 24)
    )
    weight = rng.integers(-128, 128, (outputs, channels // groups, kernel, kernel))
    tensors = (Activation("x", channels, size, size), Activation("y", outputs, size, size))
    layer = Convolution("conv", "x", "y", weight, window, groups, law)
    return QuantizedNetwork("one", tensors, (layer,), "x", "y")


def _shape(network: QuantizedNetwork, design: SystolicArray = EIGHT):
    return layer_shape(network, network.layers[0], design)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4)
)
def test_image_computes_the_reference(seed: int, kinds: list[str]) -> None:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    network = random_network(rng, design, tuple(kinds))
    tilings = {}
    for layer in network.layers:
        shape = layer_shape(network, layer, design)
        try:
            tilings[layer.name] = random_tiling(shape, design, rng)
        except MappingError:
            return
    executable = lower(network, design, tilings)
    image = codes(rng, network.activation_bits, network.tensor("t0").shape)
    memory = executable.memory(image)
    region = executable.region("t0")
    dirt = np.ones(len(memory), dtype=bool)
    dirt[: len(executable.image)] = False
    dirt[region.address : region.address + region.size] = False
    memory[dirt] = rng.integers(0, 256, int(dirt.sum()))
    execute(executable, memory)
    for name, values in reference(network, image).items():
        np.testing.assert_array_equal(executable.region(name).unpack(memory), values)


@settings(deadline=None)
@given(
    outputs=st.integers(1, 9), kernel=st.integers(1, 4), stride=st.integers(1, 5),
    dilation=st.integers(1, 5), pad=st.integers(0, 6), size=st.integers(1, 20),
    first=st.integers(0, 8),
)  # fmt: skip
def test_stored_rows_hold_every_row_that_a_tile_reads(
    outputs: int, kernel: int, stride: int, dilation: int, pad: int, size: int, first: int
) -> None:
    axis = Axis(first + outputs, kernel, stride, dilation, pad, size)
    start, rows, origin = axis.stored(first, outputs)
    assert rows <= axis.most(outputs)
    for p in range(outputs):
        for r in range(kernel):
            row = (first + p) * stride + r * dilation - pad
            stored = p * axis.stored_stride + r * axis.stored_dilation + origin
            if 0 <= row < size:
                assert 0 <= stored < rows
                assert start + stored * axis.step == row
            elif rows:
                assert not 0 <= stored < rows


def test_tiles_alike_become_one_loop_whose_steps_move_the_registers() -> None:
    network = _convolution(16, 32, 16, kernel=1)
    executable = lower(network, EIGHT, {"conv": _tile(P=1, Q=32, K=16, C=8)})
    source, target = executable.region("x"), executable.region("y")
    (loop,) = [i for i in executable.segments[0].program.body if isinstance(i, HardwareLoop)]
    assert loop.count == 30
    # The loop over depth is two straight steps, so that nothing inside moves a register.
    assert loop.load_step == (source.row_bytes, 0)
    assert loop.store_step == (target.row_bytes, 0)
    loads = [i for i in loop.body if isinstance(i, isa.Load)]
    assert [load.a.transfer.address - source.address - source.row_bytes for load in loads] == [
        0, 8,
    ]  # fmt: skip


def test_an_operand_that_stays_is_loaded_once() -> None:
    network = _convolution(8, 8, 16, kernel=1)
    for order, fills in ((0, ([1, 0, 1, 0], [1, 1, 1, 1])), (1, ([1, 1, 1, 1], [1, 0, 1, 0]))):
        executable = lower(network, EIGHT, {"conv": _tile(P=4, Q=8, K=8, C=8, ORDER=order)})
        steps = list(executable.segments[0].program.unrolled())
        loads = [i for i in steps if isinstance(i, isa.Load)]
        multiplies = [i for i in steps if isinstance(i, isa.Multiply)]
        assert [m.new_input for m in multiplies] == [bool(f) for f in fills[0]]
        assert [m.new_weight for m in multiplies] == [bool(f) for f in fills[1]]
        for target, expected in zip(isa.Scratchpad, fills, strict=True):
            assert [int(load.fills(target)) for load in loads] == expected


def test_whole_images_are_one_run() -> None:
    network = _convolution(8, 4, 8, kernel=1)
    executable = lower(network, EIGHT)
    load, _, store = executable.segments[0].program.unrolled()
    assert isinstance(load, isa.Load)
    assert isinstance(store, isa.Store)
    for transfer in (load.a.transfer, load.b.transfer, store.transfer):
        assert (transfer.rows, transfer.columns) == (1, 1)
    assert load.a.transfer.run_beats == 16


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "joined"),
    [(16, 16, 16, 8), (12, 12, 12, 8), (6, 6, 2, 2), (16, 32, 2, 1), (48, 48, 4, 2)],
)
def test_fewest_groups_that_fill_words_are_joined(
    channels: int, outputs: int, groups: int, joined: int
) -> None:
    shape = _shape(_convolution(channels, 4, outputs, groups=groups))
    assert shape.joined == joined
    assert shape.groups == -(-groups // joined)
    assert (shape.depth, shape.outputs) == (
        joined * channels // groups, joined * outputs // groups,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tile", "reason"),
    [
        ({"P": 9, "Q": 8, "K": 8, "C": 24}, "tile P = 9: must be 8"),
        ({"P": 1, "Q": 1, "K": 4, "C": 24}, "tile K = 4: must be 12 or a multiple of 8 below"),
        ({"P": 1, "Q": 1, "K": 8, "C": 12}, "tile C = 12: must be 24 or a multiple of 8 below"),
        ({"P": 8, "Q": 8, "K": 8, "C": 24}, "192 input words, at most 64"),
        ({"P": 1, "Q": 1, "K": 12, "C": 24, "ORDER": 2}, "order 2"),
        ({"P": 8, "Q": 8, "K": 12, "C": 8}, "128 accumulator words, at most 64"),
    ],
)
def test_tilings_that_do_not_fit_say_why(tile: dict[str, int], reason: str) -> None:
    network = _convolution(24, 8, 12)
    with pytest.raises(MappingError, match=reason):
        lower(network, EIGHT, {"conv": _tile(**tile)})


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS))
def test_default_and_random_tilings_fit(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    network = random_network(rng, design, (kind,))
    shape = _shape(network, design)
    try:
        default = default_tiling(shape, design)
    except MappingError:
        with pytest.raises(MappingError):
            random_tiling(shape, design, rng)
        return
    require_fit(shape, design, default)
    assert misfit(shape, design, random_tiling(shape, design, rng)) == ""


def test_segments_follow_each_other_in_an_aligned_image() -> None:
    rng = np.random.default_rng(3)
    executable = lower(random_network(rng, EIGHT, ("same", "same", "add")), EIGHT)
    starts = [s.address for s in executable.segments]
    assert starts[0] == executable.start
    for segment, following in zip(executable.segments, [*starts[1:], 0], strict=True):
        header = executable.image[segment.address : segment.address + ENTRY_BYTES]
        assert segment.address % ENTRY_BYTES == 0
        assert tuple(np.frombuffer(header[:6], dtype="<u2")) == segment.entries
        assert int.from_bytes(header[8:12], "little") == following


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"machine": "ideal"}, "set machine: rtl"),
        ({"input_bits": 4, "bus_bits": 32}, "input_bits = 4: network 'one' needs 8"),
        ({"accumulator_bits": 24}, "wraps at 32"),
    ],
)
def test_designs_that_cannot_run_a_network_say_why(change: dict[str, object], reason: str) -> None:
    with pytest.raises(MappingError, match=reason):
        lower(_convolution(8, 4, 8), EIGHT.replace(change))


def test_a_tile_spans_no_more_than_the_address_generator_counts():
    axis = Axis(outputs=50_000, kernel=3, stride=4, dilation=1, pad=0, size=8)
    row = Axis(1, 1, 1, 1, 0, 1)
    shape = LayerShape("wide", False, 1, 1, 1, 8, 8, row, axis, False)
    design = EIGHT.replace({"output_sram_kib": 4096})
    assert "199999 rows or columns" in misfit(shape, design, _tile(Q=50_000, K=8, C=8))
    assert misfit(shape, design, _tile(Q=30_000, K=8, C=8)) == ""
