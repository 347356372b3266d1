/// Properties of dovetail_burst: the bursts are those of AXI, and cover a transfer exactly once.
///
/// A model walks through the transfer as the definition has it: rows, columns, beats of a run, each
/// with an address of its own. All of them, strides and addresses are any. A burst must start at
/// the model's beat, end within its run, within 4 KiB and 256 beats, and be as long as these allow.

module formal_burst #(
  parameter int BusBits = 64
) (
  input logic        clk_i,
  input logic        start_i,
  input logic [31:0] address_i,
  input logic [15:0] rows_i,
  input logic [31:0] row_stride_i,
  input logic [15:0] columns_i,
  input logic [31:0] column_stride_i,
  input logic [15:0] run_beats_i,
  input logic        ready_i
);

  localparam int BusBytes = BusBits / 8;
  localparam int ByteBits = $clog2(BusBytes);

  logic rst_n;
  initial rst_n = 1'b0;
  always_ff @(posedge clk_i) rst_n <= 1'b1;

  logic        valid, last, take, start;
  logic [31:0] address;
  logic [7:0]  len;

  dovetail_burst #(
    .BusBits(BusBits)
  ) u_dut (
    .clk_i,
    .rst_ni(rst_n),
    .start_i(start),
    .address_i,
    .rows_i(rows_i),
    .row_stride_i,
    .columns_i(columns_i),
    .column_stride_i,
    .run_beats_i,
    .valid_o(valid),
    .ready_i,
    .address_o(address),
    .len_o(len),
    .last_o(last)
  );

  assign take  = valid & ready_i;
  assign start = start_i & rst_n & (~valid | (take & last));

  // What a caller keeps to. ByteBits may be 0.
  logic [31:0] offsets;
  assign offsets = (address_i | row_stride_i | column_stride_i) & 32'(BusBytes - 1);

  always_comb begin
    if (start) begin
      assume (offsets == '0);
      assume (columns_i != '0);
      assume (run_beats_i != '0);
    end
  end

  // The model: position of the next beat.
  logic        active_q;
  logic [31:0] row_start_q, run_start_q, bytes_q, row_stride_q, column_stride_q, expected;
  logic [15:0] rows_q, columns_q, row_q, column_q;
  logic [15:0] run_beats_q;
  logic [16:0] beat_q, beat_next;
  logic        run_ends, row_ends, all_ends;

  assign expected  = run_start_q + bytes_q;
  assign beat_next = beat_q + 17'(len) + 17'd1;
  assign run_ends  = beat_next == {1'b0, run_beats_q};
  assign row_ends  = run_ends & (column_q == columns_q - 1'b1);
  assign all_ends  = row_ends & (row_q == rows_q - 1'b1);

  always_ff @(posedge clk_i) begin
    if (!rst_n) begin
      active_q <= 1'b0;
    end else if (start) begin
      active_q        <= rows_i != '0;
      row_start_q     <= address_i;
      run_start_q     <= address_i;
      bytes_q         <= '0;
      rows_q          <= rows_i;
      row_stride_q    <= row_stride_i;
      columns_q       <= columns_i;
      column_stride_q <= column_stride_i;
      run_beats_q     <= run_beats_i;
      row_q           <= '0;
      column_q        <= '0;
      beat_q          <= '0;
    end else if (take) begin
      active_q <= ~all_ends;
      beat_q   <= run_ends ? '0 : beat_next;
      bytes_q  <= run_ends ? '0 : bytes_q + ((32'(len) + 316'd1) << ByteBits);
      if (row_ends) begin
        row_q       <= row_q + 1'b1;
        column_q    <= '0;
        row_start_q <= row_start_q + row_stride_q;
        run_start_q <= row_start_q + row_stride_q;
      end else if (run_ends) begin
        column_q    <= column_q + 1'b1;
        run_start_q <= run_start_q + column_stride_q;
      end
    end
  end

  // A burst that is offered stays.
  logic        waited_q, waited_last_q;
  logic [31:0] waited_address_q;
  logic [7:0]  waited_len_q;

  always_ff @(posedge clk_i) begin
    waited_q         <= rst_n & valid & ~ready_i;
    waited_address_q <= address;
    waited_len_q     <= len;
    waited_last_q    <= last;
  end

  logic [13:0] end_in_page;
  assign end_in_page = {2'b0, address[11:0]} + ((14'(len) + 14'd1) << ByteBits);

  // The splitter's own state: what makes the properties inductive.
  (* hierconn *) logic [31:0] \u_dut.run_q , \u_dut.row_q ;
  (* hierconn *) logic [31:0] \u_dut.row_stride_q , \u_dut.column_stride_q ;
  (* hierconn *) logic [15:0] \u_dut.rows_left_q , \u_dut.columns_left_q , \u_dut.columns_q ;
  (* hierconn *) logic [15:0] \u_dut.run_beats_q , \u_dut.left_q ;

  always_comb begin
    if (rst_n) begin
      offered: assert (valid == active_q);
      if (waited_q) begin
        stable: assert (valid & (address == waited_address_q) & (len == waited_len_q)
                        & (last == waited_last_q));
      end
      if (valid) begin
        place: assert (address == expected);
        page: assert (end_in_page <= 14'd4096);
        within_run: assert (beat_next <= {1'b0, run_beats_q});
        longest: assert (run_ends | (end_in_page == 14'd4096) | (len == 8'd255));
        ends: assert (last == all_ends);

        position: assert ((row_q < rows_q) & (column_q < columns_q)
                          & (beat_q < {1'b0, run_beats_q}));
        bytes: assert (bytes_q == ({15'b0, beat_q} << ByteBits));
        aligned: assert (((row_start_q | run_start_q | row_stride_q | column_stride_q)
                          & 32'(BusBytes - 1)) == '0);
        copies: assert ((\u_dut.row_stride_q == row_stride_q)
                        & (\u_dut.column_stride_q == column_stride_q)
                        & (\u_dut.columns_q == columns_q)
                        & (\u_dut.run_beats_q == run_beats_q));
        left_beats: assert ({1'b0, \u_dut.left_q } == {1'b0, run_beats_q} - beat_q);
        left_columns: assert (\u_dut.columns_left_q == columns_q - column_q);
        left_rows: assert (\u_dut.rows_left_q == rows_q - row_q);
        row_start: assert (\u_dut.row_q == row_start_q);
        run_start: assert (\u_dut.run_q == run_start_q);
      end
      split_run: cover (take & ~run_ends & (len != 8'd255));
      whole: cover (take & all_ends & (rows_q == 16'd3) & (columns_q == 16'd2));
    end
  end

endmodule
