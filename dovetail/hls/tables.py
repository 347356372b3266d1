"""Constant tables of generated Verilog, rewritten so that Yosys takes them for ROMs.

XLS writes a table as an array of wires, each with a constant, which Yosys turns into one shifter
over all its bits: minutes of mapping, and many times the LUTs. A function with a case is a ROM.
"""

from __future__ import annotations

import re

_TABLE = re.compile(
    r"  wire \[(?P<high>\d+):0\] (?P<name>\w+)\[0:(?P<last>\d+)\];\n"
    r"(?P<entries>(?:  assign (?P=name)\[\d+\] = \d+'h[0-9a-f_]+;\n)+)"
)


def tables_as_cases(verilog: str) -> str:
    """The same module with a function for each constant table.

    A table that is read in another way than by a single name as index stays as it is.

    Args:
        verilog: text of a module as XLS writes it.
    """
    for table in _TABLE.finditer(verilog):
        name, used = table["name"], verilog.replace(table[0], "")
        reads = re.findall(rf"\b{name}\[(\w+)\]", used)
        whole = table["entries"].count(";") == int(table["last"]) + 1
        if whole and len(reads) == len(re.findall(rf"\b{name}\b", used)):
            used = verilog.replace(table[0], _function(table))
            verilog = re.sub(rf"\b{name}\[(\w+)\]", rf"{name}_at(\1)", used)
    return verilog


def _function(table: re.Match[str]) -> str:
    name, bits, last = f"{table['name']}_at", int(table["high"]) + 1, int(table["last"])
    width = max(last.bit_length(), 1)
    entries = re.findall(r"\[(\d+)\] = (\S+);", table["entries"])
    return "\n".join(
        [
            f"  function automatic [{bits - 1}:0] {name} (input reg [{width - 1}:0] index);",
            "    case (index)",
            *(f"      {width}'d{index}: {name} = {value};" for index, value in entries),
            f"      default: {name} = {bits}'bx;",
            "    endcase",
            "  endfunction\n",
        ]
    )
