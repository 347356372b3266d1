"""Writes a twin as a folder that needs nothing of Dovetail to be simulated or synthesised."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from dovetail import __version__, rtl
from dovetail.building.readme import readme
from dovetail.building.twin import Case, Twin
from dovetail.errors import OutputError
from dovetail.ir.program import HardwareLoop, Instruction
from dovetail.rtl.synthesis import Synthesis
from dovetail.sim.rtl import channel, hex_words

MANIFEST = "build.json"
"""Marks a folder as one that may be replaced."""

TOP = "dovetail_top"
BENCH_FILES = ("axi_memory.sv", "axi_checker.sv", "dovetail_testbench.sv", "dovetail_clock.sv",
               "main.cpp")  # fmt: skip
BENCH_SOURCES = BENCH_FILES[:3]
_TB = Path(rtl.__file__).resolve().parent / "tb"


def check_folder(out: Path | str) -> None:
    """Fails early if a build could not be written there.

    Raises:
        OutputError: if something else than a build stands there, or nothing can be written.
    """
    path = Path(out)
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(f"--out {out}: is a file; name a folder")
        if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
            raise OutputError(f"--out {out}: holds other files; name an empty or a new folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(out, error) from None


def write_folder(twin: Twin, out: Path | str, synthesis: Mapping[str, Synthesis]) -> None:
    """Writes the folder in one step: it appears complete or not at all.

    Args:
        twin: what was built.
        out: the folder; an earlier build there is replaced.
        synthesis: what Yosys counted, by target.

    Raises:
        OutputError: if it cannot be written.
    """
    check_folder(out)
    target = Path(out).absolute()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
            fresh, old = Path(name) / "new", Path(name) / "old"
            fresh.mkdir()
            _fill(fresh, twin, synthesis)
            if target.exists():
                target.rename(old)
            try:
                fresh.rename(target)
            except OSError:
                with suppress(OSError):
                    old.rename(target)
                raise
    except OSError as error:
        raise _unwritable(out, error) from error


def _unwritable(out: Path | str, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"cannot write '{out}': {reason}; choose a folder that can be written")


def _fill(folder: Path, twin: Twin, synthesis: Mapping[str, Synthesis]) -> None:
    for name in ("rtl", "tb", "program"):
        (folder / name).mkdir()
    names = [path.name for path in rtl.sources()]
    for path in rtl.sources():
        shutil.copyfile(path, folder / "rtl" / path.name)
    for name in BENCH_FILES:
        shutil.copyfile(_TB / name, folder / "tb" / name)
    texts = {
        f"rtl/{TOP}.sv": wrapper(twin.parameters),
        "files.f": "".join(f"rtl/{name}\n" for name in (*names, f"{TOP}.sv")),
        "bench.f": "".join(f"tb/{name}\n" for name in BENCH_SOURCES),
        "design.yaml": yaml.safe_dump({"family": "systolic", **twin.design.to_dict()},
                                      sort_keys=False),
        "run.sh": _run_script(twin),
        "synth.ys": _yosys(names),
        "program/listing.txt": _listing(twin),
        MANIFEST: json.dumps(_manifest(twin, synthesis), indent=1) + "\n",
        "README.md": readme(twin, synthesis),
    }  # fmt: skip
    for index, case in enumerate(twin.cases):
        texts[f"program/image_{index}.hex"] = hex_words(case.memory, _bus_bytes(twin))
        texts[f"program/expected_{index}.hex"] = _expected(twin, case)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "run.sh").chmod(0o755)
    folder.chmod(0o755)


def wrapper(parameters: Mapping[str, int]) -> str:
    """The accelerator with its parameters fixed, as a module without any."""
    source = next(path for path in rtl.sources() if path.stem == "dovetail_accelerator")
    text = source.read_text(encoding="utf-8")
    match = re.search(r"^module dovetail_accelerator #\(.*?^\) \((.*?)^\);", text, re.M | re.S)
    assert match, "the accelerator has parameters and ports"
    bits = parameters["BusBits"]
    ports = match[1].replace("BusBits/8-1", str(bits // 8 - 1)).replace("BusBits-1", str(bits - 1))
    ports = re.sub(r"\] +(?=m_axi_\w+data|m_axi_wstrb)", "] ", ports)
    names = re.findall(r"^\s*(?:input|output)\s.*?(\w+)\s*,?\s*(?://.*)?$", ports, re.M)
    values = ",\n".join(f"    .{key}({value})" for key, value in parameters.items())
    wires = ",\n".join(f"    .{name}" for name in names)
    return (
        "/// The accelerator with the parameters of this design.\n\n"
        f"module {TOP} ({ports});\n\n"
        f"  dovetail_accelerator #(\n{values}\n  ) u_accelerator (\n{wires}\n  );\n\n"
        "endmodule\n"
    )


def _bus_bytes(twin: Twin) -> int:
    return twin.design.bus_bits // 8


def _lines(twin: Twin) -> tuple[int, int]:
    """First and last line of the answer in a dump of the memory, from 1."""
    region = twin.executable.region(twin.executable.output)
    bus = _bus_bytes(twin)
    return region.address // bus + 1, (region.address + region.size - 1) // bus + 1


def _expected(twin: Twin, case: Case) -> str:
    first, last = _lines(twin)
    bus = _bus_bytes(twin)
    return hex_words(case.after[(first - 1) * bus : last * bus], bus)


def _run_script(twin: Twin) -> str:
    speed, (first, last) = channel(twin.design), _lines(twin)
    words = -(-twin.executable.size // _bus_bytes(twin))
    parameters = {**twin.parameters, "MemoryWords": 1 << max(0, words - 1).bit_length()}
    plusargs = {
        "words": words, "address": twin.executable.start, "latency": speed.latency,
        "bandwidth": speed.bandwidth_256ths, "limit": 4 * twin.cycles + 10_000,
    }  # fmt: skip
    values = {
        "PARAMETERS": " ".join(f"{key}={value}" for key, value in parameters.items()),
        "PLUSARGS": " ".join(f"+{key}={value}" for key, value in plusargs.items()),
        "IMAGES": str(len(twin.cases)),
        "FIRST": str(first),
        "LAST": str(last),
        "CYCLES": str(twin.cycles),
    }
    text = (_TB / "run.sh").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)


def _yosys(names: list[str]) -> str:
    reads = "".join(f"read_verilog -sv -defer rtl/{name}\n" for name in (*names, f"{TOP}.sv"))
    return f"{reads}synth_xilinx -family xc7 -noiopad -noclkbuf -top {TOP}\nstat\n"


def _listing(twin: Twin) -> str:
    """The program in words, its loops indented."""
    lines = []
    for segment in twin.executable.segments:
        lines.append(f"segment '{segment.program.operator}' at {segment.address:#x}")
        lines += _items(segment.program.body, "  ")
    return "\n".join(lines) + "\n"


def _items(body: tuple[Instruction | HardwareLoop, ...], indent: str) -> Iterator[str]:
    for item in body:
        if isinstance(item, HardwareLoop):
            yield f"{indent}repeat {item.count}, load {item.load_step}, store {item.store_step}"
            yield from _items(item.body, indent + "  ")
        else:
            yield f"{indent}{item}"


def _manifest(twin: Twin, synthesis: Mapping[str, Synthesis]) -> dict[str, object]:
    return {
        "dovetail": __version__,
        "network": twin.network.name,
        "design": twin.design.to_dict(),
        "changes": list(twin.changes),
        "parameters": twin.parameters,
        "start": twin.executable.start,
        "memory_bytes": twin.executable.size,
        "cycles": twin.cycles,
        "images": len(twin.cases),
        "answers": [case.answer.reshape(-1).tolist() for case in twin.cases],
        "synthesis": {target: done.to_dict() for target, done in synthesis.items()},
    }
