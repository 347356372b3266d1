/// Stands in for the accelerator where the memory model is tested.
///
/// Reads InputDepth bursts of 1, 2, ... beats from address_i on, then writes what it read,
/// inverted, in as many bursts behind it. Traces bursts as starts, beats as ends: queue 0 reads, 2
/// writes. ProgramDepth = 1 breaks a rule of AXI: it changes the address of a burst that waits. 2:
/// it takes a cycle longer each time.

module dovetail_accelerator #(
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
  parameter int ProgramDepth = 0
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 start_i,
  input  logic [31:0]          address_i,
  output logic                 busy_o,
  output logic                 done_o,

  output logic                 m_axi_arvalid_o,
  input  logic                 m_axi_arready_i,
  output logic [31:0]          m_axi_araddr_o,
  output logic [7:0]           m_axi_arlen_o,
  output logic [2:0]           m_axi_arsize_o,
  output logic [1:0]           m_axi_arburst_o,
  output logic [0:0]           m_axi_arid_o,
  input  logic                 m_axi_rvalid_i,
  output logic                 m_axi_rready_o,
  input  logic [BusBits-1:0]   m_axi_rdata_i,
  input  logic                 m_axi_rlast_i,
  input  logic [1:0]           m_axi_rresp_i,
  input  logic [0:0]           m_axi_rid_i,
  output logic                 m_axi_awvalid_o,
  input  logic                 m_axi_awready_i,
  output logic [31:0]          m_axi_awaddr_o,
  output logic [7:0]           m_axi_awlen_o,
  output logic [2:0]           m_axi_awsize_o,
  output logic [1:0]           m_axi_awburst_o,
  output logic [0:0]           m_axi_awid_o,
  output logic                 m_axi_wvalid_o,
  input  logic                 m_axi_wready_i,
  output logic [BusBits-1:0]   m_axi_wdata_o,
  output logic [BusBits/8-1:0] m_axi_wstrb_o,
  output logic                 m_axi_wlast_o,
  input  logic                 m_axi_bvalid_i,
  output logic                 m_axi_bready_o,
  input  logic [1:0]           m_axi_bresp_i,
  input  logic [0:0]           m_axi_bid_i,

  output logic [2:0]           trace_start_o,
  output logic [2:0]           trace_done_o,
  output logic                 trace_run_o,
  output logic                 trace_segment_o
);

  localparam int Bursts = InputDepth;
  localparam int Beats = Bursts * (Bursts + 1) / 2;

  logic [BusBits-1:0] data [Beats];
  logic [31:0] ar_q, ar_beat_q, r_q, aw_q, aw_beat_q, w_q, w_burst_q, w_index_q, b_q, age_q;
  logic        busy_q, ar, r, aw, w, b, reading;

  assign ar = m_axi_arvalid_o & m_axi_arready_i;
  assign r  = m_axi_rvalid_i & m_axi_rready_o;
  assign aw = m_axi_awvalid_o & m_axi_awready_i;
  assign w  = m_axi_wvalid_o & m_axi_wready_i;
  assign b  = m_axi_bvalid_i & m_axi_bready_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
    end else begin
      busy_q <= start_i | (busy_q & ~done_o);
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      {ar_q, ar_beat_q, r_q, aw_q, aw_beat_q, w_q, w_burst_q, w_index_q, b_q, age_q} <= '0;
    end else begin
      age_q     <= age_q + 1;
      ar_q      <= ar_q + 32'(ar);
      ar_beat_q <= ar_beat_q + (ar ? ar_q + 1 : 0);
      r_q       <= r_q + 32'(r);
      aw_q      <= aw_q + 32'(aw);
      aw_beat_q <= aw_beat_q + (aw ? aw_q + 1 : 0);
      w_q       <= w_q + 32'(w);
      w_index_q <= (w & m_axi_wlast_o) ? 0 : w_index_q + 32'(w);
      w_burst_q <= w_burst_q + 32'(w & m_axi_wlast_o);
      b_q       <= b_q + 32'(b);
      if (r) data[r_q] <= m_axi_rdata_i;
    end
  end

  assign busy_o  = busy_q | start_i;
  assign done_o  = busy_q & (b_q == Bursts) & (ProgramDepth != 2 | late_q == starts_q);

  logic [31:0] starts_q, late_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      starts_q <= '0;
      late_q   <= '0;
    end else begin
      starts_q <= starts_q + 32'(start_i);
      late_q   <= (busy_q & (b_q == Bursts)) ? late_q + 1 : '0;
    end
  end
  assign reading = busy_q & (r_q != Beats);

  assign m_axi_arvalid_o = reading & (ar_q != Bursts);
  assign m_axi_araddr_o  = address_i + (ar_beat_q + (ProgramDepth == 1 ? age_q : 0)) * (BusBits / 8);
  assign m_axi_arlen_o   = ar_q[7:0];
  assign m_axi_arsize_o  = 3'($clog2(BusBits / 8));
  assign m_axi_arburst_o = 2'b01;
  assign m_axi_arid_o    = '0;
  assign m_axi_rready_o  = 1'b1;

  assign m_axi_awvalid_o = busy_q & ~reading & (aw_q != Bursts);
  assign m_axi_awaddr_o  = address_i + (Beats + aw_beat_q) * (BusBits / 8);
  assign m_axi_awlen_o   = aw_q[7:0];
  assign m_axi_awsize_o  = 3'($clog2(BusBits / 8));
  assign m_axi_awburst_o = 2'b01;
  assign m_axi_awid_o    = '0;
  assign m_axi_wvalid_o  = busy_q & ~reading & (w_q != Beats);
  assign m_axi_wdata_o   = ~data[w_q];
  assign m_axi_wstrb_o   = '1;
  assign m_axi_wlast_o   = w_index_q == w_burst_q;
  assign m_axi_bready_o  = 1'b1;

  assign trace_start_o   = {aw, 1'b0, ar};
  assign trace_done_o    = {w, 1'b0, r};
  assign trace_run_o     = 1'b0;
  assign trace_segment_o = start_i;

endmodule
