"""MCUNetV2: MobileNetV2 in an eighth of its memory, by patches.

    python experiments/mcunetv2.py [--figure FILE] [--networks NAME ...]

Repeats the paper's schedule of MobileNetV2-1.0-224 (stem and four blocks in 4 x 4 patches), prints
its memory and recomputed work beside the paper's, and lets the search find the best schedule under
172 kB for it and under an eighth of its own peak for other networks. Exits with 1 if a number of
the paper is missed.

References:
    Lin et al., MCUNetV2: Memory-Efficient Patch-based Inference, NeurIPS 2021, arXiv 2110.15352.
"""

from __future__ import annotations

import argparse
import sys
import time

from dovetail.cli.plot_patches import plot_patches
from dovetail.errors import DovetailError
from dovetail.ir.network import Network
from dovetail.mappers.patches.arena import NAIVE, peak_bytes
from dovetail.mappers.patches.search import PatchSchedule, find_patches, layer_steps, patch_schedule
from dovetail.networks.registry import load_network

KB = 1024
CUT, GRID = "stage3.0.project.norm", (4, 4)
OTHERS = ("mobilenet_v1", "resnet18", "resnet50", "vgg16", "alexnet")


def main() -> int:
    """Prints the tables; 1 if a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", help="draw memory over the steps into this file")
    parser.add_argument("--networks", nargs="*", default=OTHERS, help="to search besides")
    options = parser.parse_args()
    try:
        others = [load_network(name) for name in options.networks]
    except DovetailError as error:
        parser.error(f"--networks: {error}")
    network = load_network("mobilenet_v2")
    schedule = patch_schedule(network, CUT, GRID)
    missed = compare(network, schedule)
    print(f"\nsearch over all cuts and grids up to 8 x 8\n{'network':16s}{'limit kB':>9s}"
          f"{'layers kB':>10s}{'patches kB':>11s}{'ratio':>7s}{'MACs':>8s}  {'grid':7s}{'s':>5s}  "
          "cut")  # fmt: skip
    search(network, 172 * KB)
    for other in others:
        search(other, None)
    if options.figure:
        plot_patches(layer_steps(network, network.operators), schedule, options.figure)
        print(f"figure: {options.figure}")
    return int(missed)


def compare(network: Network, schedule: PatchSchedule) -> bool:
    """Paper, ours and ratio of every number; whether one differs by more than its rounding."""
    convolutions = sum(
        op.macs for op in network.operators if not op.name.startswith(("head", "classifier"))
    )
    largest = max(max(patch.shape("image")) for patch in schedule.patches)
    naive = peak_bytes(network, network.operators, NAIVE)
    rows = (
        ("peak layer by layer, kB", 1372, schedule.layerwise_bytes / KB, 0.5),
        ("peak by patches, kB", 172, schedule.peak_bytes / KB, 0.5),
        ("reduction", 8.0, schedule.layerwise_bytes / schedule.peak_bytes, 0.05),
        ("recomputed, % of convolutions", 10, 100 * schedule.extra_macs / convolutions, 0.5),
    )
    print(f"MobileNetV2-1.0-224, int8, {GRID[0]} x {GRID[1]} patches up to {CUT}")
    print(f"{'':34s}{'paper':>9s}{'ours':>10s}{'ratio':>8s}")
    for name, paper, ours, _ in rows:
        print(f"{name:34s}{paper:9.1f}{ours:10.2f}{ours / paper:8.3f}")
    print(f"{'the patch stage, kB':34s}{'':9s}{schedule.stage_bytes / KB:10.2f}")
    print(f"{'the rest, kB':34s}{'':9s}{schedule.rest_bytes / KB:10.2f}")
    print(f"{'rows of the largest input patch':34s}{'':9s}{largest:10d}")
    print(f"{'recomputed, % with head, classifier':35s}{'':8s}{100 * schedule.overhead:10.2f}")
    print(f"{'naive peak (Vela: 1470 kB), kB':34s}{'':9s}{naive / KB:10.2f}")
    return any(abs(ours - paper) > rounding for _, paper, ours, rounding in rows)


def search(network: Network, limit: int | None) -> None:
    """One line: the best schedule within a limit, by default an eighth, or the least memory."""
    begin = time.process_time()
    try:
        least = find_patches(network)
        wanted = limit or least.layerwise_bytes // 8
        found = find_patches(network, wanted) if least.peak_bytes <= wanted else least
    except DovetailError as error:
        print(f"{network.name:16s}{error}")
        return
    seconds = time.process_time() - begin
    print(
        f"{network.name:16s}{wanted / KB:9.1f}{found.layerwise_bytes / KB:10.1f}"
        f"{found.peak_bytes / KB:11.1f}{found.layerwise_bytes / found.peak_bytes:6.1f}x"
        f"{found.overhead:+8.1%}  {found.grid[0]} x {found.grid[1]:<3d}{seconds:5.1f}  {found.cut}"
    )


if __name__ == "__main__":
    sys.exit(main())
