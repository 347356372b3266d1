"""Writes TFLite files: tensors, operators, one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.ir.tensor import Quantization
from dovetail.networks.shapes import Shape
from dovetail.networks.tflite_ops.formats import DTYPES
from dovetail.networks.tflite_ops.reading import IDENTIFIER, VERSION, schema

CODES = {name: code for code, (name, _) in DTYPES.items()}
MAX_OLD_CODE = 127
"""Where operator codes outgrew the 8 bits that old readers look at."""

Options = tuple[str, Mapping[str, Any]]


@dataclass(slots=True)
class _Tensor:
    name: str
    shape: Shape
    type: str
    quantization: Quantization | None
    data: NDArray[Any] | None


@dataclass(slots=True)
class _Operator:
    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Options | None


@dataclass(slots=True)
class Writer:
    """A TFLite model while it is made; tensors and operators are added, then `bytes` is called."""

    description: str = "dovetail"
    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[_Operator] = field(default_factory=list)

    def tensor(
        self, name: str, shape: Sequence[int], type: str = "INT8",
        quantization: Quantization | None = None, data: NDArray[Any] | None = None,
    ) -> int:  # fmt: skip
        """Adds a tensor and returns its index.

        Args:
            name: any text.
            shape: images are (N, H, W, C).
            type: name of the element type, e.g. `INT8`.
            quantization: scales and zero points.
            data: of a constant: elements, or bytes.
        """
        self.tensors.append(_Tensor(name, tuple(shape), type, quantization, data))
        return len(self.tensors) - 1

    def operator(
        self, code: str, inputs: Sequence[int], outputs: Sequence[int],
        table: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        """Adds an operator.

        Args:
            code: of the builtin operator, e.g. `CONV_2D`.
            inputs: indices of tensors, -1 for one left out.
            outputs: indices of tensors.
            table: of its options, e.g. `Conv2DOptions`; None for none.
            options: fields of the table, e.g. StrideW=2.
        """
        number = getattr(schema().BuiltinOperator, code)
        chosen = None if table is None else (table, options)
        self.operators.append(_Operator(number, list(inputs), list(outputs), chosen))

    def bytes(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file, whose graph takes `inputs` and returns `outputs`."""
        return _Build(self).model(inputs, outputs)


class _Build:
    """One flatbuffer: children are written before the tables that point to them."""

    def __init__(self, writer: Writer) -> None:
        import flatbuffers

        self.writer, self.tables = writer, schema()
        self.builder = flatbuffers.Builder(1024)

    def model(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The whole file."""
        constants = [t.data for t in self.writer.tensors if t.data is not None]
        buffers = self._tables([self._buffer(data) for data in (None, *constants)])
        codes = list(dict.fromkeys(op.code for op in self.writer.operators))
        code_tables = self._tables([self._code(code) for code in codes])
        graph = self._tables([self._graph(inputs, outputs, codes)])
        text = self.builder.CreateString(self.writer.description)
        fields = {
            "Version": VERSION, "OperatorCodes": code_tables, "Subgraphs": graph,
            "Description": text, "Buffers": buffers,
        }  # fmt: skip
        self.builder.Finish(self._table("Model", fields), file_identifier=IDENTIFIER)
        return bytes(self.builder.Output())

    def _table(self, name: str, fields: Mapping[str, Any]) -> int:
        """A table of scalar fields and offsets."""
        getattr(self.tables, f"{name}Start")(self.builder)
        for key, value in fields.items():
            getattr(self.tables, f"{name}Add{key}")(self.builder, value)
        offset: int = getattr(self.tables, f"{name}End")(self.builder)
        return offset

    def _tables(self, offsets: Sequence[int]) -> int:
        """A vector of tables."""
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _numbers(self, values: Sequence[float], dtype: type[np.generic]) -> int:
        return int(self.builder.CreateNumpyVector(np.array(values, dtype)))

    def _buffer(self, data: NDArray[Any] | None) -> int:
        if data is None:
            return self._table("Buffer", {})
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        return self._table("Buffer", {"Data": self.builder.CreateNumpyVector(flat)})

    def _code(self, code: int) -> int:
        old = min(code, MAX_OLD_CODE)
        return self._table(
            "OperatorCode", {"DeprecatedBuiltinCode": old, "BuiltinCode": code, "Version": 1}
        )

    def _graph(self, inputs: Sequence[int], outputs: Sequence[int], codes: list[int]) -> int:
        index = iter(range(1, len(self.writer.tensors) + 1))
        placed = [0 if t.data is None else next(index) for t in self.writer.tensors]
        pairs = zip(self.writer.tensors, placed, strict=True)
        tensors = self._tables([self._tensor(tensor, buffer) for tensor, buffer in pairs])
        operators = self._tables([self._operator(op, codes) for op in self.writer.operators])
        given, returned = self._numbers(inputs, np.int32), self._numbers(outputs, np.int32)
        name = self.builder.CreateString("main")
        fields = {
            "Tensors": tensors, "Inputs": given, "Outputs": returned, "Operators": operators,
            "Name": name,
        }  # fmt: skip
        return self._table("SubGraph", fields)

    def _tensor(self, tensor: _Tensor, buffer: int) -> int:
        name = self.builder.CreateString(tensor.name)
        fields: dict[str, Any] = {"Shape": self._numbers(tensor.shape, np.int32)}
        if tensor.quantization is not None:
            fields["Quantization"] = self._quantization(tensor.quantization)
        fields |= {"Type": CODES[tensor.type], "Buffer": buffer, "Name": name}
        return self._table("Tensor", fields)

    def _quantization(self, given: Quantization) -> int:
        fields = {
            "Scale": self._numbers(given.scales, np.float32),
            "ZeroPoint": self._numbers(given.zero_points, np.int64),
            "QuantizedDimension": given.axis or 0,
        }
        return self._table("QuantizationParameters", fields)

    def _operator(self, op: _Operator, codes: list[int]) -> int:
        fields: dict[str, Any] = {
            "Inputs": self._numbers(op.inputs, np.int32),
            "Outputs": self._numbers(op.outputs, np.int32),
        }
        if op.options is not None:
            table, values = op.options
            fields["BuiltinOptions"] = self._table(table, values)
            fields["BuiltinOptionsType"] = getattr(self.tables.BuiltinOptions, table)
        fields["OpcodeIndex"] = codes.index(op.code)
        return self._table("Operator", fields)
