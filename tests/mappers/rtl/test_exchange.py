import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir import isa
from dovetail.mappers.rtl.exchange import exchanged_shape, lower_exchanged
from dovetail.mappers.rtl.tiling import random_tiling
from dovetail.networks.operators import Window
from dovetail.networks.quantized import Activation, Convolution, QuantizedNetwork
from dovetail.sim.interpreter import execute
from dovetail.sim.values_network import reference
from tests.mappers.rtl.cases import codes, random_design, random_law, random_network

EIGHT = SystolicArray(
    machine="rtl", rows=8, cols=8, input_sram_kib=1, weight_sram_kib=8, output_sram_kib=4
)


def _products(rng: np.random.Generator, design: SystolicArray, depth: int) -> QuantizedNetwork:
    bits = design.input_bits
    channels, height, width = (int(v) for v in rng.integers(1, [30, 7, 7]))
    tensors = [Activation("t0", channels, height, width)]
    layers = []
    for i in range(depth):
        outputs, wide = int(rng.integers(1, 30)), i == depth - 1 and bool(rng.random() < 0.5)
        zero_point = 0 if wide else int(codes(rng, bits, ()))
        weight = codes(rng, design.weight_bits, (outputs, tensors[-1].channels, 1, 1))
        law = random_law(rng, outputs, bits, zero_point, wide)
        layers.append(Convolution(f"l{i}", f"t{i}", f"t{i + 1}", weight, Window((1, 1)), 1, law))
        tensors.append(Activation(f"t{i + 1}", outputs, height, width, zero_point, wide))
    return QuantizedNetwork(
        "products", tuple(tensors), tuple(layers), "t0", f"t{depth}", bits, design.weight_bits,
        design.accumulator_bits,
    )  # fmt: skip


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 3))
def test_exchanged_operands_compute_the_reference(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    design = design.replace({"dataflow": "ws", "weight_bits": design.input_bits})
    network = _products(rng, design, depth)
    tilings = {}
    for layer in network.layers:
        try:
            tilings[layer.name] = random_tiling(exchanged_shape(network, layer), design, rng)
        except MappingError:
            return
    executable = lower_exchanged(network, design, tilings)
    image = codes(rng, network.activation_bits, network.tensor("t0").shape)
    memory = executable.memory(image)
    execute(executable, memory)
    for name, values in reference(network, image).items():
        np.testing.assert_array_equal(executable.region(name).unpack(memory), values)


def test_activations_lie_in_the_weight_scratchpad() -> None:
    network = _products(np.random.default_rng(0), EIGHT, 1)
    executable = lower_exchanged(network, EIGHT)
    source = executable.region("t0")
    loads = [i for i in executable.segments[0].program.unrolled() if isinstance(i, isa.Load)]
    assert loads[0].b.target == isa.Scratchpad.WEIGHT
    assert loads[0].b.transfer.address == source.address


@pytest.mark.parametrize("kind", ["same", "depthwise", "max", "add"])
def test_other_layers_cannot_run_input_stationary(kind: str) -> None:
    network = random_network(np.random.default_rng(5), EIGHT, (kind,))
    with pytest.raises(MappingError, match="'l1' cannot run input stationary: only convolutions"):
        lower_exchanged(network, EIGHT)


@pytest.mark.parametrize("change", [{"weight_bits": 16}, {"dataflow": "os"}])
def test_designs_must_fit_both_operands(change: dict[str, object]) -> None:
    network = _products(np.random.default_rng(0), EIGHT, 1)
    with pytest.raises(MappingError, match="exchanged operands need 'ws' and equal widths"):
        lower_exchanged(network, EIGHT.replace({"bus_bits": 64, **change}))
