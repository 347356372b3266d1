"""The README of a built folder."""

from __future__ import annotations

from collections.abc import Mapping

from dovetail.building.twin import Twin
from dovetail.rtl.synthesis import Synthesis

_TEXT = """\
# {network} on {name}

A systolic accelerator as SystemVerilog, with the program of one network, and test images with the
answers and the number of cycles that the RTL must give exactly.

| | |
|---|---|
{facts}

    ./run.sh                        # Icarus Verilog: prints PASS or FAIL
    ./run.sh verilator              # Verilator 5
    yosys synth.ys                  # cells on a Xilinx 7-series FPGA
    dovetail build design.yaml      # this design again

| file | what it is |
|---|---|
| `rtl/` | synthesizable; `dovetail_top.sv` is `dovetail_accelerator` with the parameters fixed |
| `files.f` | the files of `rtl/` in the order in which tools read them |
| `tb/`, `bench.f` | AXI4 memory with the design's latency and bandwidth, bus checker, clock |
| `program/image_N.hex` | memory before a run: segments, weights, image N; a bus word per line |
| `program/expected_N.hex` | the answer's bus words after it |
| `program/listing.txt` | the program in words |
| `design.yaml`, `build.json` | the design; parameters, cycles and answers as JSON |

To run: put the image at address 0, hold `address_i` at {start} and pulse `start_i`; `done_o` rises
when the answer stands in memory. Activations are signed codes of {bits} bits,
[row][column][channel].
{changes}{counts}"""


def readme(twin: Twin, synthesis: Mapping[str, Synthesis]) -> str:
    """What the folder holds and how to use it."""
    design, region = twin.design, twin.executable.region(twin.executable.output)
    milliseconds = twin.cycles / design.clock_mhz / 1e3
    facts = {
        "array": f"{design.rows} x {design.cols} {design.dataflow}, folds overlap: "
        f"{design.fold_overlap}",
        "operands": f"{design.input_bits} bit inputs, {design.weight_bits} bit weights, "
        f"{design.accumulator_bits} bit sums",
        "bus": f"AXI4, {design.bus_bits} bit",
        "one image": f"{twin.cycles:,} cycles, {milliseconds:.4g} ms at {design.clock_mhz:g} MHz",
        "memory": f"{twin.executable.size:,} bytes; the answer at {region.address:#x}",
        "layers": f"{len(twin.network.layers)}",
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    changes = "".join(f"- {change}\n" for change in twin.changes)
    return _TEXT.format(
        network=twin.network.name,
        name=design.name,
        facts=rows,
        start=twin.executable.start,
        bits=design.input_bits,
        changes=f"\nTo be buildable, the design was changed:\n\n{changes}" if changes else "",
        counts=_counts(synthesis),
    )


def _counts(synthesis: Mapping[str, Synthesis]) -> str:
    lines = []
    for target, done in synthesis.items():
        figures = ", ".join(f"{value:,.10g} {key}" for key, value in done.summary().items())
        lines.append(f"\nYosys, {target}: {figures.replace('_', ' ')}.\n")
    return "".join(lines)
