"""DSLX to pipelined Verilog, and to values, through the XLS compiler in this process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from dovetail.errors import AcceleratorError, MissingExtraError, UnknownNameError
from dovetail.hls.kernel import PACKAGE_FOLDER, Kernel
from dovetail.hls.memories import constraints, ram_module, with_memories, without_registers
from dovetail.hls.memories import ports as ports_of
from dovetail.hls.registry import find_kernel
from dovetail.hls.tables import tables_as_cases

DELAY_MODELS = ("asap7", "sky130")
DEFAULT_CLOCK_PS = 2000
MOST_STAGES = 100
MOST_INTERVAL = 64
_PIPELINE = {"input_valid_signal": "valid_i", "output_valid_signal": "valid_o"}
_STREAM = {f"streaming_channel_{part}_suffix": f"_{part}" for part in ("data", "valid", "ready")}


@dataclass(frozen=True, slots=True)
class HlsBuild:
    """A kernel as a pipeline or a stream, a Verilog module.

    Of a pipeline, inputs and outputs are registered. `valid_i` accepts one argument vector per
    cycle, `valid_o` marks its result on `out`. Other ports are the function's arguments, by name;
    lane 0 is in their lowest bits.

    A stream has a channel in and one out, `NAME_data`, `NAME_valid` and `NAME_ready` each; ready
    may wait for valid. A channel's fields stand in the order of DSLX, the first in the highest
    bits. Memories stand beside the process `MODULE_core` inside of the module, each an instance of
    `dovetail_kernel_ram`.

    `clk` is the clock, `rst_ni` a synchronous reset, active low, of valid bits and state.

    Attributes:
        verilog: text of the module and of those in it, Verilog-2001.
        module: its name.
        parameters: all of them, by name.
        lanes: how many scalars of each argument a vector holds.
        ports: name and bits of each argument, or of the channel in.
        out: name of the result's port or channel.
        out_bits: bits of the result.
        latency_cycles: from the edge that accepts arguments to the edge that samples their result,
            where nothing stalls.
        initiation_interval: cycles between two argument vectors.
        provenance: tool and version, kernel, SHA-256 of the DSLX source, clock, stages and delay
            model: what it takes to build the same text again.
    """

    verilog: str
    module: str
    parameters: dict[str, int]
    lanes: int
    ports: tuple[tuple[str, int], ...]
    out: str
    out_bits: int
    latency_cycles: int
    initiation_interval: int
    provenance: dict[str, str | int]


def build(
    kernel: str,
    parameters: Mapping[str, int] | None = None,
    *,
    lanes: int = 1,
    clock_ps: int | None = None,
    stages: int | None = None,
    interval: int = 1,
    delay_model: str = "asap7",
) -> HlsBuild:
    """Compiles a kernel to a pipeline or a stream.

    Args:
        kernel: its name.
        parameters: values by name; the others have their defaults.
        lanes: scalars per cycle.
        clock_ps: clock period in ps under the delay model; as few stages as it allows. 2000 if
            neither it nor the stages are given.
        stages: pipeline stages instead, as balanced as they can be; with both, XLS checks that
            the stages meet the clock.
        interval: cycles between two inputs of a stream without memories; more than one relaxes the
            clock of what its state goes through.
        delay_model: "asap7" or "sky130".

    Raises:
        MissingExtraError: if XLS is not installed.
        UnknownNameError: if kernel, parameter or delay model does not exist.
        AcceleratorError: if a value is illegal, or the clock is too fast for some operation.
    """
    if delay_model not in DELAY_MODELS:
        raise UnknownNameError("delay model", delay_model, DELAY_MODELS)
    if stages is not None and not 1 <= stages <= MOST_STAGES:
        raise AcceleratorError(f"{stages} stages: must be within 1 to {MOST_STAGES}")
    if clock_ps is None and stages is None:
        clock_ps = DEFAULT_CLOCK_PS
    entry = find_kernel(kernel)
    # What a process asks of a memory comes a cycle later, whatever the interval.
    most = MOST_INTERVAL if entry.stream and not entry.rams else 1
    if not 1 <= interval <= most:
        raise AcceleratorError(
            f"kernel '{kernel}' with interval {interval}: must be within 1 to {most}"
        )
    xls, source, ir, name = _convert(entry, parameters, lanes)
    # Code generation consumes a package, so each build parses one of its own.
    package = xls.parse_ir_package(without_registers(xls.optimize_ir(ir, name), entry))
    module, values = entry.module(parameters, lanes), entry.values(parameters)
    core = _generate(
        package, entry, f"{module}_core" if entry.rams else module, top=name,
        clock_period_ps=clock_ps, pipeline_stages=stages, delay_model=delay_model,
        worst_case_throughput=interval,
    )  # fmt: skip
    top = with_memories(core, entry, module, values) if entry.rams else core
    provenance: dict[str, str | int] = {
        "tool": f"xls-python {version('xls-python')}",
        "kernel": entry.name,
        "source_sha256": hashlib.sha256(source.encode()).hexdigest(),
        "delay_model": delay_model,
        "interval": interval,
    }
    provenance |= {"clock_ps": clock_ps} if clock_ps is not None else {}
    provenance |= {"stages": stages} if stages is not None else {}
    ports, out, out_bits = _ports(top)
    latency = _latency(core, f"{entry.name}__{out}") if entry.stream else _registers_of_valid(core)
    verilog = "\n".join([ram_module(), core, top]) if entry.rams else core
    return HlsBuild(
        verilog, module, values, lanes, ports, out, out_bits, latency, interval, provenance
    )


def interpret(
    kernel: str, vectors: Iterable[Sequence[int]], parameters: Mapping[str, int] | None = None
) -> list[int]:
    """Runs a kernel on argument vectors in the XLS interpreter, before any optimization.

    Args:
        kernel: its name.
        vectors: argument values in the function's order, at most 64 bits each; only the bits of
            each argument's width count, so that negative numbers are two's complement.
        parameters: values by name; the others have their defaults.

    Returns:
        Results as bit patterns; `dovetail.sim.values.wrap` makes them signed.

    Raises:
        MissingExtraError: if XLS is not installed.
        UnknownNameError: if kernel or parameter does not exist.
        AcceleratorError: if a value is illegal, or the kernel is a stream.
    """
    entry = find_kernel(kernel)
    if entry.stream:
        raise AcceleratorError(f"kernel '{kernel}' is a stream: XLS interprets functions only here")
    xls, _, ir, name = _convert(entry, parameters, 1)
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


def _convert(
    kernel: Kernel, parameters: Mapping[str, int] | None, lanes: int
) -> tuple[Any, str, str, str]:
    """The XLS module, the kernel's source, its IR, and the IR's name of `main`."""
    try:
        import xls
    except ImportError as error:
        raise MissingExtraError("high-level synthesis", "hls", "xls") from error
    source = kernel.source(parameters, lanes)
    try:
        ir = xls.convert_dslx_to_ir(
            source,
            kernel.path.name,
            kernel.name,
            additional_search_paths=[str(kernel.folder), str(PACKAGE_FOLDER)],
        )
    except RuntimeError as error:
        chosen = ", ".join(f"{name} {value}" for name, value in kernel.values(parameters).items())
        raise AcceleratorError(
            f"kernel '{kernel.name}' with {chosen}: {_refusal(str(error))}; change a parameter"
        ) from error
    name = xls.mangle_dslx_name(kernel.name, "main")
    return xls, source, ir, f"{name}_0_next" if kernel.stream else name


def _refusal(message: str) -> str:
    """What XLS says of a source, without codes and places; of an assertion its law and numbers."""
    law = re.search(r"const_assert! failure: `(.*?)` constexpr environment: {(.*?)}", message)
    if law is None:
        return re.sub(r"^(?:\w+: )+\S+:[\d:-]+ ", "", message.splitlines()[0]).rstrip(".")
    numbers = dict(re.findall(r"(\w+): u32:(\d+)", law[2]))
    given = [f"{name} {numbers[name]}" for name in re.findall(r"\w+", law[1]) if name in numbers]
    return f"{law[1].replace('u32:', '')} must hold, with {', '.join(given)}"


def _generate(package: Any, kernel: Kernel, module: str, **options: Any) -> str:
    ports = _STREAM if kernel.stream else _PIPELINE
    try:
        result = package.schedule_and_codegen(
            generator="pipeline",
            module_name=module,
            with_delay_model=True,
            flop_inputs=True,
            flop_outputs=True,
            reset="rst_ni",
            reset_active_low=True,
            reset_asynchronous=False,
            use_system_verilog=False,
            **ports,
            io_constraints=constraints(kernel),
            **options,
        )
    except RuntimeError as error:
        clock, stages = options["clock_period_ps"], options["pipeline_stages"]
        reason = re.split(r"[.;]", str(error).splitlines()[0])[0]
        wanted = f"{clock} ps" if clock is not None else f"{stages} stages"
        remedy = "raise clock_ps" + (" or stages" if stages is not None else "")
        remedy += " or interval" if kernel.stream else ""
        raise AcceleratorError(
            f"kernel '{kernel.name}' at {wanted} with '{options['delay_model']}': "
            f"{reason}; {remedy}"
        ) from error
    # Channels are named after the package that held them.
    channel = rf"\b{kernel.name}__(\w+_(?:data|valid|ready))\b"
    return tables_as_cases(re.sub(channel, r"\1", result.get_verilog_text()))


def _ports(verilog: str) -> tuple[tuple[tuple[str, int], ...], str, int]:
    """Name and bits of the data inputs, in the order of the text, and of the output."""
    control = re.compile(r"clk|rst_ni|valid_[io]|\w+_(?:valid|ready)")
    data = [
        (way, name.removesuffix("_data"), bits)
        for way, bits, name in ports_of(verilog)
        if not control.fullmatch(name)
    ]
    inputs = tuple((name, bits) for way, name, bits in data if way == "input")
    [(out, out_bits)] = [(name, bits) for way, name, bits in data if way == "output"]
    return inputs, out, out_bits


def _registers_of_valid(verilog: str) -> int:
    """Registers that a pipeline's valid bit goes through from input to output."""
    names = r"p\d+_(?:inputs_)?valid|valid_[io]__(?:in|out)put_flop"
    return len(re.findall(rf"^  reg (?:{names});$", verilog, re.M))


def _latency(verilog: str, out: str) -> int:
    """Registers from a stream's input to its output: its own two, and those before its last stage.

    A memory's reply may come later than what is sent, so that the last stage is not the sender's.
    """
    sources = dict(re.findall(r"^  assign (\w+) = (.*);$", verilog, re.M))
    seen: set[str] = set()
    left = [f"__{out}_valid_buf"]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += re.findall(r"\b[a-z_]\w*", sources.get(name, ""))
    stages = [
        int(found[1]) for name in seen if (found := re.fullmatch(r"p(\d+)_inputs_valid", name))
    ]
    return max(stages, default=0) + 2
