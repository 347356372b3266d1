/// Systolic accelerator: an AXI4 master that runs a program which it fetches from memory.
///
/// start_i, a pulse while busy_o is low, starts the program at address_i. done_o rises when it is
/// through and stays until the next start. docs/rtl.md describes programs and cycles.
///
/// AXI: one ID, incrementing bursts of whole bus words, no write strobes. Data and responses are
/// always accepted, and responses other than OKAY ignored.
///
/// trace_start_o and trace_done_o tell a test bench in which cycles instructions of the load (bit
/// 0), execute (1) and store queue (2) start and are in their last cycle; trace_segment_o marks the
/// first cycle of a segment, trace_run_o that in which its queues start.

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

  localparam int EntryBits   = dovetail_isa_pkg::EntryBits;
  localparam int LoadBits    = dovetail_isa_pkg::LoadEntryBits;
  localparam int ExecuteBits = dovetail_isa_pkg::VectorEntryBits;  // the widest of all
  localparam int StoreBits   = dovetail_isa_pkg::StoreEntryBits;
  localparam int InputWidth  = Rows * InputBits;
  localparam int WeightWidth = Cols * WeightBits;
  localparam int AccWidth    = Cols * AccBits;
  localparam int ParamWidth  = Cols * dovetail_isa_pkg::ParamEntryBits;
  localparam int ParamAddressBits = (ParamDepth > 1) ? $clog2(ParamDepth) : 1;

  // Segments.
  logic                   run, finished, fetching;
  logic                   load_entry_write, execute_entry_write, store_entry_write, param_write;
  logic [15:0]            fetched_address;
  logic [ExecuteBits-1:0] fetched_entry;
  logic [ParamWidth-1:0]  fetched_param;
  logic                   fetch_arvalid, fetch_rready;
  logic [31:0]            fetch_araddr;
  logic [7:0]             fetch_arlen;

  dovetail_fetch #(
    .BusBits(BusBits),
    .EntryBits(ExecuteBits),
    .ParamWidth(ParamWidth)
  ) u_fetch (
    .clk_i,
    .rst_ni,
    .start_i,
    .address_i,
    .busy_o,
    .done_o,
    .segment_o(trace_segment_o),
    .run_o(run),
    .finished_i(finished),
    .load_write_o(load_entry_write),
    .execute_write_o(execute_entry_write),
    .store_write_o(store_entry_write),
    .param_write_o(param_write),
    .write_address_o(fetched_address),
    .entry_o(fetched_entry),
    .param_o(fetched_param),
    .fetching_o(fetching),
    .arvalid_o(fetch_arvalid),
    .arready_i(m_axi_arready_i),
    .araddr_o(fetch_araddr),
    .arlen_o(fetch_arlen),
    .rvalid_i(m_axi_rvalid_i),
    .rready_o(fetch_rready),
    .rdata_i(m_axi_rdata_i)
  );

  // Queues: load, execute, store.
  logic [2:0]             ready, halted, start, done, token_ok, ask, busy_q;
  logic [LoadBits-1:0]    load_entry;
  logic [ExecuteBits-1:0] execute_entry;
  logic [StoreBits-1:0]   store_entry;
  logic [31:0]            load_address_a, load_address_b, store_address_a, store_address_b;
  logic [31:0]            unused_execute_a, unused_execute_b;

  dovetail_sequencer #(
    .EntryBits(LoadBits),
    .Depth(ProgramDepth)
  ) u_load_sequencer (
    .clk_i,
    .rst_ni,
    .write_i(load_entry_write),
    .write_address_i(fetched_address),
    .write_data_i(fetched_entry[LoadBits-1:0]),
    .run_i(run),
    .ready_o(ready[0]),
    .start_i(start[0]),
    .entry_o(load_entry),
    .address_a_o(load_address_a),
    .address_b_o(load_address_b),
    .halted_o(halted[0])
  );

  dovetail_sequencer #(
    .EntryBits(ExecuteBits),
    .Depth(ProgramDepth)
  ) u_execute_sequencer (
    .clk_i,
    .rst_ni,
    .write_i(execute_entry_write),
    .write_address_i(fetched_address),
    .write_data_i(fetched_entry),
    .run_i(run),
    .ready_o(ready[1]),
    .start_i(start[1]),
    .entry_o(execute_entry),
    .address_a_o(unused_execute_a),
    .address_b_o(unused_execute_b),
    .halted_o(halted[1])
  );

  dovetail_sequencer #(
    .EntryBits(StoreBits),
    .Depth(ProgramDepth)
  ) u_store_sequencer (
    .clk_i,
    .rst_ni,
    .write_i(store_entry_write),
    .write_address_i(fetched_address),
    .write_data_i(fetched_entry[StoreBits-1:0]),
    .run_i(run),
    .ready_o(ready[2]),
    .start_i(start[2]),
    .entry_o(store_entry),
    .address_a_o(store_address_a),
    .address_b_o(store_address_b),
    .halted_o(halted[2])
  );

  // Starts.
  logic load_moves, load_grant;

  assign ask        = ready & ~busy_q & token_ok;
  assign load_moves = (load_entry[dovetail_isa_pkg::LoadARowsLsb +: 16] != '0)
                      | (load_entry[dovetail_isa_pkg::LoadBRowsLsb +: 16] != '0);
  assign start[0]   = load_moves ? load_grant : ask[0];
  assign start[1]   = ask[1];
  assign finished   = (halted == '1) & (busy_q == '0);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= '0;
    end else begin
      busy_q <= (busy_q | start) & ~done;
    end
  end

  dovetail_channel u_channel (
    .clk_i,
    .rst_ni,
    .load_ask_i(ask[0] & load_moves),
    .load_grant_o(load_grant),
    .load_done_i(done[0]),
    .store_ask_i(ask[2]),
    .store_grant_o(start[2]),
    .store_done_i(done[2])
  );

  dovetail_tokens u_tokens (
    .clk_i,
    .rst_ni,
    .clear_i(run),
    .load_start_i(start[0]),
    .load_done_i(done[0]),
    .load_ok_o(token_ok[0]),
    .first_i(execute_entry[dovetail_isa_pkg::MultiplyFirstLsb]),
    .last_i(execute_entry[dovetail_isa_pkg::MultiplyLastLsb]),
    .execute_start_i(start[1]),
    .execute_done_i(done[1]),
    .execute_ok_o(token_ok[1]),
    .store_start_i(start[2]),
    .store_done_i(done[2]),
    .store_ok_o(token_ok[2])
  );

  // Engines.
  logic                   input_write, input_write_half, input_read, input_read_half;
  logic [15:0]            input_write_address, input_read_address;
  logic [InputWidth-1:0]  input_write_data, input_read_data;
  logic                   weight_write, weight_write_half, weight_read, weight_read_half;
  logic [15:0]            weight_write_address, weight_read_address;
  logic [WeightWidth-1:0] weight_write_data, weight_read_data;
  // Accumulators are read by the execute (0) and store (1) engine.
  logic                   acc_write, acc_write_half;
  logic [1:0]             acc_read, acc_read_half;
  logic [15:0]            acc_write_address;
  logic [31:0]            acc_read_address;
  logic [AccWidth-1:0]    acc_write_data;
  logic [2*AccWidth-1:0]  acc_read_data;
  logic                   param_read;
  logic [15:0]            param_read_address;
  logic [ParamWidth-1:0]  param_read_data;
  logic                   load_arvalid, load_rready;
  logic [31:0]            load_araddr;
  logic [7:0]             load_arlen;

  dovetail_load #(
    .BusBits(BusBits),
    .InputWidth(InputWidth),
    .WeightWidth(WeightWidth)
  ) u_load (
    .clk_i,
    .rst_ni,
    .clear_i(run),
    .start_i(start[0]),
    .entry_i(EntryBits'(load_entry)),
    .address_a_i(load_address_a),
    .address_b_i(load_address_b),
    .done_o(done[0]),
    .input_write_o(input_write),
    .input_write_half_o(input_write_half),
    .input_write_address_o(input_write_address),
    .input_write_data_o(input_write_data),
    .weight_write_o(weight_write),
    .weight_write_half_o(weight_write_half),
    .weight_write_address_o(weight_write_address),
    .weight_write_data_o(weight_write_data),
    .arvalid_o(load_arvalid),
    .arready_i(m_axi_arready_i),
    .araddr_o(load_araddr),
    .arlen_o(load_arlen),
    .rvalid_i(m_axi_rvalid_i & ~fetching),
    .rready_o(load_rready),
    .rdata_i(m_axi_rdata_i),
    .rlast_i(m_axi_rlast_i)
  );

  dovetail_execute #(
    .Stationary(Stationary),
    .Overlap(Overlap),
    .Rows(Rows),
    .Cols(Cols),
    .InputBits(InputBits),
    .WeightBits(WeightBits),
    .AccBits(AccBits)
  ) u_execute (
    .clk_i,
    .rst_ni,
    .clear_i(run),
    .start_i(start[1]),
    .entry_i(EntryBits'(execute_entry)),
    .done_o(done[1]),
    .input_read_o(input_read),
    .input_read_half_o(input_read_half),
    .input_read_address_o(input_read_address),
    .input_read_data_i(input_read_data),
    .weight_read_o(weight_read),
    .weight_read_half_o(weight_read_half),
    .weight_read_address_o(weight_read_address),
    .weight_read_data_i(weight_read_data),
    .acc_read_o(acc_read[0]),
    .acc_read_half_o(acc_read_half[0]),
    .acc_read_address_o(acc_read_address[15:0]),
    .acc_read_data_i(acc_read_data[AccWidth-1:0]),
    .acc_write_o(acc_write),
    .acc_write_half_o(acc_write_half),
    .acc_write_address_o(acc_write_address),
    .acc_write_data_o(acc_write_data)
  );

  dovetail_store #(
    .Cols(Cols),
    .InputBits(InputBits),
    .AccBits(AccBits),
    .BusBits(BusBits)
  ) u_store (
    .clk_i,
    .rst_ni,
    .clear_i(run),
    .start_i(start[2]),
    .entry_i(EntryBits'(store_entry)),
    .address_a_i(store_address_a),
    .address_b_i(store_address_b),
    .done_o(done[2]),
    .acc_read_o(acc_read[1]),
    .acc_read_half_o(acc_read_half[1]),
    .acc_read_address_o(acc_read_address[31:16]),
    .acc_read_data_i(acc_read_data[2*AccWidth-1:AccWidth]),
    .param_read_o(param_read),
    .param_read_address_o(param_read_address),
    .param_read_data_i(param_read_data),
    .awvalid_o(m_axi_awvalid_o),
    .awready_i(m_axi_awready_i),
    .awaddr_o(m_axi_awaddr_o),
    .awlen_o(m_axi_awlen_o),
    .wvalid_o(m_axi_wvalid_o),
    .wready_i(m_axi_wready_i),
    .wdata_o(m_axi_wdata_o),
    .wlast_o(m_axi_wlast_o),
    .bvalid_i(m_axi_bvalid_i),
    .bready_o(m_axi_bready_o)
  );

  // Memories.
  dovetail_double_buffer #(
    .Width(InputWidth),
    .Depth(InputDepth),
    .Readers(1)
  ) u_input (
    .clk_i,
    .write_i(input_write),
    .write_half_i(input_write_half),
    .write_address_i(input_write_address),
    .write_data_i(input_write_data),
    .read_i(input_read),
    .read_half_i(input_read_half),
    .read_address_i(input_read_address),
    .read_data_o(input_read_data)
  );

  dovetail_double_buffer #(
    .Width(WeightWidth),
    .Depth(WeightDepth),
    .Readers(1)
  ) u_weight (
    .clk_i,
    .write_i(weight_write),
    .write_half_i(weight_write_half),
    .write_address_i(weight_write_address),
    .write_data_i(weight_write_data),
    .read_i(weight_read),
    .read_half_i(weight_read_half),
    .read_address_i(weight_read_address),
    .read_data_o(weight_read_data)
  );

  dovetail_double_buffer #(
    .Width(AccWidth),
    .Depth(AccDepth),
    .Readers(2)
  ) u_acc (
    .clk_i,
    .write_i(acc_write),
    .write_half_i(acc_write_half),
    .write_address_i(acc_write_address),
    .write_data_i(acc_write_data),
    .read_i(acc_read),
    .read_half_i(acc_read_half),
    .read_address_i(acc_read_address),
    .read_data_o(acc_read_data)
  );

  dovetail_ram #(
    .Width(ParamWidth),
    .Depth(ParamDepth)
  ) u_param (
    .clk_i,
    .write_i(param_write),
    .write_address_i(fetched_address[ParamAddressBits-1:0]),
    .write_data_i(fetched_param),
    .read_i(param_read),
    .read_address_i(param_read_address[ParamAddressBits-1:0]),
    .read_data_o(param_read_data)
  );

  // Memory channel.
  localparam bit [2:0] Size = 3'($clog2(BusBits / 8));
  localparam bit [1:0] Incrementing = 2'b01;

  assign m_axi_arvalid_o = fetch_arvalid | load_arvalid;
  assign m_axi_araddr_o  = fetching ? fetch_araddr : load_araddr;
  assign m_axi_arlen_o   = fetching ? fetch_arlen : load_arlen;
  assign m_axi_arsize_o  = Size;
  assign m_axi_arburst_o = Incrementing;
  assign m_axi_arid_o    = 1'b0;
  assign m_axi_rready_o  = fetching ? fetch_rready : load_rready;
  assign m_axi_awsize_o  = Size;
  assign m_axi_awburst_o = Incrementing;
  assign m_axi_awid_o    = 1'b0;
  assign m_axi_wstrb_o   = '1;

  assign trace_start_o = start;
  assign trace_done_o  = done;
  assign trace_run_o   = run;

  logic unused_bits;
  assign unused_bits = ^{unused_execute_a, unused_execute_b, param_read_address,
                         m_axi_rresp_i, m_axi_rid_i, m_axi_bresp_i, m_axi_bid_i};

endmodule
