"""Layer fusion: traffic, energy and time of whole networks, fused and operator by operator.

    python benchmarks/fusion.py [--networks NAME ...] [--designs NAME ...] [--objective energy]
                                [--time-limit S] [--groups]

Both sides are priced by the mapping analysis, with the mapper's best mapping of every operator, or
of every distinct part of one. Spatial arrays whose outputs have no memory on the chip in common
with inputs (NVDLA, Gemmini, ShiDianNao here) cannot fuse.
"""

from __future__ import annotations

import argparse
import time

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.mappers.fusion.groups import FusedSchedule, fuse
from dovetail.mappers.spatial.mapper import forget
from dovetail.networks.registry import load_network


def main() -> None:
    """Prints one line for each network and design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["resnet8", "ds_cnn", "mobilenet_v2"])
    parser.add_argument("--designs", nargs="+", default=["tpu_like", "simba"])
    parser.add_argument("--objective", default="energy")
    parser.add_argument("--time-limit", type=float, default=5.0, help="seconds of each mapping")
    parser.add_argument("--groups", action="store_true", help="print every fused group")
    args = parser.parse_args()
    print(f"objective {args.objective}; MB across the chip's border, mJ, Mcycles: alone -> fused")
    print(f"{'network':14s}{'design':14s}{'groups':>7s}{'ops':>5s}{'MB':>18s}{'mJ':>18s}"
          f"{'Mcycles':>18s}{'s':>7s}")  # fmt: skip
    for name in args.networks:
        for design in args.designs:
            accelerator = presets.load(design)
            if not isinstance(accelerator, SpatialArray):
                parser.error(
                    f"'{design}' is no spatial array: {', '.join(presets.names('spatial'))}"
                )
            forget()
            begin = time.process_time()
            fused = fuse(
                load_network(name), accelerator, args.objective, time_limit_s=args.time_limit
            )
            show(name, design, fused, time.process_time() - begin)
            if args.groups:
                groups(fused)


def show(name: str, design: str, fused: FusedSchedule, seconds: float) -> None:
    """One line."""
    before, after = fused.unfused_cost, fused.cost
    own = [group for group in fused.groups if group.tiling]
    pairs = (
        (before.traffic_bits / 8e6, after.traffic_bits / 8e6),
        (before.energy_pj / 1e9, after.energy_pj / 1e9),
        (before.cycles / 1e6, after.cycles / 1e6),
    )
    cells = "".join(f"{f'{a:.3f} -> {b:.3f}':>18s}" for a, b in pairs)
    ops = sum(len(group.placements) for group in own)
    print(f"{name:14s}{design:14s}{len(own):7d}{ops:5d}{cells}{seconds:7.1f}", flush=True)


def groups(fused: FusedSchedule) -> None:
    """One line for each fused group."""
    for group in fused.groups:
        if group.tiling:
            rows, columns = group.tiling.grid
            again = group.tiling.macs / max(1, sum(op.macs for op in group.tiling.run.operators))
            print(f"  {group.placements[0].operator.name} … {group.placements[-1].operator.name}: "
                  f"{group.tiling.mode}, {rows} x {columns} tiles, {again:.2f}x MACs, "
                  f"{group.unfused_cost.traffic_bits / 8e6:.3f} -> "
                  f"{group.cost.traffic_bits / 8e6:.3f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
