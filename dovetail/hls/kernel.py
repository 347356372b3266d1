"""What a kernel is: a DSLX file, its parameters, and the function that a build makes of them.

A pipeline's file `NAME.x` holds a public parametric function `NAME` of one scalar of each argument.
A build appends `main`, which fixes the parameters and runs so many lanes side by side. A stream's
file holds a process `main` with one channel in and one out; its parameters are constants
`const NAME = u32:…;`, whose values a build replaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dovetail.errors import AcceleratorError, UnknownNameError

MOST_LANES = 64
PACKAGE_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a build fixes.

    Attributes:
        name: in lower case; in DSLX it stands in upper case.
        default: value if none is given.
        low: lowest legal value.
        high: highest legal value.
        meaning: in words, with the unit.
    """

    name: str
    default: int
    low: int
    high: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Ram:
    """A memory of a stream, outside of its process: one read port and one write port.

    The process reaches it through channels `NAME_rd_req` (an address), `NAME_rd` (its word, a cycle
    later) and `NAME_wr` (address, word, and a mask with a bit for each part of the word).

    Attributes:
        name: of its channels.
        words: the parameter that gives their number.
        write_after: cycles between the read and the write of one turn of the process.
    """

    name: str
    words: str
    write_after: int = 0


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel.

    Attributes:
        name: of its file and function.
        title: what it computes, in words.
        parameters: in the order of the DSLX function.
        stream: whether it keeps state between its inputs: a process with valid/ready channels.
        rams: memories of a stream.
        folder: that holds its DSLX file.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    stream: bool = False
    rams: tuple[Ram, ...] = ()
    folder: Path = PACKAGE_FOLDER

    @property
    def path(self) -> Path:
        """Its DSLX file."""
        return self.folder / f"{self.name}.x"

    def values(self, given: Mapping[str, int] | None = None) -> dict[str, int]:
        """All parameters, defaults where none is given.

        Raises:
            UnknownNameError: if a parameter does not exist.
            AcceleratorError: if a value is out of its range.
        """
        found = {parameter.name: parameter.default for parameter in self.parameters}
        for name, value in (given or {}).items():
            if name not in found:
                raise UnknownNameError(f"parameter of kernel '{self.name}'", name, found)
            found[name] = value
        for parameter in self.parameters:
            value = found[parameter.name]
            if not parameter.low <= value <= parameter.high:
                raise AcceleratorError(
                    f"kernel '{self.name}': {parameter.name} {value}: "
                    f"must be within {parameter.low} to {parameter.high}"
                )
        return found

    def module(self, given: Mapping[str, int] | None = None, lanes: int = 1) -> str:
        """Name of the Verilog module; what differs from the defaults stands in it."""
        values = self.values(given)
        parts = [
            f"{parameter.name}{values[parameter.name]}"
            for parameter in self.parameters
            if values[parameter.name] != parameter.default
        ]
        parts += [f"lanes{lanes}"] if lanes > 1 else []
        return "_".join(["dovetail", self.name, *parts])

    def source(self, given: Mapping[str, int] | None = None, lanes: int = 1) -> str:
        """DSLX with a `main`; arguments and result of a pipeline hold lane 0 in their lowest bits.

        Raises:
            UnknownNameError: if a parameter does not exist.
            AcceleratorError: if a value, or the number of lanes, is out of its range, or the file
                lacks the function or a constant.
        """
        values = self.values(given)
        if not 1 <= lanes <= MOST_LANES:
            raise AcceleratorError(
                f"kernel '{self.name}': {lanes} lanes: must be within 1 to {MOST_LANES}"
            )
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise AcceleratorError(
                f"kernel '{self.name}': cannot read '{self.path}': {error.strerror or error}"
            ) from None
        if self.stream:
            if lanes != 1:
                raise AcceleratorError(f"kernel '{self.name}' is a stream: it has one lane")
            return _with_constants(self.name, text, values)
        try:
            return f"{text}\n{_main(self.name, text, values, lanes)}"
        except KeyError as error:
            raise AcceleratorError(
                f"kernel '{self.name}': the head of its function uses {error.args[0]}, which is no "
                f"parameter: there are {', '.join(values).upper()}"
            ) from None


def _with_constants(kernel: str, text: str, values: Mapping[str, int]) -> str:
    """The source with other values of its constants."""
    for name, value in values.items():
        declared = rf"^const {name.upper()} = u32:\d+;$"
        text, found = re.subn(declared, f"const {name.upper()} = u32:{value};", text, flags=re.M)
        if found != 1:
            raise AcceleratorError(
                f"kernel '{kernel}': {kernel}.x must declare 'const {name.upper()} = u32:N;' once, "
                f"not {found} times"
            )
    return text


def _main(name: str, text: str, values: Mapping[str, int], lanes: int) -> str:
    """The function that a build compiles."""
    header = re.search(
        rf"pub fn {name}\s*<([^>]*)>\s*\(([^)]*)\)\s*->\s*[su]N\[([^\]]*)\]\s*\{{", text
    )
    if header is None:
        raise AcceleratorError(
            f"kernel '{name}': {name}.x must hold 'pub fn {name}<…>(…) -> uN[…] {{' or sN[…]"
        )
    known = _constants(header[1], values)
    arguments = [
        (argument, sign, _substitute(width, known))
        for argument, sign, width in re.findall(r"(\w+):\s*([su])N\[([^\]]*)\]", header[2])
    ]
    result = _substitute(header[3], known)
    fixed = ", ".join(f"u32:{value}" for value in values.values())
    calls = []
    for lane in reversed(range(lanes)):
        slices = ", ".join(
            f"{argument}[({width}) * u32:{lane} +: uN[{width}]] as {sign}N[{width}]"
            for argument, sign, width in arguments
        )
        calls.append(f"({name}<{fixed}>({slices}) as uN[{result}])")
    ports = ", ".join(f"{argument}: uN[({w}) * u32:{lanes}]" for argument, _, w in arguments)
    body = " ++\n    ".join(calls)
    return f"pub fn main({ports}) -> uN[({result}) * u32:{lanes}] {{\n    {body}\n}}\n"


def _constants(declared: str, values: Mapping[str, int]) -> dict[str, str]:
    """DSLX text of each parametric name: those given, and those derived from them."""
    known = {name.upper(): f"u32:{value}" for name, value in values.items()}
    for name, expression in re.findall(r"(\w+): u32 = \{([^}]*)\}", declared):
        known[name] = f"({_substitute(expression, known)})"
    return known


def _substitute(expression: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\b[A-Z][A-Z0-9_]*\b", lambda match: known[match[0]], expression)
