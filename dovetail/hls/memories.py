"""Memories of streams: what XLS is told about their channels, and the module that holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dovetail.errors import AcceleratorError
from dovetail.hls.kernel import Kernel

_RAM = Path(__file__).resolve().parent / "ram.v"
_PARTS = ("data", "valid", "ready")
_PORT = re.compile(r"^  (input|output) wire (?:\[(\d+):0\] )?(\w+),?$", re.M)


def ports(module: str) -> list[tuple[str, int, str]]:
    """Direction, bits and name of each port of a module as XLS writes it."""
    return [(way, int(high or 0) + 1, name) for way, high, name in _PORT.findall(module)]


def without_registers(ir: str, kernel: Kernel) -> str:
    """The IR with channels of memories that end in the process itself.

    The registers that all other channels get would lie between a memory and the stage that waits
    for its word.

    Raises:
        AcceleratorError: if the process lacks a channel of a memory.
    """
    for ram in kernel.rams:
        declared = rf"^(chan {kernel.name}__{ram.name}_(?:rd_req|rd|wr)\(.*)\)$"
        bare = r"\1, input_flop_kind=none, output_flop_kind=none)"
        ir, found = re.subn(declared, bare, ir, flags=re.M)
        if found != 3:
            names = ", ".join(f"{ram.name}_{part}" for part in ("rd_req", "rd", "wr"))
            raise AcceleratorError(
                f"kernel '{kernel.name}' has {found} channels of memory '{ram.name}': "
                f"its process needs {names}"
            )
    return ir


def constraints(kernel: Kernel) -> list[str]:
    """When a turn of the process reads and writes: XLS schedules sends and receives so."""
    found = []
    for ram in kernel.rams:
        channel = f"{kernel.name}__{ram.name}"
        after = ram.write_after
        found.append(f"{channel}_rd_req:send:{channel}_rd:recv:1:1")
        found.append(f"{channel}_rd_req:send:{channel}_wr:send:{after}:{after}")
    return found


def with_memories(core: str, kernel: Kernel, module: str, values: Mapping[str, int]) -> str:
    """A module around the process that connects it to its memories.

    Args:
        core: text of the process, whose module is named `{module}_core`.
        kernel: that it is.
        module: name of the module to make.
        values: all parameters.

    Returns:
        Its text, without the process and without the memory's own module.
    """
    declared = ports(core)
    names = "|".join(ram.name for ram in kernel.rams)
    inside = re.compile(rf"(?:{names})_(?:rd_req|rd|wr)_(?:data|valid|ready)")
    outer = [port for port in declared if not inside.fullmatch(port[2])]
    lines = [f"module {module}("]
    lines += [f"  {way} wire {_range(bits)}{name}," for way, bits, name in outer]
    lines[-1] = lines[-1].removesuffix(",")
    lines.append(");")
    widths = {name: bits for _, bits, name in declared if inside.fullmatch(name)}
    lines += [f"  wire {_range(bits)}{name};" for name, bits in widths.items()]
    lines += _instance(f"{module}_core", "", "core", [name for _, _, name in declared], {})
    for ram in kernel.rams:
        lines += _memory(ram.name, values[ram.words], widths)
    return "\n".join([*lines, "endmodule\n"])


def ram_module() -> str:
    """Text of the memory's module."""
    return _RAM.read_text(encoding="utf-8")


def _memory(name: str, words: int, widths: Mapping[str, int]) -> list[str]:
    address, word = widths[f"{name}_rd_req_data"], widths[f"{name}_rd_data"]
    parts = widths[f"{name}_wr_data"] - address - word
    sizes = {"Words": words, "AddressBits": address, "Bits": word, "Parts": parts}
    fixed = ", ".join(f".{key}({value})" for key, value in sizes.items())
    own = [f"{port}_{part}" for port in ("rd_req", "rd", "wr") for part in _PARTS]
    nets = {pin: f"{name}_{pin}" for pin in own}
    return _instance("dovetail_kernel_ram", f" #({fixed})", name, ["clk", "rst_ni", *own], nets)


def _instance(
    module: str, fixed: str, name: str, pins: list[str], nets: Mapping[str, str]
) -> list[str]:
    joined = ",\n".join(f"    .{pin}({nets.get(pin, pin)})" for pin in pins)
    return [f"  {module}{fixed} {name} (", joined, "  );"]


def _range(bits: int) -> str:
    return f"[{bits - 1}:0] " if bits > 1 else ""
