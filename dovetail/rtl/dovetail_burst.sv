/// Turns a transfer, runs of beats in memory, into AXI bursts, one per cycle.
///
/// start_i takes a transfer: rows_i x columns_i runs of run_beats_i beats, columns innermost; a run
/// starts column_stride_i bytes behind the one before, the first run of a row row_stride_i bytes
/// behind that of the row before. start_i may come when no burst is pending, or in the cycle in
/// which the last one leaves (valid_o, ready_i and last_o are high). The first burst is presented
/// in the next cycle, each further one in the cycle after the one before left.
///
/// A burst is a piece of one run: as long as possible, but at most 256 beats, and within 4 KiB.
/// Addresses and strides are multiples of the bus width. rows_i = 0 is no burst at all; columns_i
/// and run_beats_i are at least 1.

module dovetail_burst #(
  parameter int BusBits = 64,  // a power of two, 8 to 512
  parameter int RunBits = 16   // width of run_beats_i, >= 10
) (
  input  logic               clk_i,
  input  logic               rst_ni,  // asynchronous, active low

  input  logic               start_i,
  input  logic [31:0]        address_i,
  input  logic [15:0]        rows_i,
  input  logic [31:0]        row_stride_i,
  input  logic [15:0]        columns_i,
  input  logic [31:0]        column_stride_i,
  input  logic [RunBits-1:0] run_beats_i,

  output logic               valid_o,
  input  logic               ready_i,
  output logic [31:0]        address_o,
  output logic [7:0]         len_o,   // beats - 1, as in AXI
  output logic               last_o   // last burst of the transfer
);

  localparam int ByteBits = $clog2(BusBits / 8);
  localparam int PageBits = 12 - ByteBits;  // beats of 4 KiB: 64 to 4096
  localparam bit [12:0] PageBeats = 13'(1 << PageBits);

  logic [31:0]        address_q, run_q, row_q, row_stride_q, column_stride_q;
  logic [31:0]        burst_next, run_next, row_next;
  logic [15:0]        rows_left_q, columns_q, columns_left_q;
  logic [RunBits-1:0] run_beats_q, left_q;
  logic [12:0]        to_page;
  logic [8:0]         limit, beats;
  logic               valid_q, run_last, column_last, row_last, take;

  assign to_page = PageBeats - 13'(address_q[11:ByteBits]);
  assign limit   = (to_page > 13'd256) ? 9'd256 : to_page[8:0];

  assign run_last    = left_q <= RunBits'(limit);
  assign column_last = columns_left_q == 16'd1;
  assign row_last    = rows_left_q == 16'd1;
  assign beats       = run_last ? left_q[8:0] : limit;

  assign valid_o   = valid_q;
  assign address_o = address_q;
  assign len_o     = 8'(beats - 9'd1);
  assign last_o    = run_last & column_last & row_last;
  assign take      = valid_q & ready_i;

  assign burst_next = address_q + (32'(beats) << ByteBits);
  assign run_next   = run_q + column_stride_q;
  assign row_next   = row_q + row_stride_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
    end else if (start_i) begin
      valid_q <= rows_i != '0;
    end else if (take & last_o) begin
      valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      row_stride_q    <= row_stride_i;
      columns_q       <= columns_i;
      column_stride_q <= column_stride_i;
      run_beats_q     <= run_beats_i;
      rows_left_q     <= rows_i;
      columns_left_q  <= columns_i;
      left_q          <= run_beats_i;
      address_q       <= address_i;
      run_q           <= address_i;
      row_q           <= address_i;
    end else if (take & ~run_last) begin
      left_q    <= left_q - RunBits'(beats);
      address_q <= burst_next;
    end else if (take & ~column_last) begin
      columns_left_q <= columns_left_q - 1'b1;
      left_q         <= run_beats_q;
      address_q      <= run_next;
      run_q          <= run_next;
    end else if (take) begin
      rows_left_q    <= rows_left_q - 1'b1;
      columns_left_q <= columns_q;
      left_q         <= run_beats_q;
      address_q      <= row_next;
      run_q          <= row_next;
      row_q          <= row_next;
    end
  end

endmodule
