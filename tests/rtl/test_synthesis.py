"""Yosys: counts of small modules whose gates are known, and its failures in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dovetail.errors import MissingToolError, ToolError
from dovetail.rtl.synthesis import CELL_UM2, NAND2_UM2, Synthesis, synthesize

needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys")

SOURCE = """
module store #(parameter int Width = 8, parameter int Depth = 64) (
  input logic clk_i, input logic write_i, input logic read_i,
  input logic [$clog2(Depth)-1:0] address_i,
  input logic [Width-1:0] data_i, output logic [Width-1:0] data_o
);
  logic [Width-1:0] words_q [Depth];
  always_ff @(posedge clk_i) begin
    if (write_i) words_q[address_i] <= data_i;
    if (read_i) data_o <= words_q[address_i];
  end
endmodule

module register #(parameter int Width = 4) (
  input logic clk_i, input logic rst_ni, input logic enable_i,
  input logic [Width-1:0] d_i, output logic [Width-1:0] q_o
);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) q_o <= '0;
    else if (enable_i) q_o <= d_i;
  end
endmodule

module several #(parameter int Count = 2) (
  input logic clk_i, input logic rst_ni, input logic write_i, input logic read_i,
  input logic [5:0] address_i, input logic [7:0] data_i, output logic [Count*8-1:0] data_o
);
  for (genvar i = 0; i < Count; i++) begin : gen_store
    logic [7:0] data;
    store u_store (
      .clk_i, .write_i, .read_i, .address_i, .data_i(data_i ^ 8'(i)), .data_o(data)
    );
    register #(.Width(8)) u_register (
      .clk_i, .rst_ni, .enable_i(read_i), .d_i(data), .q_o(data_o[i*8 +: 8])
    );
  end
endmodule
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    path = tmp_path / "with space.sv"
    path.write_text(SOURCE)
    return [path]


@needs_yosys
def test_registers_with_reset_and_enable_count_as_flip_flops_and_multiplexers(
    files: list[Path],
) -> None:
    done = synthesize("register", {"Width": 5}, files=files)
    assert done.cells == {"DFF_PN0": 5, "MUX": 5}
    assert done.flip_flops == 5
    area = 5 * (CELL_UM2["DFF_PN0"] + CELL_UM2["MUX"])
    assert done.gate_equivalents == pytest.approx(area / NAND2_UM2)


@needs_yosys
@pytest.mark.parametrize("flatten", [True, False])
def test_memories_and_registers_of_a_hierarchy_are_counted_per_instance(
    files: list[Path], flatten: bool
) -> None:
    done = synthesize("several", {"Count": 3}, files=files, flatten=flatten)
    assert done.memories == ((64, 8, 3),)
    assert done.memory_bits == 3 * 64 * 8
    assert done.flip_flops == 3 * 8


@needs_yosys
def test_small_memories_become_flip_flops(files: list[Path]) -> None:
    done = synthesize("store", {"Width": 2, "Depth": 16}, files=files)
    assert done.memories == ()
    assert done.flip_flops == 2 * 16 + 2


@needs_yosys
def test_an_fpga_holds_a_processing_element_in_one_dsp() -> None:
    done = synthesize("dovetail_pe", {"Stationary": 1}, "xilinx")
    assert done.dsps == 1
    assert done.luts < 20
    assert set(done.summary()) == {"luts", "flip_flops", "dsps", "block_rams"}


@needs_yosys
def test_an_array_is_its_elements_and_little_more() -> None:
    element = synthesize("dovetail_pe", {"Stationary": 1})
    array = synthesize(
        "dovetail_systolic_array", {"Stationary": 1, "Rows": 2, "Cols": 3}, flatten=False
    )
    ratio = array.gate_equivalents / element.gate_equivalents
    assert 6 <= ratio < 8
    text = json.loads(json.dumps(array.to_dict()))
    assert text["parameters"] == {"Stationary": 1, "Rows": 2, "Cols": 3}
    assert text["gate_equivalents"] == round(array.gate_equivalents)


def test_figures_of_an_fpga() -> None:
    cells = {"LUT2": 3, "LUT6": 4, "SRL16E": 1, "RAM64M": 2, "FDRE": 5, "FDCE": 6, "DSP48E1": 7,
             "RAMB36E1": 8, "RAMB18E1": 1}  # fmt: skip
    figures = Synthesis("top", {}, "xilinx", cells, (), 1.0).summary()
    assert figures == {"luts": 16, "flip_flops": 11, "dsps": 7, "block_rams": 8.5}


@needs_yosys
def test_failures_are_one_line(files: list[Path]) -> None:
    with pytest.raises(ToolError, match=r"yosys fails on 'nothing': ERROR: Module .nothing"):
        synthesize("nothing", {}, files=files)
    with pytest.raises(ToolError, match=r"took more than 0\.001 s on 'several'"):
        synthesize("several", {"Count": 9}, files=files, limit_s=0.001)


def test_a_missing_yosys_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="apt-get install yosys"):
        synthesize("dovetail_pe", {})
