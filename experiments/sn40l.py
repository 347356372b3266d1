"""SambaNova's SN40L: fused against unfused, kernel calls, intensities; then Composition of Experts.

    python experiments/sn40l.py [--networks NAME ...] [--fidelity cycle] [--figure FILE] [--experts]

Per benchmark of the paper, on a node of eight sockets (the convolution on one): every operator a
kernel of its own, started by the host; operators fused into sections, started by the host; and the
same started by the hardware. The paper says "2x to 13x" for the last against the first and prints
neither a value per benchmark nor its batches and lengths: ours are printed beside that range, and
not held to it. Its ratio of kernel calls is about 11 for Llama-2-70B reading 4096 tokens.

Then Table I: operational intensities of a simplified Monarch convolution for three degrees of
fusion. Its shapes stand in a figure; ours are stated, and ratios and classification are what is
compared. `--experts` adds switching, footprint, speed-up and breakdown of `experiments/coe.py`.
Exits with 1 if Table I, or one of these that must follow, is missed.

Assumed, not published: launches (10 us by the host, 0.5 us by the hardware, 2 us for a section's
program), links between sockets (400 GB/s, 0.5 us); `dovetail list parameters` says all. `--launch`
prints how the speed-ups depend on the host's launch. Not here: training, and SparseGPT-13B, whose
87.5 % of zeros no operator of ours knows.

References:
    Prabhakar et al., SambaNova SN40L: Scaling the AI Memory Wall with Dataflow and Composition of
    Experts, MICRO 2024, arXiv 2405.07518: Table I, Table III, figure 10.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.arch import presets
from dovetail.arch.rdu import Rdu
from dovetail.errors import DovetailError
from dovetail.flow import map_network
from dovetail.ir.network import Network
from dovetail.mappers.rdu.lowering import lower
from dovetail.mappers.rdu.partition import cut
from dovetail.mappers.rdu.sections import Section, Sectioner
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

BENCHMARKS: dict[str, tuple[str, dict[str, int], int]] = {
    "llama2-7B prefill": ("llama2_7b_prefill", {"sequence": 4096}, 8),
    "llama2-7B decode": ("llama2_7b_decode", {"context": 4095}, 8),
    "llama2-70B prefill": ("llama2_70b_prefill", {"sequence": 4096}, 8),
    "llama2-70B decode": ("llama2_70b_decode", {"context": 4095}, 8),
    "Bloom-176B prefill": ("bloom_176b_prefill", {"sequence": 2048}, 8),
    "Bloom-176B decode": ("bloom_176b_decode", {"context": 2047}, 8),
    "Mistral-7B prefill": ("mistral_7b_prefill", {"sequence": 4096}, 8),
    "Mistral-7B decode": ("mistral_7b_decode", {"context": 4095}, 8),
    "Falcon-40B prefill": ("falcon_40b_prefill", {"sequence": 2048}, 8),
    "Falcon-40B decode": ("falcon_40b_decode", {"context": 2047}, 8),
    "LLaVA1.5-7B prefill": ("llava15_7b_prefill", {"sequence": 2048}, 8),
    "LLaVA1.5-7B decode": ("llava15_7b_decode", {"context": 2623}, 8),
    "FlashFFTConv 1M": ("flash_fft_conv", {}, 1),
}
"""Network, its sizes, and sockets, by the paper's name; sizes are ours where it prints none."""

RANGE = (2.0, 13.0)
CALLS = 11.0
TABLE = (("none", 39.5), ("Gemm0-Mul-Transpose", 102.6), ("fully fused", 410.4))
RIDGE = 150.0
"""Operations per byte of an A100, as the paper rounds it."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of a benchmark, and kernels: unfused, fused, fused and started by hardware."""

    unfused: float
    software: float
    hardware: float
    kernels: int
    sections: int

    @property
    def speed_up(self) -> float:
        """Fused and started by hardware, against unfused."""
        return self.unfused / self.hardware


def main() -> int:
    """Prints the tables; 1 if a number that must follow is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", metavar="NAME", help="benchmarks, e.g. llama2-7B")
    parser.add_argument("--fidelity", choices=("estimate", "cycle"), default="estimate")
    parser.add_argument("--launch", nargs="*", type=float, default=(5.0, 20.0), metavar="US",
                        help="other launches by the host, for the range of speed-ups")  # fmt: skip
    parser.add_argument("--figure", help="draw the speed-ups into this file")
    parser.add_argument("--experts", action="store_true", help="Composition of Experts, too")
    options = parser.parse_args()
    wanted = [
        n for n in BENCHMARKS if not options.networks or n.startswith(tuple(options.networks))
    ]
    if not wanted:
        parser.error(f"--networks: the benchmarks are {', '.join(BENCHMARKS)}")
    try:
        benchmarks(wanted, options.fidelity, options.launch, options.figure)
        missed = intensities()
    except DovetailError as error:
        parser.error(str(error))
    if options.experts:
        coe = importlib.import_module(f"{__package__}.coe" if __package__ else "coe")
        missed |= coe.switching() | coe.footprint() | coe.answers()
        coe.breakdown()
    return int(missed)


def benchmarks(
    names: Sequence[str], fidelity: str, launches: Sequence[float], figure: str | None
) -> None:
    """Figure 10: speed-ups beside the paper's range."""
    print(f"{'benchmark':21s}{'sockets':>8s}{'unfused':>10s}{'fused SO':>10s}{'fused HO':>10s}"
          f"{'SO':>7s}{'HO':>7s}{'kernels':>9s}{'sections':>9s}{'calls':>7s}"
          + "".join(f"{f'HO@{us:g}us':>10s}" for us in launches))  # fmt: skip
    found = {name: measure(name, fidelity) for name in names}
    for name, times in found.items():
        others = "".join(f"{moved(name, times, us):9.2f}x" for us in launches)
        print(
            f"{name:21s}{BENCHMARKS[name][2]:8d}{times.unfused:9.3f}m{times.software:9.3f}m"
            f"{times.hardware:9.3f}m{times.unfused / times.software:6.2f}x{times.speed_up:6.2f}x"
            f"{times.kernels:9,d}{times.sections:9,d}{times.kernels / times.sections:6.1f}x{others}"
        )
    speed_ups = [times.speed_up for times in found.values()]
    outside = [name for name, t in found.items() if not RANGE[0] <= t.speed_up <= RANGE[1]]
    reach = f"{min(speed_ups):.2f}x to {max(speed_ups):.2f}x"
    print(f"fused, started by hardware, against unfused: {reach} (paper: 2x to 13x)")
    print(f"outside: {', '.join(outside) or 'none'}")
    if "llama2-70B prefill" in found:
        times = found["llama2-70B prefill"]
        ratio = times.kernels / times.sections
        print(f"kernel calls of llama2-70B prefill, 4096 tokens: {ratio:.1f}x fewer (paper: about "
              f"{CALLS:g}x), ratio {ratio / CALLS:.2f}")  # fmt: skip
    if figure:
        draw(found, figure)


def measure(name: str, fidelity: str) -> Times:
    """Times of one benchmark."""
    network, sizes, sockets = BENCHMARKS[name]
    net = load_network(network, dims=sizes)
    base = presets.load("sn40l").replace({"sockets": sockets})

    def run(orchestration: str, mapper: str) -> tuple[float, int]:
        design = base.replace({"orchestration": orchestration})
        report = map_network(net, design, mapper=mapper).report(fidelity)
        return report.latency_ms, int(report.accelerator["sections"])

    unfused, kernels = run("software", "unfused")
    software, _ = run("software", "fused")
    hardware, sections = run("hardware", "fused")
    return Times(unfused, software, hardware, kernels, sections)


def moved(name: str, times: Times, launch_us: float) -> float:
    """The speed-up if the host's launch took another time; the same sections."""
    base = presets.load("sn40l")
    assert isinstance(base, Rdu)
    change = (launch_us - base.software_us) * 1e-3
    return (times.unfused + times.kernels * change) / times.hardware


def monarch(batch: int = 3, m: int = 1280, k: int = 16, n: int = 768, p: int = 256) -> Network:
    """Gemm0 (m, k) x (k, n), Mul, Transpose, Gemm1 (n, m) x (m, p); matrices serve all of a batch.

    The paper's shapes stand in a figure. With these the fully fused intensity and that of
    Gemm0-Mul-Transpose are the paper's to 0.3 %, that of no fusion to 4 %.
    """
    net = NetworkBuilder("monarch")
    x = net.linear(net.input("x", (batch, m, k)), n, bias=False, name="gemm0")
    x = net.mul(x, net.parameter("twiddle", (m, n)), name="mul")
    x = net.transpose(x, (0, 2, 1), name="transpose")
    return net.build([net.linear(x, p, bias=False, name="gemm1")])


def traffic(section: Section) -> float:
    """Bytes that a section moves, in and out."""
    shape = section.outline
    return float((shape.streamed + shape.kept + shape.stored).sum())


def intensity(bounds: Sequence[int]) -> float:
    """Operations per byte of the convolution, cut into sections at these stages."""
    network = monarch()
    design = presets.load("sn40l")
    assert isinstance(design, Rdu)
    found = cut(Sectioner(lower(network, design)), bounds)
    assert found is not None
    operations = 2 * network.macs + sum(op.vector_ops for op in network.operators)
    return operations / sum(traffic(section) for section in found)


def intensities() -> bool:
    """Table I; whether a class differs, or a ratio between fused kernels by 1 %."""
    ours = [intensity(bounds) for bounds in ((0, 1, 2, 3, 4), (0, 3, 4), (0, 4))]
    print(f"\nTable I, batch 3 of (1280 x 16) x (16 x 768), then (768 x 1280) x (1280 x 256)\n"
          f"{'fusion':22s}{'paper':>8s}{'ours':>8s}{'ratio':>8s}  against {RIDGE:g}")  # fmt: skip
    missed = False
    for (name, paper), value in zip(TABLE, ours, strict=True):
        missed |= (paper > RIDGE) != (value > RIDGE)
        side = "above" if value > RIDGE else "below"
        print(f"{name:22s}{paper:8.1f}{value:8.1f}{value / paper:8.3f}  {side}")
    for text, low, held in (("Gemm0-Mul-Transpose", 1, 0.01), ("none", 0, 0.05)):
        paper, value = TABLE[2][1] / TABLE[low][1], ours[2] / ours[low]
        missed |= abs(value / paper - 1) > held
        print(f"fully fused / {text}: paper {paper:.2f}, ours {value:.2f}")
    return missed


def draw(found: dict[str, Times], path: str) -> None:
    """Bars of the speed-ups."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    place = range(len(found))
    axis.bar([i - 0.2 for i in place], [t.unfused / t.software for t in found.values()], 0.4,
             label="fused, started by the host")  # fmt: skip
    axis.bar([i + 0.2 for i in place], [t.speed_up for t in found.values()], 0.4,
             label="fused, started by the hardware")  # fmt: skip
    axis.axhspan(*RANGE, alpha=0.1, label="paper: 2x to 13x")
    axis.set_xticks(list(place), list(found), rotation=40, ha="right", fontsize=8)
    axis.set_ylabel("times faster than unfused")
    axis.legend(fontsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
