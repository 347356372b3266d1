"""Compiles the numba kernels into their cache by simulating a small network once."""

from __future__ import annotations

import time

from dovetail.arch import presets
from dovetail.flow import simulate
from dovetail.networks.registry import load_network


def main() -> None:
    """Runs both fidelities once and prints how long it took."""
    start = time.perf_counter()
    network, accelerator = load_network("resnet8"), presets.load("edge")
    for fidelity in ("estimate", "cycle"):
        simulate(network, accelerator, fidelity=fidelity)
    print(f"kernels ready after {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
