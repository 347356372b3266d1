"""Formal proofs about the RTL: wrappers in dovetail/rtl/formal, Yosys, yosys-smtbmc and Z3.

A proof has three parts. *BMC* looks for a run of so many cycles after reset that breaks a property.
*Induction* shows that no run of any length does. *Cover* shows that the wrapper lets happen what
the properties are about.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dovetail import rtl
from dovetail.errors import DovetailError, MissingToolError, ToolError, UnknownNameError

LIMIT_S = 300.0
"""Longest time of one part of a proof."""

_FOLDER = Path(rtl.__file__).resolve().parent
_PREPARE = (
    # Memories become registers before the hierarchy goes, so that wrappers can name them.
    "proc; memory_map; flatten; opt -fast; async2sync; dffunmap; "
    "setundef -undriven -anyseq; opt_clean; check -assert"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is to be proved.

    Attributes:
        wrapper: module and file name in dovetail/rtl/formal.
        modules: that it needs, in the order of reading.
        claim: in words.
        parameters: of the wrapper.
        bmc: cycles that bounded model checking covers.
        induction: cycles of the induction step; 0: none, so that the claim holds up to `bmc` only.
        cover: cycles within which all cover properties must be reached.
        cut: selection of cells whose outputs become anything, such as multipliers.
    """

    wrapper: str
    modules: tuple[str, ...]
    claim: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    bmc: int = 10
    induction: int = 1
    cover: int = 12
    cut: str = ""

    @property
    def name(self) -> str:
        """The wrapper without prefix, and its parameters."""
        values = ", ".join(f"{key} {value}" for key, value in self.parameters.items())
        short = self.wrapper.removeprefix("formal_")
        return f"{short} ({values})" if values else short


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a proof.

    Attributes:
        proof: what was to be proved.
        failure: empty if it was proved; else the part and the property that failed.
        seconds: wall-clock time.
    """

    proof: Proof
    failure: str
    seconds: float


_FIFO = "no word is lost, made up, doubled or overtaken; an offered word stays"
_BURST = "bursts cover a transfer exactly once, in order, within 4 KiB; an offered burst stays"
_QUEUES = (
    "tokens are conserved; one owner of the channel, in turn; no half is read and written; "
    "no deadlock"
)
_STORE = (
    "AW and W stay until taken, W never waits for AW; each beat once, WLAST and the end in place; "
    "progress; exact duration"
)
_STORE_MODULES = ("dovetail_fifo", "dovetail_burst", "dovetail_requantize", "dovetail_store")
_STORES: tuple[dict[str, int], ...] = (
    {},  # two words of two beats, in two bursts: the run crosses 4 KiB
    {"Columns": 3, "RunBeats": 1, "Blocks": 3, "Pixels": 1, "WordBeats": 1, "Bursts": 3},
)
_CONTROL = ("dovetail_tokens", "dovetail_channel")

PROOFS = (
    *(Proof("formal_fifo", ("dovetail_fifo",), _FIFO, {"Depth": depth}) for depth in (1, 2, 3, 4)),
    *(
        Proof("formal_burst", ("dovetail_burst",), _BURST, {"BusBits": bits}, bmc=4)
        for bits in (8, 64, 512)
    ),
    *(
        Proof("formal_queues", _CONTROL, _QUEUES, {"EngineLimit": limit}, bmc=12, induction=2)
        for limit in (1, 5)
    ),
    *(
        Proof(
            "formal_store",
            _STORE_MODULES,
            _STORE,
            values,
            bmc=24,
            induction=0,
            cover=20,
            cut="*requantize*/word_o",
        )
        for values in _STORES
    ),
)


def prove(proof: Proof, folder: Path | None = None) -> Outcome:
    """Tries to prove.

    Args:
        proof: what.
        folder: of the modules; the package's own by default.

    Raises:
        MissingToolError: if Yosys or Z3 is not installed.
        ToolError: if Yosys does not take the sources, or a part takes longer than `LIMIT_S`.
    """
    require_tools()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="dovetail-formal-") as scratch:
        model = Path(scratch) / "model.smt2"
        _translate(proof, folder or _FOLDER, model)
        failure = _check(proof, model)
    return Outcome(proof, failure, time.perf_counter() - started)


def require_tools() -> None:
    """Checks that proofs can be run.

    Raises:
        MissingToolError: naming what to install.
    """
    for tool in ("yosys", "yosys-smtbmc"):
        if shutil.which(tool) is None:
            raise MissingToolError("formal verification", tool, "apt-get install yosys")
    if shutil.which("z3", path=_path()) is None:
        raise MissingToolError("formal verification", "z3", "pip install 'dovetail[rtl]'")


def select(names: Iterable[str] = ()) -> tuple[Proof, ...]:
    """Proofs of wrappers, such as "fifo"; all if there are no names.

    Raises:
        UnknownNameError: if there is no such wrapper.
    """
    known = dict.fromkeys(proof.wrapper.removeprefix("formal_") for proof in PROOFS)
    wanted = tuple(names)
    for name in wanted:
        if name not in known:
            raise UnknownNameError("proof", name, known)
    return tuple(p for p in PROOFS if not wanted or p.wrapper.removeprefix("formal_") in wanted)


def row(outcome: Outcome) -> tuple[str, ...]:
    """Cells of the table of `HEADER`."""
    proof = outcome.proof
    reach = f"any (k = {proof.induction})" if proof.induction else f"{proof.bmc} cycles"
    result = f"FAILED: {outcome.failure}" if outcome.failure else "proved"
    return (proof.name, str(proof.bmc), reach, f"{outcome.seconds:.1f}", result, proof.claim)


HEADER = ("proof", "BMC", "holds for", "seconds", "result", "claim")
"""`holds for`: runs of any length by induction over k cycles, or only as long as BMC looked."""


def _path() -> str:
    """Where z3-solver puts z3, then the usual places."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _translate(proof: Proof, folder: Path, model: Path) -> None:
    files = [folder / f"{name}.sv" for name in ("dovetail_isa_pkg", *proof.modules)]
    files.append(_FOLDER / "formal" / f"{proof.wrapper}.sv")
    sets = " ".join(f"-set {name} {value}" for name, value in proof.parameters.items())
    quoted = " ".join(f'"{path}"' for path in files)
    script = [
        f"read_verilog -formal -sv {quoted}",
        f"chparam {sets} {proof.wrapper}" if sets else "",
        f"hierarchy -check -top {proof.wrapper}",
        f"proc; cutpoint {proof.cut}" if proof.cut else "",
        _PREPARE,
        f'write_smt2 -wires "{model}"',
    ]
    done = _run(["yosys", "-q", "-p", "; ".join(line for line in script if line)])
    if done.returncode:
        raise ToolError(f"yosys does not take {proof.name}: {_last_line(done.stderr)}")


def _check(proof: Proof, model: Path) -> str:
    """Runs all parts; returns the first failure, or nothing."""
    parts = [("BMC", ["-t", str(proof.bmc)])]
    if proof.induction:
        parts.append(("induction", ["-i", "-t", str(proof.induction)]))
    parts.append(("cover", ["-c", "-t", str(proof.cover)]))
    for part, options in parts:
        # Step t is the cycle after t others.
        done = _run(["yosys-smtbmc", "-s", "z3", *options, str(model)])
        if "Status: PASSED" in done.stdout:
            continue
        if "Status: FAILED" not in done.stdout:
            raise ToolError(f"yosys-smtbmc fails at {proof.name}: {_last_line(done.stderr)}")
        found = re.search(
            r"(?:Assert failed in \w+:|Unreached cover statement at) (\S+)", done.stdout
        )
        return f"{part}, {found[1].rstrip('.')}" if found else part
    return ""


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LIMIT_S,
            env={**os.environ, "PATH": _path()},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} takes longer than {LIMIT_S:.0f} s") from None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def main(names: Iterable[str] = ()) -> int:
    """Proves and prints a table; returns the exit code."""
    failed = False
    try:
        print(" | ".join(HEADER))
        for proof in select(names):
            outcome = prove(proof)
            failed |= bool(outcome.failure)
            print(" | ".join(row(outcome)), flush=True)
    except DovetailError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
