"""LUT, DSP and memory blocks of the nodes of FINN's dataflow pipelines, as arrays of foldings.

FINN's estimates leave out flip-flops and the FIFOs between nodes.

References:
    M. Blott et al., FINN-R, ACM TRETS 11(3), 2018, section 5; the FINN compiler's `lut_estimation`,
    `dsp_estimation`, `bram_estimation` and `uram_estimation`; accumulators by I. Colbert et al.,
    "Quantized neural networks for low-precision accumulation", arXiv 2301.13376, equation 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.arch.devices import BRAM18_SHAPES
from dovetail.ir.space import IntArray
from dovetail.sim.fpga.cycles import Counts, Slide, window_depth

BASE_LUTS = 300
"""Control of a compute node or window generator."""

OVERHEAD = 1.1
"""What synthesis adds to the counted LUTs of compute nodes."""

URAM_SHAPE = (72, 4096)


@dataclass(frozen=True, slots=True)
class Numbers:
    """How a compute node calculates and stores.

    Attributes:
        weight_bits: of a weight.
        input_bits: of an activation that it reads.
        output_bits: of one that it writes.
        signed: whether the activations that it reads are.
        sum_bits: widest accumulator.
        multipliers: `lut` or `dsp`.
        weight_memory: `block`, `distributed` (LUTs) or `ultra`.
        threshold_memory: `distributed` counts thresholds and their comparators as LUTs; `auto`
            leaves them to synthesis and counts none.
        window_memory: of window generators: `block`, `distributed` or `ultra`.
    """

    weight_bits: int
    input_bits: int
    output_bits: int
    signed: bool = True
    sum_bits: int = 32
    multipliers: str = "lut"
    weight_memory: str = "block"
    threshold_memory: str = "auto"
    window_memory: str = "block"


def accumulator_bits(fan_in: int, numbers: Numbers) -> int:
    """Width that no sum of `fan_in` products leaves.

    The reference's ceil(log2(largest + 1)) + 1 in whole numbers, where FINN's floating point is one
    bit off if largest + 1 is a power of two.
    """
    largest = fan_in << (numbers.weight_bits + numbers.input_bits - 1 - numbers.signed)
    return min(numbers.sum_bits, largest.bit_length() + 1)


def compute_luts(
    fan_in: int, outputs: int, pe: Counts, simd: Counts, numbers: Numbers, *, vector: bool = False
) -> IntArray:
    """LUTs of a matrix-vector unit, or of a vector-vector unit (`vector`: `fan_in` are taps).

    Args:
        fan_in: products per sum.
        outputs: rows of the matrix, or channels.
        pe: outputs at once.
        simd: products of a sum at once.
        numbers: widths and memories.
        vector: whether every output has inputs of its own.
    """
    pe, simd = np.asarray(pe, dtype=np.int64), np.asarray(simd, dtype=np.int64)
    both = numbers.weight_bits + numbers.input_bits
    multiply = 0 if numbers.multipliers == "dsp" else (2 * -(-both // 6) - 1) * both
    sums = accumulator_bits(fan_in, numbers)
    each = simd * multiply + both * (2 * simd - 1) + sums
    if numbers.threshold_memory == "distributed":
        steps = 2**numbers.output_bits - 1
        words = outputs // pe
        # FINN rounds the LUTRAM of thresholds up for matrices, not for depthwise nodes.
        deep = words / 64 if vector else -(-words // 64)
        each = each + steps * sums * deep + steps * sums
    stored = np.zeros_like(pe * simd)
    if numbers.weight_memory == "distributed":
        words = fan_in * outputs // (pe * simd)
        stored = pe * simd * numbers.weight_bits * -(-words // 64)
    return np.floor(BASE_LUTS + OVERHEAD * (pe * each) + stored).astype(np.int64)


def compute_dsps(pe: Counts, simd: Counts, numbers: Numbers) -> IntArray:
    """DSP slices of a compute node from HLS; none where LUTs multiply."""
    each = -(-(numbers.weight_bits + numbers.input_bits) // 48)
    return np.asarray(pe) * np.asarray(simd) * (each if numbers.multipliers == "dsp" else 0)


def packed_dsps(pe: Counts, simd: Counts, slice_type: str = "dsp48") -> IntArray:
    """DSP slices of FINN's RTL matrix-vector unit, which packs products.

    Args:
        pe: outputs at once.
        simd: inputs at once.
        slice_type: `dsp48` (four outputs share a slice) or `dsp58` (three inputs do).
    """
    pe, simd = np.asarray(pe, dtype=np.int64), np.asarray(simd, dtype=np.int64)
    return -(-pe // 4) * simd if slice_type == "dsp48" else pe * -(-simd // 3)


def weight_words(weights: int, pe: Counts, simd: Counts, numbers: Numbers) -> tuple[IntArray, ...]:
    """(bits, words) of a node's weight memory, which delivers `pe * simd` weights per cycle."""
    lanes = np.asarray(pe, dtype=np.int64) * np.asarray(simd, dtype=np.int64)
    return lanes * numbers.weight_bits, weights // lanes


def weight_bram18(weights: int, pe: Counts, simd: Counts, numbers: Numbers) -> IntArray:
    """18 Kib blocks of a node's weight memory; none in LUTs or UltraRAM."""
    bits, words = weight_words(weights, pe, simd, numbers)
    if numbers.weight_memory != "block":
        return np.zeros_like(bits)
    shape = np.digitize(bits, [1, 2, 4, 9, 18], right=True)
    shape = np.where((shape == 5) & (words > 512), 4, shape)
    table = np.array(BRAM18_SHAPES)
    return -(-words // table[shape, 1]) * -(-bits // table[shape, 0])


def weight_urams(weights: int, pe: Counts, simd: Counts, numbers: Numbers) -> IntArray:
    """UltraRAM blocks of a node's weight memory."""
    bits, words = weight_words(weights, pe, simd, numbers)
    if numbers.weight_memory != "ultra":
        return np.zeros_like(bits)
    return -(-bits // URAM_SHAPE[0]) * -(-words // URAM_SHAPE[1])


def window_bram18(slide: Slide, simd: Counts, bits: int, *, parallel: bool = False) -> IntArray:
    """18 Kib blocks of a window generator's buffer.

    Args:
        slide: what it slides over.
        simd: channels at once.
        bits: of an element.
        parallel: whether line buffers feed registers that hold the whole window.
    """
    width, depth, count = _window_words(slide, simd, bits, parallel)
    blocks = -(-depth // 16384) * -(-width // _best_width(depth))
    # The last of several cascaded rows needs only the width that its few words allow.
    rest = -(-width // _best_width(depth % 16384))
    saved = np.where(depth > 16384, -(-width // _best_width(depth)) - rest, 0)
    return np.asarray((blocks - saved) * count, dtype=np.int64)


def window_urams(slide: Slide, simd: Counts, bits: int, *, parallel: bool = False) -> IntArray:
    """UltraRAM blocks of a window generator's buffer; arguments as of `window_bram18`."""
    width, depth, count = _window_words(slide, simd, bits, parallel)
    return -(-width // URAM_SHAPE[0]) * -(-depth // URAM_SHAPE[1]) * count


def window_luts(slide: Slide, simd: Counts, bits: int, *, parallel: bool = False) -> IntArray:
    """LUTs of a window generator whose buffer is of LUTs; arguments as of `window_bram18`.

    A LUT holds a bit of 38 words in FINN's estimate, and all words are buffered there.
    """
    depth = window_depth(slide, simd, parallel=parallel)
    return BASE_LUTS + np.asarray(simd, dtype=np.int64) * bits * -(-depth // 38)


def _window_words(
    slide: Slide, simd: Counts, bits: int, parallel: bool
) -> tuple[IntArray, IntArray, int]:
    """Bits and words of the memories of a window generator, and how many there are."""
    simd = np.asarray(simd, dtype=np.int64)
    if not parallel:
        return simd * bits, window_depth(slide, simd), 1
    reach = (slide.kernel[1] - 1) * slide.dilation[1] + 1
    across = slide.size[1]
    depth = np.full_like(simd, across - reach + across * (slide.dilation[0] - 1))
    return simd * bits, depth, slide.kernel[0] - 1


def _best_width(words: IntArray) -> IntArray:
    """Bits of the widest block of at least so many words."""
    shape = np.digitize(words, [512, 1024, 2048, 4096, 8192], right=True)
    return np.array([bits for bits, _ in BRAM18_SHAPES[::-1]])[shape]


def stream_luts(pe: Counts, bits: int) -> IntArray:
    """LUTs of a thresholding of its own: comparators of `pe` elements of so many bits."""
    return np.asarray(pe, dtype=np.int64) * bits
