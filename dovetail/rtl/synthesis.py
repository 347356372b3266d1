"""Synthesis of the RTL with Yosys: what a module takes in gates, or on a Xilinx 7-series FPGA."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dovetail.errors import MissingToolError, ToolError
from dovetail.rtl import sources

NAND2_UM2 = 0.798
"""Area of NanGate45's NAND2_X1, the unit of gate equivalents."""

CELL_UM2 = {
    "NOT": 0.532, "NAND": 0.798, "NOR": 0.798, "AND": 1.064, "OR": 1.064, "XOR": 1.596,
    "XNOR": 1.596, "MUX": 1.862, "AOI3": 1.064, "OAI3": 1.064, "AOI4": 1.33, "OAI4": 1.33,
    "DFF_P": 4.522, "DFF_PN0": 5.32, "DFF_PN1": 5.32,
}  # fmt: skip
"""Areas of the NanGate45 cells (drive X1) behind Yosys' gates; a reset or set costs a DFFR/DFFS."""

GATES = tuple(name for name in CELL_UM2 if name != "NOT" and not name.startswith("DFF"))
MEMORY_WORDS = 32
"""Memories of fewer words become flip-flops; larger ones stay memories and count in bits."""

MEMORY_LUTS = {
    "RAM32M": 4, "RAM64M": 4, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
}  # fmt: skip
"""LUTs of a 7-series slice that a memory in LUTs takes (AMD UG474, "Distributed RAM")."""

LIMIT_S = 600.0

Size = tuple[int, int]
"""Words of a memory, and bits of a word."""

_TO_GATES = f"""
synth {{flatten}} -run begin:fine
opt -fast -full
memory_map t:$mem_v2 r:SIZE<{MEMORY_WORDS} %i
opt -undriven -fine
techmap
dfflegalize -cell $_DFF_P_ x -cell $_DFF_PN0_ x -cell $_DFF_PN1_ x
opt_expr
opt_merge
opt_clean
abc {{fast}} -g {",".join(GATES)}
opt_clean
"""
_TO_XILINX = "synth_xilinx -family xc7 -noiopad -noclkbuf {flatten}"
SCRIPTS = {"gates": _TO_GATES, "xilinx": _TO_XILINX}


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What a module takes.

    Attributes:
        top: the module.
        parameters: the values it was given; the others have their defaults.
        target: `gates` or `xilinx`.
        cells: how many of each type, without leading `$_`, in the whole hierarchy.
        memories: (words, bits of a word, how many) of those kept as memories; `gates` only.
        seconds: that Yosys took.
    """

    top: str
    parameters: dict[str, int]
    target: str
    cells: dict[str, int]
    memories: tuple[tuple[int, int, int], ...]
    seconds: float

    def count(self, *prefixes: str) -> int:
        """Cells whose types begin so."""
        return sum(n for name, n in self.cells.items() if name.startswith(prefixes))

    @property
    def flip_flops(self) -> int:
        """Bits held in flip-flops."""
        return self.count("DFF", "FDRE", "FDCE", "FDPE", "FDSE")

    @property
    def gate_equivalents(self) -> float:
        """Area of gates and flip-flops in NAND2 gates, memories left out."""
        return sum(CELL_UM2.get(name, 0.0) * n for name, n in self.cells.items()) / NAND2_UM2

    @property
    def memory_bits(self) -> int:
        """Bits of the memories."""
        return sum(words * width * n for words, width, n in self.memories)

    @property
    def luts(self) -> int:
        """Look-up tables, those that serve as shift registers or memories included."""
        memories = sum(n * self.cells.get(name, 0) for name, n in MEMORY_LUTS.items())
        return self.count("LUT", "SRL") + memories

    @property
    def dsps(self) -> int:
        """DSP48 blocks."""
        return self.count("DSP48")

    @property
    def block_rams(self) -> float:
        """Block RAMs of 36 kbit; one of 18 kbit is a half."""
        return self.count("RAMB36") + self.count("RAMB18") / 2

    def summary(self) -> dict[str, float]:
        """The figures that its target has, by name."""
        if self.target == "xilinx":
            return {
                "luts": self.luts,
                "flip_flops": self.flip_flops,
                "dsps": self.dsps,
                "block_rams": self.block_rams,
            }
        return {
            "gate_equivalents": round(self.gate_equivalents),
            "cell_count": sum(self.cells.values()),
            "flip_flops": self.flip_flops,
            "memory_bits": self.memory_bits,
        }

    def to_dict(self) -> dict[str, object]:
        """JSON-able form, figures included."""
        return {**asdict(self), "seconds": round(self.seconds, 2), **self.summary()}


def synthesize(
    top: str,
    parameters: Mapping[str, int],
    target: str = "gates",
    *,
    flatten: bool = True,
    fast: bool = False,
    files: Sequence[Path] | None = None,
    limit_s: float = LIMIT_S,
) -> Synthesis:
    """Runs Yosys on a module.

    Args:
        top: name of the module.
        parameters: values by name.
        target: `gates` (two-input gates, AOI/OAI, multiplexers and flip-flops; enables become
            multiplexers, clocks are not gated) or `xilinx` (LUTs, DSPs and block RAMs).
        flatten: optimise across modules; without it every distinct module is mapped once, so that
            an array takes as long as one of its elements.
        fast: map to gates in a tenth of the time, for 5 to 10 % more of them.
        files: sources; those of the accelerator if not given.
        limit_s: seconds that Yosys may take.

    Raises:
        MissingToolError: if Yosys is not installed.
        ToolError: if it fails or takes too long.
    """
    if shutil.which("yosys") is None:
        raise MissingToolError("synthesis", "yosys", "apt-get install yosys")
    with tempfile.TemporaryDirectory(prefix="dovetail-synthesis-") as name:
        folder = Path(name)
        script = _script(
            top,
            parameters,
            target,
            sources() if files is None else files,
            flatten=flatten,
            fast=fast,
        )
        (folder / "run.ys").write_text(script, encoding="utf-8")
        start = time.monotonic()
        _run(folder, top, limit_s)
        seconds = time.monotonic() - start
        modules = _modules(folder / "stat.json", top)
        memories = _memories(folder / "memories.il") if target == "gates" else {}
    cells, kept = _total(top, modules, memories)
    flat = tuple((*size, n) for size, n in sorted(kept.items()))
    return Synthesis(top, dict(parameters), target, dict(sorted(cells.items())), flat, seconds)


def _script(
    top: str,
    parameters: Mapping[str, int],
    target: str,
    files: Sequence[Path],
    *,
    flatten: bool,
    fast: bool,
) -> str:
    lines = [f'read_verilog -sv -defer "{path}"' for path in files]
    lines += [f"chparam -set {name} {value} {top}" for name, value in parameters.items()]
    lines.append(f"hierarchy -check -top {top}")
    options = {"flatten": "-flatten" if flatten else "", "fast": "-fast" if fast else ""}
    lines.append(SCRIPTS[target].format(**options))
    lines.append("tee -q -o stat.json stat -json")
    if target == "gates":
        lines.append("dump -m -o memories.il t:$mem_v2")
    return "\n".join(lines) + "\n"


def _run(folder: Path, top: str, limit_s: float) -> None:
    try:
        done = subprocess.run(
            ["yosys", "-q", "run.ys"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"yosys took more than {limit_s:g} s on '{top}': synthesise a smaller design"
        ) from None
    except OSError as error:
        raise ToolError(f"cannot run yosys: {error.strerror or error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ToolError(f"yosys fails on '{top}': {lines[-1] if lines else 'no message'}")


def _modules(path: Path, top: str) -> dict[str, dict[str, int]]:
    """Cells and instances by type, by module."""
    try:
        # Yosys 0.23 writes the hierarchy as plain text behind the modules.
        text = path.read_text(encoding="utf-8").partition('"modules":')[2].lstrip()
        modules, _ = json.JSONDecoder().raw_decode(text)
        return {_plain(name): entry["num_cells_by_type"] for name, entry in modules.items()}
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"yosys counts no cells of '{top}': {error}") from None


def _plain(name: str) -> str:
    return name.removeprefix("\\")


def _memories(path: Path) -> dict[str, Counter[Size]]:
    """Memories by size, by module."""
    found: dict[str, Counter[Size]] = {}
    for module in path.read_text(encoding="utf-8").split("\nmodule ")[1:]:
        sizes = [
            (_parameter(cell, "SIZE"), _parameter(cell, "WIDTH"))
            for cell in module.split("cell $mem_v2")[1:]
        ]
        found[_plain(module.split(maxsplit=1)[0])] = Counter(sizes)
    return found


def _total(
    module: str, modules: Mapping[str, Mapping[str, int]], memories: Mapping[str, Counter[Size]]
) -> tuple[Counter[str], Counter[Size]]:
    """Cells and memories of a module and of all that stands in it."""
    cells: Counter[str] = Counter()
    kept = Counter(memories.get(module, {}))
    for name, count in modules[module].items():
        if name in modules:
            below, held = _total(name, modules, memories)
            cells.update({key: count * n for key, n in below.items()})
            kept.update({key: count * n for key, n in held.items()})
        elif name != "$mem_v2":
            cells[name.removeprefix("$_").removesuffix("_")] += count
    return cells, kept


def _parameter(cell: str, key: str) -> int:
    """A parameter's constant in RTLIL: decimal, or `32'0101`."""
    match = re.search(rf"parameter (?:signed )?\\{key} (\S+)", cell)
    text = match[1] if match else "0"
    _, quote, digits = text.partition("'")
    return int(digits, 2) if quote else int(text)
