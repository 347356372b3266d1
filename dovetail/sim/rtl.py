"""The gates: runs a program on the RTL under a simulator and reads what it did when."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import ToolError
from dovetail.ir.encoding import QUEUES
from dovetail.ir.executable import Bytes, Executable
from dovetail.sim.simulators import Bench, build

STATIONARY = {"os": 0, "ws": 1}


@dataclass(frozen=True, slots=True)
class Channel:
    """The memory's speed.

    Attributes:
        latency: cycles from a read burst's acceptance, before the first beat's own.
        bandwidth_256ths: in 1/256 byte per cycle.
        stalls: seed of random backpressure; 0 for none, else times mean nothing.
    """

    latency: int
    bandwidth_256ths: int
    stalls: int = 0


@dataclass(frozen=True, slots=True)
class SegmentTrace:
    """What the gates did in one segment; cycles from the start signal.

    Attributes:
        start: its fetch starts.
        run: its queues start; -1 if they never do.
        starts: per queue, the cycle in which each instruction is given to its engine.
        ends: per queue, the cycle after each instruction's last.
    """

    start: int
    run: int
    starts: tuple[tuple[int, ...], ...]
    ends: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class RtlRun:
    """A finished run of the gates.

    Attributes:
        cycles: until the accelerator is done; -1 if it never is.
        segments: what happened in each.
        memory: after the run; empty if it failed.
        failure: the rule that was broken or the limit that was passed; empty if none.
    """

    cycles: int
    segments: tuple[SegmentTrace, ...]
    memory: Bytes
    failure: str


def parameters(design: SystolicArray, *, param_depth: int, program_depth: int) -> dict[str, int]:
    """Parameters of `dovetail_accelerator` for a design.

    Args:
        design: an RTL machine.
        param_depth: parameter words.
        program_depth: entries per queue.
    """
    return {
        "Stationary": STATIONARY[design.dataflow],
        "Overlap": int(design.fold_overlap == "full"),
        "Rows": design.rows,
        "Cols": design.cols,
        "InputBits": design.input_bits,
        "WeightBits": design.weight_bits,
        "AccBits": design.accumulator_bits,
        "BusBits": design.bus_bits,
        "InputDepth": design.half_words("input"),
        "WeightDepth": design.half_words("weight"),
        "AccDepth": design.half_words("output"),
        "ParamDepth": param_depth,
        "ProgramDepth": program_depth,
    }


def channel(design: SystolicArray, stalls: int = 0) -> Channel:
    """The memory of a design."""
    return Channel(design.dram_latency_cycles, design.bandwidth_256ths, stalls)


def run_executable(
    executable: Executable,
    design: SystolicArray,
    memory: Bytes,
    simulator: str = "verilator",
    *,
    limit: int = 2**31,
    waves: str | None = None,
) -> RtlRun:
    """Builds the gates of a design and runs an executable on them.

    Args:
        executable: what to run.
        design: that it was lowered to.
        memory: its memory with an input, `executable.size` bytes.
        simulator: "verilator" or "icarus".
        limit: cycles after which it is given up.
        waves: FST file to write.

    Raises:
        MissingToolError, ToolError: if the gates cannot be built or run.
    """
    values = parameters(
        design, param_depth=executable.param_depth, program_depth=executable.program_depth
    )
    bench = build(values, simulator, memory_bytes=len(memory), waves=waves is not None)
    return run(bench, memory, channel(design), address=executable.start, limit=limit, waves=waves)


def run(
    bench: Bench,
    memory: Bytes,
    speed: Channel,
    *,
    address: int = 0,
    limit: int = 2**31,
    rounds: int = 1,
    waves: str | None = None,
    coverage: str | None = None,
) -> RtlRun:
    """Runs a built bench on a memory.

    Args:
        bench: see `build`.
        memory: bytes from address 0.
        speed: of the memory.
        address: of the first segment.
        limit: cycles after which it is given up.
        rounds: how often it is started, one run after the other; each must take the same cycles.
        waves: FST file to write.
        coverage: coverage file to write.

    Raises:
        ToolError: if the simulator itself fails.
    """
    words = -(-len(memory) // bench.bus_bytes)
    with tempfile.TemporaryDirectory(prefix="dovetail-") as name:
        folder = Path(name)
        (folder / "image.hex").write_text(hex_words(memory, bench.bus_bytes))
        plusargs: dict[str, object] = {
            "image": folder / "image.hex", "dump": folder / "dump.hex",
            "trace": folder / "trace.txt", "words": words, "address": address, "limit": limit,
            "rounds": rounds,
            "latency": speed.latency, "bandwidth": speed.bandwidth_256ths, "stalls": speed.stalls,
        }  # fmt: skip
        plusargs |= {"waves": waves} if waves else {}
        plusargs |= {"coverage": coverage} if coverage else {}
        output = _call(bench.command, plusargs)
        cycles, failure = _outcome(output)
        try:
            segments = read_trace((folder / "trace.txt").read_text())
            done = not failure
            after = _read_dump(folder / "dump.hex", len(memory)) if done else np.zeros(0, np.uint8)
        except (ValueError, IndexError, KeyError):
            raise ToolError(
                f"the simulator's files in '{folder.parent}' are cut off: is the disk full?"
            ) from None
    return RtlRun(cycles, segments, after, failure)


def _call(command: Sequence[str], plusargs: Mapping[str, object]) -> str:
    arguments = [f"+{name}={value}" for name, value in plusargs.items()]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _outcome(output: str) -> tuple[int, str]:
    """Cycles and failure from what the bench prints."""
    broken = [line for line in output.splitlines() if "RULE " in line]
    if broken:
        return -1, "RULE " + broken[0].partition("RULE ")[2].strip()
    for line in output.splitlines():
        if line.startswith("LIMIT"):
            return -1, "the accelerator is not done within the limit"
        if line.startswith("DONE "):
            return int(line.split()[1]), ""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    raise ToolError(f"the simulator failed: {lines[-1] if lines else 'no output'}")


def hex_words(memory: Bytes, bus_bytes: int) -> str:
    """Bytes as `$readmemh` reads them, one bus word per line."""
    padded = np.zeros(-(-len(memory) // bus_bytes) * bus_bytes, dtype=np.uint8)
    padded[: len(memory)] = memory
    # Hex digits of a word start with its highest byte.
    return padded.reshape(-1, bus_bytes)[:, ::-1].tobytes().hex("\n", bus_bytes) + "\n"


def _read_dump(path: Path, size: int) -> Bytes:
    """Bytes of the memory after a run.

    Raises:
        ToolError: if a bit is unknown; a digit is then x or z, or X or Z if others of it are known.
    """
    lines = path.read_text().lower().split()
    text = "".join(lines)
    width = len(lines[0]) // 2
    if "x" in text or "z" in text:
        number = next(i for i, line in enumerate(lines) if "x" in line or "z" in line)
        raise ToolError(f"memory word {number} holds unknown bits: {lines[number]}")
    data = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    return np.ascontiguousarray(data.reshape(-1, width)[:, ::-1].reshape(-1)[:size])


def read_trace(text: str) -> tuple[SegmentTrace, ...]:
    """Segments of a bench's trace."""
    starts: list[int] = []
    runs: list[int] = []
    events: dict[str, list[list[list[int]]]] = {"s": [], "e": []}
    for line in text.splitlines():
        kind, *numbers = line.split()
        if kind == "g":
            starts.append(int(numbers[0]))
            runs.append(-1)
            for lists in events.values():
                lists.append([[] for _ in range(QUEUES)])
        elif kind == "r":
            runs[-1] = int(numbers[0])
        else:
            events[kind][-1][int(numbers[0])].append(int(numbers[1]))
    columns = zip(starts, runs, events["s"], events["e"], strict=True)
    return tuple(SegmentTrace(g, r, _frozen(s), _frozen(e)) for g, r, s, e in columns)


def _frozen(lists: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(items) for items in lists)
