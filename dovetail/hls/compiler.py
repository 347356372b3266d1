"""DSLX to pipelined Verilog, and to values, through the XLS compiler in this process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dovetail.errors import AcceleratorError, MissingExtraError, UnknownNameError

DELAY_MODELS = ("asap7", "sky130")
_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class HlsBuild:
    """A kernel as a pipeline.

    Inputs and outputs are registered. `valid_i` accepts one argument vector per cycle, `valid_o`
    marks its result on `out`; `clk` is the clock, `rst_ni` a synchronous reset, active low, of the
    valid bits. Other ports are the function's arguments, by name.

    Attributes:
        verilog: text of one module, Verilog-2001.
        module: its name.
        latency_cycles: from the edge that accepts arguments to the edge that samples their result.
        initiation_interval: cycles between two argument vectors.
        provenance: tool and version, kernel, top function, SHA-256 of the DSLX source, clock and
            delay model: what it takes to build the same text again.
    """

    verilog: str
    module: str
    latency_cycles: int
    initiation_interval: int
    provenance: dict[str, str | int]


def kernels() -> list[Path]:
    """The DSLX files of all kernels."""
    return sorted(_FOLDER.glob("*.x"))


def build(
    kernel: str,
    *,
    clock_ps: int,
    delay_model: str = "asap7",
    top: str = "main",
) -> HlsBuild:
    """Compiles a kernel to a pipeline of as few stages as the clock allows.

    Args:
        kernel: name of a DSLX file of this package, without its suffix.
        clock_ps: clock period in ps under the delay model.
        delay_model: "asap7" or "sky130".
        top: public function of the kernel; each fixes the widths of a parametric one.

    Raises:
        MissingExtraError: if XLS is not installed.
        UnknownNameError: if kernel, top function or delay model does not exist.
        AcceleratorError: if the clock is too fast for some operation of the kernel.
    """
    if delay_model not in DELAY_MODELS:
        raise UnknownNameError("delay model", delay_model, DELAY_MODELS)
    xls, source, ir, name = _convert(kernel, top)
    # Code generation consumes a package, so each build parses one of its own.
    package = xls.parse_ir_package(xls.optimize_ir(ir, name))
    module = f"dovetail_{kernel}_{top}"
    try:
        result = package.schedule_and_codegen(
            generator="pipeline",
            top=name,
            module_name=module,
            clock_period_ps=clock_ps,
            delay_model=delay_model,
            with_delay_model=True,
            flop_inputs=True,
            flop_outputs=True,
            input_valid_signal="valid_i",
            output_valid_signal="valid_o",
            reset="rst_ni",
            reset_active_low=True,
            reset_asynchronous=False,
            use_system_verilog=False,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0].split(".")[0]
        raise AcceleratorError(
            f"kernel '{kernel}' at {clock_ps} ps with '{delay_model}': {reason}; raise clock_ps"
        ) from error
    verilog = result.get_verilog_text()
    provenance: dict[str, str | int] = {
        "tool": f"xls-python {version('xls-python')}",
        "kernel": kernel,
        "top": top,
        "source_sha256": hashlib.sha256(source.encode()).hexdigest(),
        "clock_ps": clock_ps,
        "delay_model": delay_model,
    }
    # A function without state takes new arguments in every cycle.
    return HlsBuild(verilog, module, _registers_of_valid(verilog), 1, provenance)


def interpret(kernel: str, vectors: Iterable[Sequence[int]], *, top: str = "main") -> list[int]:
    """Runs a kernel on argument vectors in the XLS interpreter, before any optimization.

    Args:
        kernel: name of a DSLX file of this package, without its suffix.
        vectors: argument values in the function's order; only the bits of each argument's width
            count, so that negative numbers are two's complement.
        top: public function of the kernel.

    Returns:
        Results as bit patterns; `dovetail.sim.values.wrap` makes them signed.

    Raises:
        MissingExtraError: if XLS is not installed.
        UnknownNameError: if kernel or top function does not exist.
    """
    xls, _, ir, name = _convert(kernel, top)
    package = xls.parse_ir_package(ir)
    function = package.get_function(name)
    kind = function.get_type()
    widths = [
        kind.get_param_type(i).get_flat_bit_count() for i in range(function.get_param_count())
    ]
    results = []
    for vector in vectors:
        fields = zip(vector, widths, strict=True)
        arguments = [xls.Value.make_ubits(width, value & (2**width - 1)) for value, width in fields]
        results.append(int(function.interpret(arguments).get_bits().to_uint64()))
    return results


def _convert(kernel: str, top: str) -> tuple[Any, str, str, str]:
    """The XLS module, the kernel's source, its IR, and the IR's name of `top`."""
    try:
        import xls
    except ImportError as error:
        raise MissingExtraError("high-level synthesis", "hls", "xls") from error
    paths = {path.stem: path for path in kernels()}
    if kernel not in paths:
        raise UnknownNameError("kernel", kernel, paths)
    source = paths[kernel].read_text(encoding="utf-8")
    ir = xls.convert_dslx_to_ir(source, paths[kernel].name, kernel)
    tops = set(re.findall(rf"^(?:top )?fn __{kernel}__([a-z0-9]+(?:_[a-z0-9]+)*)\(", ir, re.M))
    if top not in tops:
        raise UnknownNameError(f"function of kernel '{kernel}'", top, tops)
    return xls, source, ir, xls.mangle_dslx_name(kernel, top)


def _registers_of_valid(verilog: str) -> int:
    """Registers between valid_i and valid_o, followed backwards through the generated text."""
    drivers = {
        target: (source, operator == "<=")
        for target, operator, source in re.findall(r"(\w+) (<=|=) (\w+);", verilog)
    }
    signal, registers = "valid_o", 0
    while signal != "valid_i":
        signal, registered = drivers[signal]
        registers += registered
    return registers
