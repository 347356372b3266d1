"""Bad and hostile TFLite files: one clear line, bounded time and memory, nothing else."""

from __future__ import annotations

import struct
import time
import tracemalloc
from contextlib import suppress

import flatbuffers
import numpy as np
import pytest
import tflite as t
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.networks.registry import load_network
from dovetail.networks.tflite_export import to_tflite
from dovetail.networks.tflite_import import from_tflite
from dovetail.networks.tflite_ops.writing import Writer

FILE = to_tflite(load_network("ds_cnn"))
STRUCTURE = list(range(0, 16_000, 4))
"""Offsets of the tables: builders write children first, and files backwards."""


def complaint(data: bytes) -> str:
    """The error's text, or '' if the bytes are a network."""
    try:
        from_tflite(data)
    except NetworkError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        assert len(text) <= 400
        return text
    return ""


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STRUCTURE), st.integers(0, 3), st.integers(0, 255)),
                min_size=1, max_size=8))  # fmt: skip
def test_changed_bytes(changes: list[tuple[int, int, int]]) -> None:
    data = bytearray(FILE)
    for word, place, byte in changes:
        data[min(word + place, len(data) - 1)] = byte
    complaint(bytes(data))


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(STRUCTURE[:-1]),
    st.sampled_from((0, 1, 3, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1)),
)
def test_extreme_words(place: int, word: int) -> None:
    data = bytearray(FILE)
    struct.pack_into("<I", data, place, word)
    with suppress(NetworkError):
        network = from_tflite(bytes(data))
        assert (op_rows(network, schedule(network)) >= 0).all()


def test_truncated_at_any_length() -> None:
    for length in range(0, len(FILE) - 64, 997):
        assert complaint(FILE[:length])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    assert complaint(data)
    assert complaint(data[:4] + b"TFL3" + data[8:])


@pytest.mark.parametrize("data", [b"", b"\x08\0\0\0TFL", b"PK\3\4" + bytes(99), FILE[8:]])
def test_other_files(data: bytes) -> None:
    assert "is not a TFLite model" in complaint(data)


def test_long_shared_lists_are_bounded() -> None:

    builder = flatbuffers.Builder(1024)
    inputs = builder.CreateNumpyVector(np.zeros(100_000, np.int32))
    outputs = builder.CreateNumpyVector(np.array([1], np.int32))
    t.OperatorStart(builder)
    t.OperatorAddInputs(builder, inputs)
    t.OperatorAddOutputs(builder, outputs)
    operator = t.OperatorEnd(builder)
    builder.StartVector(4, 100_000, 4)
    for _ in range(100_000):
        builder.PrependUOffsetTRelative(operator)
    operators = builder.EndVector()
    t.SubGraphStart(builder)
    t.SubGraphAddOperators(builder, operators)
    graph = t.SubGraphEnd(builder)
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    t.OperatorCodeStart(builder)
    code = t.OperatorCodeEnd(builder)
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(code)
    codes = builder.EndVector()
    t.ModelStart(builder)
    t.ModelAddVersion(builder, 3)
    t.ModelAddSubgraphs(builder, graphs)
    t.ModelAddOperatorCodes(builder, codes)
    builder.Finish(t.ModelEnd(builder), file_identifier=b"TFL3")
    start = time.process_time()
    text = complaint(bytes(builder.Output()))
    assert "lists of more than 4194304 entries" in text
    assert time.process_time() - start < 10


def test_memory_stays_near_the_file() -> None:
    data = to_tflite(load_network("mobilenet_v1"))
    from_tflite(data)
    tracemalloc.start()
    from_tflite(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20 + 2 * len(data)


def test_weights_of_another_size() -> None:
    writer = Writer()
    x = writer.tensor("x", (1, 4))
    w = writer.tensor("w", (3, 4), "INT8", None, np.zeros(11, np.int8))
    y = writer.tensor("y", (1, 3))
    writer.operator("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions")
    text = complaint(writer.bytes([x], [y]))
    assert "tensor 'w' of shape [3, 4] and type INT8 holds 11 B, not 12" in text


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([0], [], "has no outputs"), ([], [1], "is read before it is written"),
        ([9], [1], "input tensor 9 does not exist"), ([0], [7], "nothing writes"),
        ([0, 0], [1], ""), ([0], [1, 1], ""),
    ],
)  # fmt: skip
def test_inputs_and_outputs(inputs: list[int], outputs: list[int], words: str) -> None:
    writer = Writer()
    x, y = writer.tensor("x", (1, 4)), writer.tensor("y", (1, 4))
    writer.operator("RELU", [x], [y])
    assert words in complaint(writer.bytes(inputs, outputs))


def test_written_twice() -> None:
    writer = Writer()
    x, y = writer.tensor("x", (1, 4)), writer.tensor("y", (1, 4))
    writer.operator("RELU", [x], [y])
    writer.operator("RELU", [x], [y])
    assert "writes 'y' a second time" in complaint(writer.bytes([x], [y]))
