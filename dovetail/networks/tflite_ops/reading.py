"""TFLite files as plain data: every offset and length of a flatbuffer is checked on the way.

The flatbuffers library follows offsets without verifying them. What it reads outside of the file
raises; how much it reads is bounded here, since vectors may be shared: a small file could
otherwise ask for more work than any reader has time for.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MissingExtraError, NetworkError
from dovetail.ir.tensor import Quantization
from dovetail.networks.shapes import MAX_RANK, Shape
from dovetail.networks.tflite_ops.formats import BITS, DTYPES, entropy_bits

IDENTIFIER = b"TFL3"
VERSION = 3
MAX_ENTRIES = 2**22
"""Entries of all lists that one file may hold; a tensor or an operator counts as `TABLE`."""
TABLE = 64
READS_PER_BYTE = 4
"""Bytes of data and names read per byte of a file: 1 is enough where nothing is shared."""
NAME_CHARACTERS = 120

MALFORMED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
    struct.error, MemoryError,
)  # fmt: skip
"""What the flatbuffers library raises on a file that lies."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor of the graph.

    Attributes:
        name: unique, printable.
        shape: as the file has it: images are (N, H, W, C).
        type: name of the element type, e.g. `INT8`.
        quantization: along an axis of `shape`; None if the file gives none.
        data: stored elements; bytes where numpy has no such type; None for activations.
    """

    name: str
    shape: Shape
    type: str
    quantization: Quantization | None
    data: NDArray[Any] | None

    @property
    def entropy_bits(self) -> float | None:
        """Mean information of a stored code; None without data or for other types."""
        return None if self.data is None else entropy_bits(self.data, self.type)


@dataclass(frozen=True, slots=True, eq=False)
class StoredOperator:
    """An operator of the graph.

    Attributes:
        code: its name, e.g. `CONV_2D`; of a custom one `CUSTOM name`.
        inputs: indices of tensors; -1 where an optional one is left out.
        outputs: indices of tensors.
        options: reads a field of its options: option(table, field); the default if it has none.
    """

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Callable[[str, str], Any]


@dataclass(frozen=True, slots=True, eq=False)
class StoredGraph:
    """The main graph of a file; attributes as named, tensors by index."""

    tensors: tuple[StoredTensor, ...]
    operators: tuple[StoredOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def schema() -> ModuleType:
    """The generated readers of TFLite's schema.

    Raises:
        MissingExtraError: if they are not installed.
    """
    try:
        import tflite
    except ImportError:
        raise MissingExtraError("reading TFLite models", "tflite", "tflite") from None
    return tflite


def read_graph(data: bytes, what: str) -> StoredGraph:
    """The main graph of a TFLite file.

    Args:
        data: content of the file.
        what: names the file in errors.

    Raises:
        NetworkError: if it is no TFLite file, or malformed.
        MissingExtraError: if the schema is not installed.
    """
    if data[4:8] != IDENTIFIER:
        raise NetworkError(f"{what} is not a TFLite model: it does not hold the mark 'TFL3'")
    return _Reader(data, what, schema()).graph()


class _Reader:
    """Reads one file within a budget of vector entries."""

    def __init__(self, data: bytes, what: str, tables: ModuleType) -> None:
        self.data, self.what, self.tables = data, what, tables
        self.entries, self.bytes = MAX_ENTRIES, READS_PER_BYTE * len(data)
        self.names: dict[str, int] = {}

    def graph(self) -> StoredGraph:
        """The main graph, which is the first."""
        model = self.tables.Model.GetRootAs(self.data, 0)
        if model.Version() != VERSION:
            raise NetworkError(f"{self.what} is of schema version {model.Version()}: must be 3")
        if model.SubgraphsLength() < 1:
            raise NetworkError(f"{self.what} has no graph")
        main = model.Subgraphs(0)
        self._charge(model.OperatorCodesLength() * TABLE)
        self._charge((main.TensorsLength() + main.OperatorsLength()) * TABLE)
        codes = [self._code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
        tensors = [self._tensor(model, main.Tensors(i), i) for i in range(main.TensorsLength())]
        operators = [
            self._operator(main.Operators(i), codes) for i in range(main.OperatorsLength())
        ]
        return StoredGraph(
            tuple(tensors),
            tuple(operators),
            self._integers(main.InputsLength(), main.InputsAsNumpy),
            self._integers(main.OutputsLength(), main.OutputsAsNumpy),
        )

    def _charge(self, entries: int = 0, data: int = 0) -> None:
        """Takes entries of lists, and bytes of data, from the budget."""
        self.entries -= entries
        self.bytes -= data
        if self.entries < 0:
            raise NetworkError(f"{self.what} holds lists of more than {MAX_ENTRIES} entries")
        if self.bytes < 0:
            raise NetworkError(f"{self.what} is malformed: its data is longer than the file")

    def _numbers(self, count: int, read: Callable[[], Any]) -> list[Any]:
        """Entries of a list of numbers, whose length is checked before they are read."""
        self._charge(count)
        found: list[Any] = read().tolist() if count else []
        return found

    def _integers(self, count: int, read: Callable[[], Any]) -> tuple[int, ...]:
        return tuple(self._numbers(count, read))

    def _code(self, code: Any) -> str:
        # Old files have their code in a field of 8 bits, new ones in both or the wide one only.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self.tables.utils.BUILTIN_OPCODE2NAME.get(number, f"of code {number}")
        if name != "CUSTOM":
            return str(name)
        return f"CUSTOM {_printable(code.CustomCode())}"

    def _operator(self, op: Any, codes: list[str]) -> StoredOperator:
        index = op.OpcodeIndex()
        if index >= len(codes):
            raise NetworkError(f"{self.what} is malformed: operator code {index} does not exist")
        return StoredOperator(
            codes[index],
            self._integers(op.InputsLength(), op.InputsAsNumpy),
            self._integers(op.OutputsLength(), op.OutputsAsNumpy),
            lambda table, field: self._option(op, table, field),
        )

    def _option(self, op: Any, table: str, field: str) -> Any:
        kind = getattr(self.tables.BuiltinOptions, table)
        options = getattr(self.tables, table)()
        found = op.BuiltinOptions()
        if found is None:  # all fields at their defaults: read from an empty table
            found = self._empty()
        elif op.BuiltinOptionsType() != kind:
            raise NetworkError(f"options of type {op.BuiltinOptionsType()}: must be {table}")
        options.Init(found.Bytes, found.Pos)
        return getattr(options, field)()

    @staticmethod
    def _empty() -> Any:
        """A table without fields: its vtable of 4 bytes, then the distance back to it."""
        from flatbuffers.table import Table

        return Table(struct.pack("<HHi", 4, 4, 4), 4)

    def _tensor(self, model: Any, tensor: Any, index: int) -> StoredTensor:
        raw = tensor.Name() or b""
        self._charge(data=len(raw))
        name = self._name(raw, index)
        if tensor.ShapeLength() > MAX_RANK:
            raise NetworkError(
                f"tensor '{name}' has {tensor.ShapeLength()} dimensions: at most {MAX_RANK}"
            )
        shape = self._integers(tensor.ShapeLength(), tensor.ShapeAsNumpy)
        kind = DTYPES.get(tensor.Type(), (f"{tensor.Type()}", None))[0]
        stored = self._buffer(model, tensor.Buffer(), name)
        self._charge(data=0 if stored is None else len(stored))
        if stored is not None and tensor.Sparsity() is not None:
            raise NetworkError(f"tensor '{name}' is stored sparse: only dense ones can be imported")
        return StoredTensor(
            name,
            shape,
            kind,
            self._quantization(tensor.Quantization(), name, shape),
            None if stored is None else _elements(stored, name, shape, tensor.Type()),
        )

    def _name(self, raw: bytes, index: int) -> str:
        """A short unique name; a fused operator's lists those of all its parts, the first last."""
        text = _printable(raw).split(";")[0][:NAME_CHARACTERS] or f"tensor{index}"
        count = self.names[text] = self.names.get(text, 0) + 1
        return text if count == 1 else f"{text}_{index}"

    def _buffer(self, model: Any, index: int, name: str) -> NDArray[np.uint8] | None:
        """Bytes of a buffer; None of an empty one, which activations have."""
        if index >= model.BuffersLength():
            raise NetworkError(f"tensor '{name}' is in buffer {index}, which does not exist")
        buffer = model.Buffers(index)
        start, size = buffer.Offset(), buffer.Size()
        if start > 1:  # in large files data lies behind the flatbuffer; 0 and 1 mean "not so"
            if start + size > len(self.data):
                raise NetworkError(f"data of tensor '{name}' ends behind the file")
            return np.frombuffer(self.data, np.uint8, size, start)
        if not buffer.DataLength():
            return None
        found: NDArray[np.uint8] = buffer.DataAsNumpy()
        return found

    def _quantization(self, given: Any, name: str, shape: Shape) -> Quantization | None:
        if given is None or not given.ScaleLength():
            return None
        if given.DetailsType():
            raise NetworkError(f"tensor '{name}' has a custom quantization: must be affine")
        count = given.ScaleLength()
        scales = tuple(self._numbers(count, given.ScaleAsNumpy))
        points = self._integers(given.ZeroPointLength(), given.ZeroPointAsNumpy) or (0,) * count
        if len(points) == 1 < count:
            points *= count
        axis = given.QuantizedDimension() if count > 1 else None
        if axis is not None and not (0 <= axis < len(shape) and shape[axis] == count):
            raise NetworkError(
                f"tensor '{name}' of shape {list(shape)} has {count} scales along axis {axis}"
            )
        try:
            return Quantization(scales, points, axis)
        except NetworkError as error:
            raise NetworkError(f"tensor '{name}': {error}") from None


def _printable(raw: bytes | None) -> str:
    text = (raw or b"").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "_" for c in text)


def _elements(stored: NDArray[np.uint8], name: str, shape: Shape, code: int) -> NDArray[Any]:
    """Stored bytes as elements.

    Raises:
        NetworkError: if there are more or fewer than the shape says.
    """
    kind, dtype = DTYPES.get(code, ("", None))
    if kind not in BITS:
        return stored
    wanted = -(-math.prod(shape) * BITS[kind] // 8)
    if min(shape, default=1) < 1 or len(stored) != wanted:
        raise NetworkError(
            f"tensor '{name}' of shape {list(shape)} and type {kind} holds {len(stored)} B, "
            f"not {wanted}"
        )
    return stored if dtype is None else stored.view(dtype).reshape(shape)
