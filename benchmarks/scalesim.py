"""Dovetail against SCALE-Sim 3.0.0 on one topology: are cycles equal, and how long does each take.

    python benchmarks/scalesim.py --install FOLDER [--layers 3]

makes a virtual environment in FOLDER with SCALE-Sim from PyPI; `--python PATH` takes an interpreter
that already has it. The convolutions and matrix products of a network are written as a SCALE-Sim
topology, each with the input that its outputs touch (SCALE-Sim knows no padding), and both
simulators read that file. SCALE-Sim runs with unlimited bandwidth and writes no traces; it reports
the index of the last cycle, one less than the count. All of ResNet-50 takes it minutes and 5.5 GB;
with `--work FOLDER` a finished run is kept there and read again. Times are wall-clock.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dovetail.arch.systolic import FIDELITIES, SystolicArray
from dovetail.errors import NetworkError
from dovetail.flow import simulate
from dovetail.ir.network import Network
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.systolic.tiling import MAPPERS
from dovetail.networks.registry import load_network
from dovetail.sim.columns import ARRAY, Op

REQUIREMENTS = ("scalesim==3.0.0", "numpy<2.4")
HEADER = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
    "Num Filter, Strides,"
)
KIB = 1024
SIMULATION_GOAL, PROCESS_GOAL = 10_000, 50

DRIVER = """
import json, resource, sys, time
from scalesim.scale_sim import scalesim
config, topology, layout, folder, result = sys.argv[1:]
run = scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout)
start = time.perf_counter()
run.run_scale(top_path=folder)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
json.dump({"simulation_s": seconds, "peak_kib": peak}, open(result, "w"))
"""

CONFIG = """[general]
run_name = run

[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {cols}
ifmapsramszkB: {kib}
filtersramszkB: {kib}
ofmapsramszkB: {kib}
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: {dataflow}
Bandwidth: 10
ReadRequestBuffer: 512
WriteRequestBuffer: 512

[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


@dataclass(frozen=True)
class Peer:
    """What SCALE-Sim found: stall-free cycles per layer, its times in seconds, its peak memory."""

    cycles: list[int]
    simulation_s: float
    process_s: float
    peak_kib: int


def main() -> int:
    args = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(args.work or temporary)
        work.mkdir(parents=True, exist_ok=True)
        topology = work / f"{args.network}.csv"
        lines = topology_lines(load_network(args.network))
        topology.write_text("\n".join([HEADER, *lines[: args.layers], ""]))
        accelerator = design(args.rows, args.cols, args.dataflow)
        python = args.python or install(Path(args.install))
        peer = run_peer(python, work, topology, accelerator)
        return compare(peer, topology, accelerator, work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--install", metavar="FOLDER", help="make a venv with SCALE-Sim there")
    source.add_argument("--python", metavar="PATH", help="an interpreter that has SCALE-Sim")
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--layers", type=int, help="only the first so many")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--cols", type=int, default=128)
    parser.add_argument("--dataflow", choices=("os", "ws", "is"), default="os")
    parser.add_argument("--work", metavar="FOLDER", help="keep all files there")
    return parser.parse_args()


def design(rows: int, cols: int, dataflow: str) -> SystolicArray:
    """One array at 1 GHz, three scratchpads of 1 MiB as SCALE-Sim gets, a channel of 100 GB/s."""
    values: dict[str, object] = {"rows": rows, "cols": cols, "dataflow": dataflow}
    pads = {f"{operand}_sram_kib": KIB for operand in ("input", "weight", "output")}
    values |= {**pads, "name": f"{rows}x{cols} {dataflow}", "clock_mhz": 1000}
    return SystolicArray.from_dict({**values, "dram_gb_per_s": 100})


def topology_lines(network: Network) -> list[str]:
    """One line per convolution or matrix product.

    Raises:
        NetworkError: if SCALE-Sim's format cannot hold one of them.
    """
    plan = schedule(network)
    lines = []
    for placement, op in zip(plan.placements, op_rows(network, plan), strict=True):
        if op[Op.ENGINE] != ARRAY:
            continue
        name, stride = placement.operator.name, int(op[Op.STRIDE_H])
        plain = op[Op.G] == op[Op.N] == op[Op.DILATION_H] == op[Op.DILATION_W] == 1
        if not plain or stride != op[Op.STRIDE_W] or "DP" in name:
            raise NetworkError(f"'{name}': SCALE-Sim has no groups, batches, dilation, two strides")
        # The input that the outputs touch, padding included.
        height = (int(op[Op.P]) - 1) * stride + int(op[Op.R])
        width = (int(op[Op.Q]) - 1) * stride + int(op[Op.S])
        extents = [int(op[column]) for column in (Op.R, Op.S, Op.C, Op.K)]
        lines.append(", ".join(map(str, [name, height, width, *extents, stride])) + ",")
    return lines


def install(folder: Path) -> str:
    """Makes a virtual environment with SCALE-Sim; returns its interpreter."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return str(python)


def run_peer(python: str, work: Path, topology: Path, accelerator: SystolicArray) -> Peer:
    """Runs SCALE-Sim on the topology, or reads a finished run of the same in `work`."""
    config, layout, result = work / "scale.cfg", work / "layout.csv", work / "scalesim.json"
    text = CONFIG.format(kib=KIB, **accelerator.to_dict())
    key = {"config": text, "topology": topology.read_text()}
    if result.exists() and (kept := json.loads(result.read_text()))["key"] == key:
        print(f"SCALE-Sim: a finished run, read from {result}")
        return Peer(**kept["peer"])
    config.write_text(text)
    layout.write_text("Layer name,\n")
    times = work / "times.json"
    paths = [str(path) for path in (config, topology, layout, work, times)]
    start = time.perf_counter()
    done = subprocess.run([python, "-c", DRIVER, *paths], capture_output=True, text=True)
    process_s = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"SCALE-Sim failed:\n{done.stderr[-2000:]}")
    with (work / "run" / "COMPUTE_REPORT.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    if any(float(row["Stall Cycles"]) for row in rows):
        raise SystemExit("SCALE-Sim stalled although its bandwidth is unlimited")
    cycles = [int(float(row["Total Cycles"])) + 1 for row in rows]
    peer = Peer(cycles=cycles, process_s=process_s, **json.loads(times.read_text()))
    result.write_text(json.dumps({"key": key, "peer": vars(peer)}))
    return peer


def compare(peer: Peer, topology: Path, accelerator: SystolicArray, work: Path) -> int:
    """Prints both and their ratios; 1 if a layer's cycles differ."""
    network = load_network(str(topology))
    report = simulate(network, accelerator)
    pairs = [(op.name, op.compute_cycles) for op in report.operators]
    rows = [(*pair, count) for pair, count in zip(pairs, peer.cycles, strict=True)]
    different = [row for row in rows if row[1] != row[2]]
    print(f"{topology.stem}, {len(rows)} layers, {accelerator.name}")
    print(
        f"  stall-free cycles: equal in {len(rows) - len(different)} of {len(rows)} layers, "
        f"{report.total['compute_cycles']:,} in total"
    )
    for name, ours, theirs in different:
        print(f"    {name}: {ours} here, {theirs} there")
    print(
        f"  SCALE-Sim: simulation {peer.simulation_s:.2f} s, whole process {peer.process_s:.2f} s, "
        f"{peer.peak_kib / 2**20:.2f} GiB"
    )
    preset = work / "accelerator.yaml"
    preset.write_text("".join(f"{key}: {value}\n" for key, value in accelerator.to_dict().items()))
    for fidelity in FIDELITIES:
        for mapper in MAPPERS:
            call = partial(simulate, network, accelerator, fidelity=fidelity, mapper=mapper)
            alone = median_seconds(call, 30)
            print(
                f"  Dovetail, {fidelity:8}: {mapper:10} tilings: simulation {alone * 1e3:.2f} ms "
                f"= {peer.simulation_s / alone:,.0f}x (goal {SIMULATION_GOAL:,}x)"
            )
        whole = median_seconds(partial(run_process, topology, preset, fidelity), 5)
        print(
            f"  Dovetail, {fidelity:8}: whole process {whole:.2f} s = "
            f"{peer.process_s / whole:,.0f}x (goal {PROCESS_GOAL}x)"
        )
    return 1 if different else 0


def run_process(topology: Path, preset: Path, fidelity: str) -> None:
    """The command `dovetail simulate`, from its start to its exit."""
    command = [sys.executable, "-c", "from dovetail.cli import main; main()", "simulate"]
    command += [str(topology), "--accelerator", str(preset), "--fidelity", fidelity]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dovetail simulate failed:\n{done.stderr[-2000:]}")


def median_seconds(call: Callable[[], object], count: int) -> float:
    """Median time of a call after one that compiles and fills caches."""
    call()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
