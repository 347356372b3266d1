"""Bit-exact interpreter of the RTL machine's binary: what the gates leave in memory.

It knows an image only through the bytes in memory and `dovetail.ir.encoding.LAYOUT`, so that it
checks the lowering instead of repeating it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dovetail.errors import MappingError
from dovetail.ir.encoding import ENTRY_BYTES, HEADER, LAYOUT, OPCODE_BITS, QUEUES, Opcode, unpack
from dovetail.ir.executable import Bytes, Executable, Machine
from dovetail.sim.engine import Engine, Fields

Entry = tuple[Opcode, Fields]
CREDITS = 2
"""Both halves are free at a segment's start."""


def execute(executable: Executable, memory: Bytes) -> None:
    """Runs all segments; changes the memory as the gates would.

    Args:
        executable: gives the machine and the first segment's address; all else is in the memory.
        memory: `executable.memory(image)`.

    Raises:
        MappingError: if an instruction leaves the memory or a scratchpad, or the queues deadlock.
    """
    address = executable.start
    visited = set()
    while address:
        if address in visited:
            raise MappingError(f"segments of '{executable.name}' run in a circle at {address:#x}")
        visited.add(address)
        address = _run_segment(executable.machine, memory, address)


def _run_segment(machine: Machine, memory: Bytes, address: int) -> int:
    """Runs one segment and returns the address of the next."""
    header = unpack(HEADER, _integer(memory, address, ENTRY_BYTES))
    at = address + ENTRY_BYTES
    queues = []
    for name in ("load_entries", "execute_entries", "store_entries"):
        queues.append(_Queue(_decode(memory, at, header[name])))
        at += header[name] * ENTRY_BYTES
    size = header["param_words"] * machine.cols * 8
    params = _slice(memory, at, size).view("<u8").reshape(-1, machine.cols)
    engine = Engine(machine, memory, params.copy())
    _run_queues(queues, engine)
    return header["next"]


def _integer(memory: Bytes, address: int, size: int) -> int:
    return int.from_bytes(_slice(memory, address, size).tobytes(), "little")


def _slice(memory: Bytes, address: int, size: int) -> Bytes:
    if not 0 <= address <= len(memory) - size:
        raise MappingError(f"{size} B at {address:#x} lie outside of the memory")
    return memory[address : address + size]


def _decode(memory: Bytes, address: int, count: int) -> list[Entry]:
    entries = []
    for i in range(count):
        word = _integer(memory, address + i * ENTRY_BYTES, ENTRY_BYTES)
        opcode = word & ((1 << OPCODE_BITS) - 1)
        if opcode not in LAYOUT:
            raise MappingError(f"entry at {address + i * ENTRY_BYTES:#x}: opcode {opcode}")
        entries.append((Opcode(opcode), unpack(LAYOUT[Opcode(opcode)], word >> OPCODE_BITS)))
    return entries


@dataclass
class _Queue:
    """One sequencer: its place in the entries, its loops and address registers."""

    entries: list[Entry]
    at: int = 0
    registers: list[int] = field(default_factory=lambda: [0, 0])
    loops: list[list[int]] = field(default_factory=list)

    def peek(self) -> Entry | None:
        """The next instruction, marks before it done; None at HALT."""
        while True:
            opcode, fields = self.entries[self.at]
            if opcode == Opcode.LOOP:
                self.loops.append([self.at, fields["count"]])
            elif opcode == Opcode.END:
                self._end(fields)
            elif opcode == Opcode.HALT:
                return None
            else:
                return opcode, fields
            self.at += 1

    def _end(self, fields: Fields) -> None:
        loop = self.loops[-1]
        loop[1] -= 1
        if loop[1] == 0:
            self.loops.pop()
            return
        for i, step in enumerate((fields["step_a"], fields["step_b"])):
            self.registers[i] = (self.registers[i] + step) % 2**32
        self.at = loop[0]


def _run_queues(queues: list[_Queue], engine: Engine) -> None:
    """Runs every queue as early as its tokens allow; loads first."""
    tokens = {"load_credit": CREDITS, "loaded": 0, "store_credit": CREDITS, "computed": 0}
    while True:
        entries = [queue.peek() for queue in queues]
        if entries == [None] * QUEUES:
            return
        ready = (i for i, entry in enumerate(entries) if entry and _may_start(entry, tokens))
        number = next(ready, None)
        entry = None if number is None else entries[number]
        if number is None or entry is None:
            raise MappingError(f"queues wait for each other: {tokens}")
        waits, signals = _tokens(*entry)
        for name in waits:
            tokens[name] -= 1
        engine.run(number, *entry, queues[number].registers)
        for name in signals:
            tokens[name] += 1
        queues[number].at += 1


def _may_start(entry: Entry, tokens: dict[str, int]) -> bool:
    return all(tokens[name] > 0 for name in _tokens(*entry)[0])


def _tokens(opcode: Opcode, fields: Fields) -> tuple[list[str], list[str]]:
    if opcode == Opcode.LOAD:
        return ["load_credit"], ["loaded"]
    if opcode == Opcode.STORE:
        return ["computed"], ["store_credit"]
    waits = ["loaded"] + ["store_credit"] * fields["first"]
    return waits, ["load_credit"] + ["computed"] * fields["last"]
