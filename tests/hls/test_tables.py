"""Constant tables of Verilog become functions; anything else stays as it is."""

import pytest

from dovetail.hls import build
from dovetail.hls.tables import tables_as_cases

TABLE = """module m(input wire [1:0] i, output wire [3:0] o);
  wire [3:0] T[0:2];
  assign T[0] = 4'h7;
  assign T[1] = 4'h0;
  assign T[2] = 4'hf;
  assign o = T[i];
endmodule
"""


def test_a_table_becomes_a_case():
    text = tables_as_cases(TABLE)
    assert "assign o = T_at(i);" in text
    assert "function automatic [3:0] T_at (input reg [1:0] index);" in text
    assert "2'd2: T_at = 4'hf;" in text
    assert "T[" not in text


def test_a_table_that_is_read_by_an_expression_stays():
    text = TABLE.replace("T[i]", "T[i > 2'h1 ? 2'h1 : i]")
    assert tables_as_cases(text) == text


def test_an_array_that_is_not_constant_stays():
    text = TABLE.replace("= 4'h0", "= {i, i}")
    assert tables_as_cases(text) == text


@pytest.mark.parametrize("kernel", ["exponential", "gelu", "softmax", "softmax_weight"])
def test_no_kernel_keeps_a_constant_table(kernel):
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    text = build(kernel).verilog
    assert "_at(" in text
    assert tables_as_cases(text) == text
    assert "[0:1" not in text
