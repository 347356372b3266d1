/// Properties of dovetail_store as an AXI master, for one small store after reset.
///
/// Addresses and data are taken at any time, data also before their address, and answers come at
/// any time after both, but at most Stall cycles late each. calm: a memory that takes all at once,
/// as in the module's contract; then the duration is the documented one. What the lanes compute is
/// left open; runs are 16 bytes apart.

module formal_store #(
  parameter int Address   = 4094,
  parameter int Rows      = 1,
  parameter int Columns   = 1,
  parameter int RunBeats  = 4,
  parameter int Blocks    = 1,
  parameter int Pixels    = 2,
  parameter int WordBeats = 2,  // Blocks * Pixels * WordBeats = Rows * Columns * RunBeats
  parameter int Bursts    = 2,  // that these make
  parameter int Stall     = 1
) (
  input logic        clk_i,
  input logic [2:0]  stall_i,  // AW, W, B
  input logic [15:0] acc_i,
  input logic [63:0] param_i
);

  localparam int Beats = Rows * Columns * RunBeats;
  localparam int Bound = 11 + Stall + (1 + Stall) * Beats + Stall;

  (* anyconst *) logic       calm;
  (* anyconst *) logic [2:0] burst;  // any one

  logic rst_n;
  initial rst_n = 1'b0;
  always_ff @(posedge clk_i) rst_n <= 1'b1;

  logic        started_q, start, done;
  logic        read, read_half, param_read;
  logic [15:0] read_address, param_address;
  logic        awvalid, awready, wvalid, wready, wlast, bvalid, bready;
  logic [31:0] awaddr;
  logic [7:0]  awlen, wdata;
  logic [dovetail_isa_pkg::EntryBits-1:0] entry;

  assign start = rst_n & ~started_q;

  // Fields that are not named here are 0.
  assign entry = (512'(Address) << dovetail_isa_pkg::StoreAddressLsb)
                 | (512'(Rows) << dovetail_isa_pkg::StoreRowsLsb)
                 | (512'(16 * Columns) << dovetail_isa_pkg::StoreRowStrideLsb)
                 | (512'(Columns) << dovetail_isa_pkg::StoreColumnsLsb)
                 | (512'(16) << dovetail_isa_pkg::StoreColumnStrideLsb)
                 | (512'(RunBeats) << dovetail_isa_pkg::StoreRunBeatsLsb)
                 | (512'(Blocks) << dovetail_isa_pkg::StoreBlocksLsb)
                 | (512'(Pixels) << dovetail_isa_pkg::StorePixelsLsb)
                 | (512'(WordBeats) << dovetail_isa_pkg::StoreWordBeatsLsb);

  dovetail_store #(
    .Cols(2),
    .InputBits(8),
    .AccBits(8),
    .BusBits(8)
  ) u_dut (
    .clk_i,
    .rst_ni(rst_n),
    .clear_i(1'b0),
    .start_i(start),
    .entry_i(entry),
    .address_a_i('0),
    .address_b_i('0),
    .done_o(done),
    .acc_read_o(read),
    .acc_read_half_o(read_half),
    .acc_read_address_o(read_address),
    .acc_read_data_i(acc_i),
    .param_read_o(param_read),
    .param_read_address_o(param_address),
    .param_read_data_i({2{param_i}}),
    .awvalid_o(awvalid),
    .awready_i(awready),
    .awaddr_o(awaddr),
    .awlen_o(awlen),
    .wvalid_o(wvalid),
    .wready_i(wready),
    .wdata_o(wdata),
    .wlast_o(wlast),
    .bvalid_i(bvalid),
    .bready_o(bready)
  );

  // Counts of what has been handed over.
  logic [7:0] addresses_q, address_beats_q, beats_q, lasts_q, answers_q, reads_q, age_q;
  logic [3:0] aw_stall_q, w_stall_q, b_stall_q;
  logic       answer_due, finished_q;

  assign answer_due = (answers_q < addresses_q) & (answers_q < lasts_q);
  assign awready    = calm | (~stall_i[0] | (aw_stall_q >= Stall));
  assign wready     = calm ? beats_q < address_beats_q : ~stall_i[1] | (w_stall_q >= Stall);
  assign bvalid     = answer_due & (calm | ~stall_i[2] | (b_stall_q >= Stall));

  always_ff @(posedge clk_i) begin
    if (!rst_n) begin
      started_q       <= 1'b0;
      finished_q      <= 1'b0;
      addresses_q     <= '0;
      address_beats_q <= '0;
      beats_q         <= '0;
      lasts_q         <= '0;
      answers_q       <= '0;
      reads_q         <= '0;
      age_q           <= '0;
      aw_stall_q      <= '0;
      w_stall_q       <= '0;
      b_stall_q       <= '0;
    end else begin
      started_q       <= started_q | start;
      finished_q      <= finished_q | done;
      addresses_q     <= addresses_q + 8'(awvalid & awready);
      address_beats_q <= address_beats_q + ((awvalid & awready) ? awlen + 8'd1 : '0);
      beats_q         <= beats_q + 8'(wvalid & wready);
      lasts_q         <= lasts_q + 8'(wvalid & wready & wlast);
      answers_q       <= answers_q + 8'(bvalid & bready);
      reads_q         <= reads_q + 8'(read);
      age_q           <= (start | started_q) & ~finished_q ? age_q + 1'b1 : age_q;
      aw_stall_q      <= (awvalid & ~awready) ? aw_stall_q + 1'b1 : '0;
      w_stall_q       <= (wvalid & ~wready) ? w_stall_q + 1'b1 : '0;
      b_stall_q       <= (answer_due & ~bvalid) ? b_stall_q + 1'b1 : '0;
    end
  end

  // Beats up to the end of the burst that was picked, by its address and by its last beat.
  logic       by_address_q, by_last_q;
  logic [7:0] address_end_q, last_end_q;

  always_ff @(posedge clk_i) begin
    if (!rst_n) begin
      by_address_q <= 1'b0;
      by_last_q    <= 1'b0;
    end else begin
      if (awvalid & awready & (addresses_q == 8'(burst))) begin
        by_address_q  <= 1'b1;
        address_end_q <= address_beats_q + awlen + 8'd1;
      end
      if (wvalid & wready & wlast & (lasts_q == 8'(burst))) begin
        by_last_q  <= 1'b1;
        last_end_q <= beats_q + 8'd1;
      end
    end
  end

  // What is offered stays.
  logic        aw_waited_q, w_waited_q, w_waited_last_q;
  logic [31:0] aw_waited_address_q;
  logic [7:0]  aw_waited_len_q, w_waited_data_q;

  always_ff @(posedge clk_i) begin
    aw_waited_q         <= rst_n & awvalid & ~awready;
    aw_waited_address_q <= awaddr;
    aw_waited_len_q     <= awlen;
    w_waited_q          <= rst_n & wvalid & ~wready;
    w_waited_data_q     <= wdata;
    w_waited_last_q     <= wlast;
  end

  always_comb begin
    if (rst_n) begin
      if (aw_waited_q) begin
        aw_stable: assert (awvalid & (awaddr == aw_waited_address_q) & (awlen == aw_waited_len_q));
      end
      if (w_waited_q) begin
        w_stable: assert (wvalid & (wdata == w_waited_data_q) & (wlast == w_waited_last_q));
      end
      b_ready: assert (bready);
      page: assert (~awvalid | ({1'b0, awaddr[11:0]} + 13'(awlen) < 13'd4096));
      silent: assert (started_q | ~(awvalid | wvalid | read));
      not_too_many: assert ((address_beats_q <= Beats) & (beats_q <= Beats)
                            & (reads_q <= Blocks * Pixels));
      first_beat_there: assert (~awvalid | wvalid | (beats_q != '0));
      burst_ends: assert (~by_address_q | ~by_last_q | (address_end_q == last_end_q));
      all_done: assert (~done | ((address_beats_q == Beats) & (beats_q == Beats)
                                 & (reads_q == Blocks * Pixels) & (lasts_q == addresses_q)
                                 & (answers_q + 8'd1 == addresses_q) & bvalid));
      once: assert (~finished_q | ~(done | awvalid | wvalid | read));
      data_flow: assert (~calm | (beats_q >= address_beats_q) | wvalid);
      duration: assert (~calm | (done == (started_q & ~finished_q & (age_q == Beats + 10))));
      progress: assert (age_q <= Bound);
      halves: assert (~read | ~read_half);

      calm_end: cover (done & calm & (addresses_q == Bursts));
      end_of_any: cover (done & ~calm & (addresses_q == Bursts));
      data_first: cover (beats_q > address_beats_q);
    end
  end

  logic unused;
  assign unused = ^{read_address, param_address, param_read};

endmodule
