"""`dovetail convert`: a network as a TFLite file that all commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.driver import run, succeed


def test_a_network_is_written_and_read_by_one_command_each() -> None:
    out = succeed("convert", "resnet8", "--output", "resnet8.tflite")
    size = Path("resnet8.tflite").stat().st_size
    assert out == f"resnet8.tflite: {size:,} B, int8, random weights (seed 0)\n"
    out = succeed("simulate", "resnet8.tflite", "-a", "edge")
    assert "12.5 MMAC" in out
    first = Path("resnet8.tflite").read_bytes()
    succeed("convert", "resnet8", "-o", "resnet8.tflite", "--seed", 0)
    assert Path("resnet8.tflite").read_bytes() == first
    succeed("convert", "resnet8.tflite", "-o", "again.tflite", "--seed", 0)
    assert "12.5 MMAC" in succeed("simulate", "again.tflite", "-a", "edge")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bert_base", "-o", "b.tflite"), "cannot be written as TFLite"),
        (("resnet9", "-o", "b.tflite"), "unknown network 'resnet9'"),
        (("resnet8",), "Missing option '--output'"),
        (("resnet8", "-o", "b.onnx"), "cannot write 'b.onnx': the name must end in .tflite"),
        (("resnet8", "-o", "/proc/none/b.tflite"), "cannot"),
    ],
)
def test_refused(arguments: tuple[str, ...], words: str) -> None:
    assert words in run("convert", *arguments).complaint
    assert not Path("b.tflite").exists()
    assert not Path("b.onnx").exists()
