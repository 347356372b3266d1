"""What keeps a design from being built, and the nearest one that can be."""

from __future__ import annotations

import math
from dataclasses import replace

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import AcceleratorError
from dovetail.networks.quantized import QuantizedNetwork

BYTE = 8
WIDEST_BUS = 512
PARAM_LANE_BITS = 64
MAX_OPERAND_BITS, MAX_SUM_BITS = 16, 32


def obstacles(design: SystolicArray) -> list[str]:
    """Why the RTL is no twin of a design; empty if it is."""
    reasons = [] if design.machine == "rtl" else ["machine 'ideal' is no RTL: set machine: rtl"]
    return reasons + replace(design, machine="rtl").validate()


def adapted(design: SystolicArray, network: QuantizedNetwork | None = None) -> SystolicArray:
    """The nearest design that can be built and that runs a network.

    Args:
        design: any.
        network: whose codes, weights and sums it must hold.

    Raises:
        AcceleratorError: if there is none.
    """
    near = _fit_words(_fit_widths(_fit_kind(design), network))
    near = _fit_scratchpads(near)
    if reasons := near.validate():
        raise AcceleratorError(f"design '{design.name}' cannot be built: {reasons[0]}")
    return near


def _fit_kind(design: SystolicArray) -> SystolicArray:
    flow = "ws" if design.dataflow == "is" else design.dataflow
    rows = max(2, design.rows)
    return replace(design, machine="rtl", arrays=1, dataflow=flow, rows=rows)


def _fit_widths(design: SystolicArray, network: QuantizedNetwork | None) -> SystolicArray:
    needed = (network.activation_bits, network.weight_bits) if network else (2, 2)
    inputs, weights = (
        min(MAX_OPERAND_BITS, max(need, have))
        for need, have in zip(needed, (design.input_bits, design.weight_bits), strict=True)
    )
    sums = network.accumulator_bits if network else design.accumulator_bits
    # Pooling passes inputs through the accumulators.
    sums = min(MAX_SUM_BITS, max(inputs, sums))
    return replace(design, input_bits=inputs, weight_bits=weights, accumulator_bits=sums)


def _fit_words(design: SystolicArray) -> SystolicArray:
    """Words of whole bytes, and a bus that divides them."""
    rows = _multiple(design.rows, (design.input_bits,))
    widths = (design.input_bits, design.weight_bits, design.accumulator_bits)
    cols = _multiple(design.cols, widths)
    words = [rows * design.input_bits, cols * PARAM_LANE_BITS, WIDEST_BUS]
    words += [cols * width for width in widths]
    bus = math.gcd(*words)
    bus = bus & -bus
    wanted = 1 << (design.bus_bits.bit_length() - 1)
    return replace(design, rows=rows, cols=cols, bus_bits=min(bus, wanted))


def _multiple(count: int, widths: tuple[int, ...]) -> int:
    """The least number of lanes, not below `count`, that fills bytes at all widths."""
    while any(count * width % BYTE for width in widths):
        count += 1
    return count


def _fit_scratchpads(design: SystolicArray) -> SystolicArray:
    """Scratchpads with room for one tile of the array."""
    bits = {
        "input": design.input_bits,
        "weight": design.weight_bits,
        "output": design.accumulator_bits,
    }
    sizes = {
        f"{operand}_sram_kib": max(
            float(getattr(design, f"{operand}_sram_kib")),
            math.ceil(design.rows * design.cols * width / BYTE) * 2 / 1024,
        )
        for operand, width in bits.items()
    }
    return replace(design, **sizes)  # type: ignore[arg-type]  # all are KiB


def larger(design: SystolicArray) -> SystolicArray:
    """The same with scratchpads of twice the size."""
    return replace(
        design,
        input_sram_kib=2 * design.input_sram_kib,
        weight_sram_kib=2 * design.weight_sram_kib,
        output_sram_kib=2 * design.output_sram_kib,
    )
