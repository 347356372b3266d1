"""Bytes of encoded weights: an estimate, as the code depends on values that networks rarely have.

References:
    Sizes that Arm's open compiler Vela 5.2.0 encodes for networks of MLPerf Tiny and MobileNets.
"""

from __future__ import annotations

from dovetail.arch.npu import EthosU
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.sim.npu.timing import BIAS_BYTES
from dovetail.sim.npu.work import Work, round_up

STREAM_BYTES = 16
"""In multiples of which streams are stored."""
CODE_OVERHEAD = 1.03
"""By how much Golomb-Rice codes of weights exceed their entropy: 1.016 to 1.043 where normally
distributed weights bound an operation (`experiments/ethos_u.py --vela`)."""


def encoded_bytes(network: Network, op: Operator, work: Work, accelerator: EthosU) -> int:
    """Bytes of an operator's weights and biases.

    Weights whose entropy is known take that; others the design's ratio of their size.
    """
    if op.einsum is None:  # a scale per channel
        return round_up(work.weights, STREAM_BYTES) + _bias_bytes(work)
    stored = network.tensor[op.einsum.operands[1].tensor]
    bits: float = min(stored.format.bits, 8) if stored.format.kind == "int" else 8
    depthwise = work.kind == "depthwise"
    bits *= accelerator.depthwise_weight_ratio if depthwise else accelerator.weight_ratio
    if stored.entropy_bits is not None:
        bits = min(stored.entropy_bits * CODE_OVERHEAD, bits)
    weights = round_up(int(stored.elements * bits / 8), STREAM_BYTES)
    return weights + _bias_bytes(work)


def _bias_bytes(work: Work) -> int:
    return round_up(BIAS_BYTES * work.ofm.shape[2], STREAM_BYTES)
