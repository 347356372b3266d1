/// Adds results to accumulators, or overwrites them, in the order in which results come.
///
/// start_i takes an instruction; its fields must stay from the next cycle on. A result comes on
/// result_i one cycle after soon_i: its accumulator is read with soon_i, and written in the
/// result's cycle. Two results for the same accumulator are at least 2 cycles apart.
///
/// Order of results and their accumulators:
///   vector_i                   one after the other; soon_final_i marks the last one
///   Multiply, Stationary = 1   pixels_i vectors per fold; soon_last_i marks the last vector of a
///                              column block's last fold
///   Multiply, Stationary = 0   per block of Rows pixels: columns_i folds of Rows vectors; vectors
///                              behind the last pixel are dropped
/// Accumulator of column block n, pixel m: n * pixels_i + m. first_i: the first result of each
/// overwrites. done_o: the last result is written (or dropped) in this cycle.

module dovetail_accumulate #(
  parameter bit Stationary = 1'b1,
  parameter int Rows       = 4,
  parameter int Cols       = 4,
  parameter int AccBits    = 32
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,  // asynchronous, active low

  input  logic                    start_i,
  input  logic [15:0]             start_pixels_i,   // in the cycle of start_i
  input  logic [15:0]             start_columns_i,
  input  logic [15:0]             pixels_i,
  input  logic [15:0]             columns_i,
  input  logic                    first_i,
  input  logic                    vector_i,

  input  logic                    soon_i,
  input  logic                    soon_last_i,
  input  logic                    soon_final_i,
  input  logic [Cols*AccBits-1:0] result_i,
  output logic                    done_o,

  output logic                    read_o,
  output logic [15:0]             read_address_o,
  input  logic [Cols*AccBits-1:0] read_data_i,
  output logic                    write_o,
  output logic [15:0]             write_address_o,
  output logic [Cols*AccBits-1:0] write_data_o
);

  logic [15:0] address_q, columns_q;  // columns_q: blocks left, the present one included
  logic        keep, overwrite, final_result;

  if (Stationary) begin : gen_stream
    logic [15:0] base_q, pixels_q;  // pixels_q: left in the fold
    logic        fresh_q, fold_end;

    assign fold_end     = pixels_q == 16'd1;
    assign keep         = 1'b1;
    assign overwrite    = first_i & fresh_q;
    assign final_result = soon_last_i & (columns_q == 16'd1);

    always_ff @(posedge clk_i) begin
      if (start_i) begin
        address_q <= '0;
        base_q    <= '0;
        fresh_q   <= 1'b1;
        pixels_q  <= start_pixels_i;
        columns_q <= start_columns_i;
      end else if (soon_i) begin
        address_q <= address_q + 16'd1;
        if (fold_end & ~vector_i) begin
          pixels_q <= pixels_i;
          fresh_q  <= soon_last_i;
          if (soon_last_i) begin
            base_q    <= address_q + 16'd1;
            columns_q <= columns_q - 16'd1;
          end else begin
            address_q <= base_q;
          end
        end else if (~vector_i) begin
          pixels_q <= pixels_q - 16'd1;
        end
      end
    end

    logic unused_columns;
    assign unused_columns = ^columns_i;
  end else begin : gen_rows
    localparam int RowBits = $clog2(Rows);

    logic [15:0]        base_q, block_q;  // first accumulator of the fold, of its pixel block
    logic [15:0]        left_q, keep_q;   // pixels from the first, from this one of the block on
    logic [RowBits-1:0] row_q;
    logic               fold_end, block_end, last_block;
    logic [15:0]        next_base, next_block, next_left;

    assign fold_end     = row_q == RowBits'(Rows - 1);
    assign block_end    = columns_q == 16'd1;
    assign last_block   = left_q <= 16'(Rows);
    assign next_block   = block_q + 16'(Rows);
    assign next_base    = block_end ? next_block : base_q + pixels_i;
    assign next_left    = block_end ? left_q - 16'(Rows) : left_q;
    assign keep         = vector_i | (keep_q != '0);
    assign overwrite    = first_i;
    assign final_result = fold_end & block_end & last_block;

    always_ff @(posedge clk_i) begin
      if (start_i) begin
        address_q <= '0;
        base_q    <= '0;
        block_q   <= '0;
        row_q     <= '0;
        left_q    <= start_pixels_i;
        keep_q    <= start_pixels_i;
        columns_q <= start_columns_i;
      end else if (soon_i & (vector_i | ~fold_end)) begin
        address_q <= address_q + 16'd1;
        row_q     <= row_q + RowBits'(1);
        keep_q    <= keep_q - 16'(keep_q != '0);
      end else if (soon_i) begin
        address_q <= next_base;
        base_q    <= next_base;
        row_q     <= '0;
        left_q    <= next_left;
        keep_q    <= next_left;
        columns_q <= block_end ? columns_i : columns_q - 16'd1;
        if (block_end) begin
          block_q <= next_block;
        end
      end
    end

    logic unused_last;
    assign unused_last = soon_last_i;
  end

  logic        write_q, done_q, overwrite_q;
  logic [15:0] write_address_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= 1'b0;
      done_q  <= 1'b0;
    end else begin
      write_q <= soon_i & keep;
      done_q  <= soon_i & (vector_i ? soon_final_i : final_result);
    end
  end

  always_ff @(posedge clk_i) begin
    if (soon_i) begin
      write_address_q <= address_q;
      overwrite_q     <= overwrite;
    end
  end

  assign read_o          = soon_i & keep & ~overwrite;
  assign read_address_o  = address_q;
  assign write_o         = write_q;
  assign write_address_o = write_address_q;
  assign done_o          = done_q;

  for (genvar c = 0; c < Cols; c++) begin : gen_lane
    logic [AccBits-1:0] old, result;
    assign old    = read_data_i[c*AccBits +: AccBits];
    assign result = result_i[c*AccBits +: AccBits];
    assign write_data_o[c*AccBits +: AccBits] = overwrite_q ? result : old + result;
  end

endmodule
