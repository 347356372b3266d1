"""Speed of the cycle simulator against its gates: the same program, the same cycles.

    python benchmarks/rtl_speed.py [--quick] [--layers N]

ResNet8 (MLPerf Tiny) and convolutions of growing size on an 8 x 8 array, tiled by the exhaustive
mapper as `dovetail simulate` does: processor time of `sim.cycle` (program to cycles, tracing off),
of the RTL under Verilator (single thread, optimized build), and of the RTL under Icarus Verilog.
Lowering and building are in none of them. Of ResNet-50 the gates run the first layer only, and the
rest is extrapolated by cycles; with --quick also of ResNet8 under Icarus.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from dataclasses import dataclass, replace

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.flow import map_network
from dovetail.ir.encoding import ENTRY_BYTES, HEADER, pack, unpack
from dovetail.ir.executable import Bytes, Executable
from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.quantize import quantize
from dovetail.mappers.rtl.twins import structure
from dovetail.mappers.schedule import schedule
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.sim import rtl
from dovetail.sim.cycle import run_executable
from dovetail.verify.networks import MICRO, bench_of

LAYERS = (
    # name, channels, output channels, pixels per edge, kernel
    ("resnet8 stage 1", 16, 16, 32, 3),
    ("resnet8 stage 3", 64, 64, 8, 3),
    ("mobilenet pointwise", 128, 128, 14, 1),
    ("resnet50 conv2 reduce", 256, 64, 56, 1),
    ("resnet50 conv5 3x3", 512, 512, 7, 3),
    ("resnet50 conv2 3x3", 64, 64, 56, 3),
    ("resnet50 conv3 3x3", 128, 128, 28, 3),
)
BIG = replace(MICRO, name="micro+", input_sram_kib=64, weight_sram_kib=64, output_sram_kib=64)


@dataclass(frozen=True)
class Gates:
    """Cycles that the gates ran, and the processor seconds it took."""

    cycles: int
    seconds: float


def gates(executable: Executable, memory: Bytes, simulator: str, design: SystolicArray) -> Gates:
    """One run, building not counted."""
    bench = bench_of(executable, design, simulator)
    begin = spent_by_children()
    run = rtl.run(bench, memory, rtl.channel(design), address=executable.start)
    seconds = spent_by_children() - begin
    if run.failure:
        raise SystemExit(f"{simulator}: {run.failure}")
    return Gates(run.cycles - 1, seconds)


def spent_by_children() -> float:
    """Processor seconds of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def simulated(executable: Executable, design: SystolicArray) -> tuple[int, float]:
    """Cycles, and the median of 15 processor times."""
    run_executable(executable, design)
    times = []
    for _ in range(15):
        begin = time.process_time()
        timing = run_executable(executable, design)
        times.append(time.process_time() - begin)
    return timing.total, statistics.median(times)


def first_segments(executable: Executable, memory: Bytes, count: int) -> Bytes:
    """The memory, with the chain of segments ended after `count`."""
    cut = memory.copy()
    at = executable.segments[count - 1].address
    header = unpack(HEADER, int.from_bytes(cut[at : at + ENTRY_BYTES].tobytes(), "little"))
    word = pack(HEADER, {**header, "next": 0}, "cut").to_bytes(ENTRY_BYTES, "little")
    cut[at : at + ENTRY_BYTES] = np.frombuffer(word, dtype=np.uint8)
    return cut


def network(quick: bool) -> None:
    """ResNet8, whole."""
    graph = load_network("resnet8")
    made = quantize(graph)
    executable = lower(made, MICRO, map_network(graph, MICRO).tilings)
    image = np.random.default_rng(0).integers(-128, 128, made.tensor(made.input).shape)
    memory = executable.memory(image)
    cycles, seconds = simulated(executable, MICRO)
    print(f"ResNet8 on {MICRO.rows} x {MICRO.cols}, one image: {cycles:,} cycles")
    print(f"  sim.cycle  {seconds * 1e3:9.3f} ms")
    fast = gates(executable, memory, "verilator", MICRO)
    agree(fast.cycles, cycles)
    report("Verilator", fast, seconds, "measured whole")
    count = 2 if quick else len(executable.segments)
    part = first_segments(executable, memory, count)
    slow = gates(executable, part, "icarus", MICRO)
    if not quick:
        agree(slow.cycles, cycles)
        report("Icarus", slow, seconds, "measured whole")
        return
    whole = Gates(cycles, slow.seconds / slow.cycles * cycles)
    note = f"extrapolated by cycles from {slow.cycles:,} cycles, {slow.seconds:.1f} s"
    report("Icarus", whole, seconds, note)


def large() -> None:
    """ResNet-50, whole on the simulator, its first layer on the gates."""
    network = load_network("resnet50")
    tilings = map_network(network, BIG).tilings
    executable = lower(structure(network, schedule(network)), BIG, tilings)
    cycles, seconds = simulated(executable, BIG)
    print(f"\nResNet-50 on {BIG.rows} x {BIG.cols}, one image: {cycles:,} cycles")
    print(f"  sim.cycle  {seconds * 1e3:9.3f} ms")
    part = gates(executable, first_segments(executable, executable.memory(), 1), "verilator", BIG)
    whole = Gates(cycles, part.seconds / part.cycles * cycles)
    note = f"extrapolated by cycles from its first layer, {part.cycles:,} cycles"
    report("Verilator", whole, seconds, note)


def agree(found: int, expected: int) -> None:
    """Ends the benchmark if gates and simulator count differently: then speed means nothing."""
    if found != expected:
        raise SystemExit(f"the gates take {found} cycles, the simulator says {expected}")


def report(name: str, run: Gates, seconds: float, note: str) -> None:
    """One line."""
    rate = run.cycles / run.seconds
    print(
        f"  {name:9s}  {run.seconds:9.3f} s   {rate:12,.0f} cycles/s   "
        f"{run.seconds / seconds:12,.0f} x sim.cycle   ({note})"
    )


def layers(count: int) -> None:
    """One convolution each, growing."""
    print(f"\nconvolutions on {BIG.rows} x {BIG.cols}, Verilator measured whole")
    print(
        f"{'layer':24s}{'MMAC':>8s}{'cycles':>12s}{'sim.cycle':>12s}{'Verilator':>12s}{'ratio':>10s}"
    )
    for name, channels, outputs, size, kernel in LAYERS[:count]:
        net = NetworkBuilder(name)
        x = net.input("x", (1, channels, size, size))
        y = net.conv2d(x, outputs, kernel, padding=kernel // 2, name="conv")
        work = net.build([net.activation(y, "relu")])
        made = quantize(work)
        executable = lower(made, BIG, map_network(work, BIG).tilings)
        image = np.random.default_rng(0).integers(-128, 128, made.tensor(made.input).shape)
        cycles, seconds = simulated(executable, BIG)
        run = gates(executable, executable.memory(image), "verilator", BIG)
        agree(run.cycles, cycles)
        print(
            f"{name:24s}{work.macs / 1e6:8.1f}{cycles:12,d}{seconds * 1e3:9.3f} ms"
            f"{run.seconds:10.2f} s{run.seconds / seconds:10,.0f}",
            flush=True,
        )


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="Icarus runs 2 layers of ResNet8")
    parser.add_argument("--layers", type=int, default=len(LAYERS), help="convolutions to run")
    options = parser.parse_args()
    network(options.quick)
    layers(options.layers)
    large()


if __name__ == "__main__":
    main()
