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
  parameter int ProgramDepth = 64
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,  // asynchronous, active low

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

endmodule
