"""Single faults to plant in the RTL: what a verification that is worth its name must catch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        module: of `dovetail/rtl/`, without its prefix `dovetail_`.
        old: source text; must occur exactly once.
        new: what stands there instead.
        fault: what it breaks, for people.
    """

    module: str
    old: str
    new: str
    fault: str

    @property
    def name(self) -> str:
        """Module and fault."""
        return f"{self.module}: {self.fault}"


CONTROL = (
    Mutant("tokens", "load_credit_q  <= Credits;", "load_credit_q  <= 2'd1;",
           "one load credit less"),
    Mutant("tokens", "store_credit_q <= Credits;", "store_credit_q <= 2'd1;",
           "one store credit less"),
    Mutant("tokens", "+ 2'(execute_done_i & last) -", "+ 2'(execute_done_i) -",
           "computed token after every instruction"),
    Mutant("tokens", "- 2'(execute_start_i & first_i)", "- 2'(execute_start_i)",
           "store credit taken by every instruction"),
    Mutant("tokens", "loaded_q       <= loaded_q + 2'(load_done_i)",
           "loaded_q       <= loaded_q + 2'(load_start_i)", "loaded token before the data"),
    Mutant("tokens", "load_credit_q  <= load_credit_q + 2'(execute_done_i)",
           "load_credit_q  <= load_credit_q + 2'(execute_done_i & ~last)", "dropped load credits"),
    Mutant("channel", "(load_first_q | ~store_ask_i);\n  assign store",
           "~store_ask_i;\n  assign store", "a store overtakes a load that waits"),
    Mutant("channel", "load_ask_i & ~taken & (load_first_q | ~store_ask_i)",
           "load_ask_i & ~taken", "a load wins ties"),
    Mutant("channel", "assign taken         = load_owns_q | store_owns_q",
           "assign taken         = store_owns_q", "the channel forgets that a load owns it"),
    Mutant("sequencer", "left_q[top] != 32'd1", "left_q[top] != 32'd2", "one iteration less"),
    Mutant("sequencer", "left_q[top] <= left_q[top] - 1'b1", "left_q[top] <= left_q[top] - 2'd2",
           "loop counter falls by two"),
    Mutant("sequencer", "begin_q[depth_q] <= pc_q", "begin_q[depth_q] <= pc_q + 1'b1",
           "a loop repeats from its second entry"),
    Mutant("sequencer", "b_q <= b_q + entry", "b_q <= b_q - entry", "step B has the wrong sign"),
    Mutant("sequencer", "a_q <= a_q + entry", "a_q <= entry", "address register A is replaced"),
    Mutant("sequencer", "mark_q   <= is_loop | is_end;", "mark_q   <= is_loop | (is_end & ~again);",
           "a loop stops at its end"),
    Mutant("fetch", "32'(param_count_q) * ParamBeats", "32'(param_count_q) * (ParamBeats - 1)",
           "too few parameter beats"),
    Mutant("fetch", "segment_q + 32'd64", "segment_q + 32'd128", "body starts an entry late"),
    Mutant("fetch", "Launch:  state_d = Run;", "Launch:  state_d = Launch;", "never runs"),
)  # fmt: skip

MEMORY = (
    Mutant("burst", "(to_page > 13'd256) ? 9'd256", "(to_page > 13'd256) ? 9'd257",
           "bursts of 257 beats"),
    Mutant("burst", "assign to_page = PageBeats - 13'(address_q[11:ByteBits])",
           "assign to_page = PageBeats", "crosses 4 KiB"),
    Mutant("burst", "assign run_next   = run_q + column_stride_q",
           "assign run_next   = address_q + column_stride_q", "next run starts at the last burst"),
    Mutant("burst", "assign row_next   = row_q + row_stride_q",
           "assign row_next   = run_q + row_stride_q", "next row starts at the last run"),
    Mutant("burst", "columns_left_q <= columns_q;", "columns_left_q <= columns_left_q;",
           "columns are not counted again"),
    Mutant("words", "beat_q == word_beats_i - 1'b1", "beat_q == word_beats_i",
           "a beat too many in a word"),
    Mutant("words", "assign kept = beat_q > BeatBits'(s)", "assign kept = beat_q >= BeatBits'(s)",
           "a beat is kept too early"),
    Mutant("load", "entry_i[Base +: 32] + address_a_i}", "entry_i[Base +: 32]}",
           "part a ignores address register A"),
    Mutant("load", "entry_i[Base+PartBits +: 32] + address_b_i}",
           "entry_i[Base+PartBits +: 32] + address_a_i}", "part b uses address register A"),
    Mutant("load", "address_q <= address_q + 1'b1;", "address_q <= address_q + 2'd2;",
           "every other word"),
    Mutant("load", "weight_half_q ^ entry_i[dovetail_isa_pkg::LoadFillsWeightLsb]",
           "weight_half_q ^ entry_i[dovetail_isa_pkg::LoadFillsInputLsb]",
           "weights change halves with inputs"),
    Mutant("load", "input_half_q  <= input_half_q ^ entry_i[dovetail_isa_pkg::LoadFillsInputLsb];",
           "input_half_q  <= ~input_half_q;", "inputs change halves with every load"),
    Mutant("load", "part_last & ~answer_later_q;", "part_last;", "done after part a"),
    Mutant("fifo", "read_q <= (read_q == Top) ? '0 : read_q + 1'b1",
           "read_q <= (read_q == Top) ? read_q : read_q + 1'b1", "read pointer sticks"),
    Mutant("fifo", "count_q != CountBits'(Depth)", "count_q <= CountBits'(Depth)",
           "a full FIFO takes a word"),
    Mutant("store", "acc_address_q   <= acc_address_q + pixels_q;",
           "acc_address_q   <= acc_address_q + pixels_q + 1'b1;", "accumulator stride off by one"),
    Mutant("store", "param_address_q <= per_pixel_q ? param_address_q + 1'b1 : param_first_q;",
           "param_address_q <= param_first_q;", "parameters never follow the pixel"),
    Mutant("store", "param_address_q <= per_pixel_q ? param_address_q : param_address_q + 1'b1;",
           "param_address_q <= param_address_q + 1'b1;", "parameters always follow the block"),
    Mutant("store", "word_q       <= word_q >> BusBits;", "word_q       <= word_q;",
           "the first beat is repeated"),
    Mutant("store", "half_q    <= clear_i | (half_q ^ start_i);", "half_q    <= clear_i | half_q;",
           "never changes halves"),
    Mutant("store", "assign wlast_o   = beat_q == length;",
           "assign wlast_o   = beat_q >= length - 1'b1;", "wlast a beat early"),
    Mutant("store", "bvalid_i & all_bursts_q & (pending_q == PendingBits'(1))",
           "bvalid_i & all_bursts_q", "done at the first response"),
    Mutant("store", "awvalid_o = address_valid & (flowing_q | out_valid)",
           "awvalid_o = address_valid", "address before the data"),
)  # fmt: skip

VALUES = (
    Mutant("requantize", "sum_q        <= acc + AccBits'(bias);",
           "sum_q        <= acc - AccBits'(bias);", "bias has the wrong sign"),
    Mutant("requantize", "+ $signed(ResultBits'(shifted_q[0]));", ";", "rounds down"),
    Mutant("requantize", "{product_q, 1'b0}) >>> shift_3_q", "{product_q, 1'b0}) >> shift_3_q",
           "shifts in zeros"),
    Mutant("requantize", "+ (high_part_q <<< LowBits)", "+ (high_part_q <<< (LowBits - 1))",
           "high half of the product shifted too little"),
    Mutant("requantize", "above ? high_i", "above ? low_i", "saturates to the wrong end"),
    Mutant("requantize", "result_q < ResultBits'(low_i)", "result_q <= ResultBits'(low_i) + 1",
           "clips one step too early"),
)  # fmt: skip

ENGINE = (
    Mutant("execute", "acc_half_q ^ entry_i[dovetail_isa_pkg::MultiplyFirstLsb]",
           "acc_half_q ^ entry_i[dovetail_isa_pkg::MultiplyLastLsb]",
           "accumulators change halves at the end of a tile"),
    Mutant("execute", "drain_q     <= DrainBits'(Rows + Cols - 2)",
           "drain_q     <= DrainBits'(Rows + Cols - 1)", "drains one cycle too long"),
    Mutant("execute", "(!Overlap | all_last | rows_done_q | row_last)",
           "(!Overlap | all_last | rows_done_q)", "waits a cycle for weights that are there"),
    Mutant("execute", "16'(2 * Rows - 1) : 16'hffff", "16'(2 * Rows) : 16'hffff",
           "weights of the next fold start a row late"),
    Mutant("execute", "(!Stationary & fold_end & column_last) ? '0",
           "(!Stationary & fold_end) ? '0",
           "weights start again at every column block"),
    Mutant("execute", "first_q        <= streaming & begin_q;", "first_q        <= 1'b0;",
           "preloaded weights are never taken"),
    Mutant("execute", "assign word = stored_q ?", "assign word = stored ?",
           "padding is known a cycle early"),
    Mutant("execute", "weight_i(top_q ?",
           "weight_i(!top_q ?", "the weights of an addition swapped"),
    Mutant("window", "(y < Bits'(height)) & (x < Bits'(width))",
           "(y <= Bits'(height)) & (x < Bits'(width))", "no padding below"),
    Mutant("window", "(y < Bits'(height)) & (x < Bits'(width))", "(y < Bits'(height))",
           "no padding at the sides"),
    Mutant("window", "assign x = pixel_x + tap_x", "assign x = pixel_x - tap_x",
           "taps run to the left"),
    Mutant("window", "(block_q + 16'd1) == blocks", "block_q == blocks", "one block too many"),
    Mutant("window", "assign last_rows      = left_q <= 16'(Rows)",
           "assign last_rows      = left_q < 16'(Rows)", "a block of pixels too many"),
    Mutant("window", "Bits'(held_i[dovetail_isa_pkg::MultiplyDilationYLsb +: 16])",
           "Bits'(held_i[dovetail_isa_pkg::MultiplyDilationXLsb +: 16])", "dilation exchanged"),
    Mutant("walk", "y_q + step_y_i, x_i, line_d, line_d}", "y_q + step_y_i, x_q, line_d, line_d}",
           "a line starts in the last column"),
    Mutant("walk", "assign line_d   = line_q + y_words_i",
           "assign line_d   = address_q + y_words_i",
           "a line starts behind the last word"),
    Mutant("accumulate", "overwrite_q ? result : old + result", "old + result",
           "never overwrites"),
    Mutant("accumulate", "overwrite_q ? result : old + result",
           "overwrite_q ? result : old - result",
           "subtracts"),
    Mutant("accumulate", "assign overwrite    = first_i & fresh_q", "assign overwrite    = first_i",
           "every fold overwrites"),
    Mutant("accumulate", "assign keep         = vector_i | (keep_q != '0)",
           "assign keep         = 1'b1", "keeps pixels behind the last one"),
    Mutant("accumulate", "base_q + pixels_i;", "base_q + pixels_i - 1'b1;",
           "column blocks overlap by a word"),
    Mutant("accumulate", "assign final_result = fold_end & block_end & last_block",
           "assign final_result = fold_end & last_block", "done after the first column block"),
    Mutant("pe", "factor     = first_i ? next_q : kept_q", "factor     = kept_q",
           "first vector meets the weights before"),
    Mutant("pe", "fresh_q <= last_i;", "fresh_q <= 1'b0;", "sums are never cleared"),
    Mutant("pe", "SumBits'(left_i) * SumBits'(factor)",
           "SumBits'($unsigned(left_i)) * SumBits'(factor)", "inputs without sign"),
    Mutant("serializer", "row_i == RowBits'(r)", "row_i == RowBits'(Rows - 1 - r)",
           "rows take each other's words"),
    Mutant("systolic_array", ".Depth((Stationary && Overlap) ? 2 * r : 0)",
           ".Depth((Stationary && Overlap) ? r : 0)", "weights reach wrong rows"),
    Mutant("systolic_array", ".Depth(Cols - 1 - c)", ".Depth(Cols - c)", "results one cycle late"),
    Mutant("vector_unit", "(acc_q > term_q)", "(acc_q < term_q)", "minimum for maximum"),
    Mutant("vector_unit", "fresh_q <= last_q;", "fresh_q <= 1'b0;", "pixels are never cleared"),
    Mutant("double_buffer", ".write_i(write_i & write_half_i)", ".write_i(write_i)",
           "writes both halves"),
    Mutant("delay", "assign line_d = {line_q, d_i};", "assign line_d = {line_q, ~d_i};",
           "a delay line inverts"),
)  # fmt: skip

MUTANTS = CONTROL + MEMORY + VALUES + ENGINE
