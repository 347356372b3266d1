/// Runs `dovetail_accelerator` on a memory image and logs what it does when; for simulation only.
///
/// Plusargs: those of axi_memory; +latency, +bandwidth (1/256 byte per cycle), +stalls (seed of
/// random backpressure, 0: none), +address of the first segment, +limit in cycles, +trace=FILE,
/// +rounds: how often to start; all rounds must take the same cycles, and only the first one is
/// traced.
///
/// Lines of the trace: `g CYCLE` a segment's fetch starts, `r CYCLE` its queues start,
/// `s QUEUE CYCLE` an instruction starts, `e QUEUE CYCLE` ends (the cycle after its last). Cycle 0
/// is that of start_i. Prints `DONE CYCLE` when done_o rises, and `LIMIT` if it does not in time.

module dovetail_testbench #(
  parameter bit Stationary   = 1'b1,
  parameter bit Overlap      = 1'b1,
  parameter int Rows         = 4,
  parameter int Cols         = 4,
  parameter int InputBits    = 8,
  parameter int WeightBits   = 8,
  parameter int AccBits      = 32,
  parameter int BusBits      = 32,
  parameter int InputDepth   = 256,
  parameter int WeightDepth  = 256,
  parameter int AccDepth     = 256,
  parameter int ParamDepth   = 64,
  parameter int ProgramDepth = 64,
  parameter int MemoryWords  = 1 << 17
) (
  input logic clk_i
);

  localparam int ResetCycles = 4;
  localparam int Strobes = BusBits / 8;

  logic [31:0] latency, bandwidth, stalls, address, limit, rounds;
  string       trace_name;
  integer      trace;

  initial begin
    if ($value$plusargs("latency=%d", latency) == 0) latency = 0;
    if ($value$plusargs("bandwidth=%d", bandwidth) == 0) bandwidth = 32'(BusBits / 8 * 256);
    if ($value$plusargs("stalls=%d", stalls) == 0) stalls = 0;
    if ($value$plusargs("address=%d", address) == 0) address = 0;
    if ($value$plusargs("limit=%d", limit) == 0) limit = 32'hFFFF_FFFF;
    if ($value$plusargs("rounds=%d", rounds) == 0) rounds = 1;
    trace = 0;
    if ($value$plusargs("trace=%s", trace_name)) trace = $fopen(trace_name, "w");
  end

  // A few cycles of reset, then start; `cycle_q` is 0 in the cycle of start.
  logic [2:0]  reset_q;
  /* verilator lint_off SYNCASYNCNET */  // the bench's assertions read its reset like data
  logic        rst_n;
  /* verilator lint_on SYNCASYNCNET */
  logic        start_q, started_q, dump_q, finish_q;
  logic [31:0] cycle_q, round_q, first_q;

  initial begin
    reset_q   = '0;
    rst_n     = 1'b0;
    start_q   = 1'b0;
    started_q = 1'b0;
    dump_q    = 1'b0;
    finish_q  = 1'b0;
    cycle_q   = '0;
    round_q   = '0;
    first_q   = '0;
  end

  logic busy, done, run, segment;
  logic [2:0] start, finish;
  logic       finished, again;  // this round ends; another one follows

  assign finished = done & started_q;
  assign again    = finished & (round_q + 32'd1 < rounds);

  always_ff @(posedge clk_i) begin
    if (int'(reset_q) < ResetCycles) reset_q <= reset_q + 3'd1;
    rst_n     <= int'(reset_q) == ResetCycles;
    start_q   <= rst_n & ~started_q & ~start_q;
    started_q <= (started_q | start_q) & ~again;
    cycle_q   <= ((start_q | started_q) & ~again) ? cycle_q + 32'd1 : '0;
    dump_q    <= finished & ~again & ~dump_q;
    round_q   <= round_q + {31'b0, again};
    if (again && round_q == 0) first_q <= cycle_q;
    finish_q  <= dump_q;
  end

  always @(posedge clk_i) begin
    if (rst_n && trace != 0 && round_q == 0) begin
      if (segment) $fwrite(trace, "g %0d\n", cycle_q);
      if (run)     $fwrite(trace, "r %0d\n", cycle_q);
      for (int q = 0; q < 3; q++) begin
        if (start[q])  $fwrite(trace, "s %0d %0d\n", q, cycle_q);
        if (finish[q]) $fwrite(trace, "e %0d %0d\n", q, cycle_q + 32'd1);
      end
    end
    if (finished && !again && !dump_q && !finish_q) begin
      $display("DONE %0d", cycle_q);
    end
    assert (!finished || round_q == 0 || stalls != 0 || dump_q || finish_q || cycle_q == first_q)
      else $fatal(1, "RULE round %0d takes %0d cycles, the first one %0d", round_q + 1, cycle_q,
                  first_q);
    if (finish_q) begin
      if (trace != 0) $fclose(trace);
      $finish;
    end else if (cycle_q >= limit && !finished && !dump_q) begin
      $display("LIMIT");
      if (trace != 0) $fclose(trace);
      $finish;
    end
  end

  logic               arvalid, arready, rvalid, rready, rlast;
  logic               awvalid, awready, wvalid, wready, wlast, bvalid, bready;
  logic [31:0]        araddr, awaddr;
  logic [7:0]         arlen, awlen;
  logic [2:0]         arsize, awsize;
  logic [1:0]         arburst, awburst;
  logic [0:0]         arid, awid;
  logic [BusBits-1:0] rdata, wdata;
  logic [Strobes-1:0] wstrb;
  logic               idle;

  dovetail_accelerator #(
    .Stationary(Stationary),
    .Overlap(Overlap),
    .Rows(Rows),
    .Cols(Cols),
    .InputBits(InputBits),
    .WeightBits(WeightBits),
    .AccBits(AccBits),
    .BusBits(BusBits),
    .InputDepth(InputDepth),
    .WeightDepth(WeightDepth),
    .AccDepth(AccDepth),
    .ParamDepth(ParamDepth),
    .ProgramDepth(ProgramDepth)
  ) u_accelerator (
    .clk_i,
    .rst_ni(rst_n),
    .start_i(start_q),
    .address_i(address),
    .busy_o(busy),
    .done_o(done),
    .m_axi_arvalid_o(arvalid),
    .m_axi_arready_i(arready),
    .m_axi_araddr_o(araddr),
    .m_axi_arlen_o(arlen),
    .m_axi_arsize_o(arsize),
    .m_axi_arburst_o(arburst),
    .m_axi_arid_o(arid),
    .m_axi_rvalid_i(rvalid),
    .m_axi_rready_o(rready),
    .m_axi_rdata_i(rdata),
    .m_axi_rlast_i(rlast),
    .m_axi_rresp_i(2'b00),
    .m_axi_rid_i(1'b0),
    .m_axi_awvalid_o(awvalid),
    .m_axi_awready_i(awready),
    .m_axi_awaddr_o(awaddr),
    .m_axi_awlen_o(awlen),
    .m_axi_awsize_o(awsize),
    .m_axi_awburst_o(awburst),
    .m_axi_awid_o(awid),
    .m_axi_wvalid_o(wvalid),
    .m_axi_wready_i(wready),
    .m_axi_wdata_o(wdata),
    .m_axi_wstrb_o(wstrb),
    .m_axi_wlast_o(wlast),
    .m_axi_bvalid_i(bvalid),
    .m_axi_bready_o(bready),
    .m_axi_bresp_i(2'b00),
    .m_axi_bid_i(1'b0),
    .trace_start_o(start),
    .trace_done_o(finish),
    .trace_run_o(run),
    .trace_segment_o(segment)
  );

  axi_memory #(
    .BusBits(BusBits),
    .Words(MemoryWords)
  ) u_memory (
    .clk_i,
    .rst_ni(rst_n),
    .latency_i(latency),
    .bandwidth_i(bandwidth),
    .seed_i(stalls),
    .dump_i(dump_q),
    .arvalid_i(arvalid),
    .arready_o(arready),
    .araddr_i(araddr),
    .arlen_i(arlen),
    .rvalid_o(rvalid),
    .rready_i(rready),
    .rdata_o(rdata),
    .rlast_o(rlast),
    .awvalid_i(awvalid),
    .awready_o(awready),
    .awaddr_i(awaddr),
    .awlen_i(awlen),
    .wvalid_i(wvalid),
    .wready_o(wready),
    .wdata_i(wdata),
    .wstrb_i(wstrb),
    .bvalid_o(bvalid),
    .bready_i(bready),
    .idle_o(idle)
  );

  axi_checker #(
    .BusBits(BusBits)
  ) u_checker (
    .clk_i,
    .rst_ni(rst_n),
    .arvalid_i(arvalid),
    .arready_i(arready),
    .araddr_i(araddr),
    .arlen_i(arlen),
    .arsize_i(arsize),
    .arburst_i(arburst),
    .rvalid_i(rvalid),
    .rready_i(rready),
    .rlast_i(rlast),
    .awvalid_i(awvalid),
    .awready_i(awready),
    .awaddr_i(awaddr),
    .awlen_i(awlen),
    .awsize_i(awsize),
    .awburst_i(awburst),
    .wvalid_i(wvalid),
    .wready_i(wready),
    .wdata_i(wdata),
    .wstrb_i(wstrb),
    .wlast_i(wlast),
    .bvalid_i(bvalid),
    .bready_i(bready),
    .done_i(done)
  );

  always @(posedge clk_i) begin
    if (rst_n) begin
      assert (!finished || idle) else $fatal(1, "RULE done while the memory is busy");
      assert (!started_q || busy || done || dump_q || finish_q)
        else $fatal(1, "RULE neither busy nor done");
      assert (arid === 1'b0 || !arvalid) else $fatal(1, "RULE a read burst with an ID other than 0");
      assert (awid === 1'b0 || !awvalid) else $fatal(1, "RULE a write burst with an ID other than 0");
    end
  end

endmodule
