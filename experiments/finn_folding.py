"""FINN's SetFolding against `fit`, on networks and boards, by FINN's own estimates.

    python experiments/finn_folding.py [--networks NAME ...] [--stream-bits N ...]

Both fold the same pipelines within the same budget and are judged by the same closed forms.
SetFolding is given every target at which some layer changes, and its best result that fits counts;
so does `fit`, which tries of each layer the cheapest folding besides. Exits with 1 if `fit` is ever
slower.

References:
    The FINN compiler's transformation `SetFolding`; its users ask for better ones (issues 338 and
    1187 of Xilinx/finn).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from dovetail.arch import presets
from dovetail.arch.fpga import FpgaDataflow
from dovetail.errors import DovetailError, MappingError, ProblemError
from dovetail.mappers.fpga.folding import fit, set_folding
from dovetail.mappers.fpga.lowering import lower
from dovetail.networks.registry import load_network
from dovetail.sim.fpga.pipeline import Pipeline

NETWORKS = ("resnet8", "ds_cnn", "mobilenet_v1_025", "mobilenet_v1", "resnet18")


def main() -> int:
    """Prints the table; 1 if `fit` is slower anywhere, 2 if it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="to fold")
    parser.add_argument("--stream-bits", nargs="*", type=int, default=(36, 4096), help="widest")
    options = parser.parse_args()
    try:
        return int(table(options.networks, options.stream_bits))
    except DovetailError as error:
        print(f"finn_folding: {error}", file=sys.stderr)
        return 2


def table(networks: Sequence[str], stream_bits: Sequence[int]) -> bool:
    """All lines; whether `fit` is slower in any.

    Raises:
        MappingError: if a network cannot be a pipeline.
        ProblemError: if a width is illegal.
    """
    if min(stream_bits, default=1) < 1:
        raise ProblemError(f"--stream-bits {min(stream_bits)}: must be at least 1")
    print(f"{'network':18s}{'design':13s}{'stream bits':>12s}{'SetFolding':>12s}{'fit':>12s}"
          f"{'faster':>8s}{'inferences/s':>14s}")  # fmt: skip
    slower = False
    for name in networks:
        for design in presets.names("fpga"):
            accelerator = presets.load(design)
            assert isinstance(accelerator, FpgaDataflow)
            pipeline = lower(load_network(name), accelerator).pipeline
            for bits in stream_bits:
                slower |= compare(name, pipeline, accelerator, bits)
    return slower


def compare(name: str, pipeline: Pipeline, accelerator: FpgaDataflow, bits: int) -> bool:
    """One line; whether `fit` is slower."""
    head = f"{name:18s}{accelerator.name:13s}{bits:12d}"
    try:
        ours = int(fit(pipeline, accelerator.budget, bits).costs.interval[0])
    except MappingError as error:
        print(f"{head}  {str(error).partition(':')[0]}")
        return False
    theirs = best_of_set_folding(pipeline, accelerator, bits)
    rate = accelerator.clock_mhz * 1e6 / ours
    told = f"{theirs:12,d}{ours:12,d}{theirs / ours:7.2f}x" if theirs else f"{'-':>12s}{ours:12,d}"
    print(f"{head}{told}{rate:14,.0f}")
    return bool(theirs) and ours > theirs


def best_of_set_folding(pipeline: Pipeline, accelerator: FpgaDataflow, bits: int) -> int:
    """Least interval of SetFolding over all targets within the budget; 0 if nothing fits."""
    steps = []
    for i, pes, simds in zip(
        pipeline.compute, pipeline.pe_choices, pipeline.simd_choices, strict=True
    ):
        steps.append(pipeline.nodes[i].cycles(pes[:, None], simds[None, :]).ravel())
    targets = np.unique(np.concatenate(steps)) + 1
    costs = pipeline.costs(*set_folding(pipeline, targets, bits))
    fits = costs.excess(accelerator.budget) <= 0
    return int(costs.interval[fits].min()) if fits.any() else 0


if __name__ == "__main__":
    sys.exit(main())
