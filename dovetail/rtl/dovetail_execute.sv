/// Execute engine: matrix products on the systolic array, pooling and addition on the vector unit.
///
/// start_i takes the instruction entry_i, Multiply or Vector; done_o is high in its last cycle,
/// that of its last accumulator write. start_i may come again in the cycle after. clear_i: the
/// first instruction after it finds its operands and accumulators in the halves 0.
///
/// Cycles from start to end (the cycle after done_o), for F folds, M pixels and K = taps * blocks *
/// Rows products per sum, never waiting for a memory:
///
///   Stationary = 1 (WS), F = column blocks * taps * blocks
///     Overlap = 1:  Rows + (F - 1) * max(M, Rows) + M + Rows + Cols - 2 + 3
///     Overlap = 0:  F * (M + 2 * Rows + Cols - 2) + 3
///   Stationary = 0 (OS), F = ceil(M / Rows) * column blocks
///     Overlap = 1:  F * K + Rows + Cols - 2 + 3
///     Overlap = 0:  F * (K + Rows + Cols - 2) + 3
///   Vector:         blocks * M * taps + 4
///
/// 3: taking the instruction, reading scratchpads, adding to accumulators. Rows is at least 2.

module dovetail_execute #(
  parameter bit Stationary = 1'b1,
  parameter bit Overlap    = 1'b1,
  parameter int Rows       = 4,
  parameter int Cols       = 4,
  parameter int InputBits  = 8,
  parameter int WeightBits = 8,
  parameter int AccBits    = 32
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,  // asynchronous, active low

  input  logic                       clear_i,
  input  logic                       start_i,
  input  logic [dovetail_isa_pkg::EntryBits-1:0] entry_i,
  output logic                       done_o,

  output logic                       input_read_o,
  output logic                       input_read_half_o,
  output logic [15:0]                input_read_address_o,
  input  logic [Rows*InputBits-1:0]  input_read_data_i,

  output logic                       weight_read_o,
  output logic                       weight_read_half_o,
  output logic [15:0]                weight_read_address_o,
  input  logic [Cols*WeightBits-1:0] weight_read_data_i,

  output logic                       acc_read_o,
  output logic                       acc_read_half_o,
  output logic [15:0]                acc_read_address_o,
  input  logic [Cols*AccBits-1:0]    acc_read_data_i,
  output logic                       acc_write_o,
  output logic                       acc_write_half_o,
  output logic [15:0]                acc_write_address_o,
  output logic [Cols*AccBits-1:0]    acc_write_data_o
);

  localparam int RowBits   = $clog2(Rows);
  localparam int DrainBits = $clog2(Rows + Cols);
  localparam int Lanes     = (Rows < Cols) ? Rows : Cols;

  // The instruction.
  logic [dovetail_isa_pkg::EntryBits-1:0] entry_q;
  logic                                   vector, input_half_q, weight_half_q, acc_half_q;

  assign vector = entry_q[dovetail_isa_pkg::OpcodeBits-1:0] == dovetail_isa_pkg::OpVector;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      entry_q <= entry_i;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      input_half_q  <= 1'b1;
      weight_half_q <= 1'b1;
      acc_half_q    <= 1'b1;
    end else if (clear_i) begin
      input_half_q  <= 1'b1;
      weight_half_q <= 1'b1;
      acc_half_q    <= 1'b1;
    end else if (start_i) begin
      input_half_q  <= input_half_q ^ entry_i[dovetail_isa_pkg::MultiplyNewInputLsb];
      weight_half_q <= weight_half_q ^ entry_i[dovetail_isa_pkg::MultiplyNewWeightLsb];
      acc_half_q    <= acc_half_q ^ entry_i[dovetail_isa_pkg::MultiplyFirstLsb];
    end
  end

  // Which words are read: weights for a fold (Preload), moving operands (Stream), or none, because
  // nothing runs or all has been read (Idle), or because a fold's results come (Drain).
  typedef enum logic [1:0] {Idle, Preload, Stream, Drain} state_e;
  state_e             state_q;
  logic [RowBits-1:0] row_q;  // rows of weights read, or pixels of a block
  logic               row_last, rows_done_q, streamed_q, begin_q;
  logic [DrainBits-1:0] drain_q;
  logic               streaming, advance, fold_end, inner_last, word_last, column_last, all_last;
  logic               stored, top;

  assign row_last  = row_q == RowBits'(Rows - 1);
  assign streaming = (state_q == Stream) & ~streamed_q;

  dovetail_window #(
    .Stationary(Stationary),
    .Rows(Rows)
  ) u_window (
    .clk_i,
    .start_i,
    .vector_i(vector),
    .entry_i,
    .held_i(entry_q),
    .advance_i(advance),
    .row_last_i(row_last),
    .address_o(input_read_address_o),
    .stored_o(stored),
    .inner_last_o(inner_last),
    .word_last_o(word_last),
    .column_last_o(column_last),
    .final_o(all_last),
    .top_o(top)
  );

  logic weight_read, row_step;

  if (Stationary) begin : gen_stream
    // The window stays at a fold's last pixel until the next fold's weights have been read.
    assign fold_end = (state_q == Stream) & ~vector & inner_last
                      & (!Overlap | all_last | rows_done_q | row_last);
    assign advance  = (state_q == Stream) & (vector | ~inner_last | fold_end);
    assign weight_read = (state_q == Preload)
                         | (Overlap & (state_q == Stream) & ~vector & ~rows_done_q
                            & ~(word_last & column_last));
    assign row_step = (state_q == Preload) | (Overlap & (state_q == Stream) & ~rows_done_q);
  end else begin : gen_rows
    assign fold_end    = (state_q == Stream) & ~vector & inner_last & word_last;
    assign advance     = state_q == Stream;
    assign weight_read = advance & ~vector;
    assign row_step    = weight_read;

    logic unused_rows_done;
    assign unused_rows_done = rows_done_q;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q     <= Idle;
      row_q       <= '0;
      rows_done_q <= 1'b0;
      streamed_q  <= 1'b0;
      begin_q     <= 1'b0;
      drain_q     <= '0;
    end else if (start_i) begin
      state_q     <= (Stationary & (entry_i[dovetail_isa_pkg::OpcodeBits-1:0]
                                    == dovetail_isa_pkg::OpMultiply)) ? Preload : Stream;
      row_q       <= '0;
      rows_done_q <= 1'b0;
      streamed_q  <= 1'b0;
      begin_q     <= 1'b1;
    end else begin
      if (row_step) begin
        row_q       <= row_last ? '0 : row_q + RowBits'(1);
        rows_done_q <= row_last & (state_q == Stream);
      end
      if (state_q == Preload & row_last) begin
        state_q <= Stream;
      end
      if (state_q == Stream) begin
        begin_q    <= fold_end;
        streamed_q <= inner_last & Stationary & ~vector;
        if (fold_end) begin
          streamed_q  <= 1'b0;
          rows_done_q <= 1'b0;
          row_q       <= '0;
          drain_q     <= DrainBits'(Rows + Cols - 2);
          state_q     <= Overlap ? Stream : Drain;
        end
        if (advance & all_last) begin
          state_q <= Idle;
        end
      end
      if (state_q == Drain) begin
        drain_q <= drain_q - DrainBits'(1);
        if (drain_q == DrainBits'(1)) begin
          state_q <= Stationary ? Preload : Stream;
        end
      end
    end
  end

  // Weights: one after the other, but last row first if the array shifts them in.
  localparam bit Backwards = Stationary && !Overlap;
  logic [15:0]   weight_address_q, weight_step;

  assign weight_step = !Backwards ? 16'd1 : row_last ? 16'(2 * Rows - 1) : 16'hffff;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      weight_address_q <= Backwards ? 16'(Rows - 1) : '0;
    end else if (weight_read) begin
      weight_address_q <= (!Stationary & fold_end & column_last) ? '0
                                                                 : weight_address_q + weight_step;
    end
  end

  assign input_read_o          = streaming & stored;
  assign input_read_half_o     = input_half_q;
  assign weight_read_o         = weight_read;
  assign weight_read_half_o    = weight_half_q;
  assign weight_read_address_o = weight_address_q;

  // One cycle later, words are there.
  logic                      valid_q, first_q, last_q, load_q, vector_valid_q, vector_last_q;
  logic                      vector_final_q, stored_q, top_q;
  logic [RowBits-1:0]        take_q;
  logic [Rows*InputBits-1:0] word;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q        <= 1'b0;
      first_q        <= 1'b0;
      last_q         <= 1'b0;
      load_q         <= 1'b0;
      vector_valid_q <= 1'b0;
      vector_last_q  <= 1'b0;
      vector_final_q <= 1'b0;
    end else begin
      valid_q        <= streaming & ~vector;
      first_q        <= streaming & begin_q;
      last_q         <= streaming & inner_last & word_last;
      load_q         <= weight_read & (!Overlap | (row_q == '0));
      vector_valid_q <= streaming & vector;
      vector_last_q  <= streaming & vector & inner_last;
      vector_final_q <= streaming & vector & all_last;
    end
  end

  always_ff @(posedge clk_i) begin
    stored_q <= stored;
    top_q    <= top;
    take_q   <= row_q;
  end

  assign word = stored_q ? input_read_data_i
                         : {Rows{entry_q[dovetail_isa_pkg::MultiplyPadLsb +: InputBits]}};

  // The array.
  logic [Rows*InputBits-1:0] left;
  logic                      array_soon, array_soon_last;
  logic                      unused_valid, unused_last;
  logic [Cols*AccBits-1:0]   array_result;

  if (Stationary) begin : gen_word
    assign left = word;

    logic unused_take;
    assign unused_take = ^take_q;
  end else begin : gen_serial
    dovetail_serializer #(
      .Rows(Rows),
      .Width(InputBits)
    ) u_serializer (
      .clk_i,
      .valid_i(valid_q),
      .row_i(take_q),
      .data_i(word),
      .data_o(left)
    );
  end

  dovetail_systolic_array #(
    .Stationary(Stationary),
    .Overlap(Stationary && Overlap),
    .Skewed(!Stationary),
    .Rows(Rows),
    .Cols(Cols),
    .LeftBits(InputBits),
    .TopBits(WeightBits),
    .AccBits(AccBits)
  ) u_array (
    .clk_i,
    .rst_ni,
    .valid_i(valid_q),
    .first_i(first_q),
    .last_i(last_q),
    .left_i(left),
    .load_i(load_q),
    .top_i(weight_read_data_i),
    .soon_o(array_soon),
    .soon_last_o(array_soon_last),
    .valid_o(unused_valid),
    .last_o(unused_last),
    .result_o(array_result)
  );

  // The vector unit.
  logic                     vector_soon, vector_soon_final;
  logic [Lanes*AccBits-1:0] vector_result;

  dovetail_vector_unit #(
    .Lanes(Lanes),
    .InputBits(InputBits),
    .AccBits(AccBits)
  ) u_vector (
    .clk_i,
    .rst_ni,
    .valid_i(vector_valid_q),
    .last_i(vector_last_q),
    .final_i(vector_final_q),
    .sum_i(entry_q[dovetail_isa_pkg::VectorModeLsb]),
    .weight_i(top_q ? entry_q[dovetail_isa_pkg::VectorWeightALsb +: 16]
                    : entry_q[dovetail_isa_pkg::VectorWeightBLsb +: 16]),
    .data_i(word[Lanes*InputBits-1:0]),
    .soon_o(vector_soon),
    .soon_final_o(vector_soon_final),
    .result_o(vector_result)
  );

  // Accumulators.
  dovetail_accumulate #(
    .Stationary(Stationary),
    .Rows(Rows),
    .Cols(Cols),
    .AccBits(AccBits)
  ) u_accumulate (
    .clk_i,
    .rst_ni,
    .start_i,
    .start_pixels_i(entry_i[dovetail_isa_pkg::MultiplyPixelsLsb +: 16]),
    .start_columns_i(entry_i[dovetail_isa_pkg::MultiplyColumnsLsb +: 16]),
    .pixels_i(entry_q[dovetail_isa_pkg::MultiplyPixelsLsb +: 16]),
    .columns_i(entry_q[dovetail_isa_pkg::MultiplyColumnsLsb +: 16]),
    .first_i(entry_q[dovetail_isa_pkg::MultiplyFirstLsb]),
    .vector_i(vector),
    .soon_i(array_soon | vector_soon),
    .soon_last_i(array_soon_last),
    .soon_final_i(vector_soon_final),
    .result_i(vector ? (Cols*AccBits)'(vector_result) : array_result),
    .done_o,
    .read_o(acc_read_o),
    .read_address_o(acc_read_address_o),
    .read_data_i(acc_read_data_i),
    .write_o(acc_write_o),
    .write_address_o(acc_write_address_o),
    .write_data_o(acc_write_data_o)
  );

  assign acc_read_half_o  = acc_half_q;
  assign acc_write_half_o = acc_half_q;

endmodule
