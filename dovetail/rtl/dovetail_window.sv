/// Address generator of implicit im2col: which input word is read next, and is it padding?
///
/// start_i takes an instruction, Multiply or (vector_i) Vector: entry_i in that cycle, and held_i
/// from the next cycle to the end. From that cycle on the outputs describe the first word;
/// advance_i goes on to the next one. Order, outermost loop first:
///
///   Vector                     block of channels, output pixel, tap
///   Multiply, Stationary = 1   column block, tap, block of channels, output pixel
///   Multiply, Stationary = 0   block of Rows pixels, column block, tap, block of channels, pixel
///
/// In the last case row_last_i says that the pixel is the last one of its block. Words of pixels
/// behind the last one are anything; nobody may use them.
///
/// stored_o: the word is address_o; otherwise it is padding. Rows and columns of words, padding
/// included, must lie within +-2^17. inner_last_o: last pixel of the innermost loop, or last
/// tap of a vector instruction's pixel. word_last_o: last tap and block of channels.
/// column_last_o: last column block. final_o: the last word of all. top_o: tap of kernel row 0.

module dovetail_window #(
  parameter bit Stationary = 1'b1,
  parameter int Rows       = 4      // pixels of a block
) (
  input  logic         clk_i,

  input  logic         start_i,
  input  logic         vector_i,  // from the cycle after start_i
  input  logic [dovetail_isa_pkg::EntryBits-1:0] entry_i,
  input  logic [dovetail_isa_pkg::EntryBits-1:0] held_i,

  input  logic         advance_i,
  input  logic         row_last_i,

  output logic [15:0]  address_o,
  output logic         stored_o,
  output logic         inner_last_o,
  output logic         word_last_o,
  output logic         column_last_o,
  output logic         final_o,
  output logic         top_o
);

  localparam int Bits = 18;

  // First points and counts come straight from the instruction in its first cycle.
  logic [dovetail_isa_pkg::EntryBits-1:0] entry;
  assign entry = start_i ? entry_i : held_i;

  logic [15:0] height, width, blocks;
  assign height = held_i[dovetail_isa_pkg::MultiplyHeightLsb +: 16];
  assign width  = held_i[dovetail_isa_pkg::MultiplyWidthLsb +: 16];
  assign blocks = held_i[dovetail_isa_pkg::MultiplyBlocksLsb +: 16];

  logic [15:0] origin_y, origin_x;
  assign origin_y = entry[dovetail_isa_pkg::MultiplyOriginYLsb +: 16];
  assign origin_x = entry[dovetail_isa_pkg::MultiplyOriginXLsb +: 16];

  logic [Bits-1:0] pixel_y, pixel_x, tap_y, tap_x;
  logic [15:0]     pixel_address, tap_address, block_q;
  logic            pixel_step, pixel_rewind, pixel_mark, pixel_last, unused_pixel_top;
  logic            tap_step, tap_last, block_step, block_last, inner_last, sum_last, column_last;

  dovetail_walk #(
    .Marks(!Stationary),
    .PositionBits(Bits)
  ) u_pixel (
    .clk_i,
    .start_i,
    .step_i(pixel_step),
    .rewind_i(pixel_rewind),
    .mark_i(pixel_mark),
    .inner_i(entry[dovetail_isa_pkg::MultiplyQLsb +: 16]),
    .outer_i(entry[dovetail_isa_pkg::MultiplyPLsb +: 16]),
    .y_i({{(Bits-16){origin_y[15]}}, origin_y}),
    .x_i({{(Bits-16){origin_x[15]}}, origin_x}),
    .address_i(entry[dovetail_isa_pkg::MultiplyOriginWordsLsb +: 16]),
    .step_y_i(Bits'(held_i[dovetail_isa_pkg::MultiplyStrideYLsb +: 8])),
    .step_x_i(Bits'(held_i[dovetail_isa_pkg::MultiplyStrideXLsb +: 8])),
    .y_words_i(held_i[dovetail_isa_pkg::MultiplyStrideYWordsLsb +: 16]),
    .x_words_i(held_i[dovetail_isa_pkg::MultiplyStrideXWordsLsb +: 16]),
    .y_o(pixel_y),
    .x_o(pixel_x),
    .address_o(pixel_address),
    .top_o(unused_pixel_top),
    .last_o(pixel_last)
  );

  dovetail_walk #(
    .PositionBits(Bits)
  ) u_tap (
    .clk_i,
    .start_i,
    .step_i(tap_step),
    .rewind_i(tap_last),
    .mark_i(1'b0),
    .inner_i(16'(entry[dovetail_isa_pkg::MultiplySLsb +: 8])),
    .outer_i(16'(entry[dovetail_isa_pkg::MultiplyRLsb +: 8])),
    .y_i(Bits'(0)),
    .x_i(Bits'(0)),
    .address_i(16'd0),
    .step_y_i(Bits'(held_i[dovetail_isa_pkg::MultiplyDilationYLsb +: 16])),
    .step_x_i(Bits'(held_i[dovetail_isa_pkg::MultiplyDilationXLsb +: 16])),
    .y_words_i(held_i[dovetail_isa_pkg::MultiplyDilationYWordsLsb +: 16]),
    .x_words_i(held_i[dovetail_isa_pkg::MultiplyDilationXWordsLsb +: 16]),
    .y_o(tap_y),
    .x_o(tap_x),
    .address_o(tap_address),
    .top_o,
    .last_o(tap_last)
  );

  // Blocks of channels and of columns.
  logic [15:0] columns_q;  // left, this one included

  assign block_last = (block_q + 16'd1) == blocks;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      block_q   <= '0;
      columns_q <= entry_i[dovetail_isa_pkg::MultiplyColumnsLsb +: 16];
    end else begin
      if (block_step) begin
        block_q <= block_last ? '0 : block_q + 16'd1;
      end
      if (advance_i & inner_last & sum_last) begin
        columns_q <= column_last ? held_i[dovetail_isa_pkg::MultiplyColumnsLsb +: 16]
                                 : columns_q - 16'd1;
      end
    end
  end

  assign sum_last    = tap_last & block_last;
  assign column_last = columns_q == 16'd1;

  assign tap_step   = advance_i & (vector_i | (inner_last & block_last));
  assign pixel_step = advance_i & (~vector_i | tap_last);
  assign block_step = advance_i & inner_last & (~vector_i | pixel_last);

  logic multiply_final;

  if (Stationary) begin : gen_stream
    assign inner_last     = vector_i ? tap_last : pixel_last;
    assign pixel_rewind   = pixel_last;
    assign pixel_mark     = 1'b0;
    assign multiply_final = inner_last & sum_last & column_last;

    logic unused_row;
    assign unused_row = row_last_i;
  end else begin : gen_rows
    logic [15:0] left_q;  // pixels from the first one of this block on
    logic        next_rows, last_rows;

    assign inner_last     = vector_i ? tap_last : row_last_i;
    assign next_rows      = inner_last & sum_last & column_last;
    assign last_rows      = left_q <= 16'(Rows);
    assign pixel_rewind   = vector_i ? pixel_last : inner_last & ~next_rows;
    assign pixel_mark     = ~vector_i & next_rows;
    assign multiply_final = next_rows & last_rows;

    always_ff @(posedge clk_i) begin
      if (start_i) begin
        left_q <= entry_i[dovetail_isa_pkg::MultiplyPixelsLsb +: 16];
      end else if (advance_i & next_rows) begin
        left_q <= left_q - 16'(Rows);
      end
    end
  end

  // The word.
  logic [Bits-1:0] y, x;
  assign y = pixel_y + tap_y;
  assign x = pixel_x + tap_x;

  assign address_o = pixel_address + tap_address + block_q;
  // A negative position is large as an unsigned number.
  assign stored_o  = (y < Bits'(height)) & (x < Bits'(width));

  assign inner_last_o  = inner_last;
  assign word_last_o   = sum_last;
  assign column_last_o = column_last;
  assign final_o       = vector_i ? tap_last & pixel_last & block_last : multiply_final;

  logic unused_entry;
  assign unused_entry = ^{entry, entry_i, held_i};

endmodule
