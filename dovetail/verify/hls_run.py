"""A kernel's Verilog under Icarus: corner and random vectors, and what came of them."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dovetail.errors import AcceleratorError, MissingExtraError, MissingToolError, ToolError
from dovetail.hls import HlsBuild, build, find_kernel
from dovetail.verify.hls_cases import find_check
from dovetail.verify.hls_checks import Check, StreamCheck, as_bits
from dovetail.verify.hls_judge import Turns, judge, measured

_BENCHES = {False: "dovetail.verify.hls_bench", True: "dovetail.verify.hls_stream_bench"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of one kernel showed.

    Attributes:
        kernel: its name.
        parameters: all of them, by name.
        lanes: scalars of each argument per vector.
        transactions: argument vectors sent.
        latency_cycles: that the build reports.
        initiation_interval: that the build reports.
        measured: latency and interval seen while nothing stalled; None where too little came.
        faults: what differs, in words; empty if all is well.
        seconds: that building and running took.
    """

    kernel: str
    parameters: dict[str, int]
    lanes: int
    transactions: int
    latency_cycles: int
    initiation_interval: int
    measured: tuple[int | None, int | None]
    faults: tuple[str, ...]
    seconds: float

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """From the JSON-able form."""
        latency, interval = data["measured"]
        return cls(**{**data, "measured": (latency, interval), "faults": tuple(data["faults"])})

    def to_dict(self) -> dict[str, object]:
        """JSON-able form."""
        return {
            "kernel": self.kernel,
            "parameters": self.parameters,
            "lanes": self.lanes,
            "transactions": self.transactions,
            "latency_cycles": self.latency_cycles,
            "initiation_interval": self.initiation_interval,
            "measured": list(self.measured),
            "faults": list(self.faults),
            "seconds": self.seconds,
        }


def require_tools() -> None:
    """Checks that Icarus and cocotb are there.

    Raises:
        MissingToolError: if Icarus, or a shared libpython, is not installed.
        MissingExtraError: if XLS or cocotb is not installed.
    """
    if importlib.util.find_spec("xls") is None:
        raise MissingExtraError("high-level synthesis", "hls", "xls")
    if importlib.util.find_spec("cocotb_tools") is None:
        raise MissingExtraError("running a kernel's Verilog", "rtl", "cocotb")
    if shutil.which("iverilog") is None:
        raise MissingToolError("running a kernel's Verilog", "iverilog", "apt-get install iverilog")
    import find_libpython

    if find_libpython.find_libpython() is None:
        raise MissingToolError(
            "running a kernel's Verilog", "a shared libpython", "apt-get install libpython3-dev"
        )


def verify_kernel(
    kernel: str,
    parameters: Mapping[str, int] | None = None,
    *,
    transactions: int = 200,
    lanes: int = 1,
    seed: int = 0,
    **options: Any,
) -> Outcome:
    """Builds a kernel and runs corner vectors, then random ones, through its Verilog.

    Args:
        kernel: its name.
        parameters: values by name; the others have their defaults.
        transactions: argument vectors to send, corners first; more where a stream's rows need them.
        lanes: scalars of each argument per vector.
        seed: of the random vectors and of the gaps between them.
        options: of `dovetail.hls.build`: clock, stages, delay model.

    Raises:
        AcceleratorError: if the kernel's check fails, or gives vectors of another shape.
        ToolError: if the simulator fails.
    """
    start = time.monotonic()
    made = build(kernel, parameters, lanes=lanes, **options)
    rng = np.random.default_rng(seed)
    check = find_check(kernel)
    if isinstance(check, StreamCheck):
        # Three whole rows, of which one meets no stall.
        least = 3 * made.parameters.get("count", 1) + 4 * made.latency_cycles
        transactions = max(transactions, least)
    try:
        vectors, triggers, results, turns = _case(made, check, rng, transactions)
    except Exception as error:
        raise AcceleratorError(
            f"check of kernel '{kernel}' fails: {type(error).__name__}: {error}"
        ) from error
    seen = simulate(made, vectors, seed)
    faults = judge(made, triggers, results, seen, turns)
    seconds = round(time.monotonic() - start, 2)
    return Outcome(
        kernel, made.parameters, lanes, len(vectors), made.latency_cycles,
        made.initiation_interval, measured(triggers, seen, turns), faults, seconds,
    )  # fmt: skip


def _case(
    made: HlsBuild, check: Check | StreamCheck, rng: Generator, transactions: int
) -> tuple[list[list[int]], list[int], list[int], Turns | None]:
    """Vectors of a run, which of them completes each result, the results, and their turns."""
    lanes = made.lanes
    scalars = check.vectors(made.parameters, rng, transactions * lanes)
    if isinstance(check, StreamCheck):
        turns = check.turns(made.parameters, scalars) if check.turns else None
        vectors = [[word] for word in check.words(made.parameters, scalars)]
        return vectors, *check.reference(made.parameters, scalars), turns
    widths = [width // lanes for _, width in made.ports]
    columns = zip(scalars.T, widths, strict=True)
    vectors = [list(row) for row in zip(*(_packed(*c, lanes) for c in columns), strict=True)]
    expected = check.reference(made.parameters, scalars)
    results = _packed(expected, made.out_bits // lanes, lanes)
    return vectors, list(range(len(results))), results, None


def _packed(column: NDArray[Any], width: int, lanes: int) -> list[int]:
    """Bit patterns of `lanes` scalars each, the first in the lowest bits."""
    bits = as_bits(column, width).reshape(-1, lanes).tolist()
    return [sum(value << (width * lane) for lane, value in enumerate(row)) for row in bits]


def simulate(made: HlsBuild, vectors: Sequence[Sequence[int]], seed: int) -> dict[str, Any]:
    """Runs vectors through the Verilog of a build.

    Returns:
        `accepted`: the edge of each vector; `results`: (edge, bits in text) of each result;
        `sent`: vectors to send; `free`: how many of them were offered one per cycle while nothing
        stalled their results; `unstable`: how often a result changed while it waited.

    Raises:
        ToolError: if the simulator fails.
    """
    from cocotb_tools.runner import get_runner

    case = {
        "ports": [name for name, _ in made.ports],
        "out": made.out,
        "vectors": vectors,
        "latency": made.latency_cycles,
        "interval": made.initiation_interval,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory(prefix="dovetail-hls-") as name:
        folder = Path(name)
        (folder / "kernel.v").write_text(made.verilog, encoding="utf-8")
        (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
        runner = get_runner("icarus")
        try:
            # The runner prints the commands that it runs.
            with redirect_stdout(StringIO()):
                runner.build(
                    sources=[folder / "kernel.v"],
                    hdl_toplevel=made.module,
                    always=True,
                    build_dir=folder,
                    log_file=folder / "build.log",
                )
                runner.test(
                    test_module=_BENCHES[find_kernel(str(made.provenance["kernel"])).stream],
                    hdl_toplevel=made.module,
                    build_dir=folder,
                    test_dir=folder,
                    results_xml=str(folder / "results.xml"),
                    log_file=folder / "run.log",
                    extra_env={"COCOTB_ANSI_OUTPUT": "0"},
                )
            seen: dict[str, Any] = json.loads((folder / "seen.json").read_text(encoding="utf-8"))
        except (SystemExit, OSError, ValueError, RuntimeError) as error:
            raise ToolError(f"Icarus fails on '{made.module}': {_last_line(folder)}") from error
    return seen


def _last_line(folder: Path) -> str:
    for name in ("run.log", "build.log"):
        path = folder / name
        if path.exists():
            lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
            lines = [line for line in lines if line]
            if lines:
                return lines[-1]
    return "no message"
